"""Threads whose work can be canceled: nobody waits for it any more, and its parts end by themselves.

Python raises KeyboardInterrupt in the main thread, and only between two steps of the interpreter. So long work runs in
other threads, and the waiting thread wakes at once. Kernels check a flag; everything else goes on until it next starts
threads or calls `check_canceled`.
"""

from __future__ import annotations

import atexit
import contextvars
import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, wait
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

# The flag that kernels check: an array of one number that is not 0 once their work is canceled.
Interrupt = NDArray[np.int32]

# Seconds to wait for canceled threads: kernels need milliseconds, a sort of NumPy may need more.
GRACE = 0.1

# Seconds between two checks for Ctrl-C while waiting, where a wait cannot be interrupted.
POLL = 0.1 if os.name == "nt" else None

# Estimated seconds from which on work is kept out of the main thread.
LONG = 0.1


class Canceled(BaseException):
    """Ends a thread whose work has been canceled."""


class Flag:
    """Whether work has been canceled; parts of it have flags of their own, which are set with this one."""

    def __init__(self, parent: Flag | None = None) -> None:
        self.interrupt: Interrupt = np.zeros(1, dtype=np.int32)
        self._parts: list[Flag] = []
        self._lock = threading.Lock()
        if parent is not None:
            parent._add(self)

    def _add(self, part: Flag) -> None:
        with self._lock:
            self._parts.append(part)
            part.interrupt[0] = self.interrupt[0]

    def remove(self, part: Flag) -> None:
        """Forget a part that has ended."""
        with self._lock:
            self._parts.remove(part)

    def set(self) -> None:
        """Cancel the work and its parts."""
        with self._lock:
            self.interrupt[0] = 1
            parts = list(self._parts)
        for part in parts:
            part.set()


_FLAG: contextvars.ContextVar[Flag | None] = contextvars.ContextVar("flag", default=None)


def check_canceled() -> None:
    """Raise Canceled in a thread whose work has been canceled; long loops over small work call this."""
    flag = _FLAG.get()
    if flag is not None and flag.interrupt[0]:
        raise Canceled


def interrupt_here() -> Interrupt:
    """Return the flag that kernels of this thread check; where nobody can cancel, a number that stays 0."""
    flag = _FLAG.get()
    return Flag().interrupt if flag is None else flag.interrupt


class Threads:
    """A few threads for the parts of one task: ``with Threads(4) as threads: threads.submit(function, argument)``.

    The end of the block waits for all that was submitted. An exception that leaves the block, as Ctrl-C does, cancels
    it: ``flag.interrupt`` is set, which makes kernels return, work that has not begun never does, and the block ends
    after `GRACE` seconds at the latest. Only Python itself does not end before its threads. Where the system starts no
    more threads, those that run do the work, or else the caller.

    Parameters
    ----------
    most : int
        Threads at most; they start when work is submitted.
    """

    def __init__(self, most: int) -> None:
        check_canceled()
        self._parent = _FLAG.get()
        self.flag = Flag(self._parent)
        self._most = most
        self._threads: list[threading.Thread] = []
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def __enter__(self) -> Threads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                self.cancel()
            for _ in self._threads:
                self._queue.put(None)
            self._join(None if kind is None else GRACE)
            for thread in self._threads:
                if thread.is_alive():  # Python that ends around a thread within C++, as much of NumPy is, is aborted
                    atexit.register(thread.join)
        except BaseException:
            self.cancel()
            raise
        finally:
            if self._parent is not None:
                self._parent.remove(self.flag)

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Call a function in one of the threads."""
        future: Future[T] = Future()
        context = contextvars.copy_context()

        def work() -> None:
            if self.flag.interrupt[0]:
                future.cancel()
            if future.set_running_or_notify_cancel():  # wakes those who wait for a canceled one
                context.run(_FLAG.set, self.flag)
                try:
                    result = context.run(function, *args)
                except BaseException as error:  # noqa: BLE001 (it is raised with the result)
                    below = error.__traceback__ and error.__traceback__.tb_next  # this frame would hold the future
                    future.set_exception(error.with_traceback(below))
                else:
                    future.set_result(result)

        if len(self._threads) < self._most:
            self._start()
        if self._threads:
            self._queue.put(work)
        else:
            work()
            error = None if future.cancelled() else future.exception()
            if error is not None and not isinstance(error, Exception):  # Ctrl-C, in the thread that it is for
                raise error
        return future

    def _start(self) -> None:
        thread = threading.Thread(target=_work_off, args=(self._queue,), daemon=True)
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError:  # no more threads: those that run do the work
            self._threads.remove(thread)
            self._most = len(self._threads)

    def cancel(self) -> None:
        """Ask running work to end, and begin nothing more."""
        self.flag.set()
        for _ in self._threads:
            self._queue.put(None)

    def _join(self, seconds: float | None) -> None:
        end = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            while thread.is_alive() and (end is None or time.monotonic() < end):
                thread.join(POLL if end is None else max(end - time.monotonic(), 0.0))


def _work_off(queue: SimpleQueue[Callable[[], None] | None]) -> None:
    while (work := queue.get()) is not None:
        work()
        del work


def results_of(futures: list[Future[T]]) -> list[T]:
    """Wait until all are done or one has failed, and return their results in order; empty the list.

    Raises
    ------
    Canceled
        If the work of this thread has been canceled.
    """
    try:
        left = set(futures)
        while left:
            done, left = wait(left, timeout=POLL, return_when=FIRST_EXCEPTION)
            if any(future.cancelled() or future.exception() for future in done):
                break
        return [future.result() for future in futures]
    except CancelledError:
        raise Canceled from None
    finally:
        futures.clear()  # an error's traceback holds this frame, and so the results


def size_of(values: Any) -> int:
    """Return the number of elements of an array; 1 for a scalar, 0 where the shape is unknown."""
    shape = getattr(values, "shape", ())
    return math.prod(shape) if isinstance(shape, tuple) and all(isinstance(n, int) for n in shape) else 0


def interruptibly(function: Callable[..., T], *args: Any, seconds: float) -> T:
    """Call a function so that Ctrl-C ends the call within a second, however long its own steps are.

    ``seconds`` is an estimate of its time. Where that is long, the main thread waits while another one works, which
    nobody waits for after Ctrl-C.
    """
    if seconds < LONG or threading.current_thread() is not threading.main_thread():
        return function(*args)
    with Threads(1) as threads:
        return results_of([threads.submit(function, *args)])[0]
