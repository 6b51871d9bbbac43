"""The steps of ``flowseg demo``: train, segment, score, and draw a picture."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import datasets, io, metrics, plot
from flowseg._flows.targets import masks_to_flows
from flowseg._segmenters.flow import FlowSegmenter
from flowseg.datasets._nuclei import FOLDER as SOURCE

# The first images train, the others test. No two of them share a field of view.
N_TRAIN = 8
# The test image in the picture: crowded nuclei that touch.
SHOWN = 1
# A network small enough to learn on two cores while one waits. Four levels, so that it sees large nuclei whole.
FILTERS, CROP_SIZE, BATCH_SIZE = (16, 32, 64, 128), 96, 4
THRESHOLDS = (0.5, 0.75)
# Magnification of the panels of the picture, and the gray gap between them in pixels.
ZOOM, GAP = 2, 4


def run(folder: Path, epochs: int, make_progress: Callable[[], Any]) -> list[str]:
    """Train, segment, score, write model, images and picture; return the lines to print."""
    images, masks, fields = datasets.nuclei()
    segmenter = FlowSegmenter(
        filters=FILTERS,
        crop_size=CROP_SIZE,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_fraction=0.0,
        random_state=0,
    )
    segmenter.fit(images[:N_TRAIN], masks[:N_TRAIN], callbacks=[make_progress()])
    unseen, true = images[N_TRAIN:], masks[N_TRAIN:]
    predicted = segmenter.predict(unseen)
    pretrained = FlowSegmenter.from_pretrained("nuclei").predict(unseen)

    model, picture = folder / "demo.safetensors", folder / "demo.png"
    segmenter.save(model)
    flows, _ = segmenter.predict_flows(unseen[SHOWN])
    io.write_picture(picture, draw(unseen[SHOWN], true[SHOWN], flows, predicted[SHOWN]))
    copy_images(folder / "train", fields[:N_TRAIN])
    copy_images(folder / "test", fields[N_TRAIN:])
    own, other = (metrics.average_precision(true, found, thresholds=THRESHOLDS) for found in (predicted, pretrained))
    return [
        f"Trained on {N_TRAIN} images with {count(masks[:N_TRAIN])} nuclei. Average precision on {len(true)} images of "
        f"unseen fields, with {count(true)} nuclei:",
        f"  IoU {THRESHOLDS[0]}   IoU {THRESHOLDS[1]}",
        f"  {own[0]:7.2f}   {own[1]:8.2f}   this model",
        f"  {other[0]:7.2f}   {other[1]:8.2f}   nuclei, which ships with flowseg (363 training images, none of these "
        "fields)",
        f"Look at {picture}: image, true flows, predicted flows, predicted outlines.",
        "",
        *list_commands(folder, model),
    ]


def list_commands(folder: Path, model: Path) -> list[str]:
    """Return commands to try on the images, as they are typed in a shell."""
    train, test, found, tuned = (folder / name for name in ("train", "test", "found", "tuned.safetensors"))
    commands: list[tuple[str, list[object]]] = [
        ("Segment the test images with this model:", ["predict", test / "images", "--model", model, "-o", found]),
        (
            "Look at its errors (open the report in a browser):",
            ["evaluate", test / "masks", found, "--images", test / "images", "--report", folder / "report.html"],
        ),
        (
            "Train the model that ships with flowseg further on the training images (a few minutes):",
            ["train", train / "images", train / "masks", "--from", "nuclei", "--epochs", 5, "-o", tuned],
        ),
    ]
    return [
        line
        for purpose, words in commands
        for line in (purpose, f"  flowseg {' '.join(shlex.quote(str(word)) for word in words)}")
    ]


def copy_images(folder: Path, fields: list[str]) -> None:
    """Copy images and masks of these fields into folders of their own."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for field in fields:
            shutil.copyfile(SOURCE / kind / f"{field}.png", folder / kind / f"{field}.png")


def count(masks: list[NDArray[np.int32]]) -> int:
    """Return the number of objects in label images without gaps in their numbers."""
    return sum(int(labels.max()) for labels in masks)


def draw(
    image: NDArray[Any], true: NDArray[Any], flows: NDArray[np.float32], predicted: NDArray[Any]
) -> NDArray[np.uint8]:
    """Draw four panels: the image, true flows, predicted flows where there are objects, predicted outlines."""
    panels = [
        plot.outlines(image, np.zeros_like(true)),
        plot.flow_colors(masks_to_flows(true)),
        plot.flow_colors(np.where(predicted > 0, flows, 0)),
        plot.outlines(image, predicted),
    ]
    zoomed = [np.kron(panel, np.ones((ZOOM, ZOOM, 1), dtype=np.uint8)) for panel in panels]
    gap = np.full((zoomed[0].shape[0], GAP, 3), 128, dtype=np.uint8)
    row: list[NDArray[np.uint8]] = []
    for panel in zoomed:
        row += [panel, gap]
    return np.concatenate(row[:-1], axis=1)
