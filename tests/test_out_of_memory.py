"""Every allocation of an array may fail: the function raises an error and changes nothing else."""

import importlib
import threading

import numpy as np
import pytest

import flowseg
from flowseg import metrics, synthetic

MODULES = [
    "_checks.arrays",
    "_checks.values",
    "_flows.basins",
    "_flows.joining",
    "_flows.cleanup",
    "_flows.decoding",
    "_flows.flow_check",
    "_flows.following",
    "_flows.targets",
    "_labels.components",
    "_labels.from_rgb",
    "_labels.holes",
    "_labels.numbering",
    "_labels.overlaps",
    "_system.parallel",
    "_system.threads",
    "metrics._jaccard",
    "metrics._matching",
    "metrics._precision",
    "metrics._splits_merges",
]
# Functions that make an array of the size of an image, of its objects or of their pairs.
MAKERS = [
    "arange",
    "argsort",
    "array",
    "ascontiguousarray",
    "bincount",
    "concatenate",
    "cumsum",
    "divmod",
    "empty",
    "flatnonzero",
    "full",
    "lexsort",
    "negative",
    "nonzero",
    "ones",
    "ravel_multi_index",
    "require",
    "rint",
    "searchsorted",
    "sort",
    "stack",
    "unique",
    "where",
    "zeros",
]
SENTENCE = "Unable to allocate 1.00 TiB for an array"


class ScarceNumpy:
    """NumPy, but for the n-th array from now on."""

    def __init__(self):
        self.made, self.fails = 0, 0
        self.lock = threading.Lock()

    def __getattr__(self, name):
        value = getattr(np, name)
        if name not in MAKERS:
            return value

        def make(*arguments, **options):
            with self.lock:
                self.made += 1
                number = self.made
            if number == self.fails:
                raise MemoryError(SENTENCE)
            return value(*arguments, **options)

        return make


@pytest.fixture
def scarce(monkeypatch):
    numpy = ScarceNumpy()
    for name in MODULES:
        monkeypatch.setattr(importlib.import_module(f"flowseg.{name}"), "np", numpy)
    monkeypatch.setattr("flowseg._system.parallel.SMALL", 0.0)  # with threads, however small
    monkeypatch.setattr("flowseg._system.threads.LONG", 0.0)
    return numpy


@pytest.fixture(scope="module")
def inputs():
    _, masks = synthetic.cells((60, 64), 8, rng=1)
    masks[5:9, 5:9] = 1  # a label in two components, maybe over others
    flows = flowseg.masks_to_flows(masks)
    noisy = flows + np.random.default_rng(0).normal(0, 0.5, flows.shape).astype(np.float32)
    return {"masks": masks, "noisy": noisy, "cellprob": np.where(masks > 0, 5.0, -5.0)}


CALLS = {
    "masks_to_flows": lambda a: flowseg.masks_to_flows(a["masks"], workers=2),
    "flow_errors": lambda a: flowseg.flow_errors(a["masks"], a["noisy"], workers=2),
    "flows_to_masks": lambda a: flowseg.flows_to_masks(a["noisy"], a["cellprob"], workers=2),
    "flows_to_masks, steps": lambda a: flowseg.flows_to_masks(a["noisy"], a["cellprob"], n_iter=30, workers=2),
    "follow_flows": lambda a: flowseg.follow_flows(a["noisy"], a["masks"], workers=2),
    "fill_holes": lambda a: flowseg.fill_holes(a["masks"]),
    "match": lambda a: metrics.match(a["masks"], np.roll(a["masks"], 3), threshold=0.1).iou,
}


@pytest.mark.parametrize("name", CALLS)
def test_any_allocation_may_fail_in_numpy(name, inputs, scarce):
    call = CALLS[name]
    before = {key: value.copy() for key, value in inputs.items()}
    right = call(inputs)
    n, n_threads = scarce.made, threading.active_count()
    assert n >= 4
    for k in range(1, n + 1):
        scarce.made, scarce.fails = 0, k
        with pytest.raises(MemoryError, match=SENTENCE):
            call(inputs)
        scarce.fails = 0
        assert threading.active_count() <= n_threads, k
        assert np.array_equal(call(inputs), right), k
    assert all(np.array_equal(value, inputs[key]) for key, value in before.items())
