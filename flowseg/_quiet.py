"""Keep TensorFlow's start-up chatter off the command line."""

from __future__ import annotations

import os
import sys


def hush_native_libraries() -> None:
    """Drop what native libraries write to standard error; what Python writes there still comes through.

    TensorFlow's libraries announce themselves before any setting of theirs takes effect. Who sets
    TF_CPP_MIN_LOG_LEVEL wants to see their messages, and does.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        own = os.dup(2)
    except OSError:  # there is no standard error
        return
    sys.stderr = os.fdopen(own, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
