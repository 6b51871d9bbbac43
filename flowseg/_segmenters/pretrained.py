"""The pretrained models that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

PretrainedName = Literal["nuclei", "tissue"]

FOLDER = Path(__file__).parent / "models"


def pretrained_names() -> list[str]:
    """Return the names of the pretrained models."""
    return sorted(file.stem for file in FOLDER.glob("*.safetensors"))


def pretrained_file(name: str) -> Path:
    """Return the file of a pretrained model."""
    names = pretrained_names()
    if name not in names:
        raise ValueError(f"name must be one of the pretrained models, {', '.join(map(repr, names))}; got {name!r}.")
    return FOLDER / f"{name}.safetensors"
