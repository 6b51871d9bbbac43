import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from cli_tools import start

import flowseg
from flowseg import synthetic
from flowseg._system.parallel import run_parts, split_by_cost, split_range


def test_parts_hold_everything_once_and_the_most_costly_first():
    costs = np.random.default_rng(0).exponential(size=200)
    parts = split_by_cost(costs, 16)
    assert len(parts) <= 16
    assert sorted(np.concatenate(parts)) == list(range(200))
    assert all(np.all(np.diff(part) == 1) for part in parts)
    assert np.all(np.diff([costs[part].sum() for part in parts]) <= 0)
    assert max(costs[part].sum() for part in parts) <= costs.sum() / 16 + costs.max()
    assert split_by_cost(np.zeros(0), 4) == []
    assert [part.tolist() for part in split_by_cost(np.array([5.0]), 4)] == [[0]]
    assert split_range(5, 2) == [(0, 2), (2, 4), (4, 5)]


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_errors_and_want_of_memory_arrive(seconds):
    def fail(part, stop):
        raise RuntimeError(f"part {part}")

    with pytest.raises(RuntimeError, match="part 1"):
        run_parts(fail, [1, 2], 2, seconds=seconds)
    with pytest.raises(MemoryError, match="not enough memory"):
        run_parts(lambda part, stop: -1, [1], 1, seconds=seconds)


def test_an_interruption_while_parts_are_handed_out_stops_those_that_run():
    started, stopped = threading.Event(), []

    def wait(part, stop):
        started.set()
        while not stop[0]:
            time.sleep(0.001)
        stopped.append(part)
        return 0

    class Parts(list):
        def __iter__(self):
            yield 1
            started.wait()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_parts(wait, Parts([1, 2]), 2, seconds=1.0)
    assert stopped == [1]


def work(seed):
    _, masks = synthetic.cells((128, 128), 12, rng=seed)
    flows = flowseg.masks_to_flows(masks, workers=2)
    return flowseg.flows_to_masks(flows, np.where(masks > 0, 5.0, -5.0), workers=2)


def test_many_threads_may_call_at_once():
    expected = [work(seed) for seed in range(6)]
    found = [None] * 6

    def call(seed):
        found[seed] = work(seed)

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_worker_processes(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    expected = work(0)  # threads have run before the fork
    with multiprocessing.get_context(method).Pool(2) as pool:
        for found in pool.map(work, [0, 0]):
            assert np.array_equal(found, expected)


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("task", ["masks_to_flows", "follow_flows"])
def test_ctrl_c_returns_at_once(task, workers):
    # One object of 4 million pixels: minutes of work in one call of the kernel.
    code = f"""
import numpy as np, flowseg, sys
masks = np.ones((2000, 2000), int)
flows = np.zeros((2, 2000, 2000), np.float32)
print("ready", flush=True)
try:
    if "{task}" == "masks_to_flows":
        flowseg.masks_to_flows(masks, n_iter=10**6, workers={workers})
    else:
        flowseg.follow_flows(flows, masks, n_iter=10**5, workers={workers})
except KeyboardInterrupt:
    sys.exit(7)
"""
    process = start([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(timeout=20) == 7
        assert time.monotonic() - began < 5  # a second on an idle machine
    finally:
        process.kill()
