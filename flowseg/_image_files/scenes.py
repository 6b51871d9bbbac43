"""Files that hold several scenes (Zeiss), positions (Nikon), series (Leica) or images (OME): which one to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowseg import _checks

# Scenes that one sentence names.
NAMED = 8


def choose_scene(names: Sequence[str], scene: int | str | None, path: Path) -> int:
    """Number of the scene to read; raise ValueError when it is not said which, or there is no such one."""
    said = ", ".join(repr(name) for name in names[:NAMED]) + ("" if len(names) <= NAMED else ", ...")
    if scene is None:
        if len(names) > 1:
            raise ValueError(f"scene must say which image of {path} to read, a name or a number; it holds {said}.")
        return 0
    if isinstance(scene, str):
        if list(names).count(scene) == 1:
            return list(names).index(scene)
    elif _checks.as_integer(scene, "scene", minimum=0) < len(names):
        return int(scene)
    raise ValueError(f"scene must be below {len(names)} or a name that one scene of {path} has, {said}; got {scene!r}.")
