"""Weights of features for classes, by logistic regression, and the temperature of the probabilities that follow."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

# Inverse of the strength of regularization, for features of variance 1. Source: measured; with 0.1 and 0.01 the F1
# score of drawn cells and nuclei was 0.01 to 0.03 lower.
STRENGTH = 1.0
# Iterations at most. Source: chosen; some hundreds are enough.
MAX_ITERATIONS = 2000
# Features of a smaller standard deviation, in units of the largest one, count as constant.
LEAST_SPREAD = 1e-5
# Logit of a class without an object.
NEVER = -30.0
# Parts that objects are held out in, image by image, for the temperature.
N_FOLDS = 5
# Temperatures are looked for between the exponentials of these.
LOG_TEMPERATURES = (-4.0, 4.0)


@dataclass(frozen=True)
class Examples:
    """Objects of known class."""

    features: NDArray[np.float64]  # (n, n_features)
    truth: NDArray[np.intp]  # (n,): numbers of their classes, from 0
    images: NDArray[np.intp]  # (n,): numbers of the images that they lie in

    def take(self, chosen: NDArray[np.bool_]) -> Examples:
        """Return some of the objects."""
        return Examples(self.features[chosen], self.truth[chosen], self.images[chosen])


class Weights(NamedTuple):
    """A logit for each class: the features, weighted, and a constant."""

    weights: NDArray[np.float64]  # (n_features, n_classes)
    bias: NDArray[np.float64]  # (n_classes,)

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logits of objects, shape (n, n_classes)."""
        return features @ self.weights + self.bias


def weigh_features(examples: Examples, n_classes: int) -> Weights:
    """Return the weights of a multinomial logistic regression, with features of variance 1."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression  # takes half a second

    features, found = examples.features, np.unique(examples.truth)
    weights, bias = np.zeros((features.shape[1], n_classes)), np.full(n_classes, NEVER)
    bias[found] = 0.0
    spread = features.std(axis=0)
    if found.size < 2 or not spread.any():
        return Weights(weights, bias)
    mean, scale = features.mean(axis=0), np.where(spread > LEAST_SPREAD * spread.max(), spread, np.inf)
    model = LogisticRegression(C=STRENGTH, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # these weights can be used, too
        model.fit((features - mean) / scale, examples.truth)
    slopes, constants = model.coef_, model.intercept_
    if found.size == 2:  # then scikit-learn has the difference of the two
        slopes, constants = np.concatenate([-slopes, slopes]) / 2, np.concatenate([-constants, constants]) / 2
    weights[:, found] = (slopes / scale).T
    bias[found] = constants - slopes @ (mean / scale)
    return Weights(weights, bias)


def learn_temperature(examples: Examples, n_classes: int) -> float:
    """Return the temperature of the probabilities: from objects of images that were held out in turn.

    Objects that weights were learned from have larger logits than others. An object does not count where no object of
    its class is left to learn from.
    """
    images = np.unique(examples.images, return_inverse=True)[1]
    groups = images if images.max(initial=0) else np.arange(images.size)
    n_folds = min(N_FOLDS, int(groups.max(initial=0)) + 1)
    logits, truth = [np.zeros((0, n_classes))], [np.zeros(0, dtype=np.intp)]
    for fold in range(n_folds if n_folds > 1 else 0):
        is_out = groups % n_folds == fold
        rest, out = examples.take(~is_out), examples.take(is_out)
        out = out.take(np.isin(out.truth, rest.truth))
        logits.append(weigh_features(rest, n_classes).logits(out.features))
        truth.append(out.truth)
    return find_temperature(np.concatenate(logits), np.concatenate(truth))


def find_temperature(logits: NDArray[np.float64], truth: NDArray[np.intp]) -> float:
    """Return the temperature of the largest likelihood, given one object more that is of no class.

    Without it, objects that are all right would have the temperature 0 [1]_. Without objects it is 1.

    References
    ----------
    .. [1] J. Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2.
    """
    from scipy.optimize import minimize_scalar  # takes a quarter of a second

    n, n_classes = logits.shape
    if n == 0:
        return 1.0
    target = (n * np.eye(n_classes)[truth] + 1 / n_classes) / (n + 1)

    def loss(log_temperature: Any) -> float:
        return -float((target * log_softmax(logits / np.exp(log_temperature), axis=1)).sum())

    return float(np.exp(minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded").x))
