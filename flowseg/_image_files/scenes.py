"""The scene to read of a file that holds several: scenes (Zeiss), positions (Nikon), series (Leica), images (OME)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowseg import _checks

# Scenes that one sentence names.
NAMED = 8


def choose_scene(names: Sequence[str], scene: int | str | None, path: Path | str) -> int:
    """Return the number of the scene to read; raise ValueError if none is given of several, or there is no such one."""
    listed = ", ".join(repr(name) for name in names[:NAMED]) + ("" if len(names) <= NAMED else ", ...")
    if scene is None:
        if len(names) > 1:
            raise ValueError(f"scene must be the name or number of one image of {path}; it holds {listed}.")
        return 0
    if isinstance(scene, str):
        if list(names).count(scene) == 1:
            return list(names).index(scene)
    elif _checks.as_integer(scene, "scene", minimum=0) < len(names):
        return int(scene)
    raise ValueError(
        f"scene must be below {len(names)} or a name that one scene of {path} has, {listed}; got {scene!r}."
    )
