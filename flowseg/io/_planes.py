"""Which plane of a stack an outline lies in."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from flowseg import _checks


class Plane(NamedTuple):
    """Numbers from 0; None is every one."""

    z: int | None = None
    t: int | None = None
    channel: int | None = None


def as_plane(z: int | None, t: int | None, channel: int | None) -> Plane:
    """The plane that is asked for, checked."""
    said = {"z": z, "t": t, "channel": channel}
    return Plane(**{name: _checks.as_integer(v, name, minimum=0, none="of one only") for name, v in said.items()})


def choose(planes: Sequence[Plane], wanted: Plane, path: Path, stacklevel: int = 2) -> list[bool]:
    """For each outline whether it lies in the plane that is wanted.

    Raise ValueError if outlines lie in several and nobody says which is wanted.
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
        asked = ", ".join(f"{name} {number}" for name, number in wanted._asdict().items() if number is not None)
        warnings.warn(f"No outline in {path} lies in {asked}: the masks are empty.", stacklevel=stacklevel + 1)
    return chosen


def _list(numbers: Iterable[int]) -> str:
    found = list(numbers)
    return ", ".join(map(str, found[:10])) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
