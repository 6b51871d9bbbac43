"""The codec of three classes: masks to background, interior and boundary, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label as label_components
from skimage.segmentation import find_boundaries

from flowseg import _checks
from flowseg._labels.expansion import expand_objects
from flowseg._labels.overlaps import number_objects
from flowseg._nets.encoder import Sparse, weigh
from flowseg._segmenters.auto_values import as_ndim
from flowseg._segmenters.codecs.codec import NO_OBJECT, Codec, Masks, Outputs, fill_outputs
from flowseg._segmenters.learned_decoding.find_objects import Decoding

if TYPE_CHECKING:
    from flowseg._segmenters.boundary import BoundarySegmenter

# Width in pixels, at the working diameter, of the boundary inside an object: decoding expands objects by it.
BOUNDARY_WIDTH = 1.0

BACKGROUND, INTERIOR, BOUNDARY = 0, 1, 2
N_CLASSES = 3


@dataclass(frozen=True)
class BoundaryCodec(Codec):
    """Target: weight, then background, interior and boundary as 0 or 1. Outputs: a logit for each of the three."""

    loss_name: ClassVar[str] = "boundary_loss"

    min_size: int = 15
    ndim: int = 2

    @property
    def n_outputs(self) -> int:
        """Background, interior and boundary."""
        return N_CLASSES

    @property
    def vectors(self) -> slice | None:
        """None of the outputs."""
        return None

    @property
    def output_names(self) -> tuple[str, ...]:
        """Those of the classes."""
        return "background", "interior", "boundary"

    @classmethod
    def of(cls, segmenter: BoundarySegmenter) -> BoundaryCodec:
        """Return the codec with a segmenter's parameters, checked."""
        return cls(_checks.as_integer(segmenter.min_size, "min_size", minimum=0), as_ndim(segmenter.ndim))

    def encode(self, masks: NDArray[Any], *, workers: int, sparse: Sparse | None = None) -> NDArray[np.float32]:  # noqa: ARG002
        """Return the target of one label image; the boundary is a pixel wide inside each object and one outside."""
        _, number, _ = number_objects(masks)
        objects = number.reshape(masks.shape)
        boundary = find_boundaries(_extend(objects, masks < 0), mode="thick")
        inside = objects > 0
        target = np.stack([weigh(masks, sparse), ~inside & ~boundary, inside & ~boundary, boundary], axis=-1)
        return np.ascontiguousarray(target, dtype=np.float32)

    def no_objects(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return background everywhere."""
        return fill_outputs(shape[: self.ndim], (0.0, NO_OBJECT, NO_OBJECT))

    def probabilities(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the softmax of the network's logits."""
        shifted = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        probabilities: NDArray[np.float32] = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
        return probabilities

    def foreground(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of interior or boundary."""
        return 1 - self.probabilities(outputs)[..., BACKGROUND]

    def decode(self, outputs: Outputs, learned: Decoding) -> Masks:  # noqa: ARG002
        """Return masks: connected components of the interior, expanded by the boundary, small ones dropped."""
        expanded = expand_objects(find_interiors(outputs.array), expansion_distances(outputs.factors))
        number = number_large_objects(np.bincount(expanded.ravel()), self.min_size)
        return number[expanded]


def find_interiors(outputs: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the connected components of pixels whose largest output is the interior, 1..n in raster order."""
    components: NDArray[np.int32] = label_components(outputs.argmax(axis=-1) == INTERIOR, connectivity=1)
    return components.astype(np.int32, copy=False)


def expansion_distance(factor: float) -> float:
    """Return how far decoding expands components, in pixels: the boundary is as wide as the network saw it."""
    return max(1.0, BOUNDARY_WIDTH / factor)


def expansion_distances(factors: Sequence[float]) -> tuple[float, ...]:
    """Return the same along each axis, for an image that was scaled by these factors."""
    return tuple(map(expansion_distance, factors))


def number_large_objects(sizes: NDArray[np.integer], min_size: int) -> NDArray[np.int32]:
    """Return final labels, 1..n for those of at least ``min_size`` pixels and else 0; entry 0 is the background."""
    keep = sizes >= max(min_size, 1)
    keep[0] = False
    return np.where(keep, np.cumsum(keep), 0).astype(np.int32)


def _extend(objects: NDArray[Any], unknown: NDArray[np.bool_]) -> NDArray[Any]:
    """Return objects extended over unknown pixels: an object that these cut has no boundary there."""
    if not unknown.any():
        return objects
    nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    extended: NDArray[Any] = objects[tuple(nearest)]
    return extended
