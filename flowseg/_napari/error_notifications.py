"""Errors as notifications of the viewer, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari.utils.notifications import show_error

from flowseg._system.printable import one_line, shown


@contextmanager
def showing_errors() -> Iterator[None]:
    """Show errors that the user or the machine causes; napari shows other errors, which are bugs, with a traceback."""
    try:
        yield
    except (ValueError, TypeError, OSError, MemoryError, ImportError) as error:
        show_error(shown(one_line(str(error))) or type(error).__name__)
