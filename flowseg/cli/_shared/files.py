"""What the commands share: options checked, files found and read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from flowseg import io
from flowseg._checks import AUTO
from flowseg._image_files.reading import check_image_memory
from flowseg._segmenters.pretrained import pretrained_file, pretrained_names
from flowseg._system import files
from flowseg._system.bars import bar
from flowseg.cli._shared.inputs import check_not_swapped
from flowseg.cli._shared.options import Reading

# Bytes per pixel that segmenting an image takes beside the image itself, at the least: outputs of the network (three
# float32), masks from flows (24, see the page on speed), the masks (int32).
BYTES_PER_PIXEL = 40

Word = TypeVar("Word", bound=str)


def segmenter_class(boundary: bool) -> Any:
    """Class to train."""
    from flowseg._segmenters.boundary import BoundarySegmenter
    from flowseg._segmenters.flow import FlowSegmenter

    return BoundarySegmenter if boundary else FlowSegmenter


def set_parameter(segmenter: Any, name: str, value: Any) -> None:
    """Set a parameter that an option gives."""
    if name not in segmenter.get_params():
        option = "--" + name.replace("_", "-")
        raise ValueError(f"{option} is not for a {type(segmenter).__name__}; got {value}.")
    segmenter.set_params(**{name: value})


def model_file(model: str, option: str = "--model") -> Path:
    """The file that ``--model`` or ``--from`` means: one of the user's, or the pretrained one of this name."""
    from flowseg._segmenters.model_file import read_document

    names = pretrained_names()
    file = pretrained_file(model) if model in names and not Path(model).is_file() else Path(model)
    if not file.exists():
        raise FileNotFoundError(
            f"{option} must be a model file or the name of a pretrained model, {', '.join(map(repr, names))}; got "
            f"{model}, which does not exist."
        )
    read_document(file)  # refuses what is no model before anything else is done
    return file


def load_to_train(start: Path, given: list[str]) -> Any:
    """The segmenter to go on from; what the file fixes cannot be given as well."""
    from flowseg._segmenters.loading import load_segmenter

    if given:
        raise ValueError(f"--{given[0]} cannot be given with --from: it is that of the model; got both.")
    return load_segmenter(start).set_params(warm_start=True, learning_rate=AUTO)


def parse_number(text: str | None, option: str, word: Word) -> float | Word | None:
    """A number, or the one word that the option takes in its place."""
    try:
        return None if text is None else float(text)
    except ValueError:
        if text == word:
            return word
        raise ValueError(f"{option} must be a number or '{word}'; got '{text}'.") from None


def check_output_file(output: Path, inputs: Iterable[Path | None], option: str = "--output") -> None:
    """Find out before the work, not after it, that the result cannot be written or would replace an input."""
    target = Path(os.path.realpath(output))  # where it is written: a link stays a link
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
    if output.suffix.lower() != ".safetensors":
        raise ValueError(f"--output must end in .safetensors; got {output}.")


def model_channels(file: Path | None) -> int | None:
    """Channels that the images of a model have; None without a model."""
    from flowseg._segmenters.model_file import read_document

    return None if file is None else read_document(file)["parameters"].get("n_channels")


def read_pairs(
    pairs: list[tuple[Path, Path]], reading: Reading, n_channels: int | None = None
) -> tuple[list[Any], list[Any]]:
    """Images and masks, checked against each other; pictures without color are grey where ``n_channels`` allows it.

    Without ``n_channels`` the images decide: among pictures in color one without keeps its three channels.
    """
    check_not_swapped(*pairs[0], reading)
    keep = n_channels is not None and n_channels > 1
    read = [(reading.read(a, keep_color=keep), io.read_masks(b)) for a, b in bar(pairs, "reading")]
    if n_channels is None and any(image.ndim == 3 for image, _ in read):
        read = [
            (reading.read(a, keep_color=True) if image.ndim == 2 else image, labels)
            for (a, _), (image, labels) in zip(pairs, read, strict=True)
        ]
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


def parse_filters(text: str) -> tuple[int, ...]:
    """Filters per level from text such as 32,64,128."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--filters must be whole numbers with commas between, such as 32,64,128; got {text!r}."
        ) from None


def check_memory(file: Path, reading: Reading) -> None:
    """Refuse an image that this machine can never segment, before it is read: running out of memory ends everything."""
    check_image_memory(file, BYTES_PER_PIXEL, reading)
