"""Bootstrap intervals: how much scores would vary with other images of the same kind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# Share of the resampled values inside an interval.
CONFIDENCE = 0.95
# Number of resampled sets: the ends of an interval then vary by about a twentieth of its width between seeds.
RESAMPLES = 2000
# Of the random numbers: the same files give the same intervals.
SEED = 0


def bootstrap(
    score: Callable[[NDArray[np.float64]], dict[str, NDArray[np.float64]]], n_images: int
) -> dict[str, NDArray[np.float64]]:
    """Return percentile intervals of scores, of shape (2, ...): lower and upper ends.

    ``score`` takes how often each image is drawn, of shape (n_sets, n_images), and returns arrays of shape
    (n_sets, ...). Images are drawn with replacement [1]_. Objects of one image are alike, so that drawing objects would
    make intervals too narrow.

    References
    ----------
    .. [1] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993, chapter 13.
    """
    rng = np.random.default_rng(SEED)
    drawn = rng.multinomial(n_images, np.full(n_images, 1.0 / n_images), size=RESAMPLES).astype(np.float64)
    ends = 50.0 * np.array([1.0 - CONFIDENCE, 1.0 + CONFIDENCE])
    return {name: np.percentile(values, ends, axis=0) for name, values in score(drawn).items()}
