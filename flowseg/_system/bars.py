"""Progress bars on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

# Columns and rows of a terminal that does not report its size, as in containers.
UNKNOWN_SIZE = 80, 24


def bar(
    iterable: Iterable[Any] | None = None,
    description: str = "",
    *,
    total: int | None = None,
    initial: int = 0,
    unit: str = "it",
    leave: bool = False,
) -> Any:
    """Return a tqdm bar on standard error; it shows nothing where that is no terminal."""
    columns, rows = _size()
    return tqdm(
        iterable, description, total, leave, initial=initial, unit=unit, disable=None, ncols=columns, nrows=rows
    )


def _size() -> tuple[int, int] | tuple[None, None]:
    """Return columns and rows of the terminal; None to let tqdm find them out, which it does unless they are 0."""
    try:
        known = os.get_terminal_size(sys.stderr.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return None, None
    return (None, None) if known else UNKNOWN_SIZE
