"""Values of the parameters that are "auto" by default because they depend on the number of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flowseg import _checks

if TYPE_CHECKING:
    from flowseg._segmenters.attributes import SegmenterAttributes

# Axes of images and of volumes, without channels.
NDIMS = (2, 3)


class AutoValues(NamedTuple):
    """The parameters of a training that suit images of a number of axes."""

    filters: tuple[int, ...]
    crop_size: int
    batch_size: int


PLANE = AutoValues((16, 32, 64, 128, 256), 128, 8)
# A step costs about as much as in 2-D.
VOLUME = AutoValues((16, 32, 64), 48, 2)


def as_ndim(ndim: Any) -> int:
    """Return the number of axes of images, 2 or 3."""
    number = _checks.as_integer(ndim, "ndim", minimum=1)
    if number not in NDIMS:
        raise ValueError(f"ndim must be 2 (images) or 3 (volumes); got {number}.")
    return number


def auto_values(ndim: int) -> AutoValues:
    """Return the values for images of two axes, or of three."""
    return PLANE if ndim == NDIMS[0] else VOLUME


def find_filters(segmenter: SegmenterAttributes) -> Any:
    """Return the filters of a segmenter's network, not checked: the parameter, or those for its number of axes."""
    return auto_values(as_ndim(segmenter.ndim)).filters if _is_auto(segmenter.filters) else segmenter.filters


def as_filters(segmenter: SegmenterAttributes) -> tuple[int, ...]:
    """Return the same, checked."""
    filters: Sequence[int] = _checks.as_filters(find_filters(segmenter))
    return tuple(filters)


def as_crop_and_batch(segmenter: SegmenterAttributes) -> tuple[int, int]:
    """Return the side of training crops in pixels, and crops per step."""
    auto = auto_values(as_ndim(segmenter.ndim))
    crop, batch = segmenter.crop_size, segmenter.batch_size
    crop = auto.crop_size if _is_auto(crop) else crop
    batch = auto.batch_size if _is_auto(batch) else batch
    return _checks.as_integer(crop, "crop_size", minimum=8), _checks.as_integer(batch, "batch_size", minimum=1)


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == _checks.AUTO
