"""What the commands share: find and read files, go through them, report what failed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import typer
from tqdm import tqdm

from flowseg import io
from flowseg._inputs import ESTIMATE
from flowseg._pretrained import pretrained_file, pretrained_names


def segmenter_class(boundary: bool) -> Any:
    """Class to train."""
    from flowseg._boundary_segmenter import BoundarySegmenter
    from flowseg._flow_segmenter import FlowSegmenter

    return BoundarySegmenter if boundary else FlowSegmenter


def set_parameter(segmenter: Any, name: str, value: Any) -> None:
    """Set a parameter that an option gives."""
    if name not in segmenter.get_params():
        option = "--" + name.replace("_", "-")
        raise ValueError(f"{option} is not for a {type(segmenter).__name__}; got {value}.")
    segmenter.set_params(**{name: value})


def model_file(model: str) -> Path:
    """The file that ``--model`` or ``--from`` means: one of the user's, or the pretrained one of this name."""
    if model in pretrained_names() and not Path(model).is_file():
        return pretrained_file(model)
    return Path(model)


def load_to_train(start: str, given: list[str]) -> Any:
    """The segmenter to go on from; what the file fixes cannot be given as well."""
    from flowseg._segmenters import load_segmenter

    if given:
        raise ValueError(f"--{given[0]} cannot be given with --from: it is that of the model; got both.")
    return load_segmenter(model_file(start)).set_params(warm_start=True)


def parse_diameter(text: str | None) -> float | str | None:
    """A number of pixels, or the word that `predict` takes."""
    try:
        return None if text is None else float(text)
    except ValueError:
        if text == ESTIMATE:
            return text
        raise ValueError(f"--diameter must be a number of pixels or '{ESTIMATE}'; got '{text}'.") from None


def check_output_file(output: Path) -> None:
    """Find out before the training, not after it, that the result cannot be written."""
    folder = output.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"--output must lie in a folder that exists; {folder} does not.")
    if output.is_dir():
        raise ValueError(f"--output must be a file; {output} is a folder.")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"--output must lie in a folder that can be written to; {folder} cannot.")


def read_pairs(images: str, masks: str) -> tuple[list[Any], list[Any]]:
    """Images and masks of the same names, checked against each other."""
    pairs = io.pair_files(io.find_files(images), io.find_files(masks))
    read = [(io.read_image(a), io.read_masks(b)) for a, b in tqdm(pairs, "reading", disable=None, leave=False)]
    for (a, b), (image, labels) in zip(pairs, read, strict=True):
        if image.shape[:2] != labels.shape:
            raise ValueError(f"{b} must have the rows and columns of {a}, {image.shape[:2]}; got {labels.shape}.")
    return [image for image, _ in read], [labels for _, labels in read]


def count_channels(images: list[Any]) -> int:
    """Channels that all images have."""
    channels = {1 if image.ndim == 2 else image.shape[2] for image in images}
    if len(channels) > 1:
        raise ValueError(f"all images must have the same number of channels; got {sorted(channels)}.")
    return channels.pop()


def count_objects(masks: Any) -> int:
    """Different labels above 0."""
    return int(np.count_nonzero(np.unique(masks) > 0))


def parse_filters(text: str) -> tuple[int, ...]:
    """Filters per level from text such as 32,64,128."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--filters must be whole numbers with commas between, such as 32,64,128; got {text!r}."
        ) from None


def check_targets(files: Iterable[Path], output: Path) -> None:
    """No result may take the place of an input, of an annotation beside it, or of another result."""
    seen: dict[str, Path] = {}
    for file in files:
        if file.parent.resolve() == output.resolve():
            raise ValueError(f"--output must be another folder than that of {file}; nothing there is overwritten.")
        if file.stem in seen:
            raise ValueError(f"images must have different names; got {seen[file.stem]} and {file}.")
        seen[file.stem] = file


def without_overlays(files: list[Path]) -> list[Path]:
    """A folder that flowseg predict wrote holds overlay pictures beside the masks."""
    return [file for file in files if not file.stem.endswith("_overlay")]


def for_each_file(files: list[Path], work: Callable[[Path], int], title: str) -> list[int]:
    """Results of all the files that can be worked on; each of the others is named on standard error."""
    results = []
    for file in tqdm(files, title, disable=None, leave=False):
        try:
            results.append(work(file))
        except (ValueError, TypeError, OSError, MemoryError) as error:
            typer.echo(f"flowseg: {file}: {' '.join(str(error).split())}", err=True)
    return results


def exit_unless_all(files: list[Path], results: list[int]) -> None:
    """Exit with status 1 when a file failed."""
    if len(results) < len(files):
        typer.echo(f"flowseg: {len(files) - len(results)} of {len(files)} files failed", err=True)
        raise typer.Exit(1)


def make_progress(n_steps: int) -> Any:
    """Progress bar for training, as a Keras callback."""
    from flowseg._progress import TrainingBar

    return TrainingBar(n_steps)
