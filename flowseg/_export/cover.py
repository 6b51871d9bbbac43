"""The cover of a package: the test image beside the same with the outlines that the model finds."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowseg import plot
from flowseg._segmenters.codecs.codec import Masks

# Pixels along a side of each of the two squares: bioimage.io wants covers twice as wide as high, and below 500 kB.
SIDE = 400


def draw_cover(image: NDArray[Any], masks: Masks) -> bytes:
    """Return a PNG file of (rows, columns, channels), or of the middle plane of a volume."""
    if masks.ndim == 3:
        middle = masks.shape[0] // 2
        image, masks = image[middle], masks[middle]
    place = tuple(_middle(n, min(masks.shape)) for n in masks.shape)
    image, masks = image[place], masks[place]
    pictures = [plot.outlines(image, shown) for shown in (np.zeros_like(masks), masks)]
    scaled = [
        np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for picture in pictures
    ]
    file = BytesIO()
    Image.fromarray(np.concatenate(scaled, axis=1)).save(file, format="PNG", optimize=True)
    return file.getvalue()


def _middle(n: int, side: int) -> slice:
    """Return the middle ``side`` of ``n`` pixels."""
    start = (n - side) // 2
    return slice(start, start + side)
