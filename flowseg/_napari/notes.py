"""What goes wrong, as a notification of the viewer in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari.utils.notifications import show_error

from flowseg._system.printable import one_line, shown


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show the errors that a user or the machine makes; those of ours go napari's way, with a traceback."""
    try:
        yield
    except (ValueError, TypeError, OSError, MemoryError, ImportError) as error:
        show_error(shown(one_line(str(error))) or type(error).__name__)
