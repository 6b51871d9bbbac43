"""Find the shift of masks against the outlines in their image."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal
from skimage.segmentation import find_boundaries

# Largest shift along each axis, in pixels. Source: chosen.
MAX_SHIFT = 20
# Standard deviation of the Gaussian whose derivative is the contrast, in pixels. Source: chosen.
SIGMA = 1.0
# Contrast is clipped at this percentile, because of dust and hot pixels. Source: chosen.
MAX_PERCENTILE = 99.5


class Shift(NamedTuple):
    """Shift of masks against their image, in pixels."""

    rows: int  # that the masks are too low
    columns: int  # that the masks are too far right
    ratio: float  # contrast across the outlines in their place, relative to that in the best place


def find_shift(image: NDArray[Any], masks: NDArray[Any]) -> Shift | None:
    """Return the shift of masks with the largest contrast across outlines; None without any outline.

    ``image`` has shape (rows, columns) or (rows, columns, channels). Contrast is the magnitude of the gradient less
    its mean, summed over the outlines. Cross-correlation gives it for all shifts at once.
    """
    outlines = find_boundaries(masks, mode="inner")
    if not outlines.any():
        return None
    gray = image.astype(np.float64)
    contrast = ndimage.gaussian_gradient_magnitude(gray.mean(axis=-1) if gray.ndim == 3 else gray, SIGMA)
    contrast = np.minimum(contrast, np.percentile(contrast, MAX_PERCENTILE))
    around = np.pad(contrast - contrast.mean(), MAX_SHIFT)
    sums = signal.fftconvolve(around, outlines[::-1, ::-1].astype(np.float64), mode="valid")
    best = np.unravel_index(np.argmax(sums), sums.shape)
    if sums[best] <= 0:
        return None
    return Shift(
        MAX_SHIFT - int(best[0]), MAX_SHIFT - int(best[1]), max(0.0, float(sums[MAX_SHIFT, MAX_SHIFT] / sums[best]))
    )
