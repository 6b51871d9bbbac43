"""JSON of our own files, read strictly: no name twice, every number finite, few levels."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Collection
from typing import Any

# Levels of lists and objects in one another, at most; the documents of flowseg have five, a model card may have more.
MOST_LEVELS = 32
TOO_DEEP = f"lists and objects nested more than {MOST_LEVELS} deep"
# Characters of a name that a sentence quotes.
MOST_QUOTED = 40
# The largest number that a float holds.
LARGEST = int(sys.float_info.max)


def _invalid_text(found: str) -> ValueError:
    return ValueError(f"text must be JSON as flowseg writes it; got {found}.")


def read_strictly(
    text: str, invalid: Callable[[str], Exception] = _invalid_text, *, open_ended: Collection[str] = ()
) -> Any:
    """Return the document in a text.

    Parameters
    ----------
    text : str
        JSON.
    invalid : callable
        Makes the error to raise from a noun phrase, which names the finding.
    open_ended : collection of str
        Names in the outermost object whose values may hold NaN and infinity: losses of a training that diverged.

    Raises
    ------
    Exception
        As ``invalid`` makes it, if the text is no JSON, or has a name twice in one object, NaN, infinity, a number too
        large for a float or more than `MOST_LEVELS` levels.
    """

    def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(pairs)
        if len(document) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise invalid(f"the name {quote(twice)} more than once")
        return document

    try:
        document = json.loads(text, object_pairs_hook=as_object)
    except RecursionError:
        raise invalid(TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise invalid(f"text that is no JSON: {error}") from None
    values = document.items() if isinstance(document, dict) else [("", document)]
    for name, value in values:
        found = _find_fault(value, 2 if isinstance(document, dict) else 1, finite=name not in open_ended)
        if found:
            raise invalid(found)
    return document


def quote(text: str) -> str:
    """Return the text in quotes, shortened."""
    return repr(text if len(text) <= MOST_QUOTED else text[:MOST_QUOTED] + "...")


def _find_fault(value: Any, level: int, *, finite: bool) -> str | None:
    """Return the first thing in a value that flowseg never writes; None if there is none."""
    if level > MOST_LEVELS:
        return TOO_DEEP
    if isinstance(value, float):
        return f"the number {value}" if finite and not math.isfinite(value) else None
    if isinstance(value, int):
        return "a number too large for one" if abs(value) > LARGEST else None
    items: Collection[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    faults = (_find_fault(item, level + 1, finite=finite) for item in items)
    return next((fault for fault in faults if fault), None)
