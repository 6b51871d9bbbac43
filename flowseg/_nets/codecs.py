"""Target codecs: masks into what a network learns, and what it predicts into masks.

A codec is all that the two segmenters differ in, with the loss. Targets have shape (rows, columns, channels) and
start with a channel of weights, 0 for pixels to ignore.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label as connected_pieces
from skimage.segmentation import expand_labels, find_boundaries

from flowseg._flows.targets import make_flows
from flowseg._labels.overlaps import number_objects

# Networks learn flows times this, as in Cellpose, so that both terms of the loss are of the same order.
# Applied once on the way in (the loss) and divided out once on the way out (`predict_outputs`).
FLOW_SCALE = 5.0

# Width in pixels, at the working diameter, of the boundary inside an object: what decoding has to grow back.
BOUNDARY_WIDTH = 1.0

BACKGROUND, INTERIOR, BOUNDARY = 0, 1, 2

# Logit of what is certainly no object: a constant image.
NO_OBJECT = -100.0


class Codec(Protocol):
    """What a segmenter needs to know about its target."""

    n_outputs: int
    vectors: slice | None  # channels of the output that are a vector, row before column: they turn with the image
    loss_name: str

    def encode(self, masks: NDArray[Any], *, workers: int) -> NDArray[np.float32]:
        """Target of one label image."""

    def no_objects(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Outputs for an image of this many rows and columns without any object."""


class FlowCodec:
    """Target: weight, foreground, flows. Output: flows (the network says FLOW_SCALE times as much), cellprob."""

    n_outputs = 3
    vectors: slice | None = slice(0, 2)
    loss_name = "flow_loss"

    def encode(self, masks: NDArray[Any], *, workers: int) -> NDArray[np.float32]:
        """Target of one label image; negative pixels have no weight."""
        flows = make_flows(masks, workers)
        target = np.concatenate([[masks >= 0, masks > 0], flows])
        return np.ascontiguousarray(np.moveaxis(target, 0, -1), dtype=np.float32)

    def no_objects(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """No flow anywhere, and a foreground that no threshold reaches."""
        return _fill(shape, (0.0, 0.0, NO_OBJECT))

    def split(self, outputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Flows in unit length, shape (2, rows, columns), and cellprob: views of outputs."""
        return np.moveaxis(outputs[..., :2], -1, 0), outputs[..., 2]


def _fill(shape: tuple[int, ...], values: tuple[float, ...]) -> NDArray[np.float32]:
    """The same outputs in every pixel, each output in one block of memory."""
    filled = np.empty((len(values), *shape[:2]), dtype=np.float32)
    filled[:] = np.array(values)[:, np.newaxis, np.newaxis]
    return np.moveaxis(filled, 0, -1)


def _go_on(objects: NDArray[Any], unknown: NDArray[np.bool_]) -> NDArray[Any]:
    """Objects that go on where nobody knows: what an unknown pixel cuts has no boundary there."""
    if not unknown.any():
        return objects
    nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return objects[tuple(nearest)]


class BoundaryCodec:
    """Target: weight, then background, interior and boundary as 0 or 1. Output: a logit for each of the three."""

    n_outputs = 3
    vectors: slice | None = None
    loss_name = "boundary_loss"

    def encode(self, masks: NDArray[Any], *, workers: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Target of one label image; the boundary is a pixel wide inside each object and one outside."""
        _, number, _ = number_objects(masks)
        objects = number.reshape(masks.shape)
        boundary = find_boundaries(_go_on(objects, masks < 0), mode="thick")
        inside = objects > 0
        target = np.stack([masks >= 0, ~inside & ~boundary, inside & ~boundary, boundary], axis=-1)
        return np.ascontiguousarray(target, dtype=np.float32)

    def no_objects(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Background everywhere."""
        return _fill(shape, (0.0, NO_OBJECT, NO_OBJECT))

    def probabilities(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Softmax of the network's logits."""
        shifted = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)

    def decode(self, outputs: NDArray[np.float32], *, min_size: int, scale: float) -> NDArray[np.int32]:
        """Masks: pieces of interior, grown back by the boundary, small ones dropped.

        ``scale`` is the size of a pixel that the network saw in pixels of the image.
        """
        pieces = connected_pieces(outputs.argmax(axis=-1) == INTERIOR, connectivity=1)
        grown = expand_labels(pieces, distance=max(1.0, BOUNDARY_WIDTH * scale))
        big = np.bincount(grown.ravel()) >= max(min_size, 1)
        big[0] = False
        number = np.where(big, np.cumsum(big), 0)
        return number[grown].astype(np.int32)
