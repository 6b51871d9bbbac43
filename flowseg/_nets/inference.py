"""Run a trained network over an image of any size.

The steps can be taken one by one, for a region of an image that does not fit into memory::

    view = view_image(image, limits, factors)          the image as the network sees it
    list_tiles(view.shape, runner.grid, window)        the tiles that touch a region of it
    run_tile(runner.run, view, tile)                   outputs of one tile's core, to be stored
    ScaledView(stored, shape).read(window)             stored outputs of a region, in the size of the image

`predict_outputs` takes the same steps for a whole image: the values are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from flowseg._images import scaled_shape
from flowseg._intensities import Limits
from flowseg._nets import backends
from flowseg._nets.custom_networks import measure_receptive_radii
from flowseg._nets.encoder import FLOW_SCALE, Encoder
from flowseg._nets.load_keras import keras
from flowseg._nets.network_copies import have_equal_weights
from flowseg._nets.networks import pooling_steps, receptive_radii
from flowseg._nets.scaled_view import ScaledView, Sliceable
from flowseg._nets.test_time_augmentation import mean_of_orientations
from flowseg._nets.tiles import Band, Grid, OnTile, assemble, make_grid, map_tiles

# Rows, or planes of a volume, that are scaled back at a time.
BANDS = {2: 128, 3: 16}
# Limits of custom networks, by the axes of an image: pooling windows that start on multiples of this many pixels (6
# poolings by 2, in volumes 4) ...
CUSTOM_STEPS = {2: 64, 3: 16}
# ... and outputs that depend on pixels at most this many away: in volumes on those that a U-Net of 4 levels sees (51).
CUSTOM_RADII = {2: 320, 3: 64}

# Weights and graphs of networks, which take a fraction of a second to make.
_graphs: WeakKeyDictionary[keras.Model, tuple[list[Any], Callable[[NDArray[np.float32]], Any]]] = WeakKeyDictionary()


def network_grid(
    network: keras.Model, *, is_custom: bool, n_levels: int, n_channels: int, coarse_levels: Sequence[int]
) -> Grid:
    """Return the tile grid of a network; a custom network's receptive field is measured."""
    if not is_custom:
        return make_grid(pooling_steps(n_levels, coarse_levels), receptive_radii(n_levels, coarse_levels))
    ndim = len(coarse_levels)
    step = CUSTOM_STEPS[ndim]
    radii = measure_receptive_radii(network, n_channels, ndim=ndim, step=step, largest=CUSTOM_RADII[ndim])
    return make_grid((step,) * ndim, radii)


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
        Whether outputs are means over the eight rotations and flips of the image, or the eight flips of a volume.
    n_classes : int
        Classes of objects, whose logits come after the outputs of the codec.
    """

    network: keras.Model
    codec: Encoder
    grid: Grid
    test_time_augmentation: bool = False
    n_classes: int = 0

    @property
    def n_outputs(self) -> int:
        """Output channels of the network: those of the codec, and a logit for each class of objects."""
        return self.codec.n_outputs + self.n_classes

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs for (n, rows, columns, channels): flows in unit length, logits as they are.

        Batches of volumes have planes before rows.
        """
        if self.test_time_augmentation:
            outputs = mean_of_orientations(self._run_once, batch, self.n_outputs, self.codec.vectors, self.grid)
        else:
            outputs = self._run_once(batch)
        if self.codec.vectors is not None:
            outputs = _in_unit_length(outputs, self.codec.vectors)
        return outputs

    def _run_once(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs: NDArray[np.float32] = self._compute(batch)
        return outputs

    @cached_property
    def _compute(self) -> Callable[[NDArray[np.float32]], Any]:
        return make_predictor(self.network)


def make_predictor(network: keras.Model) -> Callable[[NDArray[np.float32]], Any]:
    """Return a function from a batch to the outputs of a network, an array or several, with the weights it has now."""
    if keras.config.backend() not in backends.GRAPHED:
        return network.predict_on_batch  # type: ignore[no-any-return]
    weights, known = network.get_weights(), _graphs.get(network)
    if known is None or not have_equal_weights(weights, known[0]):
        known = _graphs[network] = weights, backends.make_graph(network, weights)
    return known[1]


def _in_unit_length(outputs: NDArray[np.float32], vectors: slice) -> NDArray[np.float32]:
    """Return outputs with the vectors divided by `FLOW_SCALE`.

    All channels are divided, the others by 1, a row of pixels at a time: that takes a tenth of the time of dividing
    those of the vectors, which lie apart in memory.
    """
    width, n_channels = outputs.shape[-2:]
    scales = np.ones(n_channels, dtype=np.float32)
    scales[vectors] = FLOW_SCALE
    rows: NDArray[np.float32] = np.divide(outputs.reshape(-1, width * n_channels), np.tile(scales, width))
    return rows.reshape(outputs.shape)


def view_image(image: Sliceable, limits: Limits, factors: Sequence[float]) -> ScaledView:
    """Return an image with channels as the network sees it: ``limits`` at 0 and 1, each axis scaled by its factor."""
    return ScaledView(image, scaled_shape(image.shape[:-1], factors), limits)


def predict_outputs(
    runner: NetworkRunner,
    image: NDArray[Any],
    limits: Limits,
    factors: Sequence[float],
    on_tile: OnTile | None = None,
) -> NDArray[np.float32]:
    """Return the network's outputs, shape (rows, columns, n_outputs), in the size of ``image``.

    Flows and logits are scaled back, not labels, so that outlines come out smooth. Flows keep their components where
    axes are scaled by different factors: so they agree better with the flows of objects in the image than if they were
    stretched with it.

    Parameters
    ----------
    runner : NetworkRunner
        The network.
    image : ndarray, shape (rows, columns, channels) or (planes, rows, columns, channels)
        Image of any real dtype.
    limits : Limits
        Intensities that the network sees as 0 and 1.
    factors : sequence of float
        Factor that the image is scaled by along each axis for the network.
    on_tile : callable, optional
        Called after each tile.
    """
    shape = image.shape[:-1]
    view = view_image(image, limits, factors)
    bands = map_tiles(runner.run, view, runner.n_outputs, runner.grid, on_tile)
    if view.shape != shape:
        bands = _scale_back(bands, view.shape, shape)
    return assemble(bands, (*shape, runner.n_outputs))


def _scale_back(bands: Iterable[Band], seen: tuple[int, ...], shape: tuple[int, ...]) -> Iterator[Band]:
    """Yield bands of an array of the shape ``seen`` at another one; only rows that the next band needs are held."""
    held: NDArray[np.float32] | None = None
    first = done = 0
    others = [(0, n) for n in shape[1:]]
    for _, band in bands:
        held = band if held is None else np.concatenate([held, band])
        view = ScaledView(held, shape, first=(first, *[0] * len(others)), full=seen)
        while done < shape[0]:
            stop = min(done + BANDS[len(shape)], shape[0])
            if view.sources(0, done, stop)[1] > first + held.shape[0]:
                break
            yield done, view.read([(done, stop), *others])
            done = stop
        needed = view.sources(0, done, done + 1)[0] if done < shape[0] else seen[0]
        held, first = held[needed - first :].copy(order="K"), needed
