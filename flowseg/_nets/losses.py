"""Training losses, written with `keras.ops`; both take logits and leave out ignored pixels."""

from __future__ import annotations

from typing import Any

from flowseg._nets.encoder import FLOW_SCALE
from flowseg._nets.load_keras import keras, ops

# Weights of background, interior and boundary in the three-class loss (Caicedo et al., Cytometry A 95, 952 (2019)).
CLASS_WEIGHTS = (1.0, 1.0, 10.0)


def flow_loss(y_true: Any, y_pred: Any) -> Any:
    """Return the squared error of the flows plus the binary cross-entropy of the foreground.

    Parameters
    ----------
    y_true : tensor of float, shape (batch, ..., 2 + ndim)
        Weight (0 = ignore this pixel), foreground (0 or 1), flows of unit length.
    y_pred : tensor of float, shape (batch, ..., ndim + 1)
        Flows times 5, and the logit of the foreground: the network's outputs as they are, without an activation. A
        ReLU would lose every negative component, a sigmoid would be applied twice.

    Returns
    -------
    loss : tensor, scalar
        Mean over the pixels of weight 1 of ``0.5 * |5 * flow - predicted|**2``, averaged over the components, plus
        the cross-entropy.

    Notes
    -----
    A foreground pixel whose flow is 0 in every component has an unknown direction: it may belong to an object that
    goes on where nothing is annotated. Only its foreground counts.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> y_true = np.array([[[[1.0, 1.0, 0.0, 1.0]]]])  # inside, the center to the right
    >>> y_pred = np.array([[[[0.0, 5.0, 0.0]]]])  # the same, foreground undecided
    >>> round(float(flowseg.flow_loss(y_true, y_pred)), 4)  # log(2)
    0.6931
    """
    y_pred = _as_wide(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    weight, foreground, flows = y_true[..., 0], y_true[..., 1], y_true[..., 2:]
    squared = 0.5 * ops.mean(ops.square(FLOW_SCALE * flows - y_pred[..., :-1]), axis=-1)
    has_flow = ops.cast(ops.any(ops.not_equal(flows, 0), axis=-1), y_pred.dtype)
    known = 1 - foreground * (1 - has_flow)
    logit = y_pred[..., -1]
    # -log(sigmoid) without overflow, for either sign of the logit
    cross_entropy = ops.relu(logit) - logit * foreground + ops.log1p(ops.exp(-ops.abs(logit)))
    return _weighted_mean(squared * known + cross_entropy, weight)


def boundary_loss(y_true: Any, y_pred: Any) -> Any:
    """Return the softmax cross-entropy of background, interior and boundary, from logits.

    Parameters
    ----------
    y_true : tensor of float, shape (batch, ..., 4)
        Weight (0 = ignore this pixel), then 0 or 1 for background, interior, boundary.
    y_pred : tensor of float, shape (batch, ..., 3)
        Logits.

    Returns
    -------
    loss : tensor, scalar
        Mean over the pixels of weight 1 of the cross-entropy, times 1, 1 or 10 by class.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> y_true = np.array([[[[1.0, 0.0, 0.0, 1.0]]]])  # a boundary pixel
    >>> round(float(flowseg.boundary_loss(y_true, np.zeros((1, 1, 1, 3)))), 4)  # 10 * log(3)
    10.9861
    """
    y_pred = _as_wide(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    weight, classes = y_true[..., 0], y_true[..., 1:]
    class_weight = ops.cast(ops.convert_to_tensor(CLASS_WEIGHTS), y_pred.dtype)
    cross_entropy = -ops.sum(class_weight * classes * ops.log_softmax(y_pred, axis=-1), axis=-1)
    return _weighted_mean(cross_entropy, weight)


def _as_wide(values: Any) -> Any:
    """Return values in 32 bits at least: in 16 the sum over the pixels of a batch is infinite."""
    values = ops.convert_to_tensor(values)
    return ops.cast(values, keras.backend.result_type(values.dtype, "float32"))


def _weighted_mean(values: Any, weight: Any) -> Any:
    return ops.sum(values * weight) / ops.maximum(ops.sum(weight), 1.0)
