"""Pairs of images and masks, or of volumes, read and checked against each other, to train and to tune on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from flowseg import io
from flowseg._system.bars import bar
from flowseg.cli._shared.image_reading import IMAGE, Reading, with_channels
from flowseg.cli._shared.swapped_inputs import check_not_swapped

Arrays = list[NDArray[Any]]


def read_pairs(
    pairs: Sequence[tuple[Path, Path]], reading: Reading, n_channels: int | None = None
) -> tuple[Arrays, Arrays]:
    """Read images and masks; pictures without color become gray where ``n_channels`` allows it.

    Without ``n_channels`` the images decide: among pictures in color, one without color keeps its three channels.
    """
    check_not_swapped(*pairs[0], reading)
    keep = n_channels is not None and n_channels > 1
    ndim = reading.ndim
    read = [(reading.read(a, keep_color=keep), read_masks_of(b, reading)) for a, b in bar(pairs, "reading")]
    if n_channels is None and any(image.ndim > ndim for image, _ in read):
        read = [
            (reading.read(a, keep_color=True) if image.ndim == ndim else image, labels)
            for (a, _), (image, labels) in zip(pairs, read, strict=True)
        ]
    axes = "rows and columns" if ndim == IMAGE else "planes, rows and columns"
    for (a, b), (image, labels) in zip(pairs, read, strict=True):
        if image.shape[:ndim] != labels.shape:
            raise ValueError(f"{b} must have the {axes} of {a}, {image.shape[:ndim]}; got {labels.shape}.")
    return [image for image, _ in read], [labels for _, labels in read]


def read_masks_of(file: Path, reading: Reading) -> NDArray[Any]:
    """Read the masks of an image or of a volume, whose planes --axes names, too."""
    if reading.ndim == IMAGE:
        return io.read_masks(file)
    return io.read_masks(file, axes=reading.axes_of_labels(file), ndim=reading.ndim)


def count_channels(images: Arrays, ndim: int) -> int:
    """Return the number of channels, which must be the same for all images."""
    channels = {with_channels(image, ndim).shape[-1] for image in images}
    if len(channels) > 1:
        raise ValueError(f"all images must have the same number of channels; got {sorted(channels)}.")
    return int(channels.pop())
