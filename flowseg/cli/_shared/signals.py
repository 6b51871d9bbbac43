"""What signals do to a command: it clears up, says so, and ends with the status that a shell expects.

A signal that is ignored when the command starts (``nohup``, a background job of a script) stays ignored, as everywhere.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

# Exit status after a signal, as shells have it, is this and the signal's number.
AFTER_SIGNAL = 128
INTERRUPTED = AFTER_SIGNAL + signal.SIGINT
# Signals that end a process at once unless it takes care: of job managers and of terminals that are closed.
OTHERS = ("SIGTERM", "SIGHUP")


@contextmanager
def clearing_up() -> Iterator[list[int]]:
    """Let the signals that would end the process at once interrupt the block as Ctrl-C does; gives those that came."""
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in OTHERS if hasattr(signal, name)]
    caught = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        caught = []
    for number in caught:
        signal.signal(number, stop)
    try:
        yield received
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def say_interruption(received: list[int]) -> str:
    """What came in between."""
    return f"interrupted by {signal.Signals(received[0]).name}" if received else "interrupted"


def leave(received: list[int]) -> NoReturn:
    """End the process now: threads are in the middle of work, and Python and Keras take seconds to clear up memory."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    end_at_once(AFTER_SIGNAL + received[0] if received else INTERRUPTED)


def end_at_once(status: int) -> NoReturn:
    """End the process without another line of Python."""
    os._exit(status)
