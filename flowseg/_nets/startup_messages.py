"""Suppress the messages that native libraries write while TensorFlow is imported."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# The module whose import writes messages.
NOISY = "tensorflow"
LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Ends the messages where nothing went wrong: they are dropped.
FINE = b"\0fine"


def suppress_startup_messages() -> None:
    """Drop what native libraries write to standard error while TensorFlow is imported.

    They write before any of their settings takes effect. If the import fails, or ends the process, the messages are
    shown. They are always shown if TF_CPP_MIN_LOG_LEVEL is 0.
    """
    if os.environ.setdefault(LEVEL, "3") == "0" or NOISY in sys.modules or not hasattr(os, "fork"):
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the module in the usual way, and loads it without its messages."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if name != NOISY:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_quietly(module: ModuleType) -> None:
                with _messages_kept():
                    load(module)

            spec.loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


@contextmanager
def _messages_kept() -> Iterator[None]:
    """Send what is written to file descriptor 2 to a child process, which shows it if the import fails.

    The child outlives this process, so that the last message of a library that aborts is shown.
    """
    try:
        own = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about forking with threads, which the child does not use
        keeper = os.fork()
    if keeper == 0:
        _keep(reading, writing, own)
    os.close(reading)
    python_writes: Any = sys.stderr
    if python_writes is sys.__stderr__:
        sys.stderr = os.fdopen(os.dup(own), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
        os.write(2, FINE)
    finally:
        if sys.stderr is not python_writes:
            for handler in logging.getLogger(NOISY).handlers:  # made during the import, with this stream
                if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
                    handler.setStream(python_writes)
            sys.stderr.close()
            sys.stderr = python_writes
        os.dup2(own, 2)
        os.close(own)
        os.waitpid(keeper, 0)


def _keep(reading: int, writing: int, terminal: int) -> None:
    """Read messages until FINE or the end of the pipe, then show or drop them; never returns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.close(writing)
        os.close(2)
        messages = b""
        while more := os.read(reading, 1 << 16):
            messages += more
            if messages.endswith(FINE):
                return
        os.write(terminal, messages)
    finally:
        os._exit(0)
