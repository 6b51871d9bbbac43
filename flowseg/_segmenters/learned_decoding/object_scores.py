"""The score of an object: the probability that it is real, from its area, flow error and mean logit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._segmenters.learned_decoding.object_table import Table

# Columns of `_features`.
N_FEATURES = 6


@dataclass(frozen=True)
class Calibration:
    """The probability that an object of a table matches a true one at IoU 0.5.

    A logistic regression makes one number of the columns. An isotonic regression, which keeps only the order, turns it
    into a probability [1]_.

    References
    ----------
    .. [1] B. Zadrozny, C. Elkan, "Transforming classifier scores into accurate multiclass probability estimates",
       KDD 2002.
    """

    diameter: float  # typical one, in pixels, that diameters are divided by
    weights: tuple[float, ...]  # of the features
    knots: tuple[float, ...]  # increasing
    probabilities: tuple[float, ...]  # at the knots, not decreasing; linear between them

    def score(self, objects: Table) -> NDArray[np.float64]:
        """Return the probability of each object."""
        raw = _features(objects, self.diameter) @ np.array(self.weights)
        scores: NDArray[np.float64] = np.interp(raw, self.knots, self.probabilities)
        return scores


def read_calibration(document: Any) -> Calibration | None:
    """Return the calibration in a model file's JSON, checked; None for null."""
    if document is None:
        return None
    names = {field.name for field in fields(Calibration)}
    if not isinstance(document, dict) or set(document) != names:
        raise ValueError(f"score must be null or an object with {', '.join(sorted(names))}; got {document!r}.")
    values = _as_numbers(document)
    _check_shapes(values)
    p = values["probabilities"]
    if np.any(np.diff(values["knots"]) < 0) or np.any(np.diff(p) < 0) or p[0] < 0 or p[-1] > 1:
        raise ValueError("score must hold knots and probabilities, from 0 to 1, in increasing order.")
    lists = {name: tuple(value.tolist()) for name, value in values.items() if name != "diameter"}
    return Calibration(float(values["diameter"]), **lists)


def _as_numbers(document: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    try:
        arrays = {name: np.array(value) for name, value in document.items()}
    except ValueError:
        raise ValueError("score must hold lists of numbers; got lists of lists.") from None
    if any(array.dtype.kind not in "if" for array in arrays.values()):
        raise ValueError("score must hold numbers; got something else.")
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def _check_shapes(values: dict[str, NDArray[np.float64]]) -> None:
    sizes = {name: value.shape for name, value in values.items()}
    right = sizes["diameter"] == () and sizes["weights"] == (N_FEATURES,)
    right = right and len(sizes["knots"]) == 1 and sizes["knots"] == sizes["probabilities"] != (0,)
    if not right or not all(np.isfinite(value).all() for value in values.values()) or values["diameter"] <= 0:
        raise ValueError("score must hold a diameter, six weights, and as many finite knots as probabilities.")


def calibrate(tables: Sequence[Table], matched: Sequence[NDArray[np.bool_]], diameter: float) -> Calibration | None:
    """Learn from objects that are known to match or not; None where there are none."""
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    features = np.concatenate([_features(table, diameter) for table in tables])
    truth = np.concatenate(matched).astype(np.float64)
    if truth.size == 0:
        return None
    if truth.min() == truth.max():  # all real, or none: one object more on the other side
        share = (truth.sum() + 0.5) / (truth.size + 1.0)
        return Calibration(diameter, (0.0,) * N_FEATURES, (0.0,), (float(share),))
    regression = LogisticRegression(max_iter=1000).fit(features, truth)
    weights = regression.coef_[0]
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(features @ weights, truth)
    return Calibration(
        diameter,
        tuple(map(float, weights)),
        tuple(map(float, isotonic.X_thresholds_)),
        tuple(map(float, isotonic.y_thresholds_)),
    )


def _features(objects: Table, diameter: float) -> NDArray[np.float64]:
    """Return the columns that a score is made of, scaled to numbers of order one."""
    size = np.log(np.maximum(objects["diameter"], 1.0) / diameter)
    error = np.minimum(objects["flow_error"], 2.0)
    inside = ~objects["touches_border"]
    return np.stack(
        [
            np.clip(objects["cellprob"], -10.0, 10.0) / 5.0,
            np.sqrt(error) * inside,
            np.sqrt(error) * ~inside,
            inside.astype(np.float64),
            np.minimum(size, 0.0),
            np.maximum(size, 0.0),
        ],
        axis=-1,
    )
