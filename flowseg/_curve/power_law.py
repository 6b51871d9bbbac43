"""The inverse power law of a learning curve, fitted by least squares.

The literature fits ``AP(n) = a - b * n**-c`` to scores on n training samples [1]_ [2]_. In terms of x = n / N, with the
largest N, it is the same curve as::

    AP(n) = at_largest + slope * (1 - x**-exponent) / exponent

This form has no difficulty where the exponent goes to 0, and the curve to ``at_largest + slope * log(x)``. For a given
exponent it is a line, so that the fit is a search over exponents.

References
----------
.. [1] S. Mukherjee et al., "Estimating dataset size requirements for classifying DNA microarray data", J. Comput. Biol.
   10, 2003.
.. [2] R. L. Figueroa, Q. Zeng-Treitler, S. Kandula, L. H. Ngo, "Predicting sample size required for classification
   performance", BMC Med. Inform. Decis. Mak. 12:8, 2012.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Exponents that are tried. At 0 every doubling gains the same; at 2 the next one gains a quarter of the last.
EXPONENTS = np.round(np.arange(0.0, 2.01, 0.1), 1)


class PowerLaw(NamedTuple):
    """Fitted curves, of shape (...); average precision never falls where images are added."""

    largest: float
    at_largest: Floats
    slope: Floats
    exponent: Floats

    def predict(self, n_images: Floats) -> Floats:
        """Return the average precision, of shape (..., n), at numbers of images (n,)."""
        x = np.asarray(n_images, dtype=np.float64) / self.largest
        gained = self.slope[..., None] * _grow(x, self.exponent[..., None])
        return np.clip(self.at_largest[..., None] + gained, 0.0, 1.0)


def _grow(x: Floats, exponent: Floats) -> Floats:
    """Return ``(1 - x**-c) / c``, and ``log(x)`` where c is 0."""
    log = np.log(x)
    divisor = np.where(exponent > 0, exponent, 1.0)
    return np.where(exponent > 0, -np.expm1(-exponent * log) / divisor, log)


def fit_power_law(sizes: NDArray[np.intp], precision: Floats) -> PowerLaw:
    """Return the curves that fit values (..., n_sizes) at sizes (n_sizes,) best.

    The k-th size has weight k, as in [2]_ of this module: the scores of larger sets scatter less, and are nearer to
    what is predicted.
    """
    weights = np.arange(1.0, len(sizes) + 1.0)
    weights /= weights.sum()
    mean = precision @ weights
    least = np.full(mean.shape, np.inf)
    slope, at_largest, chosen = np.zeros_like(mean), mean.copy(), np.zeros_like(mean)
    for exponent in EXPONENTS:
        grown = _grow(sizes / sizes[-1], exponent)
        centered = grown - grown @ weights
        own_slope = np.maximum(precision @ (weights * centered) / (weights @ centered**2), 0.0)
        own_end = mean - own_slope * (grown @ weights)
        errors = (precision - own_end[..., None] - own_slope[..., None] * grown) ** 2 @ weights
        better = errors < least
        least = np.where(better, errors, least)
        slope, at_largest = np.where(better, own_slope, slope), np.where(better, own_end, at_largest)
        chosen = np.where(better, exponent, chosen)
    return PowerLaw(float(sizes[-1]), at_largest, slope, chosen)
