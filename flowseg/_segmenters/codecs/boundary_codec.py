"""The codec of three classes: masks to background, interior and boundary, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label as label_components
from skimage.segmentation import expand_labels, find_boundaries

from flowseg import _checks
from flowseg._labels.overlaps import number_objects
from flowseg._segmenters.codecs.codec import NO_OBJECT, Codec, Masks, Outputs, fill_outputs
from flowseg._segmenters.learned_decoding.find_objects import Decoding

if TYPE_CHECKING:
    from flowseg._segmenters.boundary import BoundarySegmenter

# Width in pixels, at the working diameter, of the boundary inside an object: decoding expands objects by it.
BOUNDARY_WIDTH = 1.0

BACKGROUND, INTERIOR, BOUNDARY = 0, 1, 2


@dataclass(frozen=True)
class BoundaryCodec(Codec):
    """Target: weight, then background, interior and boundary as 0 or 1. Outputs: a logit for each of the three."""

    n_outputs: ClassVar[int] = 3
    vectors: ClassVar[slice | None] = None
    loss_name: ClassVar[str] = "boundary_loss"

    min_size: int = 15

    @classmethod
    def of(cls, segmenter: BoundarySegmenter) -> BoundaryCodec:
        """Return the codec with a segmenter's parameters, checked."""
        return cls(_checks.as_integer(segmenter.min_size, "min_size", minimum=0))

    def encode(self, masks: NDArray[Any], *, workers: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Return the target of one label image; the boundary is a pixel wide inside each object and one outside."""
        _, number, _ = number_objects(masks)
        objects = number.reshape(masks.shape)
        boundary = find_boundaries(_extend(objects, masks < 0), mode="thick")
        inside = objects > 0
        target = np.stack([masks >= 0, ~inside & ~boundary, inside & ~boundary, boundary], axis=-1)
        return np.ascontiguousarray(target, dtype=np.float32)

    def no_objects(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return background everywhere."""
        return fill_outputs(shape[: self.ndim], (0.0, NO_OBJECT, NO_OBJECT))

    def probabilities(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the softmax of the network's logits."""
        shifted = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        probabilities: NDArray[np.float32] = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
        return probabilities

    def decode(self, outputs: Outputs, learned: Decoding) -> Masks:  # noqa: ARG002
        """Return masks: connected components of the interior, expanded by the boundary, small ones dropped."""
        components = label_components(outputs.array.argmax(axis=-1) == INTERIOR, connectivity=1)
        # The boundary is as wide as the network saw it, in pixels of the image.
        expanded = expand_labels(components, distance=max(1.0, BOUNDARY_WIDTH / outputs.factor))
        keep = np.bincount(expanded.ravel()) >= max(self.min_size, 1)
        keep[0] = False
        number = np.where(keep, np.cumsum(keep), 0)
        masks: Masks = number[expanded].astype(np.int32)
        return masks


def _extend(objects: NDArray[Any], unknown: NDArray[np.bool_]) -> NDArray[Any]:
    """Return objects extended over unknown pixels: an object that these cut has no boundary there."""
    if not unknown.any():
        return objects
    nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    extended: NDArray[Any] = objects[tuple(nearest)]
    return extended
