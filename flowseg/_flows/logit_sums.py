"""Mean logits of objects, by sums of whole numbers: no order of addition changes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Unit of sums of logits, and the logits that count at most: the sum over 2**28 pixels is a whole number that a float64
# holds exactly. Source: chosen; the error of a mean is below 1e-5.
LOGIT_UNITS = 65536.0
MAX_LOGIT = 512.0


def as_logit_units(cellprob: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return logits as whole numbers of 1 / `LOGIT_UNITS`."""
    units = np.clip(cellprob, -MAX_LOGIT, MAX_LOGIT).astype(np.float64)
    units *= LOGIT_UNITS
    return np.rint(units, out=units)


def mean_logits(sums: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean logits of objects from their sums in that unit and their numbers of pixels."""
    return np.asarray(sums / LOGIT_UNITS / sizes)
