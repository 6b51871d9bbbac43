"""Find images that are there more than once."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks


def fingerprint(image: ArrayLike) -> str:
    """Digest of the pixels, the same for all eight ways to turn and flip the image."""
    array = _checks.as_image(image)
    ways = (np.rot90(side, k) for side in (array, array[:, ::-1]) for k in range(4))
    return min(_digest(way) for way in ways)


def _digest(array: NDArray[Any]) -> str:
    data = np.ascontiguousarray(array)
    return hashlib.sha256(f"{data.shape} {data.dtype.str}".encode() + data.tobytes()).hexdigest()
