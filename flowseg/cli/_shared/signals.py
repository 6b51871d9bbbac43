"""Signals that end a command: it cleans up, prints a line, and exits with the status that shells expect.

A signal that is ignored when the command starts (``nohup``, a background job of a script) stays ignored.
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

from flowseg._system.interrupts import ENDING

# Exit status after a signal: this plus the signal's number, as in shells.
AFTER_SIGNAL = 128
INTERRUPTED = AFTER_SIGNAL + signal.SIGINT


@contextmanager
def cleaning_up() -> Iterator[list[int]]:
    """Let signals that would end the process interrupt the block as Ctrl-C does; yields a list of those received."""
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt

    # SIGINT is not among them: Python has a handler for it.
    caught = [number for number in ENDING if signal.getsignal(number) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():  # only this one gets signals
        caught = []
    for number in caught:
        signal.signal(number, stop)
    try:
        yield received
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def describe_interruption(received: list[int]) -> str:
    """Return a sentence about the interruption."""
    return f"interrupted by {signal.Signals(received[0]).name}" if received else "interrupted"


def exit_process(received: list[int]) -> NoReturn:
    """End the process now: threads are still at work, and Python and Keras take seconds to free memory."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    end_at_once(AFTER_SIGNAL + received[0] if received else INTERRUPTED)


def end_at_once(status: int) -> NoReturn:
    """End the process without another line of Python."""
    os._exit(status)
