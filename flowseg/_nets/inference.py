"""Run a trained network over an image of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from flowseg._images import scaled_shape
from flowseg._intensities import Limits
from flowseg._nets.custom import measure_receptive_radius
from flowseg._nets.encoder import FLOW_SCALE, Encoder
from flowseg._nets.networks import receptive_radius
from flowseg._nets.scaled import ScaledView
from flowseg._nets.tiles import Band, Grid, Tell, assemble, make_grid, map_tiles

# Rows that are scaled back at a time.
BAND = 128
# What a user's own network may have: pooling windows that start on multiples of this many pixels (6 poolings by 2) ...
OWN_STEP = 64
# ... and outputs that depend on pixels at most so far away.
OWN_RADIUS = 320


def network_grid(network: keras.Model, *, is_own: bool, n_levels: int, n_channels: int) -> Grid:
    """Grid of tiles for a network; what a user's own network needs is found by experiment."""
    if is_own:
        radius = measure_receptive_radius(network, n_channels, step=OWN_STEP, largest=OWN_RADIUS)
        return make_grid(OWN_STEP, radius)
    return make_grid(2 ** (n_levels - 1), receptive_radius(n_levels))


def predict_outputs(
    network: keras.Model,
    image: NDArray[Any],
    codec: Encoder,
    *,
    limits: Limits,
    factor: float,
    grid: Grid,
    all_ways: bool,
    tell: Tell | None = None,
) -> NDArray[np.float32]:
    """Outputs of the network, shape (rows, columns, n_outputs), in the size of ``image``.

    ``image`` has shape (rows, columns, channels); the network sees it with ``limits`` stretched to 0 and 1
    and scaled by ``factor``. Flows, in unit length, and logits are scaled back, not labels, so that outlines come out
    smooth. With ``all_ways`` the outputs are means over the eight ways to turn and flip the image. ``tell`` is called
    after each tile.
    """
    shape = (image.shape[0], image.shape[1])
    seen = ScaledView(image, scaled_shape(shape, factor), limits)

    run = network.predict_on_batch

    def run_all_ways(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.mean([_run_turned(run, batch, codec, *way) for way in np.ndindex(4, 2)], axis=0)

    bands = map_tiles(run_all_ways if all_ways else run, seen, codec.n_outputs, grid, tell)
    if codec.vectors is not None:
        bands = _unit_flows(bands, codec.vectors)
    if seen.shape != shape:
        bands = _scale_back(bands, seen.shape, shape)
    return assemble(bands, (*shape, codec.n_outputs))


def _unit_flows(bands: Iterable[Band], vectors: slice) -> Iterator[Band]:
    """Bands whose flows have the length that they were taught with, at unit length."""
    for start, band in bands:
        band[..., vectors] /= FLOW_SCALE
        yield start, band


def _scale_back(bands: Iterable[Band], seen: tuple[int, int], shape: tuple[int, int]) -> Iterator[Band]:
    """Bands of an array of the size ``seen`` at another size; no more of it is held than the next band needs."""
    held: NDArray[np.float32] | None = None
    first = done = 0
    for _, band in bands:
        held = band if held is None else np.concatenate([held, band])
        view = ScaledView(held, shape, n_rows=seen[0], first_row=first)
        while done < shape[0]:
            stop = min(done + BAND, shape[0])
            if view.sources(0, done, stop)[1] > first + held.shape[0]:
                break
            yield done, view.read((done, stop), (0, shape[1]))
            done = stop
        needed = view.sources(0, done, done + 1)[0] if done < shape[0] else seen[0]
        held, first = held[needed - first :].copy(order="K"), needed


def _run_turned(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    batch: NDArray[np.float32],
    codec: Encoder,
    quarters: int,
    flip: int,
) -> NDArray[np.float32]:
    """Outputs for a batch that is turned by quarters and flipped left to right, turned back."""
    turned = np.rot90(batch, quarters, axes=(1, 2))[:, :, :: -1 if flip else 1]
    outputs = run(np.ascontiguousarray(turned))[:, :, :: -1 if flip else 1]
    outputs = np.rot90(outputs, -quarters, axes=(1, 2))
    if codec.vectors is None:
        return outputs
    row, column = np.moveaxis(outputs[..., codec.vectors], -1, 0)
    column = -column if flip else column
    for _ in range(quarters):  # rot90 shows at (i, j) what was at (j, n - 1 - i)
        row, column = column, -row
    turned_back = outputs.copy()
    turned_back[..., codec.vectors] = np.stack([row, column], axis=-1)
    return turned_back
