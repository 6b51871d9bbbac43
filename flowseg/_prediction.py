"""Run a trained network over an image of any size."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from flowseg._images import normalize, resize, scaled_shape
from flowseg._networks import receptive_radius
from flowseg._own_networks import measure_receptive_radius
from flowseg._tiles import TILE_SIZE, TILE_STEP, grid_margin, map_tiles


def network_margin(network: keras.Model, *, is_own: bool, n_levels: int, n_channels: int) -> int:
    """Margin that tiles need; for a user's own network it is found by experiment."""
    if is_own:
        radius = measure_receptive_radius(network, n_channels, step=TILE_STEP, largest=TILE_SIZE // 2 - TILE_STEP)
    else:
        radius = receptive_radius(n_levels)
    return grid_margin(radius)


def predict_outputs(
    network: keras.Model, image: NDArray[Any], *, factor: float, n_outputs: int, margin: int
) -> NDArray[np.float32]:
    """Outputs of the network, shape (rows, columns, n_outputs), in the size of ``image``.

    ``image`` has shape (rows, columns, channels); the network sees it stretched to percentiles and scaled by
    ``factor``. Flows and logits are scaled back, not labels, so that outlines come out smooth.
    """
    shape = image.shape[:2]
    seen = resize(normalize(image, channel_axis=-1), scaled_shape(shape, factor))
    outputs = map_tiles(network.predict_on_batch, seen, n_outputs, margin)
    return resize(outputs, (shape[0], shape[1]))
