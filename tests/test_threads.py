import contextvars
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import flowseg
from flowseg import synthetic
from flowseg._system.parallel import run_parts
from flowseg._system.threads import Canceled, Threads, check_canceled, interruptibly, results_of, size_of

# Seconds that an endless work lasts, and those within which it must have been left: much more than the promised one, for
# machines that are busy.
ENDLESS, AT_ONCE = 60.0, 10.0


@pytest.fixture
def endless():
    """A work that ends with the test only, as a long sort of NumPy would."""
    over = threading.Event()
    yield lambda *_: over.wait(ENDLESS)
    over.set()


def test_an_exception_leaves_work_behind_that_does_not_end(endless):
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Threads(2) as threads:  # noqa: PT012
        running, waiting = threads.submit(endless), [threads.submit(endless) for _ in range(3)]
        raise KeyboardInterrupt
    assert time.monotonic() - start < AT_ONCE
    assert not running.done()
    assert not any(future.running() for future in waiting[1:])  # they never begin


def test_results_come_in_order_and_errors_at_once(endless):
    with Threads(3) as threads:
        assert results_of([threads.submit(pow, k, 2) for k in range(50)]) == [k * k for k in range(50)]
    with pytest.raises(ZeroDivisionError), Threads(2) as threads:
        results_of([threads.submit(divmod, 1, 0), threads.submit(endless)])


def test_parts_are_canceled_with_their_task():
    log, inside = [], threading.Event()

    def kernel(part, stop):
        inside.set()
        while not stop[0]:
            time.sleep(0.001)
        return -2

    def work():
        try:
            run_parts(kernel, [1, 2], 2, seconds=1.0)
        except Canceled:
            log.append("canceled")
            raise

    with pytest.raises(KeyboardInterrupt), Threads(1) as threads:  # noqa: PT012
        threads.submit(work)
        inside.wait()
        raise KeyboardInterrupt
    assert log == ["canceled"]


def test_an_error_in_a_part_does_not_cancel_the_task():
    def part():
        with pytest.raises(MemoryError), Threads(1) as threads:
            results_of([threads.submit(np.empty, 1 << 55)])
        check_canceled()
        return "goes on"

    with Threads(1) as threads:
        assert results_of([threads.submit(part)]) == ["goes on"]


def test_loops_end_where_they_ask():
    begun = threading.Event()

    def loop():
        while True:
            begun.set()
            check_canceled()

    with pytest.raises(KeyboardInterrupt), Threads(1) as threads:  # noqa: PT012
        future = threads.submit(loop)
        begun.wait()
        raise KeyboardInterrupt
    assert isinstance(future.exception(), Canceled)


def test_context_goes_along():
    name = contextvars.ContextVar("name", default="none")
    name.set("outside")
    assert interruptibly(name.get, seconds=1.0) == "outside"
    if int(np.__version__.partition(".")[0]) >= 2:  # before, np.errstate belongs to a thread
        with np.errstate(all="raise"), pytest.raises(FloatingPointError):
            interruptibly(np.divide, 1.0, 0.0, seconds=1.0)


def test_sizes():
    assert [size_of(v) for v in (np.zeros((3, 4)), [[1, 2]], 5, np.zeros(()), None)] == [12, 1, 1, 1, 1]


@pytest.mark.parametrize("n_started", [0, 1])
def test_a_system_that_starts_no_thread(n_started, monkeypatch):
    _, masks = synthetic.cells((300, 300), 40, rng=0)
    flows, cellprob = flowseg.masks_to_flows(masks), np.where(masks > 0, 5.0, -5.0)
    expected = flowseg.flows_to_masks(flows, cellprob)
    start, started = threading.Thread.start, []

    def refuse(thread):
        if len(started) >= n_started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr("flowseg._system.parallel.SMALL", 0.0)
    monkeypatch.setattr("flowseg._system.threads.LONG", 0.0)
    assert np.array_equal(flowseg.masks_to_flows(masks, workers=4), flows)
    started.clear()
    assert np.array_equal(flowseg.flows_to_masks(flows, cellprob, workers=4), expected)
    started.clear()
    assert flowseg.metrics.match(masks, masks).f1 == 1
    with pytest.raises(ValueError, match="masks must be 2-D"):
        flowseg.masks_to_flows(masks[0])


CHILD = """
import os, signal, sys, threading, time
import numpy as np
import flowseg
from flowseg import metrics
from flowseg._flows import decoding, flow_check, following, targets
from flowseg._labels import holes, overlaps

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it by inheritance
masks = np.ones((2000, 2000), np.uint8)
flows = np.zeros((2, 2000, 2000), np.float32)
begun = threading.Event()


def endless(*_, **__):
    begun.set()
    time.sleep(60)


def interrupt():
    begun.wait()
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)


for module, step in ((targets, "find_components"), (flow_check, "find_components"), (decoding, "find_basins"),
                     (following, "find_endpoints"), (holes, "find_components"), (overlaps, "number_objects")):
    setattr(module, step, endless)
calls = {
    "masks_to_flows": lambda: flowseg.masks_to_flows(masks),
    "flow_errors": lambda: flowseg.flow_errors(masks, flows),
    "flows_to_masks": lambda: flowseg.flows_to_masks(flows, flows[0] + 1),
    "follow_flows": lambda: flowseg.follow_flows(flows, masks),
    "fill_holes": lambda: flowseg.fill_holes(masks),
    "match": lambda: metrics.match(masks, masks),
    "average_precision": lambda: metrics.average_precision([masks], [masks]),
    "average_precision_per_image": lambda: metrics.average_precision_per_image([masks], [masks]),
    "aggregated_jaccard": lambda: metrics.aggregated_jaccard(masks, masks),
    "splits_merges": lambda: metrics.splits_merges(masks, masks),
}
for name, call in calls.items():
    begun.clear()
    threading.Thread(target=interrupt, daemon=True).start()
    start = time.monotonic()
    try:
        call()
    except KeyboardInterrupt:
        print(name, time.monotonic() - start, flush=True)
os._exit(0)  # Python waits for its threads
"""

SORTING = """
import os, signal, threading, time
import numpy as np
from flowseg._system import threads

signal.signal(signal.SIGINT, signal.default_int_handler)
values = np.random.default_rng(0).integers(0, 1 << 40, 40_000)
threads.GRACE = 0.0  # leave at once


def work():
    while True:
        np.unique(values)
        threads.check_canceled()


try:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    threads.interruptibly(work, seconds=1.0)
except KeyboardInterrupt:
    print("left")
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
def test_ctrl_c_leaves_every_function_at_once():
    # A step that takes a minute stands for a sort of a large image.
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    seconds = {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}
    assert len(seconds) == 10
    assert max(seconds.values()) < AT_ONCE


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
def test_python_ends_well_while_numpy_still_works():
    # A thread that finds Python gone when it comes out of C++ ends the process by a signal.
    done = subprocess.run([sys.executable, "-c", SORTING], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "left\n"), done.stderr
