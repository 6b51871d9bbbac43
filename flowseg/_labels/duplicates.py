"""Fingerprints of images, to find duplicates."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks


def fingerprint(image: ArrayLike) -> str:
    """Return a digest of the pixels that is the same for all eight rotations and flips of the image."""
    array = _checks.as_image(image)
    views = (np.rot90(flipped, k) for flipped in (array, array[:, ::-1]) for k in range(4))
    return min(_digest(view) for view in views)


def _digest(array: NDArray[Any]) -> str:
    data = np.ascontiguousarray(array)
    return hashlib.sha256(f"{data.shape} {data.dtype.str}".encode() + data.tobytes()).hexdigest()
