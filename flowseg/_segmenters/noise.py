"""Whether what was found in an image looks like noise.

Smoothed noise has blobs that look like nuclei. What gives them away is the rest of the image: it is as steep away from
the outlines as on them, while real objects stand on a ground that is flatter than their edges. Only image and masks are
compared, so that it holds for every model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg import _checks
from flowseg._intensities import find_picture
from flowseg._nets.sizes import image_diameter

# Below this sharpness objects look like noise. Measured by benchmarks/noise.py: smoothed noise reaches 1.8, and no
# image of DSB 2018 is below 2.1.
LEAST_SHARPNESS = 1.8
# Share of the background that is flatter than what outlines are compared with: the other tenth is taken for objects
# that were not found.
QUANTILE = 0.9
# Gradients are those of the image smoothed by a Gaussian of this share of the objects' diameter as standard deviation.
SMOOTHING = 1 / 8
# The background begins at this share of the diameter from the objects, beyond their blurred edges; at least 2 pixels.
MARGIN = 1 / 6
LEAST_MARGIN = 2
# So many standard deviations from padding its edge no longer shows in the smoothed image.
REACH = 4
# Pixels that a diameter need not exceed: larger objects are looked at in a reduced image, which is quicker.
ENOUGH = 12
# Of an image larger than so many windows of so many (reduced) pixels along an axis only these windows are looked at.
N_WINDOWS, WINDOW = 3, 256
# Bytes of integers that fit into float32 exactly.
NARROW = 2
# Rows and columns that gradients need.
LEAST_SIDE = 2
# With fewer pixels of background nothing can be said.
LEAST_BACKGROUND = 50
# Share of the training images that may have less than the sharpness that is learned of them.
TOLERATED = 0.05
# Images that a warning names.
MOST_NAMED = 5
ONE = ("object", "is probably a false positive", "its outline is")
MANY = ("objects", "are probably false positives", "their outlines are")


def sharpness(image: NDArray[Any], masks: NDArray[Any]) -> float:
    """How many times as steep as the background the image is at the outlines of objects.

    Median gradient at the outlines over the 90th percentile in the background; of several channels the largest. Pixels
    that equal all their neighbors do not count as background: clipped or filled with one value they say nothing. Nor
    does the edge of padding, which is steeper than any object.

    Parameters
    ----------
    image : ndarray, shape (rows, columns) or (rows, columns, channels)
        Image of any real dtype.
    masks : ndarray of int, shape (rows, columns)
        What was found in it. Negative pixels, which are to be ignored, are neither objects nor background.

    Returns
    -------
    sharpness : float
        NaN where there are no objects or too little background to tell.
    """
    diameter = image_diameter(masks)
    if np.isnan(diameter) or min(masks.shape) < LEAST_SIDE:
        return float("nan")
    step = min(max(1, int(diameter / ENOUGH)), min(masks.shape) // LEAST_SIDE)
    places = [_windows(length, WINDOW * step) for length in masks.shape]
    channels = np.moveaxis(np.atleast_3d(image), -1, 0)
    values = []
    for channel in channels:
        picture = find_picture(channel)
        inside = np.ones(masks.shape, dtype=bool) if picture is None else picture
        with np.errstate(over="ignore", invalid="ignore"):  # of the largest numbers there are: then it is NaN
            cuts = [(channel[place], masks[place], inside[place]) for place in product(*places)]
            parts = [_gradients(*cut, diameter, step) for cut in cuts]
        outline, background = (np.concatenate(found) for found in zip(*parts, strict=True))
        if outline.size and background.size >= LEAST_BACKGROUND:
            values.append(_ratio(float(np.median(outline)), float(np.quantile(background, QUANTILE))))
    return max(values, default=float("nan"))


def learn_least_sharpness(images: Sequence[NDArray[Any]], masks: Sequence[NDArray[Any]]) -> float:
    """Sharpness that a model trained on these images expects: the usual one, or less where they have less."""
    values = np.array([sharpness(image, found) for image, found in zip(images, masks, strict=True)])
    known = values[~np.isnan(values)]
    return min(LEAST_SHARPNESS, float(np.quantile(known, TOLERATED))) if known.size else LEAST_SHARPNESS


def read_least_sharpness(learned: dict[str, Any]) -> float:
    """That of a model file; the usual one where the file is older than it."""
    value = learned.get("least_sharpness", LEAST_SHARPNESS)
    return _checks.as_number(value, "least_sharpness", low=0.0, high=LEAST_SHARPNESS)


class NoiseCheck:
    """Looks at images with what was found in them, one after the other, and remembers where it looks like noise.

    Parameters
    ----------
    least : float
        Least sharpness of objects that do not.
    """

    def __init__(self, least: float) -> None:
        self.least = least
        self.n_images = 0
        self.found: dict[int, int] = {}  # numbers of objects by image

    def look(self, image: NDArray[Any], masks: NDArray[Any]) -> None:
        """Look at the next image."""
        if sharpness(image, masks) < self.least:
            self.found[self.n_images] = int(masks.max())
        self.n_images += 1

    def sentence(self, name: Callable[[int], str] = "images[{}]".format) -> str:
        """What there is to say, with images under such names; empty if nothing."""
        if not self.found:
            return ""
        n_objects = sum(self.found.values())
        what, are, whose = ONE if n_objects == 1 else MANY
        named = ", ".join(name(i) for i in list(self.found)[:MOST_NAMED])
        more = ", ..." if len(self.found) > MOST_NAMED else ""
        where = f" in {len(self.found)} of {self.n_images} images ({named}{more})" if self.n_images > 1 else ""
        return f"the {n_objects} {what} found{where} {are}: {whose} no sharper than the background, as in noise."

    def warn(self, name: Callable[[int], str] = "images[{}]".format, *, stacklevel: int) -> None:
        """Say it as a warning."""
        if self.found:
            warnings.warn(self.sentence(name), stacklevel=stacklevel + 1)


def _windows(length: int, side: int) -> list[slice]:
    """Where to look along an axis."""
    if length <= N_WINDOWS * side:
        return [slice(0, length)]
    return [slice(start, start + side) for start in np.linspace(0, length - side, N_WINDOWS).astype(int)]


def _gradients(
    image: NDArray[Any], masks: NDArray[Any], inside: NDArray[np.bool_], diameter: float, step: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Steepness at the outlines of objects and in the background."""
    seen = _reduce(image, step)
    labels, in_picture = (_thin(array, step)[: seen.shape[0], : seen.shape[1]] for array in (masks, inside))
    taken = (labels != 0).astype(np.uint8)
    margin = max(LEAST_MARGIN, int(np.ceil(diameter / step * MARGIN)))
    background = _differ(seen) & (ndimage.maximum_filter(taken, 2 * margin + 1) == 0)
    sigma = max(1.0, diameter / step * SMOOTHING)
    steepness = np.hypot(*np.gradient(ndimage.gaussian_filter(seen, sigma)))
    clear = in_picture if in_picture.all() else ndimage.minimum_filter(in_picture, 2 * int(REACH * sigma) + 1)
    return steepness[_differ(labels > 0) & clear], steepness[background & clear]


def _thin(array: NDArray[Any], step: int) -> NDArray[Any]:
    """The middle of squares of ``step`` pixels."""
    return array[step // 2 :: step, step // 2 :: step]


def _differ(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels that differ from one of their (at most four) neighbors."""
    differ = np.zeros(array.shape, dtype=bool)
    rows, columns = array[1:] != array[:-1], array[:, 1:] != array[:, :-1]
    differ[1:] |= rows
    differ[:-1] |= rows
    differ[:, 1:] |= columns
    differ[:, :-1] |= columns
    return differ


def _reduce(image: NDArray[Any], step: int) -> NDArray[Any]:
    """Means of squares of ``step`` pixels."""
    is_narrow = image.dtype.kind in "iu" and image.dtype.itemsize <= NARROW
    values = image.astype(np.float32 if is_narrow else np.float64)
    if step == 1:
        return values
    rows, columns = (length // step for length in image.shape)
    return values[: rows * step, : columns * step].reshape(rows, step, columns, step).mean(axis=(1, 3))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("inf")
