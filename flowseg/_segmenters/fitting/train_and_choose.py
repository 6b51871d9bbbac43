"""From checked pairs of images and masks to `Fitted`: train the network, choose on the validation set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowseg._nets.sizes import Sizes, bounds_of, choose_working, image_diameters, scale_factor
from flowseg._segmenters.fitted import Fitted, FixedParameters, History
from flowseg._segmenters.fitting.choose_decoding import choose_decoding
from flowseg._segmenters.fitting.compare_models import keep_the_better, measure_precision
from flowseg._segmenters.fitting.new_network import find_grid, make_start
from flowseg._segmenters.inputs import Images
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.noise_check import learn_least_sharpness
from flowseg._segmenters.pipeline import Pipeline, PredictionSettings

if TYPE_CHECKING:
    from flowseg._nets.training.loop import TrainingSettings


@dataclass(frozen=True)
class Plan:
    """Everything that a training needs besides images and masks."""

    fixed: FixedParameters
    prediction: PredictionSettings
    settings: TrainingSettings
    seeds: list[int]  # of the split, the weights and the batches
    callbacks: Sequence[Any]
    checkpoint: Path | None


def train(plan: Plan, pairs: tuple[Images, Images], held_out: tuple[Images, Images], start: Fitted | None) -> Fitted:
    """Train on pairs of images and masks, choose on the pairs that are held out, and return what was learned.

    ``start`` is the trained model to start from; it is not changed.
    """
    from flowseg._nets.network_copies import forget_training
    from flowseg._nets.training.machine import describe_machine

    diameters = image_diameters(pairs[1])
    typical = float(np.median(diameters))
    working = start.sizes.working if start else choose_working(plan.fixed.diameter, typical)
    scale_factor(working, typical, "the typical diameter of objects in masks")
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
) -> tuple[Any, History]:
    """Return the trained network and its losses."""
    from flowseg._nets.training import checkpoint, loop, samples

    network = make_start(plan.fixed, plan.prediction, start, seed=plan.seeds[1], crop_size=plan.settings.crop_size)
    sets = ((pairs, plan.settings.augment), (held_out, False))
    rule = plan.prediction.normalize
    training_samples, validation_samples = (
        samples.make_samples(*arrays, typical=typical, working=working, every_size=every_size, normalize=rule)
        for arrays, every_size in sets
    )
    run = loop.TrainingRun(
        training_samples,
        validation_samples,
        plan.prediction.codec,
        plan.settings,
        seeds=plan.seeds,
        callbacks=plan.callbacks,
        checkpoint=plan.checkpoint,
        same_start=start is not None or not plan.fixed.is_custom or hasattr(plan.fixed.network, "get_weights"),
    )
    with checkpoint.hold_checkpoint(plan.checkpoint):
        return network, loop.train(network, run)


def _choose(settings: PredictionSettings, end: Fitted, held_out: tuple[Images, Images], start: Fitted | None) -> Fitted:
    """Return the result of a training with everything that is chosen on validation images."""
    start_ap = measure_precision(Pipeline(start, settings), *held_out) if start else None
    end = choose_decoding(Pipeline(end, settings), *held_out, keep=start is not None)
    end = replace(end, validation_ap=measure_precision(Pipeline(end, settings), *held_out))
    return end if start is None or start_ap is None else keep_the_better(start, start_ap, end)
