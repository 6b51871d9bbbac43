"""Inputs of the commands: files found by what they are for, paired, and named for their results."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import io
from flowseg._image_files.file_names import is_masks_name, stem_of
from flowseg._image_files.find_and_pair import Kind, glob_files, identity, list_files, match_files
from flowseg._labels.doctor import check_masks
from flowseg.cli._shared.annotations import read_loose_masks
from flowseg.cli._shared.options import Reading
from flowseg.cli._shared.say import complain
from flowseg.cli._shared.stream import FAULTS

Pairs = list[tuple[Path, Path]]

# Findings that say that an array holds no masks, and those that say so when most labels have them.
NO_MASKS = frozenset({"dtype", "color", "shape", "picture"})
TORN = frozenset({"several", "pieces", "specks"})
MOST = 0.5


def find_images(where: Sequence[str], made: Sequence[Path] = ()) -> list[Path]:
    """Images, without the masks of others among them and without files that the command itself has ``made``."""
    results = {identity(file) for file in made}
    files = [file for file in _find(where, "images") if identity(file) not in results]
    if not files:
        raise FileNotFoundError(f"IMAGES must name images; {list_files(where)} names results in --output only.")
    return files


def find_masks(where: Sequence[str]) -> list[Path]:
    """Label images, without the images that they are of."""
    return _find(where, "masks")


def _find(where: Sequence[str], kind: Kind) -> list[Path]:
    """Files of one kind; says which of the other are left out."""
    files = io.find_files(where, kind=kind)
    taken = {identity(file) for file in files}
    others = [file for file in io.find_files(where) if identity(file) not in taken]
    if others:
        other = "masks of other images" if kind == "images" else "the images of masks"
        complain(f"note: {len(others)} files are left out as {other}: {list_files(others)}")
    return files


def find_pairs(images: str, masks: str) -> Pairs:
    """Files of images and their masks."""
    return _find_pairs((images, "images", "IMAGES"), (masks, "masks", "MASKS"))


def find_masks_with_images(masks: str, images: str) -> Pairs:
    """The same, masks first."""
    return _find_pairs((masks, "masks", "MASKS"), (images, "images", "IMAGES"))


def find_masks_with_masks(true: str, predicted: str) -> Pairs:
    """Files of true and of predicted masks."""
    return _find_pairs((true, "masks", "TRUE"), (predicted, "masks", "PREDICTED"))


def find_partners(files: Sequence[Path], where: str, kind: Kind, names: tuple[str, str]) -> dict[Path, Path]:
    """Files of a kind by those that they belong to; ``names`` are what the user calls both sides."""
    return dict(match_files(files, io.find_files(_tree(where) if _is_tree(where) else where, kind=kind), names))


def _find_pairs(first: tuple[str, Kind, str], second: tuple[str, Kind, str]) -> Pairs:
    """Pairs of files, each side given by where they are, what they are for and what the user calls them."""
    sides = [first[0], second[0]]
    if all(map(_is_tree, sides)):
        sides = [_tree(where) for where in sides]
    if first[1] != second[1]:
        names = {side[1]: io.find_files(where) for side, where in zip((first, second), sides, strict=True)}
        if all(map(is_masks_name, names["images"])) and not any(map(is_masks_name, names["masks"])):
            raise ValueError(
                f"IMAGES and MASKS look swapped: {names['images'][0]} is called masks, {names['masks'][0]} is not."
            )
    found = [io.find_files(where, kind=side[1]) for side, where in zip((first, second), sides, strict=True)]
    return match_files(found[0], found[1], (first[2], second[2]))


def _is_tree(where: str) -> bool:
    """Whether this is a folder of folders with image files, without any of its own."""
    if not where or not Path(where).is_dir():
        return False
    return not glob_files(where) and bool(glob_files(_tree(where)))


def _tree(where: str) -> str:
    """Pattern of all files in a folder and in the folders inside it."""
    return str(Path(glob.escape(where)) / "**" / "*")


def check_not_swapped(image: Path, masks: Path, reading: Reading) -> None:
    """Refuse masks in the place of an image and the image in the place of its masks."""
    try:
        swapped = _look_like_masks(reading.read(image)) and _look_like_masks(read_loose_masks(masks)) is False
    except FAULTS:  # what is wrong is said when they are read
        return
    if swapped:
        raise ValueError(f"IMAGES and MASKS look swapped: {image} looks like masks, {masks} like an image.")


def _look_like_masks(array: NDArray[Any]) -> bool | None:
    """Whether most of the numbers are on one object each; None where there are too few of them to tell."""
    report = check_masks(array, min_size=0)
    if any(finding.kind in NO_MASKS for finding in report.findings):
        return False
    if report.n_objects < 2:
        return None
    torn = [finding.labels for finding in report.findings if finding.kind in TORN]
    return not torn or np.unique(np.concatenate(torn)).size < MOST * report.n_objects


def result_names(files: Sequence[Path], bare: Callable[[Path], str] = stem_of) -> list[str]:
    """What results of the files are called; of files in several folders with these, below the one that holds all."""
    return place_names([os.path.abspath(file.parent) for file in files], [bare(file) for file in files])


def place_names(folders: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names with their folders, as far as these differ."""
    if len(set(folders)) < 2:
        return [*names]
    top = os.path.commonpath(folders)
    return [(Path(os.path.relpath(folder, top)) / name).as_posix() for folder, name in zip(folders, names, strict=True)]


def part_place(folder: Path, name: str, part: str) -> tuple[str, str]:
    """Folder and name of one image of an annotation file, from that of the file, and from the image's where it has one.

    Whatever a file says, results stay inside the folder of results.
    """
    place = os.path.abspath(folder)
    if not part:
        return place, name
    inside = _inside(part)
    return os.path.join(place, *inside.parts[:-1]), stem_of(Path(inside.name))


def _inside(part: str) -> PurePosixPath:
    """A path that somebody else wrote, on whatever system, without its root and without steps upwards."""
    parts = PureWindowsPath(part).parts if "\\" in part or part[1:2] == ":" else PurePosixPath(part).parts
    kept = [name for name in parts if name not in ("..", ".", "/", "\\") and not name.endswith(("\\", ":"))]
    return PurePosixPath(*kept) if kept else PurePosixPath("image")
