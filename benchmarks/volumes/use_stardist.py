"""Train StarDist 3D as its example notebook does and segment; `process` says how to call this.

KIND is default, or scaled: rows and columns are shrunk until its network sees a whole object, where they are too large.
WAY is "". Rays, grid, patch size, augmentation and normalization are those of examples/3D of StarDist
0.9; anisotropy is that of the training objects' extents, not of the voxels.
"""

import json
import time

import numpy as np
import process
import tensorflow as tf
from csbdeep.utils import normalize
from scipy import ndimage
from stardist import Rays_GoldenSpiral, calculate_extents, fill_label_holes
from stardist.models import Config3D, StarDist3D

PATCH = (48, 96, 96)
N_RAYS = 96
BATCH_SIZE = 2
# Poolings of the default U-Net; patches must be divisible by 2 to this power, times the grid.
DEPTH = 2
MODEL = "stardist"
# File with the factor by which rows and columns are scaled.
SCALE = "scale.json"
# Pixels that "scaled" gives to the longer side in the plane of a typical object, if it has more.
EXTENT = 30.0


def augment(x, y):
    """Flips and quarter turns within a plane, and intensity."""
    if np.random.rand() > 0.5:
        x, y = x.swapaxes(1, 2), y.swapaxes(1, 2)
    for axis in (1, 2):
        if np.random.rand() > 0.5:
            x, y = np.flip(x, axis), np.flip(y, axis)
    return x * np.random.uniform(0.6, 2) + np.random.uniform(-0.2, 0.2), y


class Stop(tf.keras.callbacks.Callback):
    def __init__(self, end):
        super().__init__()
        self.end, self.times = end, []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append(time.perf_counter())
        if self.times[-1] > self.end:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self.finished = time.perf_counter()


def stretch(volumes):
    return [normalize(volume, 1, 99.8, axis=(0, 1, 2)) for volume in volumes]


def resize(volume, factors, order):
    return ndimage.zoom(volume, factors, order=order, mode="nearest", grid_mode=True)


def choose_factor(masks, kind):
    extent = np.max(calculate_extents([np.maximum(m, 0) for m in masks])[1:])
    return min(1.0, EXTENT / float(extent)) if kind == "scaled" else 1.0


def choose_patch(masks, grid):
    """The notebook's patch size, as far as all training volumes hold it; square, as planes are turned."""
    smallest = np.min([m.shape for m in masks], axis=0)
    smallest[1:] = smallest[1:].min()
    multiple = 2**DEPTH * np.array(grid)
    multiple[1:] = multiple[1:].max()
    return tuple(int(n) for n in np.maximum(np.minimum(PATCH, smallest) // multiple, 1) * multiple)


def pad(volume, patch, **how):
    """Make a validation volume as large as a patch."""
    return np.pad(volume, [(0, max(0, p - n)) for p, n in zip(patch, volume.shape, strict=True)], **how)


def train(data, folder, kind, seconds, seed):
    start = time.perf_counter()
    np.random.seed(seed)
    tf.random.set_seed(seed)
    (x, y), (xv, yv) = process.read(data, "train"), process.read(data, "validation")
    x, xv = stretch(x), stretch(xv)
    y, yv = [fill_label_holes(m) for m in y], [fill_label_holes(m) for m in yv]
    factor = choose_factor(y, kind)
    if factor < 1:
        x, xv = ([resize(v, (1, factor, factor), 1) for v in volumes] for volumes in (x, xv))
        y, yv = ([resize(m, (1, factor, factor), 0) for m in masks] for masks in (y, yv))
    (folder / SCALE).write_text(json.dumps(factor))
    extents = calculate_extents([np.maximum(m, 0) for m in y])
    anisotropy = tuple(float(a) for a in np.max(extents) / extents)
    grid = tuple(1 if a > 1.5 else 2 for a in anisotropy)
    patch = choose_patch(y, grid)
    config = Config3D(
        rays=Rays_GoldenSpiral(N_RAYS, anisotropy=anisotropy),
        grid=grid,
        anisotropy=anisotropy,
        n_channel_in=1,
        train_patch_size=patch,
        train_batch_size=BATCH_SIZE,
        train_tensorboard=False,
    )
    model = StarDist3D(config, name=MODEL, basedir=str(folder))
    model.prepare_for_training()
    stop = Stop(start + seconds)
    model.callbacks.append(stop)
    padded = [pad(v, patch, mode="reflect") for v in xv], [pad(m, patch, constant_values=-1) for m in yv]
    model.train(x, y, validation_data=padded, augmenter=augment, seed=seed)
    model.optimize_thresholds(xv, [np.maximum(m, 0) for m in yv])
    done = time.perf_counter()
    settings = {name: float(value) for name, value in model.thresholds._asdict().items()}
    settings |= {"anisotropy": [round(a, 2) for a in anisotropy], "grid": grid, "patch": patch, "factor": factor}
    settings["field_of_view"] = [int(n) for n in model._axes_tile_overlap("ZYX")]
    settings["extents"] = [round(float(e), 1) for e in extents]
    times = {"train_seconds": round(stop.finished - start), "choose_seconds": round(done - stop.finished)}
    step = float(np.median(np.diff(stop.times))) if len(stop.times) > 1 else None
    return times | {"steps": len(stop.times), "seconds_per_step": step, "settings": settings}


def load(folder, way, spacing):
    model = StarDist3D(None, name=MODEL, basedir=str(folder))

    factor = json.loads((folder / SCALE).read_text())

    def segment(volume):
        (x,) = stretch([volume])
        x = x if factor == 1 else resize(x, (1, factor, factor), 1)
        masks = model.predict_instances(x, n_tiles=model._guess_n_tiles(x))[0]
        return masks if factor == 1 else resize(masks, np.divide(volume.shape, masks.shape), 0)

    return segment


if __name__ == "__main__":
    process.main(train, load)
