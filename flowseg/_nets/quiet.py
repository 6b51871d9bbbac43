"""Keep TensorFlow's start-up chatter off the command line."""

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

# Whose import is noisy.
NOISY = "tensorflow"
LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# What tells the keeper of the messages that nothing went wrong.
FINE = b"\0fine"


def hush_native_libraries() -> None:
    """Drop what native libraries write to standard error while TensorFlow is imported.

    They announce themselves before any setting of theirs takes effect. If the import fails, or ends the process, what
    they wrote is shown. Who sets TF_CPP_MIN_LOG_LEVEL to 0 wants to see their messages, and does.
    """
    if os.environ.setdefault(LEVEL, "3") == "0" or NOISY in sys.modules or not hasattr(os, "fork"):
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the noisy module as ever, and has it loaded quietly."""

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
    """Let another process keep what is written to file descriptor 2; it shows this unless all goes well.

    That process outlives this one: the last words of a library that aborts are not lost.
    """
    try:
        own = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, of which the keeper needs none
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
    """Read until all is well or nobody writes any more; never returns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.close(writing)
        os.close(2)
        said = b""
        while more := os.read(reading, 1 << 16):
            said += more
            if said.endswith(FINE):
                return
        os.write(terminal, said)
    finally:
        os._exit(0)
