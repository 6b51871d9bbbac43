"""From checked pairs of images and masks to `Fitted`: train the network, choose on the validation set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flowseg._nets.lattice import Lattice, find_crop_shape, find_turns, learn_lattice
from flowseg._nets.sizes import Sizes, bounds_of, choose_working, image_diameters, scale_factor
from flowseg._segmenters.fitted import Fitted, FixedParameters, History
from flowseg._segmenters.fitting.choose_decoding import choose_decoding
from flowseg._segmenters.fitting.compare_models import keep_the_better, measure_precision
from flowseg._segmenters.fitting.learn_ranges import SeenImages
from flowseg._segmenters.fitting.new_network import find_grid, make_start
from flowseg._segmenters.fitting.pairs import Pairs
from flowseg._segmenters.noise_check import learn_least_sharpness
from flowseg._segmenters.object_classes.learn_classes import learn_classes
from flowseg._segmenters.pipeline import Pipeline, PredictionSettings

if TYPE_CHECKING:
    from flowseg._nets.training.loop import TrainingSettings
    from flowseg._nets.training.samples import Sample


@dataclass(frozen=True)
class Plan:
    """Everything that a training needs besides images and masks."""

    fixed: FixedParameters
    prediction: PredictionSettings
    settings: TrainingSettings
    seeds: list[int]  # of the split, the weights and the batches
    callbacks: Sequence[Any]
    checkpoint: Path | None
    fills_crops: bool = False  # whether crops of thin volumes are longer along the other axes
    class_names: tuple[str, ...] = ()  # of objects; empty: without


class Scales(NamedTuple):
    """How images are brought to the network."""

    lattice: Lattice
    typical: float  # diameter of objects, in pixels of the lattice
    working: float  # diameter that such objects have when the network sees them


def train(plan: Plan, pairs: Pairs, held_out: Pairs, start: Fitted | None) -> Fitted:
    """Train on pairs of images and masks, choose on the pairs that are held out, and return what was learned.

    ``start`` is the trained model to start from; it is not changed.
    """
    from flowseg._nets.network_copies import forget_training
    from flowseg._nets.training.machine import describe_machine

    fixed, lattice = plan.fixed, _choose_lattice(plan.fixed, pairs, start)
    pixels = [lattice.pixel(spacing) for spacing in pairs.spacings]
    diameters = image_diameters([objects.masks for objects in pairs.known], pixels)
    typical = float(np.median(diameters))
    working = start.sizes.working if start else choose_working(fixed.diameter, typical, fixed.ndim)
    scale_factor(working, typical, "the typical diameter of objects in masks")
    network, history = _train_network(plan, pairs, held_out, start, Scales(lattice, typical, working))
    forget_training(network)
    sizes = Sizes(working, False, *bounds_of(diameters, working))
    least_sharpness = learn_least_sharpness(pairs.images, pairs.masks, pixels)
    end = Fitted(
        network=network,
        grid=find_grid(fixed, network, lattice),
        sizes=_convert_sizes(start, lattice).widened(sizes) if start else sizes,
        diameter=typical,
        history=history,
        least_sharpness=min(start.least_sharpness, least_sharpness) if start else least_sharpness,
        fixed=fixed,
        decoding=start.decoding if start else plan.prediction.codec.default_decoding(),
        trained_with=describe_machine(),
        lattice=lattice,
    )
    end = _choose(plan.prediction, end, (pairs, held_out), start)
    if not plan.class_names:
        return end
    return learn_classes(Pipeline(end, plan.prediction), plan.class_names, (pairs, held_out), start)


def _choose_lattice(fixed: FixedParameters, pairs: Pairs, start: Fitted | None) -> Lattice:
    """Return the lattice of the training images; a network that is trained further has coarse levels of its own."""
    lattice = learn_lattice(pairs.spacings, fixed.ndim, fixed.n_poolings)
    if start is None:
        return lattice
    return start.lattice if lattice.spacing is None else replace(lattice, coarse_levels=start.lattice.coarse_levels)


def _convert_sizes(start: Fitted, lattice: Lattice) -> Sizes:
    """Return the sizes of the model that a training starts from, in pixels of the new lattice."""
    return start.sizes.for_pixels(start.lattice.pixel(lattice.spacing).relative_size)


def _train_network(
    plan: Plan, pairs: Pairs, held_out: Pairs, start: Fitted | None, scales: Scales
) -> tuple[Any, History]:
    """Return the trained network and its losses."""
    from flowseg._nets.training import checkpoint, loop

    fixed, size, lattice = plan.fixed, plan.settings.crop_size, scales.lattice
    network = make_start(fixed, plan.prediction, lattice, start, seed=plan.seeds[1], crop_size=size)
    training_samples = _make_samples(plan, pairs, scales, every_size=plan.settings.augment)
    validation_samples = _make_samples(plan, held_out, scales, every_size=False)
    shapes = [sample.masks.shape for sample in training_samples]
    crop_shape = (size,) * fixed.ndim
    if not fixed.is_custom:
        steps = [2 ** (fixed.n_poolings - level) for level in lattice.coarse_levels]
        crop_shape = find_crop_shape(lattice, size, steps, shapes, fill=plan.fills_crops)
    run = loop.TrainingRun(
        training_samples,
        validation_samples,
        plan.prediction.codec,
        plan.settings,
        seeds=plan.seeds,
        callbacks=plan.callbacks,
        checkpoint=plan.checkpoint,
        same_start=start is not None or not fixed.is_custom or hasattr(fixed.network, "get_weights"),
        crop_shape=crop_shape,
        turns=find_turns(lattice, crop_shape),
    )
    with checkpoint.hold_checkpoint(plan.checkpoint):
        return network, loop.train(network, run)


def _make_samples(plan: Plan, pairs: Pairs, scales: Scales, *, every_size: bool) -> list[Sample]:
    from flowseg._nets.training.samples import make_samples

    return make_samples(
        pairs.images,
        pairs.known,
        [scales.lattice.pixel(spacing) for spacing in pairs.spacings],
        typical=scales.typical,
        working=scales.working,
        every_size=every_size,
        normalize=plan.prediction.normalize,
    )


def _choose(settings: PredictionSettings, end: Fitted, parts: tuple[Pairs, Pairs], start: Fitted | None) -> Fitted:
    """Return the result of a training with everything that is chosen on validation images, the second of ``parts``."""
    pairs, held_out = parts
    start_ap = measure_precision(Pipeline(start, settings), held_out) if start else None
    end = choose_decoding(Pipeline(end, settings), held_out, keep=start is not None)
    pipeline = Pipeline(end, settings)
    seen = SeenImages(pipeline)
    end = replace(end, validation_ap=measure_precision(pipeline, held_out, seen.look))
    seen.fill_up(pairs)
    ranges = seen.learn_ranges()
    if start is not None and start.ranges is not None:
        ranges = start.ranges.widened(ranges)
    end = replace(end, ranges=ranges)
    return end if start is None or start_ap is None else keep_the_better(start, start_ap, end)
