"""Average precision at each number of images, and what the fitted curve predicts, with intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._compare.differences import precision_of, sum_by_group
from flowseg._curve.power_law import Floats, fit_power_law
from flowseg._report.bootstrap import SEED, bootstrap

# Sizes from which a curve is fitted: two points fit with any exponent.
FEWEST_SIZES = 3
# The curve goes to this multiple of the largest number of images, and no further: what comes then, nobody has seen.
FURTHEST = 2.0
# Numbers of images at which the curve is predicted, evenly spaced in their logarithm.
N_POINTS = 33
# Weight of the mean over the sizes in the variance of one size, which is that of as many trainings as there are folds.
SHRINKAGE = 0.5


class Prediction(NamedTuple):
    """The fitted curve, of values at IoU 0.5, 0.75 and 0.9.

    Attributes
    ----------
    n_images : ndarray, shape (n_points,)
        Numbers of training images, up to twice the largest that was measured. They are not whole.
    precision : ndarray, shape (n_points, 3)
        Average precision; the last row is for twice the images.
    interval : ndarray, shape (n_points, 3, 2)
        95 % bootstrap interval over groups of images and over trainings.
    exponent : ndarray, shape (3,)
        Of the inverse power law; the smaller, the longer the average precision goes on rising.
    gain : ndarray, shape (3,)
        What twice the images add to the average precision.
    gain_interval : ndarray, shape (3, 2)
        95 % bootstrap interval of the gain, which is narrower: how hard the test images are matters less.
    """

    n_images: Floats
    precision: Floats
    interval: Floats
    exponent: Floats
    gain: Floats
    gain_interval: Floats


class Estimates(NamedTuple):
    """Average precision (n_sizes, 3) with interval (n_sizes, 3, 2), of each fold (n_sizes, n_folds, 3), and the fit."""

    precision: Floats
    interval: Floats
    test_scores: Floats
    prediction: Prediction | None


def estimate_curve(
    sizes: NDArray[np.intp], counts: NDArray[np.int64], groups: NDArray[np.intp], folds: list[NDArray[np.intp]]
) -> Estimates:
    """Return the estimates of counts (n_sizes, n_images, n_thresholds, 3).

    A resampled set has some groups more than once, the same ones for all sizes, and to its scores the scatter of the
    trainings is added.
    """
    sums = sum_by_group(counts, groups)
    precision = precision_of(counts.sum(axis=1))
    scores = np.stack([precision_of(counts[:, test].sum(axis=1)) for test in folds], axis=1)
    is_fitted = len(sizes) >= FEWEST_SIZES
    points = np.geomspace(sizes[0], FURTHEST * sizes[-1], N_POINTS) if is_fitted else np.ones(1)
    scatter = measure_scatter(scores) if is_fitted else np.zeros_like(precision)

    def score(weights: Floats) -> dict[str, Floats]:
        """Return the scores of sets of groups, of shape (n_sets, ...)."""
        drawn = precision_of(np.einsum("sg,ngtc->sntc", weights, sums))
        if not is_fitted:
            return {"precision": drawn}
        noise = np.random.default_rng((SEED, 1)).standard_normal(drawn.shape) * scatter
        return {"precision": drawn} | _predict(sizes, drawn + noise, points)

    ends = {name: np.moveaxis(values, 0, -1) for name, values in bootstrap(score, sums.shape[1]).items()}
    if not is_fitted:
        return Estimates(precision, ends["precision"], scores, None)
    found = {name: values[0] for name, values in _predict(sizes, precision[None], points).items()}
    exponent = fit_power_law(sizes, precision.T).exponent
    prediction = Prediction(points, found["curve"], ends["curve"], exponent, found["gain"], ends["gain"])
    return Estimates(precision, ends["precision"], scores, prediction)


def _predict(sizes: NDArray[np.intp], precision: Floats, points: Floats) -> dict[str, Floats]:
    """Return curve (n_sets, n_points, 3) and gain (n_sets, 3) of values (n_sets, n_sizes, 3)."""
    law = fit_power_law(sizes, np.moveaxis(precision, 1, -1))
    now, twice = np.moveaxis(law.predict(sizes[-1] * np.array([1.0, FURTHEST])), -1, 0)
    return {"curve": np.moveaxis(law.predict(points), -1, 1), "gain": twice - now}


def measure_scatter(scores: Floats) -> Floats:
    """Return the standard error of each size, (n_sizes, 3), from scores (n_sizes, n_folds, 3).

    It is what remains of the scores when the mean of their fold, whose test images may be hard, and that of their size
    are taken away: which images were drawn for training, and how the training went. Both means also take away some of
    it, which the factor restores. Part of it is that test images differ, too, so that intervals are rather too wide.
    """
    n_sizes, n_folds, _ = scores.shape
    of_size, of_fold = scores.mean(axis=1, keepdims=True), scores.mean(axis=0, keepdims=True)
    left = scores - of_size - of_fold + scores.mean(axis=(0, 1))
    variance = (left**2).mean(axis=1) * n_sizes * n_folds / ((n_sizes - 1) * (n_folds - 1))
    shrunk = (1.0 - SHRINKAGE) * variance + SHRINKAGE * variance.mean(axis=0)
    return np.asarray(np.sqrt(shrunk / n_folds))
