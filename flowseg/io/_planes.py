"""The planes of a stack that outlines lie in."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from flowseg import _checks


class Plane(NamedTuple):
    """Numbers of a plane, a time and a channel, the first is 0; None is every one."""

    z: int | None = None
    t: int | None = None
    channel: int | None = None


def as_plane(z: int | None, t: int | None, channel: int | None) -> Plane:
    """Return the plane that the arguments select."""
    given = {"z": z, "t": t, "channel": channel}
    return Plane(**{name: _checks.as_integer(v, name, minimum=0, none="of one only") for name, v in given.items()})


def lie_in_plane(planes: Sequence[Plane], wanted: Plane, path: Path, stacklevel: int = 2) -> list[bool]:
    """Return for each outline whether it lies in the wanted plane.

    Raise ValueError if outlines lie in several planes and none is wanted.
    """
    chosen = [True] * len(planes)
    for name in Plane._fields:
        here = [getattr(plane, name) for plane in planes]
        there = sorted({number for number in here if number is not None})
        number = getattr(wanted, name)
        if number is None and len(there) > 1:
            raise ValueError(f"{name} must be given for {path}, whose outlines lie in {name} {_list(there)}; got None.")
        if number is not None:
            chosen = [so_far and value in (None, number) for so_far, value in zip(chosen, here, strict=True)]
    if planes and not any(chosen):
        wanted_words = ", ".join(f"{name} {number}" for name, number in wanted._asdict().items() if number is not None)
        warnings.warn(f"No outline in {path} lies in {wanted_words}: the masks are empty.", stacklevel=stacklevel + 1)
    return chosen


def _list(numbers: Iterable[int]) -> str:
    found = list(numbers)
    return ", ".join(map(str, found[:10])) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
