"""Train the small network of Cellpose 3 from scratch for MINUTES and segment: DATA OUTPUT MINUTES SEED KIND.

Segments twice: every image by the mean diameter of the training images, as Cellpose does with a custom model; and
"estimated", every image by the median diameter of what the first way found in it, as flowseg does.
"""

import json
import sys
import tempfile
import time

import numpy as np
import torch
from cellpose import dynamics, models, train, utils

# Share of the time that is left for everything but training.
RESERVE = 0.06
CHANNELS = [0, 0]
BATCH_SIZE = 8
# Steps that the time of one is taken from.
TRIAL_STEPS = 5


def read(file, split):
    with np.load(file) as arrays:
        names = sorted(arrays.files)
        return tuple([arrays[n] for n in names if n.startswith(f"{split}/{kind}/")] for kind in ("image", "mask"))


def fit(images, flows, n_steps, seed, diameter):
    """An epoch is one step: Cellpose's schedule (10 epochs of warm-up, lower rates at the end) is made for hundreds."""
    np.random.seed(seed)
    torch.manual_seed(seed)
    model = models.CellposeModel(gpu=False, pretrained_model=False, diam_mean=diameter)
    with tempfile.TemporaryDirectory() as folder:
        train.train_seg(
            model.net, train_data=images, train_labels=flows, channels=CHANNELS, n_epochs=n_steps,
            nimg_per_epoch=BATCH_SIZE, batch_size=BATCH_SIZE, save_path=folder, min_train_masks=1,
            learning_rate=0.1, weight_decay=1e-4, SGD=True,
        )  # fmt: skip
    return model


def time_of(*arguments):
    start = time.perf_counter()
    fit(*arguments)
    return time.perf_counter() - start


def segment(model, images, diameters):
    """Masks, and seconds per megapixel."""
    start = time.perf_counter()
    found = [
        model.eval(image, channels=CHANNELS, diameter=diameter)[0].astype(np.int32)
        for image, diameter in zip(images, diameters, strict=True)
    ]
    return found, (time.perf_counter() - start) / sum(m.size for m in found) * 1e6


def write(file, found):
    np.savez_compressed(file, **{f"{i:04d}": m for i, m in enumerate(found)})


def main(data, output, minutes, seed, kind):
    images, masks = read(data, "train")
    diameter = 17.0 if kind == "nuclei" else 30.0  # Cellpose's own two
    start = time.perf_counter()
    flows = dynamics.labels_to_flows(masks, device=torch.device("cpu"))
    making_flows = time.perf_counter() - start
    # Its schedule wants the number of epochs beforehand. What finding it out takes is not taken from its minutes.
    fit(images, flows, 1, int(seed), diameter)  # warms up
    short, long = (time_of(images, flows, n, int(seed), diameter) for n in (1, 1 + TRIAL_STEPS))
    step = max((long - short) / TRIAL_STEPS, 0.1)
    left = 60 * float(minutes) * (1 - RESERVE) - making_flows - max(short - step, 0.0)
    n_steps = max(1, int(left / step))
    start = time.perf_counter()
    model = fit(images, flows, n_steps, int(seed), diameter)
    trained = making_flows + time.perf_counter() - start
    typical = model.net.diam_labels.item()
    images = read(data, "test")[0]
    segment(model, images[:1], [typical])  # compiles what follows the flows
    found, first = segment(model, images, [typical] * len(images))
    write(output, found)
    estimated = [utils.diameters(m)[0] if m.any() else typical for m in found]
    found, second = segment(model, images, estimated)
    write(output.replace(".npz", " estimated.npz"), found)
    speed = {"": round(first, 3), " estimated": round(first + second, 3)}
    said = {"seconds": round(trained), "steps": n_steps, "settings": {"diameter": round(typical, 2)}}
    print(json.dumps(said | {"seconds_per_megapixel": speed}))


if __name__ == "__main__":
    main(*sys.argv[1:])
