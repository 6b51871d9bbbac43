"""Train StarDist 2D with its own defaults for MINUTES and segment: DATA OUTPUT MINUTES SEED KIND.

KIND is default, or scaled: images are shrunk until their typical object fits well into the network's field of view.
"""

import json
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
from csbdeep.utils import normalize
from skimage.measure import regionprops
from skimage.transform import rescale
from stardist import fill_label_holes
from stardist.geometry import polygons_to_label_coord
from stardist.models import Config2D, StarDist2D

# Share of the time that is left for choosing thresholds.
RESERVE = 0.06
# Typical diameter in pixels that "scaled" makes; that of Cellpose's network for cells.
DIAMETER = 30.0


def read(file, split):
    with np.load(file) as arrays:
        names = sorted(arrays.files)
        return tuple([arrays[n] for n in names if n.startswith(f"{split}/{kind}/")] for kind in ("image", "mask"))


def augment(x, y):
    """That of StarDist's example notebook: flips, quarter turns, intensity, noise."""
    axes = np.random.permutation(2)
    x = x.transpose((*axes, *range(2, x.ndim)))
    y = y.transpose(axes)
    for axis in range(2):
        if np.random.rand() > 0.5:
            x, y = np.flip(x, axis), np.flip(y, axis)
    x = x * np.random.uniform(0.6, 2) + np.random.uniform(-0.2, 0.2)
    return x + 0.02 * np.random.uniform(0, 1) * np.random.normal(0, 1, x.shape), y


class Stop(tf.keras.callbacks.Callback):
    def __init__(self, end):
        super().__init__()
        self.end = end

    def on_train_batch_end(self, batch, logs=None):
        if time.perf_counter() > self.end:
            self.model.stop_training = True


def stretch(images):
    return [normalize(image, 1, 99.8, axis=(0, 1)) for image in images]


def shrink(image, factor):
    return rescale(image, factor, order=1, anti_aliasing=True, channel_axis=2 if image.ndim == 3 else None)


def shrink_masks(masks, factor):
    return rescale(masks, factor, order=0, anti_aliasing=False, preserve_range=True).astype(masks.dtype)


def segment(model, images, factor):
    found = []
    for image in stretch(images):
        small = image if factor == 1 else shrink(image, factor)
        labels, polygons = model.predict_instances(small, n_tiles=model._guess_n_tiles(small))
        if factor != 1:  # its polygons, drawn at full size
            order = np.argsort(polygons["prob"], kind="stable")
            corners = (np.asarray(polygons["coord"])[order] + 0.5) / factor - 0.5
            labels = polygons_to_label_coord(corners, image.shape[:2], labels=order)
        found.append(labels.astype(np.int32))
    return found


def main(data, output, minutes, seed, kind):
    start = time.perf_counter()
    np.random.seed(int(seed))
    tf.random.set_seed(int(seed))
    (x, y), (xv, yv) = read(data, "train"), read(data, "validation")
    x, xv = stretch(x), stretch(xv)
    y, yv = [fill_label_holes(m) for m in y], [fill_label_holes(m) for m in yv]
    factor = 1.0
    if kind == "scaled":
        sizes = [region.equivalent_diameter_area for m in y for region in regionprops(np.maximum(m, 0))]
        factor = DIAMETER / float(np.median(sizes))
        x, xv = [shrink(image, factor) for image in x], [shrink(image, factor) for image in xv]
        y, yv = [shrink_masks(m, factor) for m in y], [shrink_masks(m, factor) for m in yv]
    smallest = min(min(m.shape) for m in (*y, *yv))
    side = min(256, smallest // 16 * 16)
    config = Config2D(
        n_rays=32,
        grid=(2, 2),
        n_channel_in=1 if x[0].ndim == 2 else x[0].shape[2],
        train_patch_size=(side, side),
        train_tensorboard=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        model = StarDist2D(config, name="model", basedir=folder)
        model.prepare_for_training()
        model.callbacks.append(Stop(start + 60 * float(minutes) * (1 - RESERVE)))
        history = model.train(x, y, validation_data=(xv, yv), augmenter=augment, seed=int(seed))
        model.optimize_thresholds(xv, yv)
        trained = time.perf_counter() - start
        images = read(data, "test")[0]
        segment(model, images, factor)  # compiles the network for every shape
        start = time.perf_counter()
        found = segment(model, images, factor)
        speed = (time.perf_counter() - start) / sum(m.size for m in found) * 1e6
        thresholds = {name: float(value) for name, value in model.thresholds._asdict().items()}
    np.savez_compressed(output, **{f"{i:04d}": m for i, m in enumerate(found)})
    said = {"seconds": round(trained), "epochs": len(history.history["loss"]), "settings": thresholds}
    print(json.dumps(said | {"seconds_per_megapixel": {"": round(speed, 3)}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
