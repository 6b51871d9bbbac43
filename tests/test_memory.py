"""What the kernels read beyond their arrays, and what becomes of a want of memory: in a build that checks memory."""

import numpy as np
import pytest

import flowseg
from flowseg import _diffusion, synthetic

pytestmark = pytest.mark.skipif(
    not _diffusion.checks_memory(), reason="the kernels are not built with FLOWSEG_CHECKED_MEMORY=1"
)

# NaN, -1 and 255; a number of steps to the center; a label; the largest numbers.
POISONS = (0xFF, 0x00, 0x01, 0x7F)


@pytest.fixture(autouse=True)
def _no_memory_in_use():
    """After every test: no array is in_use or damaged, nothing fails any more."""
    before = _diffusion.count_allocations()
    yield
    _diffusion.fail_allocation(0)
    _diffusion.use_poison(0xFF)
    _, in_use, damaged = _diffusion.count_allocations()
    assert (in_use, damaged) == before[1:]


def noise(shape, density, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < density, rng.integers(1, 3, shape), 0)


def thin_ring():
    ring = np.ones((300, 200), int)
    ring[1:-1, 1:-1] = 0
    return ring


IMAGES = {
    "small objects": lambda: noise((90, 96), 0.3),
    "small objects of a volume": lambda: noise((20, 22, 24), 0.09),
    "strips": lambda: np.kron(np.arange(1, 17).reshape(4, 4), np.ones((16, 16), int)),
    "one large object": lambda: np.ones((120, 128), int),
    "a volume": lambda: np.ones((12, 16, 24), int),
    "a ring": thin_ring,
    "cells": lambda: synthetic.cells((128, 128), 20, rng=0)[1],
}


@pytest.mark.parametrize("image", IMAGES)
def test_results_do_not_depend_on_uninitialized_memory(image):
    masks = IMAGES[image]()
    noisy = np.random.default_rng(1).normal(0, 0.3, (masks.ndim, *masks.shape)).astype(np.float32)
    cellprob = np.where(masks > 0, 5.0, -5.0)
    results = []
    for byte in POISONS:
        _diffusion.use_poison(byte)
        flows = flowseg.masks_to_flows(masks)
        found = flowseg.flows_to_masks(flows + noisy, cellprob, min_size=0)
        results.append((flows, flowseg.flow_errors(masks, noisy), found))
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def expected_results(masks, noisy):
    """What every function that reaches the kernels' memory gives."""
    flows = flowseg.masks_to_flows(masks)
    cellprob = np.where(masks > 0, 5.0, -5.0)
    return {
        "masks_to_flows": (lambda: flowseg.masks_to_flows(masks, workers=2), flows),
        "flow_errors": (lambda: flowseg.flow_errors(masks, noisy, workers=2), flowseg.flow_errors(masks, noisy)),
        "flows_to_masks": (
            lambda: flowseg.flows_to_masks(flows, cellprob, min_size=1, workers=2),
            flowseg.flows_to_masks(flows, cellprob, min_size=1),
        ),
    }


@pytest.mark.parametrize("lasting", [False, True], ids=["one", "and all later ones"])
@pytest.mark.parametrize("image", ["small objects of a volume", "a ring", "cells"])
def test_any_allocation_may_fail(image, lasting):
    masks = np.pad(IMAGES[image]()[:20, :60], 1)  # objects at the border are not checked
    noisy = np.random.default_rng(1).normal(0, 0.3, (masks.ndim, *masks.shape)).astype(np.float32)
    for name, (call, right) in expected_results(masks, noisy).items():
        before = _diffusion.count_allocations()
        call()
        n = _diffusion.count_allocations()[0] - before[0]
        assert n >= 9, name
        for k in {*range(1, min(n, 60) + 1), *np.linspace(1, n, 40).astype(int).tolist()}:
            _diffusion.fail_allocation(k, lasting)
            with pytest.raises(MemoryError, match="there is not enough memory for the flows of the largest object"):
                call()
            _diffusion.fail_allocation(0)
            assert _diffusion.count_allocations()[1:] == before[1:], (name, k)
            assert np.array_equal(call(), right), (name, k)
