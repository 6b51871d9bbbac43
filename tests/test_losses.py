import numpy as np
import pytest

import flowseg


def random_flow_case(ndim, seed=0):
    rng = np.random.default_rng(seed)
    shape = (2, 5, 6, 7)[: ndim + 1]
    weight, foreground = rng.integers(0, 2, (2, *shape)).astype(float)
    flows = rng.normal(size=(*shape, ndim))
    flows /= np.linalg.norm(flows, axis=-1, keepdims=True)
    y_true = np.concatenate([weight[..., None], foreground[..., None], flows], axis=-1)
    return y_true.astype(np.float32), (4 * rng.normal(size=(*shape, ndim + 1))).astype(np.float32)


@pytest.mark.backends
@pytest.mark.parametrize("ndim", [2, 3])
def test_flow_loss_is_that_of_the_formula(ndim):
    y_true, y_pred = random_flow_case(ndim)
    weight, foreground = y_true[..., 0].astype(bool), y_true[..., 1]
    squared = 0.5 * np.mean((5 * y_true[..., 2:] - y_pred[..., :-1]) ** 2, axis=-1)
    p = 1 / (1 + np.exp(-y_pred[..., -1].astype(float)))
    entropy = -(foreground * np.log(p) + (1 - foreground) * np.log(1 - p))
    expected = np.mean((squared + entropy)[weight])
    assert float(flowseg.flow_loss(y_true, y_pred)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("ndim", [2, 3])
def test_an_unknown_direction_counts_for_the_foreground_only(ndim):
    y_true, y_pred = random_flow_case(ndim)
    weight, foreground = y_true[..., 0] == 1, y_true[..., 1] == 1
    unknown = np.random.default_rng(1).integers(0, 2, weight.shape).astype(bool)
    y_true[unknown, 2:] = 0
    squared = 0.5 * np.mean((5 * y_true[..., 2:] - y_pred[..., :-1]) ** 2, axis=-1)
    squared[unknown & foreground] = 0  # in the background a flow of 0 is known
    logit = y_pred[..., -1].astype(float)
    entropy = np.log1p(np.exp(logit)) - logit * foreground
    expected = np.mean((squared + entropy)[weight])
    assert float(flowseg.flow_loss(y_true, y_pred)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.backends
@pytest.mark.parametrize("shape", [(2, 6, 7), (2, 3, 6, 7)])
def test_boundary_loss_is_that_of_the_formula(shape):
    rng = np.random.default_rng(0)
    classes, weight = rng.integers(0, 3, shape), rng.integers(0, 2, shape).astype(bool)
    y_true = np.concatenate([weight[..., None], np.eye(3)[classes]], axis=-1).astype(np.float32)
    y_pred = rng.normal(0, 3, (*shape, 3)).astype(np.float32)
    log_p = y_pred - np.log(np.exp(y_pred).sum(axis=-1, keepdims=True))
    entropy = -np.take_along_axis(log_p, classes[..., None], -1)[..., 0]
    expected = np.mean((np.array([1, 1, 10])[classes] * entropy)[weight])
    assert float(flowseg.boundary_loss(y_true, y_pred)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [flowseg.flow_loss, flowseg.boundary_loss])
def test_ignored_pixels_do_not_count(loss):
    y_true, y_pred = random_flow_case(2)
    y_true, y_pred = y_true[..., :4], y_pred[..., :3]
    changed = np.where(y_true[..., :1] == 0, 100, y_pred).astype(np.float32)
    assert float(loss(y_true, changed)) == float(loss(y_true, y_pred))
    assert float(loss(y_true * 0, y_pred)) == 0


def test_large_logits_do_not_overflow():
    y_true = np.zeros((1, 1, 2, 4), np.float32)
    y_true[..., 0] = 1
    y_true[0, 0, 0, 1] = 1
    y_pred = np.zeros((1, 1, 2, 3), np.float32)
    y_pred[0, 0, :, 2] = (1e4, -1e4)
    assert float(flowseg.flow_loss(y_true, y_pred)) == 0
    assert float(flowseg.flow_loss(y_true, -y_pred)) == pytest.approx(1e4)


@pytest.mark.parametrize("loss", [flowseg.flow_loss, flowseg.boundary_loss])
def test_half_precision_holds_the_sum_over_a_batch(loss):
    true = np.ones((8, 128, 128, 4), np.float32)
    found = np.zeros((8, 128, 128, 3), np.float16)
    assert float(loss(true, found)) == pytest.approx(float(loss(true, found.astype(np.float32))), rel=1e-6)


def test_no_squashing_anywhere():
    # The perfect prediction has negative components: its loss is that of the foreground alone.
    _, masks = flowseg.synthetic.cells((64, 64), 5, rng=0)
    flows = np.moveaxis(flowseg.masks_to_flows(masks), 0, -1)[None]
    inside = (masks > 0)[None, ..., None].astype(np.float32)
    y_true = np.concatenate([np.ones_like(inside), inside, flows], axis=-1)
    y_pred = np.concatenate([5 * flows, 40 * inside - 20], axis=-1).astype(np.float32)
    assert float(flowseg.flow_loss(y_true, y_pred)) < 1e-6
    clipped = np.concatenate([5 * np.maximum(flows, 0), y_pred[..., 2:]], axis=-1)
    assert float(flowseg.flow_loss(y_true, clipped)) > 1
