"""The network of a training: new, or a copy of the one that it starts from; and its tile grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowseg._nets.lattice import Lattice, learn_lattice
from flowseg._nets.tiles import Grid
from flowseg._segmenters.auto_values import as_crop_and_batch
from flowseg._segmenters.fitted import Fitted, FixedParameters
from flowseg._segmenters.pipeline import PredictionSettings, prediction_settings

if TYPE_CHECKING:
    from flowseg._segmenters.base import Segmenter


def new_network(segmenter: Segmenter, *, seed: int) -> Any:
    """Return the network that `fit` would train from scratch, with weights from a seed."""
    fixed, settings = FixedParameters.of(segmenter), prediction_settings(segmenter)
    lattice = learn_lattice([], fixed.ndim, fixed.n_poolings)
    return make_network(fixed, settings, lattice, seed=seed, crop_size=as_crop_and_batch(segmenter)[0])


def make_network(
    fixed: FixedParameters,
    prediction: PredictionSettings,
    lattice: Lattice,
    *,
    seed: int,
    crop_size: int,
    n_classes: int = 0,
) -> Any:
    """Return the network that parameters name, with new weights, or a copy of the custom one.

    With ``n_classes`` it has outputs for classes of objects, which a custom network cannot have.
    """
    from flowseg._nets import network_copies
    from flowseg._nets.object_classes.class_outputs import add_class_outputs

    network = network_copies.make_network(
        fixed.network,
        n_channels=fixed.n_channels,
        n_outputs=prediction.codec.n_outputs,
        filters=fixed.filters,
        seed=seed,
        crop_size=crop_size,
        coarse_levels=lattice.coarse_levels,
    )
    if not n_classes:
        return network
    return add_class_outputs(network, n_classes, len(fixed.filters), lattice.coarse_levels)


def make_start(
    fixed: FixedParameters,
    prediction: PredictionSettings,
    lattice: Lattice,
    start: Fitted | None,
    *,
    seed: int,
    crop_size: int,
) -> Any:
    """Return the network to train: a new one, or a copy of the network of the trained model ``start``.

    It has no outputs for classes of objects, which are learned afterwards.
    """
    from flowseg._nets import network_copies
    from flowseg._nets.object_classes.class_outputs import without_class_outputs

    if start:
        network = network_copies.copy_network(without_class_outputs(start.network), seed=seed)
    else:
        network = make_network(fixed, prediction, lattice, seed=seed, crop_size=crop_size)
    if fixed.is_custom:  # refuse one whose receptive field is too large before it is trained
        find_grid(fixed, network_copies.copy_with_random_weights(network), lattice)
    return network


def find_grid(fixed: FixedParameters, network: Any, lattice: Lattice) -> Grid:
    """Return the tile grid of a network."""
    from flowseg._nets.inference import network_grid

    return network_grid(
        network,
        is_custom=fixed.is_custom,
        n_levels=len(fixed.filters),
        n_channels=fixed.n_channels,
        coarse_levels=lattice.coarse_levels,
    )
