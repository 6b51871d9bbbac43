"""Features of objects: the mean of each feature of each level of a network over the pixels of an object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from flowseg._images import resize_masks
from flowseg._nets.inference import make_predictor
from flowseg._nets.load_keras import keras
from flowseg._nets.networks import single_precision
from flowseg._nets.object_classes.class_outputs import FEATURES, list_blocks, pixels_of_level
from flowseg._nets.scaled_view import ScaledView
from flowseg._nets.tiles import Grid, Tile, core_of, list_tiles


class FeaturePool:
    """Computes features of objects with a network from `build_unet` or `build_resunet`.

    Parameters
    ----------
    network : keras.Model
        The network.
    n_levels : int
        Its levels.
    coarse_levels : sequence of int
        For each axis the number of first levels that are not pooled along it.
    grid : Grid
        Its tile grid.
    """

    def __init__(self, network: keras.Model, n_levels: int, coarse_levels: Sequence[int], grid: Grid) -> None:
        blocks = dict(list_blocks(n_levels))
        outputs = {name: network.get_layer(f"{name}_{FEATURES}").output for name in blocks}
        self.widths = {name: int(output.shape[-1]) for name, output in outputs.items()}
        self._pixels = {name: pixels_of_level(level, coarse_levels) for name, level in blocks.items()}
        self._grid = grid
        with single_precision():
            self._features = keras.Model(network.input, outputs)
        self._compute = make_predictor(self._features)

    def pool(self, view: ScaledView, masks: NDArray[Any], n: int) -> NDArray[np.float64]:
        """Return the features of objects 1..n of an image, shape (n, n_features).

        They are NaN for an object without pixels: a small one can vanish where the image is scaled down.
        """
        masks = masks if masks.shape == view.shape else resize_masks(masks, view.shape)
        totals = np.zeros((n + 1, sum(self.widths.values())))
        for tile in list_tiles(view.shape, self._grid):
            numbers = masks[core_of(tile)]
            if not numbers.any():
                continue
            batch = view.read([interval.read for interval in tile])[np.newaxis]
            outputs = self._compute(batch)
            totals += np.concatenate([*self._sum_over_objects(tile, numbers, outputs, n)], axis=1)
        sizes = np.bincount(masks.ravel(), minlength=n + 1)[1:, np.newaxis]
        means = np.full(totals[1:].shape, np.nan)
        np.divide(totals[1:], sizes, out=means, where=sizes > 0)
        return means

    def _sum_over_objects(
        self, tile: Tile, numbers: NDArray[Any], outputs: Mapping[str, NDArray[np.float32]], n: int
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the sums over the pixels of each object 0..n, for the features of each block."""
        inside = np.nonzero(numbers)
        places = [index + interval.core_in_tile.start for index, interval in zip(inside, tile, strict=True)]
        for name, pixels in self._pixels.items():
            features = np.asarray(outputs[name])[0]
            coarse = [place // size for place, size in zip(places, pixels, strict=True)]
            cells = np.ravel_multi_index(coarse, features.shape[:-1])
            shape = (n + 1, features[..., 0].size)
            counts = sparse.csr_array((np.ones(cells.size), (numbers[inside], cells)), shape=shape)
            yield counts @ features.reshape(shape[1], -1)
