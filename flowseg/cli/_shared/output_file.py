"""The output file of a command, checked before the work, not after it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from flowseg._system import files

MODEL_SUFFIX = ".safetensors"


def check_output_file(output: Path, inputs: Iterable[Path | None], option: str = "--output") -> None:
    """Refuse a file that cannot be written or is one of the inputs."""
    target = Path(os.path.realpath(output))  # what is written: a link stays a link
    if target.is_dir():
        raise ValueError(f"{option} must be a file; {output} is a folder.")
    files.check_kind(target, str(target))
    files.check_folder_of(target, option)
    files.check_target(target)
    if any(_is_same(target, Path(os.path.realpath(file))) for file in inputs if file is not None):
        raise ValueError(f"{option} must be another file than those that are read; got {output}.")


def _is_same(a: Path, b: Path) -> bool:
    return a == b or (a.exists() and b.exists() and a.samefile(b))


def check_model_output(output: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse a file that a model should not or cannot be written to."""
    check_output_file(output, inputs)
    if output.suffix.lower() != MODEL_SUFFIX:
        raise ValueError(f"--output must end in {MODEL_SUFFIX}; got {output}.")
