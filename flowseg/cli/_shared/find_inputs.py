"""Find the input files of a command, images or masks, and pair them."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from flowseg import io
from flowseg._image_files.file_names import is_masks_name
from flowseg._image_files.find_and_pair import Kind, glob_files, identity, list_files, match_files
from flowseg.cli._shared.terminal import print_message

Pairs = list[tuple[Path, Path]]

# One input of a command: where it is, the kind of its files, and the name of its argument.
Side = tuple[str, Kind, str]


def find_images(where: Sequence[str], earlier_results: Sequence[Path] = ()) -> list[Path]:
    """Find images; masks of others among them and earlier results of the same command are left out."""
    results = {identity(file) for file in earlier_results}
    files = [file for file in _find(where, "images") if identity(file) not in results]
    if not files:
        raise FileNotFoundError(f"IMAGES must name images; {list_files(where)} names results in --output only.")
    return files


def find_masks(where: Sequence[str]) -> list[Path]:
    """Find label images; the images that they belong to are left out."""
    return _find(where, "masks")


def _find(where: Sequence[str], kind: Kind) -> list[Path]:
    """Find files of one kind; a note names the files of the other kind that are left out."""
    files = io.find_files(where, kind=kind)
    taken = {identity(file) for file in files}
    others = [file for file in io.find_files(where) if identity(file) not in taken]
    if others:
        other = "masks of other images" if kind == "images" else "the images of masks"
        print_message(f"note: {len(others)} files are left out as {other}: {list_files(others)}")
    return files


def find_pairs(images: str, masks: str) -> Pairs:
    """Find images and their masks."""
    return _find_pairs((images, "images", "IMAGES"), (masks, "masks", "MASKS"))


def find_masks_with_images(masks: str, images: str) -> Pairs:
    """Find masks and their images."""
    return _find_pairs((masks, "masks", "MASKS"), (images, "images", "IMAGES"))


def find_masks_with_masks(true: str, predicted: str) -> Pairs:
    """Find true masks and predicted masks."""
    return _find_pairs((true, "masks", "TRUE"), (predicted, "masks", "PREDICTED"))


def find_partners(files: Sequence[Path], where: str, kind: Kind, names: tuple[str, str]) -> dict[Path, Path]:
    """Find the partner of each file; ``names`` are the arguments of both sides."""
    return dict(match_files(files, io.find_files(_tree(where) if _is_tree(where) else where, kind=kind), names))


def _find_pairs(first: Side, second: Side) -> Pairs:
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
    """Whether this is a folder whose image files are all in subfolders."""
    if not where or not Path(where).is_dir():
        return False
    return not glob_files(where) and bool(glob_files(_tree(where)))


def _tree(where: str) -> str:
    """Return the pattern of all files in a folder and its subfolders."""
    return str(Path(glob.escape(where)) / "**" / "*")
