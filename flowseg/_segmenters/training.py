"""From checked pairs of images and masks to what a segmenter learns of them."""

from __future__ import annotations

import numbers
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowseg import _checks
from flowseg._nets.sizes import Sizes, bounds_of, choose_working, image_diameters, scale_factor
from flowseg._nets.tiles import Grid
from flowseg._segmenters import inputs
from flowseg._segmenters.choices import choose_decoding, keep_the_better, measure_precision
from flowseg._segmenters.decoding import Decoding
from flowseg._segmenters.fitted import Fitted, FixedParameters
from flowseg._segmenters.inputs import Images
from flowseg._segmenters.noise import learn_least_sharpness
from flowseg._segmenters.pipeline import Pipeline, PredictionSettings
from flowseg._system import files

if TYPE_CHECKING:
    from flowseg._nets.training import TrainingSettings
    from flowseg._segmenters.base import Segmenter


@dataclass(frozen=True)
class Plan:
    """All that a training is made of besides images and masks."""

    fixed: FixedParameters
    prediction: PredictionSettings
    settings: TrainingSettings
    seeds: list[int]  # of the split, the weights and the batches
    callbacks: Sequence[Any]
    checkpoint: Path | None


def check_training_settings(segmenter: Segmenter, *, goes_on: bool = False) -> TrainingSettings:
    """Check every parameter that training needs; ``goes_on`` is whether it starts from a trained model."""
    segmenter._prediction_settings()
    n_levels = len(_checks.as_filters(segmenter.filters))
    inputs.check_network_choice(segmenter.network)
    batch_size = _checks.as_integer(segmenter.batch_size, "batch_size", minimum=1)
    step = 2 ** (n_levels - 1) if isinstance(segmenter.network, str) else 1
    crop_size = inputs.as_crop_size(segmenter.crop_size, step)
    _checks.as_number(segmenter.validation_fraction, "validation_fraction", low=0.0, high=0.9)
    _checks.check_flag(segmenter.augment, "augment")

    from flowseg._nets.training import TrainingSettings, choose_rate

    return TrainingSettings(
        goes_on=goes_on,
        crop_size=crop_size,
        batch_size=batch_size,
        epochs=_checks.as_integer(segmenter.epochs, "epochs", minimum=1),
        steps_per_epoch=_checks.as_integer(segmenter.steps_per_epoch, "steps_per_epoch", minimum=1),
        learning_rate=choose_rate(segmenter.learning_rate, goes_on=goes_on),
        augment=bool(segmenter.augment),
        patience=_checks.as_integer(segmenter.patience, "patience", minimum=1, none="train all epochs"),
        workers=segmenter.workers,
        verbose=_checks.as_integer(segmenter.verbose, "verbose", minimum=0),
    )


def find_seeds(random_state: Any, checkpoint: str | os.PathLike[str] | None) -> tuple[list[int], Path | None]:
    """Seeds of the split, the weights and the batches: new ones, or those of a training that goes on; and its file."""
    seeds = [int(s) for s in _checks.as_random_state(random_state).randint(0, 2**31 - 1000, size=3)]
    if checkpoint is None:
        return seeds, None
    from flowseg._nets.checkpoint import read_state

    file = _checks.as_path(checkpoint, "checkpoint")
    files.check_target(file, f"checkpoint {file}")
    state = read_state(file)
    is_seed = isinstance(random_state, numbers.Integral)  # else it gives others every time
    return (state.seeds if state and not is_seed else seeds), file


def train(plan: Plan, pairs: tuple[Images, Images], held_out: tuple[Images, Images], start: Fitted | None) -> Fitted:
    """Train on pairs of images and masks, choose on those that are held out, and return what was learned.

    ``start`` is the trained model to go on from, which nothing here changes.
    """
    from flowseg._nets.machine import describe_machine
    from flowseg._nets.training import forget_training

    diameters = image_diameters(pairs[1])
    typical = float(np.median(diameters))
    working = start.sizes.working if start else choose_working(plan.fixed.diameter, typical)
    scale_factor(working, typical, "masks must have objects whose typical diameter is")
    network, history = _train_network(plan, pairs, held_out, start, typical, working)
    forget_training(network)
    sizes = Sizes(working, False, *bounds_of(diameters, working))
    least_sharpness = learn_least_sharpness(*pairs)
    end = Fitted(
        network=network,
        grid=find_grid(plan.fixed, network),
        sizes=start.sizes.widened(sizes) if start else sizes,
        diameter=typical,
        history=history,
        least_sharpness=min(start.least_sharpness, least_sharpness) if start else least_sharpness,
        fixed=plan.fixed,
        decoding=start.decoding if start else Decoding(),
        trained_with=describe_machine(),
    )
    return _choose(plan.prediction, end, held_out, start)


def _train_network(
    plan: Plan,
    pairs: tuple[Images, Images],
    held_out: tuple[Images, Images],
    start: Fitted | None,
    typical: float,
    working: float,
) -> tuple[Any, dict[str, list[float]]]:
    """The trained network and its losses."""
    from flowseg._nets import checkpoint, training

    network = _make_start(plan, start)
    sets = ((pairs, plan.settings.augment), (held_out, False))
    rule = plan.prediction.normalize
    samples, validation_samples = (
        training.make_samples(*arrays, typical=typical, working=working, every_size=every_size, normalize=rule)
        for arrays, every_size in sets
    )
    own = plan.fixed.network
    with checkpoint.holding(plan.checkpoint):
        history = training.train(
            network,
            samples,
            validation_samples,
            plan.prediction.codec,
            plan.settings,
            callbacks=plan.callbacks,
            seeds=plan.seeds,
            checkpoint=plan.checkpoint,
            same_start=start is not None or not plan.fixed.is_own or hasattr(own, "get_weights"),
        )
    return network, history


def _make_start(plan: Plan, start: Fitted | None) -> Any:
    """The network to train: a new one, or a copy of the one that a training goes on from."""
    from flowseg._nets import training

    seed = plan.seeds[1]
    if start:
        network = training.copy_network(start.network, seed=seed)
    else:
        network = make_network(plan.fixed, plan.prediction, seed=seed, crop_size=plan.settings.crop_size)
    if plan.fixed.is_own:
        find_grid(plan.fixed, training.redrawn(network))  # refuses one that looks too far before it is trained
    return network


def make_network(fixed: FixedParameters, prediction: PredictionSettings, *, seed: int, crop_size: int) -> Any:
    """The network that parameters name, with new weights, or a copy of the user's own."""
    from flowseg._nets import training

    return training.make_network(
        fixed.network,
        n_channels=fixed.n_channels,
        n_outputs=prediction.codec.n_outputs,
        filters=fixed.filters,
        seed=seed,
        crop_size=crop_size,
    )


def find_grid(fixed: FixedParameters, network: Any) -> Grid:
    """What a network asks of tiles."""
    from flowseg._nets.inference import network_grid

    return network_grid(network, is_own=fixed.is_own, n_levels=len(fixed.filters), n_channels=fixed.n_channels)


def _choose(settings: PredictionSettings, end: Fitted, held_out: tuple[Images, Images], start: Fitted | None) -> Fitted:
    """What has come of a training, with all that validation images decide."""
    start_ap = measure_precision(Pipeline(start, settings), *held_out) if start else None
    end = choose_decoding(Pipeline(end, settings), *held_out, keep=start is not None)
    end = replace(end, validation_ap=measure_precision(Pipeline(end, settings), *held_out))
    return end if start is None or start_ap is None else keep_the_better(start, start_ap, end)
