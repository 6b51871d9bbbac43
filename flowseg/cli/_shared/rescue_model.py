"""Save a trained model elsewhere if its own file cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flowseg._system.rescue import save_somewhere
from flowseg.cli._shared.errors import sentence_of


def save_or_rescue(save: Callable[[Path], object], output: Path) -> None:
    """Save a model; if that fails, save it under another name, and raise an error that names the file."""
    file, error = save_somewhere(save, output)
    if error is not None:
        raise OSError(f"{sentence_of(error).removesuffix('.')}; the model is saved as {file} instead.") from error
