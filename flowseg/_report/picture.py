"""Images as the report shows them: 8 bits, in a format that browsers read, small enough."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowseg._images import normalize

# Percentiles that become black and white. Brighter than for networks: a few bright objects are not to burn out.
LOW, HIGH = 1.0, 99.9
# Pixels of one picture at most: 2048 x 2048.
IMAGE_PIXELS = 1 << 22
# Pixels of all the pictures of a page at most: about 200 MB of a grey set; with this much browsers are still quick.
PAGE_PIXELS = 1 << 28
# Rows or columns of a WebP picture at most, says its format.
WEBP_SIDE = 16383


class Picture(NamedTuple):
    """A picture for a page."""

    uri: str  # data:image/webp;base64,...
    factor: int  # image pixels per picture pixel, along each axis
    note: str  # what is not shown; may be empty


def make_picture(image: NDArray[Any], n_images: int) -> Picture:
    """The picture of one of ``n_images`` images of a page: percentiles as black to white, lossless.

    Of channels other than red, green and blue the first is shown. Where the image has more pixels than the
    limit, squares of pixels are averaged.
    """
    notes = []
    if image.ndim == 3 and image.shape[2] not in (1, 3):
        notes.append(f"channel 1 of {image.shape[2]}")
        image = image[..., :1]
    flat = image.min() == image.max()
    grey = np.zeros(image.shape, dtype=np.float32) if flat else normalize(image, low=LOW, high=HIGH)
    squeezed = grey[..., 0] if grey.ndim == 3 and grey.shape[2] == 1 else grey
    picture = Image.fromarray(np.rint(255 * np.clip(squeezed, 0, 1)).astype(np.uint8))
    factor = find_factor(image.shape[:2], min(IMAGE_PIXELS, PAGE_PIXELS // n_images))
    if factor > 1:
        notes.append(f"the image is shown at 1/{factor} of its resolution, outlines in full")
        picture = picture.reduce(factor)
    with BytesIO() as file:
        picture.save(file, "WEBP", lossless=True)
        data = base64.b64encode(file.getvalue()).decode("ascii")
    return Picture(f"data:image/webp;base64,{data}", factor, "; ".join(notes))


def find_factor(shape: tuple[int, ...], limit: int) -> int:
    """The least whole number that an image has to be reduced by."""
    rows, columns = shape
    factor = 1
    while True:
        small = -(-rows // factor), -(-columns // factor)
        if small[0] * small[1] <= limit and max(small) <= WEBP_SIDE:
            return factor
        factor += 1
