"""Pictures of images for the report: 8-bit WebP of limited size."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowseg._images import normalize

# Percentiles that become black and white. The upper one is higher than for networks: bright objects keep details.
LOW, HIGH = 1.0, 99.9
# Most pixels of one picture: 2048 x 2048.
IMAGE_PIXELS = 1 << 22
# Most pixels of all pictures of a page: about 200 MB of gray images, with which browsers are still quick.
PAGE_PIXELS = 1 << 28
# Most rows or columns of a WebP picture: a limit of its format.
WEBP_SIDE = 16383


class Picture(NamedTuple):
    """A picture for a page."""

    uri: str  # data:image/webp;base64,...
    factor: int  # image pixels per picture pixel, along each axis
    note: str  # about what is not shown; may be empty


def make_picture(image: NDArray[Any], n_images: int) -> Picture:
    """Return the picture of one of ``n_images`` images of a page, stretched to percentiles, lossless.

    Of channels other than red, green and blue the first is shown. If the image has too many pixels, squares of them
    are averaged.
    """
    gray, notes = stretch(image, 2)
    picture = Image.fromarray(as_bytes(gray))
    factor = find_factor(image.shape[:2], min(IMAGE_PIXELS, PAGE_PIXELS // n_images))
    if factor > 1:
        notes.append(f"the image is shown at 1/{factor} of its resolution, outlines in full")
        picture = picture.reduce(factor)
    with BytesIO() as file:
        picture.save(file, "WEBP", lossless=True)
        data = base64.b64encode(file.getvalue()).decode("ascii")
    return Picture(f"data:image/webp;base64,{data}", factor, "; ".join(notes))


def stretch(image: NDArray[Any], ndim: int) -> tuple[NDArray[np.float32], list[str]]:
    """Return an image of ``ndim`` axes, stretched to percentiles, with three channels or none, and notes about it."""
    notes = []
    if image.ndim > ndim and image.shape[ndim] not in (1, 3):
        notes.append(f"channel 1 of {image.shape[ndim]}")
        image = image[..., :1]
    flat = image.min() == image.max()
    gray = np.zeros(image.shape, dtype=np.float32) if flat else normalize(image, low=LOW, high=HIGH)
    return gray[..., 0] if gray.ndim > ndim and gray.shape[ndim] == 1 else gray, notes


def as_bytes(gray: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return values from 0 to 1 as bytes."""
    return np.rint(255 * np.clip(gray, 0, 1)).astype(np.uint8)


def find_factor(shape: tuple[int, ...], limit: int) -> int:
    """Return the smallest whole number to reduce an image by, so that it has at most ``limit`` pixels."""
    rows, columns = shape
    factor = 1
    while True:
        small = -(-rows // factor), -(-columns // factor)
        if small[0] * small[1] <= limit and max(small) <= WEBP_SIDE:
            return factor
        factor += 1
