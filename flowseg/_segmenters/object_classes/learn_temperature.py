"""Learn the temperature of class probabilities from annotated objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from flowseg._labels.overlaps import number_objects
from flowseg._segmenters.fitting.pairs import Pairs
from flowseg._segmenters.object_classes.class_head import ClassHead, mean_outputs

if TYPE_CHECKING:
    from flowseg._segmenters.pipeline import Pipeline

# With fewer validation objects of known class, those of training images are added. Source: as for scores of objects.
LEAST_OBJECTS = 50
# Training images that are looked at for it at most. Source: chosen; the network has to see them once more.
MOST_IMAGES = 16
# Temperatures are looked for between the exponentials of these.
LOG_TEMPERATURES = (-4.0, 4.0)


def learn_class_head(pipeline: Pipeline, pairs: Pairs, held_out: Pairs) -> ClassHead | None:
    """Return the classes of a fitted model with their temperature; None for a model without classes.

    It is learned on validation images. Outputs for training images, which are taken where there are few others, look
    surer than those for new ones.
    """
    head = pipeline.fitted.classes
    if head is None:
        return None
    seen = [*_look(pipeline, head, held_out)]
    if sum(truth.size for _, truth in seen) < LEAST_OBJECTS:
        places = np.unique(np.linspace(0, len(pairs) - 1, MOST_IMAGES).round().astype(int))
        seen += _look(pipeline, head, pairs.take(places.tolist()))
    logits, truth = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    return replace(head, temperature=find_temperature(logits, truth)) if truth.size else head


def _look(pipeline: Pipeline, head: ClassHead, pairs: Pairs) -> Iterable[tuple[NDArray[np.float64], NDArray[np.intp]]]:
    """Yield mean logits and number of the class of the objects of known class of each image."""
    for image, masks, spacing, known in zip(pairs.images, pairs.masks, pairs.spacings, pairs.classes, strict=True):
        labels, number, _ = number_objects(masks)
        chosen = [k for k, label in enumerate(labels.tolist()) if label in known]
        outputs = pipeline.run(image, None, spacing).classes
        if chosen and outputs is not None:
            logits = mean_outputs(number.reshape(masks.shape), outputs)[chosen]
            yield logits, np.array([head.names.index(known[labels[k]]) for k in chosen])


def find_temperature(logits: NDArray[np.float64], truth: NDArray[np.intp]) -> float:
    """Return the temperature of the largest likelihood, given one object more that is of no class.

    Without it, objects that are all right would have the temperature 0 [1]_.

    References
    ----------
    .. [1] J. Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2.
    """
    from scipy.optimize import minimize_scalar  # takes a quarter of a second

    n, n_classes = logits.shape
    target = (n * np.eye(n_classes)[truth] + 1 / n_classes) / (n + 1)

    def loss(log_temperature: Any) -> float:
        return -float((target * log_softmax(logits / np.exp(log_temperature), axis=1)).sum())

    return float(np.exp(minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded").x))
