"""Find the shift of masks against the outlines in their image."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import find_boundaries

# Largest shift along each axis, in pixels. Source: chosen.
MAX_SHIFT = 20
# Standard deviation of the Gaussian whose derivative is the contrast, in pixels. Source: chosen.
SIGMA = 1.0
# Contrast is clipped at this percentile, because of dust and hot pixels. Source: chosen.
MAX_PERCENTILE = 99.5
# Share of outline pixels away from the background from which on walls may be what is stained. Source: chosen; it is
# 1 where cells or neurites fill the image, and below 0.4 in all other annotated sets.
MIN_TOUCHING_SHARE = 0.5
# Smallest divisor.
TINY = 1e-300


class Shift(NamedTuple):
    """Shift of masks against their image, in pixels."""

    rows: int  # that the masks are too low
    columns: int  # that the masks are too far right
    ratio: float  # contrast across the outlines in their place, relative to that in the best place


def find_shift(image: NDArray[Any], masks: NDArray[Any]) -> Shift | None:
    """Return the shift of masks with the largest contrast across outlines; None without any outline.

    ``image`` has shape (rows, columns) or (rows, columns, channels). Contrast is the magnitude of the gradient less
    its mean, summed over the outlines. Cross-correlation gives it for all shifts at once. Where most outlines lie
    between touching objects, walls may be stained, on which the gradient is 0: the ratio is then the larger one of the
    gradient's and the Laplacian's.
    """
    outlines = find_boundaries(masks, mode="inner")
    if not outlines.any():
        return None
    gray = image.astype(np.float64)
    gray = gray.mean(axis=-1) if gray.ndim == 3 else gray
    sums = _sum_over_outlines(ndimage.gaussian_gradient_magnitude(gray, SIGMA), outlines)
    best = np.unravel_index(np.argmax(sums), sums.shape)
    if sums[best] <= 0:
        return None
    measures = [sums]
    if np.mean(ndimage.minimum_filter(masks, 3)[outlines] > 0) > MIN_TOUCHING_SHARE:
        measures.append(_sum_over_outlines(np.abs(ndimage.gaussian_laplace(gray, SIGMA)), outlines))
    ratio = max(float(one[MAX_SHIFT, MAX_SHIFT] / max(float(one.max()), TINY)) for one in measures)
    return Shift(MAX_SHIFT - int(best[0]), MAX_SHIFT - int(best[1]), max(0.0, ratio))


def _sum_over_outlines(contrast: NDArray[Any], outlines: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the sum of the contrast less its mean over outlines, for every shift."""
    from scipy import signal  # takes half a second

    contrast = np.minimum(contrast, np.percentile(contrast, MAX_PERCENTILE))
    around = np.pad(contrast - contrast.mean(), MAX_SHIFT)
    sums: NDArray[np.float64] = signal.fftconvolve(around, outlines[::-1, ::-1].astype(np.float64), mode="valid")
    return sums
