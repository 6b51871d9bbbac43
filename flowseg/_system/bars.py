"""Bars that show on a terminal how far work is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

# Columns and rows of a terminal that does not say how large it is, as those of containers do not.
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
    """A tqdm bar on standard error; where that is no terminal it shows nothing."""
    columns, rows = _size()
    return tqdm(
        iterable, description, total, leave, initial=initial, unit=unit, disable=None, ncols=columns, nrows=rows
    )


def _size() -> tuple[int, int] | tuple[None, None]:
    """Columns and rows of the terminal; None where tqdm finds them out, which takes a size of 0 for no room."""
    try:
        known = os.get_terminal_size(sys.stderr.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return None, None
    return (None, None) if known else UNKNOWN_SIZE
