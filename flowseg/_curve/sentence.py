"""The answer of a learning curve in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowseg._compare.candidates import AS_IS, FURTHER, TRAINED
from flowseg._compare.differences import Difference
from flowseg._compare.sentence import FEWEST_GROUPS, MOST_PAIRS, is_clear
from flowseg._curve.estimates import FEWEST_SIZES, FURTHEST, Prediction

if TYPE_CHECKING:
    from flowseg._curve.result import SegmenterCurve

# An interval of the gain that is wider does not help to decide whether to annotate more.
WIDEST = 0.1
# A gain is clear if the lower end of its interval does not round to 0.00.
CLEAR = 0.005
# If it may be 0, and is at most this, it is stated as the most that can be gained.
SMALL = 0.05
# Of a training with the default parameters of a segmenter.
DEFAULT_STEPS = 40 * 50
# Images from which `fit` holds some out by default, and then keeps the model that it started from if that is better.
FEWEST_TO_HOLD_OUT = 6
SCORE = "average precision at IoU 0.5"


def answer(curves: Sequence[SegmenterCurve], pairs: Sequence[Difference], n_groups: int) -> str:
    """Return the answer in one sentence.

    It is about the best segmenter that is trained, unless one that is used as it is is as good.
    """
    if n_groups < FEWEST_GROUPS:
        return (
            f"The data are too few to know: {n_groups} independent images or fields of view, and an answer takes at "
            f"least {FEWEST_GROUPS}."
        )
    trained = [curve for curve in curves if curve.way != AS_IS]
    if not trained:
        return f"Nothing was trained: {SCORE} with {curves[0].name} is {curves[0].precision[0, 0]:.2f}."
    best, ready = trained[0], next((curve for curve in curves if curve.way == AS_IS), None)
    if ready is None or any(is_clear(pair) for pair in pairs if (pair.first, pair.second) == (best.name, ready.name)):
        return describe_gain(best)
    return (
        f"No training on up to {best.train_sizes[-1]} images was clearly better than {ready.name}: {SCORE} is "
        f"{ready.precision[-1, 0]:.2f}, and {best.precision[-1, 0]:.2f} with {best.name}."
    )


def describe_gain(curve: SegmenterCurve) -> str:
    """Return in one sentence what twice as many images would give a segmenter, if the data tell."""
    if curve.prediction is None:
        n_sizes = len(curve.train_sizes)
        return (
            f"The data are too few to know: a curve takes training sets of at least {FEWEST_SIZES} sizes, and there "
            f"{'is' if n_sizes == 1 else 'are'} {n_sizes}."
        )
    n_images = int(curve.train_sizes[-1])
    twice = f"wice as many annotated images ({round(FURTHEST * n_images)} instead of {n_images})"
    end, (low, high) = curve.prediction.precision[-1, 0], curve.prediction.gain_interval[0]
    now = end - curve.prediction.gain[0]
    if low < CLEAR and high <= SMALL:
        return f"T{twice} would raise {SCORE} with {curve.name} by {high:.2f} at most; it is about {now:.2f}."
    if low >= CLEAR and high - low <= WIDEST:
        return (
            f"T{twice} would raise {SCORE} with {curve.name} from {now:.2f} to about {end:.2f}; the gain is "
            f"{low:.2f} to {high:.2f}."
        )
    return (
        f"The data are too few to know what t{twice} would give: {SCORE} with {curve.name} is about {now:.2f}, and the "
        f"gain may be {low:z.2f} to {high:z.2f}."
    )


def remarks(
    curves: Sequence[SegmenterCurve], pairs: Sequence[Difference], n_groups: int, n_images: int, n_folds: int
) -> list[str]:
    """Return what a reader has to know beside the answer."""
    trained = [curve for curve in curves if curve.way != AS_IS]
    lines = []
    if n_groups >= FEWEST_GROUPS:
        found = answer(curves, pairs, n_groups)
        lines += [gain for gain in map(describe_gain, trained) if gain != found]
        lines += _compare_with_best(curves, pairs)
        lines += [line for curve in trained[:1] for line in _with_all_images(curve, n_images)]
    lines += _describe_trainings(trained, n_folds)
    lines.append(
        "Average precision is TP / (TP + FP + FN) over all objects of test images, whose fields of view are not in the "
        "training set."
    )
    if any(curve.prediction is not None for curve in curves):
        lines.append(
            "The curve is an inverse power law. It assumes that more images are of the same kind, and ends at twice "
            "the largest training set. Intervals (95 %) are from a bootstrap over independent images or fields of view "
            "and over trainings."
        )
    if any(curve.way == FURTHER and curve.train_sizes[0] < FEWEST_TO_HOLD_OUT for curve in trained):
        lines.append(
            f"With fewer than {FEWEST_TO_HOLD_OUT} images there are no validation images, and a further training can "
            "make a model worse. Its curve may then rise only to where it began."
        )
    known = [curve.name for curve in curves if curve.way != TRAINED]
    if known:
        lines.append(
            f"{' and '.join(known)} {'are models that were' if len(known) > 1 else 'is a model that was'} trained "
            "before. If these images were in that training set, the score is too high, and the gain too low."
        )
    return lines


def _compare_with_best(curves: Sequence[SegmenterCurve], pairs: Sequence[Difference]) -> list[str]:
    """Return how much better the best one is than others, each after its largest training set."""
    n_images = max(int(curve.train_sizes[-1]) for curve in curves)
    where = f"With {n_images} training images, " if n_images else "Without training, "
    lines = []
    for pair in [pair for pair in pairs if pair.first == curves[0].name][:MOST_PAIRS]:
        low, high = pair.interval[0]
        found = f"{pair.difference[0]:z.2f}, {low:z.2f} to {high:z.2f}"  # z: no minus before 0.00
        if is_clear(pair):
            lines.append(f"{where}{pair.first} is better than {pair.second} by {found}.")
        else:
            lines.append(f"{where}{pair.first} and {pair.second} are not clearly different: {found}.")
    return lines


def _with_all_images(curve: SegmenterCurve, n_images: int) -> list[str]:
    """Return what the curve says of a training on all images; in the folds some are for testing."""
    largest = int(curve.train_sizes[-1])
    if curve.prediction is None or not largest < n_images <= FURTHEST * largest:
        return []
    expected = expected_at(curve.prediction, n_images)
    return [
        f"Of the {n_images} images, a training had at most {largest}, as the others are for testing. With all of them, "
        f"the curve gives about {expected:.2f}."
    ]


def expected_at(prediction: Prediction, n_images: float) -> float:
    """Return the predicted average precision at IoU 0.5."""
    return float(np.interp(np.log(n_images), np.log(prediction.n_images), prediction.precision[:, 0]))


def _describe_trainings(trained: Sequence[SegmenterCurve], n_folds: int) -> list[str]:
    if not trained:
        return []
    n_steps = sorted({curve.n_steps for curve in trained})
    lines = [
        f"Each of {n_folds} folds drew its own training images at random. Every training took "
        f"{' or '.join(map(str, n_steps))} steps, however many images it had."
    ]
    if n_steps[0] < DEFAULT_STEPS:
        lines.append(
            f"Trainings were shorter than by default ({DEFAULT_STEPS} steps). Longer ones may gain more from more "
            "images."
        )
    return lines
