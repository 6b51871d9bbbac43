"""How much scores would vary with other images of the same kind: the bootstrap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# Share of the resampled values that an interval holds.
CONFIDENCE = 0.95
# Sets of images drawn: the ends of the interval then vary by about a twentieth of its width from seed to seed.
RESAMPLES = 2000
# The same files give the same intervals.
SEED = 0


def bootstrap(
    score: Callable[[NDArray[np.float64]], dict[str, NDArray[np.float64]]], n_images: int
) -> dict[str, NDArray[np.float64]]:
    """Percentile intervals of what ``score`` gives, of shape (2, ...): lower and upper ends.

    ``score`` takes how often each image is drawn, of shape (n_sets, n_images), and gives arrays of shape (n_sets, ...).
    Images are drawn with replacement, as many as there are [1]_: objects of one image are alike, so that
    drawing objects would make intervals too narrow.

    References
    ----------
    .. [1] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993, chapter 13.
    """
    rng = np.random.default_rng(SEED)
    drawn = rng.multinomial(n_images, np.full(n_images, 1.0 / n_images), size=RESAMPLES).astype(np.float64)
    ends = 50.0 * np.array([1.0 - CONFIDENCE, 1.0 + CONFIDENCE])
    return {name: np.percentile(values, ends, axis=0) for name, values in score(drawn).items()}
