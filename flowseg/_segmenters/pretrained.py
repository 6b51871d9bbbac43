"""The models that ship with the package."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "models"


def pretrained_names() -> list[str]:
    """Names of the models that there are."""
    return sorted(file.stem for file in FOLDER.glob("*.safetensors"))


def pretrained_file(name: str) -> Path:
    """File of a model that ships with the package."""
    names = pretrained_names()
    if name not in names:
        raise ValueError(f"name must be that of a pretrained model, {', '.join(map(repr, names))}; got {name!r}.")
    return FOLDER / f"{name}.safetensors"
