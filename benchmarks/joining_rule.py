"""Measure the rule that joins basins: average precision on networks' outputs, and on true flows with noise.

    python benchmarks/joining_rule.py DATA [--epochs 8]

DATA is the folder with the data sets, as tests expect it in ``shared/data``. Networks for whole cells are trained here
for a few epochs, so that their flows are poor; training takes most of the time. The table in
``docs/explanation/flows.rst`` has the results.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

import flowseg
from flowseg import io, metrics


def load(folder, split, target=None):
    """Return images and masks of one split of a data set, and of one target where it has several."""
    images, masks = [], []
    with open(folder / "samples.csv", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["split"] == split and (target is None or row["target"] == target):
                image = io.read_image(folder / row["image"])
                images.append(255 - image.mean(-1) if image.ndim == 3 else image)
                masks.append(tifffile.imread(folder / row["label"]))
    return images, masks


def average_precision(true, outputs):
    """Return the average precision at IoU 0.5, without and with the flow check."""
    return [
        metrics.average_precision(
            true, [flowseg.flows_to_masks(*output, flow_threshold=threshold) for output in outputs], thresholds=[0.5]
        )[0]
        for threshold in (None, 0.4)
    ]


def report(name, true, outputs):
    """Print a row of the table."""
    without, with_check = average_precision(true, outputs)
    print(f"{name:40} {without:.4f} / {with_check:.4f}", flush=True)


def with_noise(masks, sd, seed):
    """Return true flows with noise of a standard deviation, smoothed over a pixel, and true logits."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((2, *masks.shape)), (0, 1, 1))
    flows = flowseg.masks_to_flows(masks) + noise * (sd / noise.std())
    return flows.astype(np.float32), np.where(masks > 0, 5.0, -5.0).astype(np.float32)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()

    true = load(arguments.data / "dsb2018", "val")[1]
    for sd in (0.3, 0.6, 1.0):
        report(f"true flows, noise {sd}", true, [with_noise(masks, sd, seed) for seed, masks in enumerate(true)])

    nuclei = flowseg.FlowSegmenter.from_pretrained("nuclei")
    for name, target in (("dsb2018", None), ("dsb2018_histology", None), ("aitslab", "nuclei")):
        images, true = load(arguments.data / name, "val", target)
        report(f"nuclei on {name}", true, [nuclei.predict_flows(image) for image in images])

    images, true = load(arguments.data / "aitslab", "train", "cells")
    more_images, more_true = load(arguments.data / "aitslab", "val", "cells")
    segmenter = flowseg.FlowSegmenter(epochs=arguments.epochs, random_state=0).fit(images, true)
    report("whole cells", more_true, [segmenter.predict_flows(image) for image in more_images])
    segmenter = flowseg.FlowSegmenter(epochs=arguments.epochs, random_state=1).fit(images[::2], true[::2])
    outputs = [segmenter.predict_flows(image) for image in images[1::2] + more_images]
    report("whole cells, half of the images", true[1::2] + more_true, outputs)


if __name__ == "__main__":
    main()
