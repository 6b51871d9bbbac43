"""Learn the classes of objects from the features of a trained network, which stays what it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.overlaps import number_objects
from flowseg._nets.prediction_network import PredictionNetwork
from flowseg._nets.sizes import image_diameter
from flowseg._segmenters.fitted import Fitted
from flowseg._segmenters.fitting.pairs import Pairs
from flowseg._segmenters.object_classes.class_head import ClassHead
from flowseg._segmenters.object_classes.weigh_features import Examples, learn_temperature, weigh_features
from flowseg._segmenters.pipeline import Pipeline

if TYPE_CHECKING:
    from flowseg._nets.object_classes.pooled_features import FeaturePool
    from flowseg._nets.scaled_view import ScaledView


def learn_classes(pipeline: Pipeline, names: tuple[str, ...], parts: Sequence[Pairs], start: Fitted | None) -> Fitted:
    """Return the model of a pipeline with outputs for classes, learned on all objects of known class.

    If the model ``start`` that the training began with has classes, and an object of one of them is missing now, the
    weights of ``start`` are kept.
    """
    from flowseg._nets.network_copies import forget_training
    from flowseg._nets.object_classes.class_outputs import (
        add_class_outputs,
        copy_class_weights,
        set_class_weights,
        without_class_outputs,
    )
    from flowseg._nets.object_classes.pooled_features import FeaturePool

    fitted = pipeline.fitted
    n_levels, coarse_levels = len(fitted.fixed.filters), fitted.lattice.coarse_levels
    plain = without_class_outputs(fitted.network)
    pool = FeaturePool(plain, n_levels, coarse_levels, fitted.grid)
    examples = _describe_objects(pipeline, pool, names, parts)
    network = add_class_outputs(plain, len(names), n_levels, coarse_levels)
    if start is not None and start.classes is not None and np.unique(examples.truth).size < len(names):
        copy_class_weights(start.network, network)
        head = start.classes
    else:
        found = weigh_features(examples, len(names))
        places = np.cumsum([*pool.widths.values()])[:-1]
        by_block = dict(zip(pool.widths, np.split(found.weights, places), strict=True))
        set_class_weights(network, by_block, found.bias)
        head = ClassHead(names, learn_temperature(examples, len(names)))
    forget_training(network)
    return replace(fitted, network=network, classes=head, _prediction=PredictionNetwork())


def _describe_objects(pipeline: Pipeline, pool: FeaturePool, names: Sequence[str], parts: Sequence[Pairs]) -> Examples:
    """Return the features and the classes of all objects of known class."""
    features, truth, images = [np.zeros((0, sum(pool.widths.values())))], [], []
    for i, (image, masks, spacing, known) in enumerate(_list_images(parts)):
        labels, numbers, _ = number_objects(masks)
        chosen = [k for k, label in enumerate(labels.tolist()) if label in known]
        view = _view_image(pipeline, image, masks, spacing) if chosen else None
        if view is None:
            continue
        found = pool.pool(view, numbers.reshape(masks.shape).astype(np.int32), labels.size)[chosen]
        (seen,) = np.nonzero(np.isfinite(found).all(axis=1))
        features.append(found[seen])
        truth += [names.index(known[labels[chosen[k]]]) for k in seen.tolist()]
        images += [i] * seen.size
    return Examples(np.concatenate(features), np.array(truth, dtype=np.intp), np.array(images, dtype=np.intp))


def _list_images(parts: Sequence[Pairs]) -> Iterator[tuple[NDArray[Any], NDArray[Any], Any, dict[int, str]]]:
    """Yield image, masks, spacing and classes; images without classes are left out."""
    for pairs in parts:
        if pairs.classes:
            yield from zip(pairs.images, pairs.masks, pairs.spacings, pairs.classes, strict=True)


def _view_image(pipeline: Pipeline, image: NDArray[Any], masks: NDArray[Any], spacing: Any) -> ScaledView | None:
    """Return an image as the network sees it in prediction; None for a constant one.

    Where diameters are estimated, that of the annotated objects takes the place of the estimate.
    """
    from flowseg._nets.inference import view_image

    prepared = pipeline.prepare(image, spacing)
    if prepared.limits is None:
        return None
    size = pipeline.typical_diameter(prepared.pixel)
    if pipeline.estimates:
        sizes = pipeline.fitted.sizes.for_pixels(prepared.pixel.relative_size)
        size = sizes.bound(image_diameter(masks, prepared.pixel.ratios))
    return view_image(prepared.array, prepared.limits, prepared.pixel.factors(pipeline.scale_factor(size)))
