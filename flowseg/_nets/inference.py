"""Run a trained network over an image of any size.

The steps can be taken one by one, for a region of an image that does not fit into memory::

    view = view_image(image, limits, factor)           the image as the network sees it
    list_tiles(view.shape, runner.grid, rows=..., ...) the tiles that touch a region of it
    run_tile(runner.run, view, tile)                   outputs of one tile's core, to be stored
    ScaledView(stored, shape).read(rows, columns)      stored outputs of a region, in the size of the image

`predict_outputs` takes the same steps for a whole image: the values are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from flowseg._images import scaled_shape
from flowseg._intensities import Limits
from flowseg._nets.custom_networks import measure_receptive_radius
from flowseg._nets.encoder import FLOW_SCALE, Encoder
from flowseg._nets.networks import receptive_radius
from flowseg._nets.scaled_view import ScaledView, Sliceable
from flowseg._nets.tiles import Band, Grid, OnTile, assemble, make_grid, map_tiles

# Rows that are scaled back at a time.
BAND = 128
# Limits of custom networks: pooling windows that start on multiples of this many pixels (6 poolings by 2) ...
CUSTOM_STEP = 64
# ... and outputs that depend on pixels at most this many away.
CUSTOM_RADIUS = 320


def network_grid(network: keras.Model, *, is_custom: bool, n_levels: int, n_channels: int) -> Grid:
    """Return the tile grid of a network; a custom network's receptive field is measured."""
    if is_custom:
        radius = measure_receptive_radius(network, n_channels, step=CUSTOM_STEP, largest=CUSTOM_RADIUS)
        return make_grid(CUSTOM_STEP, radius)
    return make_grid(2 ** (n_levels - 1), receptive_radius(n_levels))


@dataclass(frozen=True, eq=False)
class NetworkRunner:
    """A trained network and how it is run.

    Parameters
    ----------
    network : keras.Model
        The trained network.
    codec : Encoder
        Its outputs: how many there are, and which of them are a vector.
    grid : Grid
        Its tile grid.
    test_time_augmentation : bool
        Whether outputs are means over the eight rotations and flips of the image.
    """

    network: keras.Model
    codec: Encoder
    grid: Grid
    test_time_augmentation: bool = False

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs for (n, rows, columns, channels): flows in unit length, logits as they are."""
        if self.test_time_augmentation:
            rotated = [self._run_rotated(batch, quarters, flip) for quarters, flip in np.ndindex(4, 2)]
            outputs: NDArray[np.float32] = np.mean(rotated, axis=0)
        else:
            outputs = self._run_once(batch)
        if self.codec.vectors is not None:
            outputs = outputs if outputs.flags.writeable else outputs.copy()
            outputs[..., self.codec.vectors] /= FLOW_SCALE
        return outputs

    def _run_once(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs: NDArray[np.float32] = self.network.predict_on_batch(batch)
        return outputs

    def _run_rotated(self, batch: NDArray[np.float32], quarters: int, flip: int) -> NDArray[np.float32]:
        """Return the network's outputs for a batch rotated by quarters and flipped left to right, rotated back."""
        rotated = np.rot90(batch, quarters, axes=(1, 2))[:, :, :: -1 if flip else 1]
        outputs = self._run_once(np.ascontiguousarray(rotated))[:, :, :: -1 if flip else 1]
        outputs = np.rot90(outputs, -quarters, axes=(1, 2))
        if self.codec.vectors is None:
            return outputs
        row, column = np.moveaxis(outputs[..., self.codec.vectors], -1, 0)
        column = -column if flip else column
        for _ in range(quarters):  # rot90 shows at (i, j) what was at (j, n - 1 - i)
            row, column = column, -row
        rotated_back = outputs.copy()
        rotated_back[..., self.codec.vectors] = np.stack([row, column], axis=-1)
        return rotated_back


def view_image(image: Sliceable, limits: Limits, factor: float) -> ScaledView:
    """Return (rows, columns, channels) as the network sees it: ``limits`` at 0 and 1, scaled by ``factor``."""
    return ScaledView(image, scaled_shape((image.shape[0], image.shape[1]), factor), limits)


def predict_outputs(
    runner: NetworkRunner, image: NDArray[Any], limits: Limits, factor: float, on_tile: OnTile | None = None
) -> NDArray[np.float32]:
    """Return the network's outputs, shape (rows, columns, n_outputs), in the size of ``image``.

    Flows and logits are scaled back, not labels, so that outlines come out smooth.

    Parameters
    ----------
    runner : NetworkRunner
        The network.
    image : ndarray, shape (rows, columns, channels)
        Image of any real dtype.
    limits : Limits
        Intensities that the network sees as 0 and 1.
    factor : float
        Factor that the image is scaled by for the network.
    on_tile : callable, optional
        Called after each tile.
    """
    shape = (image.shape[0], image.shape[1])
    view = view_image(image, limits, factor)
    bands = map_tiles(runner.run, view, runner.codec.n_outputs, runner.grid, on_tile)
    if view.shape != shape:
        bands = _scale_back(bands, view.shape, shape)
    return assemble(bands, (*shape, runner.codec.n_outputs))


def _scale_back(bands: Iterable[Band], seen: tuple[int, int], shape: tuple[int, int]) -> Iterator[Band]:
    """Yield bands of an array of the size ``seen`` at another size; only rows that the next band needs are held."""
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
