"""Whether masks lie where the image has its outlines."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal
from skimage.segmentation import find_boundaries

# Pixels along each axis that masks are looked for at, up and down.
REACH = 20
# Standard deviation in pixels of the Gaussian whose derivative is the contrast.
SIGMA = 1.0
# Contrast above this percentile counts as much as that: dust and hot pixels.
HIGHEST = 99.5


class Shift(NamedTuple):
    """Where masks fit best."""

    rows: int  # the masks lie so many pixels below where they should
    columns: int
    ratio: float  # contrast across the outlines as they are, relative to that at the best place


def find_shift(image: NDArray[Any], masks: NDArray[Any]) -> Shift | None:
    """The shift of masks against their image with the greatest contrast across outlines; None without any outline.

    ``image`` has shape (rows, columns) or (rows, columns, channels). Contrast is the magnitude of the gradient less
    its mean, summed over the outlines: their cross-correlation, for all shifts at once.
    """
    outlines = find_boundaries(masks, mode="inner")
    if not outlines.any():
        return None
    grey = image.astype(np.float64)
    contrast = ndimage.gaussian_gradient_magnitude(grey.mean(axis=-1) if grey.ndim == 3 else grey, SIGMA)
    contrast = np.minimum(contrast, np.percentile(contrast, HIGHEST))
    around = np.pad(contrast - contrast.mean(), REACH)
    sums = signal.fftconvolve(around, outlines[::-1, ::-1].astype(np.float64), mode="valid")
    best = np.unravel_index(np.argmax(sums), sums.shape)
    if sums[best] <= 0:
        return None
    return Shift(REACH - int(best[0]), REACH - int(best[1]), max(0.0, float(sums[REACH, REACH] / sums[best])))
