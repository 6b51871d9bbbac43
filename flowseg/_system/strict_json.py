"""JSON of our own files, read strictly: no name twice, no number that is none, nothing nested without end."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import Any

# Levels of lists and objects in one another, at most; the documents of flowseg have five, a model card may have more.
MOST_LEVELS = 32
# Characters of what was found that a sentence quotes, and of a whole sentence.
MOST_QUOTED, MOST_SAID = 40, 400


def read_strictly(text: str, *, open_ended: Collection[str] = ()) -> Any:
    """The document in a text; ValueError says in a few words what is wrong with it.

    Parameters
    ----------
    text : str
        JSON.
    open_ended : collection of str
        Names in the outermost object whose values may hold NaN and infinity: losses of a training that diverged.

    Raises
    ------
    ValueError
        If it is no JSON, or has a name twice in one object, NaN, infinity, a number too large for a float or more than
        `MOST_LEVELS` levels.
    """
    try:
        document = json.loads(text, object_pairs_hook=_as_object)
    except RecursionError:
        raise ValueError(f"lists and objects nested more than {MOST_LEVELS} deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"what is no JSON: {error}") from None
    if isinstance(document, dict):
        for name, value in document.items():
            _check(value, 2, finite=name not in open_ended)
    else:
        _check(document, 1, finite=True)
    return document


def quote(text: str) -> str:
    """The text in quotes, shortened."""
    return repr(text if len(text) <= MOST_QUOTED else text[:MOST_QUOTED] + "...")


def shorten(error: Exception) -> str:
    """What an error says, on one line that can be read."""
    said = " ".join(str(error).split())
    return said if len(said) <= MOST_SAID else said[:MOST_SAID] + " ..."


def _as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {quote(twice)} more than once")
    return document


def _check(value: Any, level: int, *, finite: bool) -> None:
    """Raise ValueError where a value, or one in it, is nothing that flowseg writes."""
    if level > MOST_LEVELS:
        raise ValueError(f"lists and objects nested more than {MOST_LEVELS} deep")
    if isinstance(value, float):
        if finite and not math.isfinite(value):
            raise ValueError(f"the number {value}")
    elif isinstance(value, int):
        _check_integer(value)
    elif isinstance(value, dict):
        for item in value.values():
            _check(item, level + 1, finite=finite)
    elif isinstance(value, list):
        for item in value:
            _check(item, level + 1, finite=finite)


def _check_integer(value: int) -> None:
    try:
        float(value)
    except OverflowError:
        raise ValueError("a number too large for one") from None
