"""The noise check: whether predicted objects look like blobs in noise.

Smoothed noise has blobs that look like nuclei, but its intensities are as steep elsewhere as at the outlines of the
blobs. The background of true objects is flatter than their outlines. The check compares image and masks only, so that
it holds for every model.

Objects that were not found are part of the background. Where they cover more than a tenth of it, as with a cellprob
threshold that is too low for the model, true objects look like noise. Foreground without an object cannot be left out
of the background: in noise most of the steep pixels are there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg import _checks
from flowseg._nets.lattice import PixelShape
from flowseg._nets.sizes import image_diameter
from flowseg._padding import Unpadded, find_unpadded
from flowseg._segmenters.inputs import PLANE_AXES

# Below this sharpness objects look like noise. Measured by benchmarks/noise.py: smoothed noise reaches 1.8, and no
# image of DSB 2018 is below 2.1.
LEAST_SHARPNESS = 1.8
# Outlines are compared with this quantile of the background's gradients: the steepest tenth may be objects that were
# not found.
QUANTILE = 0.9
# Gradients are those of the image smoothed by a Gaussian of this share of the objects' diameter as standard deviation.
SMOOTHING = 1 / 8
# The background begins this share of the diameter away from objects, beyond their blurred edges; at least 2 pixels.
MARGIN = 1 / 6
LEAST_MARGIN = 2
# The edge of padding does not show in the smoothed image beyond this number of standard deviations.
REACH = 4
# Pixels of a diameter that are enough: larger objects are examined in a reduced image, which is quicker.
ENOUGH = 12
# Along an axis longer than this number of windows of this number of (reduced) pixels, only these windows are examined.
N_WINDOWS, WINDOW = 3, 256
# The same in volumes.
WINDOW_3D = 64
# Bytes of integers that float32 holds exactly.
NARROW = 2
# Rows, columns and planes that gradients need.
LEAST_SIDE = 2
# With fewer pixels of background there is no result.
LEAST_BACKGROUND = 50
# Share of the training images that may be less sharp than the sharpness learned from them.
TOLERATED = 0.05
# Images that a warning names.
MOST_NAMED = 5
ONE = ("object", "is probably a false positive", "its outline is")
MANY = ("objects", "are probably false positives", "their outlines are")


def sharpness(
    image: NDArray[Any],
    masks: NDArray[Any],
    unpadded: Unpadded | None = None,
    ratios: Sequence[float] | None = None,
) -> float:
    """Return the ratio of the gradients at the outlines of objects to those in the background.

    Median gradient at the outlines over the 90th percentile in the background; of several channels the largest. Pixels
    that equal all their neighbors, clipped or filled with one value, do not count as background. Nor does the edge of
    padding, which is steeper than any object.

    Parameters
    ----------
    image : ndarray, shape (rows, columns) or (rows, columns, channels)
        Image of any real dtype; a volume has planes first, and channels.
    masks : ndarray of int, shape (rows, columns) or (planes, rows, columns)
        Objects in it. Negative pixels, which are to be ignored, are neither objects nor background.
    unpadded : tuple, optional
        For each channel the pixels that are not padding, if they are known.
    ratios : sequence of float, optional
        Lengths of a pixel along each axis, over the shortest; by default they are equal.

    Returns
    -------
    sharpness : float
        NaN where there are no objects or too little background.
    """
    lengths = (1.0,) * masks.ndim if ratios is None else tuple(ratios)
    diameter = image_diameter(masks, lengths)
    if np.isnan(diameter) or min(masks.shape) < LEAST_SIDE:
        return float("nan")
    step = min(max(1, int(diameter / max(lengths) / ENOUGH)), min(masks.shape) // LEAST_SIDE)
    window = WINDOW if masks.ndim == PLANE_AXES else WINDOW_3D
    places = [_windows(length, window * step) for length in masks.shape]
    channels = image[..., np.newaxis] if image.ndim == masks.ndim else image
    known = find_unpadded(channels) if unpadded is None else unpadded
    values = []
    for channel, pixels in zip(np.moveaxis(channels, -1, 0), known, strict=True):
        inside = np.ones(masks.shape, dtype=bool) if pixels is None else pixels
        with np.errstate(over="ignore", invalid="ignore"):  # of the largest numbers: the result is NaN
            cuts = [(channel[place], masks[place], inside[place]) for place in product(*places)]
            parts = [_gradients(*cut, [diameter / step / length for length in lengths], step) for cut in cuts]
        outline, background = (np.concatenate(found) for found in zip(*parts, strict=True))
        if outline.size and background.size >= LEAST_BACKGROUND:
            values.append(_ratio(float(np.median(outline)), float(np.quantile(background, QUANTILE))))
    return max(values, default=float("nan"))


def learn_least_sharpness(
    images: Sequence[NDArray[Any]], masks: Sequence[NDArray[Any]], pixels: Sequence[PixelShape] | None = None
) -> float:
    """Return the sharpness that a model trained on these images expects: the default, or theirs if that is less."""
    ratios = [None] * len(images) if pixels is None else [pixel.ratios for pixel in pixels]
    values = np.array([sharpness(x, y, None, r) for x, y, r in zip(images, masks, ratios, strict=True)])
    known = values[~np.isnan(values)]
    return min(LEAST_SHARPNESS, float(np.quantile(known, TOLERATED))) if known.size else LEAST_SHARPNESS


def read_least_sharpness(learned: dict[str, Any]) -> float:
    """Return the least sharpness in a model file; the default where the file has none."""
    value = learned.get("least_sharpness", LEAST_SHARPNESS)
    return _checks.as_number(value, "least_sharpness", low=0.0, high=LEAST_SHARPNESS)


class NoiseCheck:
    """Check images and their masks one by one, and keep the numbers of those that look like noise.

    Parameters
    ----------
    least : float
        Least sharpness of objects that do not look like noise.
    """

    def __init__(self, least: float) -> None:
        self.least = least
        self.n_images = 0
        self.found: dict[int, int] = {}  # number of objects by number of the image

    def look(
        self,
        image: NDArray[Any],
        masks: NDArray[Any],
        unpadded: Unpadded | None = None,
        ratios: Sequence[float] | None = None,
    ) -> None:
        """Check the next image; ``unpadded`` and ``ratios`` as in `sharpness`."""
        if sharpness(image, masks, unpadded, ratios) < self.least:
            self.found[self.n_images] = int(masks.max())
        self.n_images += 1

    def sentence(self, name: Callable[[int], str] = "images[{}]".format) -> str:
        """Return the warning, with the name of each image from its number; empty if there is none."""
        if not self.found:
            return ""
        n_objects = sum(self.found.values())
        what, are, whose = ONE if n_objects == 1 else MANY
        named = ", ".join(name(i) for i in list(self.found)[:MOST_NAMED])
        more = ", ..." if len(self.found) > MOST_NAMED else ""
        where = f" in {len(self.found)} of {self.n_images} images ({named}{more})" if self.n_images > 1 else ""
        return f"the {n_objects} {what} found{where} {are}: {whose} no sharper than the background, as in noise."

    def warn(self, name: Callable[[int], str] = "images[{}]".format, *, stacklevel: int) -> None:
        """Issue the warning, if there is one."""
        if self.found:
            warnings.warn(self.sentence(name), stacklevel=stacklevel + 1)


def _windows(length: int, side: int) -> list[slice]:
    """Return the parts of an axis that are examined."""
    if length <= N_WINDOWS * side:
        return [slice(0, length)]
    return [slice(start, start + side) for start in np.linspace(0, length - side, N_WINDOWS).astype(int)]


def _gradients(
    image: NDArray[Any], masks: NDArray[Any], inside: NDArray[np.bool_], diameters: Sequence[float], step: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the gradients at the outlines of objects and those in the background.

    ``diameters`` are those of the objects in reduced pixels along each axis.
    """
    seen = _reduce(image, step)
    labels, in_unpadded = (_thin(array, step)[tuple(map(slice, seen.shape))] for array in (masks, inside))
    occupied = (labels != 0).astype(np.uint8)
    margins = [max(LEAST_MARGIN, int(np.ceil(diameter * MARGIN))) for diameter in diameters]
    background = _differ(seen) & (ndimage.maximum_filter(occupied, [2 * margin + 1 for margin in margins]) == 0)
    sigmas = [max(1.0, diameter * SMOOTHING) for diameter in diameters]
    lengths = [max(diameters) / diameter for diameter in diameters]
    steepness = reduce(np.hypot, np.gradient(ndimage.gaussian_filter(seen, sigmas), *lengths))
    reach = [2 * int(REACH * sigma) + 1 for sigma in sigmas]
    clear = in_unpadded if in_unpadded.all() else ndimage.minimum_filter(in_unpadded, reach)
    return steepness[_differ(labels > 0) & clear], steepness[background & clear]


def _thin(array: NDArray[Any], step: int) -> NDArray[Any]:
    """Return the middle of squares (cubes) of ``step`` pixels."""
    return array[(slice(step // 2, None, step),) * array.ndim]


def _differ(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels that differ from one of their neighbors, at most two along each axis."""
    differ = np.zeros(array.shape, dtype=bool)
    for axis in range(array.ndim):
        values, found = np.moveaxis(array, axis, 0), np.moveaxis(differ, axis, 0)
        changes = values[1:] != values[:-1]
        found[1:] |= changes
        found[:-1] |= changes
    return differ


def _reduce(image: NDArray[Any], step: int) -> NDArray[Any]:
    """Return the means of squares (cubes) of ``step`` pixels."""
    is_narrow = image.dtype.kind in "iu" and image.dtype.itemsize <= NARROW
    values = image.astype(np.float32 if is_narrow else np.float64)
    if step == 1:
        return values
    shape = [length // step for length in image.shape]
    whole = values[tuple(slice(n * step) for n in shape)]
    split = [size for n in shape for size in (n, step)]
    means: NDArray[Any] = whole.reshape(split).mean(axis=tuple(range(1, 2 * image.ndim, 2)))
    return means


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("inf")
