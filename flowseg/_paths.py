"""Files found, and paired by name."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from flowseg._vendor_files import READERS

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", *READERS)
# Endings that a masks file may have after the name of its image.
MASK_ENDINGS = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_seg")

StrPath = str | os.PathLike[str]


def find_files(where: StrPath) -> list[Path]:
    """List image files.

    Parameters
    ----------
    where : path
        One file, a folder (its image files, not those of folders inside), or a glob pattern.

    Returns
    -------
    files : list of pathlib.Path
        Sorted by name; at least one.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no image file in the folder or for the pattern.

    Examples
    --------
    >>> import flowseg.io
    >>> flowseg.io.find_files("*.nothing")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    FileNotFoundError: '*.nothing' must name an image file, a folder or a pattern of them (.tif, ...); got none.
    """
    if not str(where):
        raise ValueError("where must name an image file, a folder or a pattern of them; got an empty string.")
    path = Path(where)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [p for p in path.iterdir() if p.is_file() and _is_image_name(p)]
    else:
        found = [p for p in map(Path, glob.glob(str(where), recursive=True)) if p.is_file() and _is_image_name(p)]
    if not found:
        raise FileNotFoundError(
            f"{str(where)!r} must name an image file, a folder or a pattern of them ({', '.join(SUFFIXES)}); got none."
        )
    return sorted(found)


def _is_image_name(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _bare_name(path: Path) -> str:
    for ending in MASK_ENDINGS:
        if path.stem.endswith(ending) and path.stem != ending:
            return path.stem.removesuffix(ending)
    return path.stem


def pair_files(first: Sequence[StrPath], second: Sequence[StrPath]) -> list[tuple[Path, Path]]:
    """Pair files by name.

    Parameters
    ----------
    first, second : sequence of path
        For example images and masks. Suffixes do not count; unless all names are the same without them, neither do
        endings of masks files such as ``_masks``.

    Returns
    -------
    pairs : list of (pathlib.Path, pathlib.Path)
        In the order of `first`. One file on either side is a pair whatever the names.

    Raises
    ------
    ValueError
        If a file has no partner or several; all of them are named.

    Examples
    --------
    >>> from pathlib import Path
    >>> from flowseg import io
    >>> pairs = io.pair_files([Path("a.png"), Path("b.png")], [Path("b_masks.tif"), Path("a.tif")])
    >>> [(x.name, y.name) for x, y in pairs]
    [('a.png', 'a.tif'), ('b.png', 'b_masks.tif')]
    """
    sides = [Path(file) for file in first], [Path(file) for file in second]
    if len(sides[0]) == len(sides[1]) == 1:
        return [(sides[0][0], sides[1][0])]
    same = {file.stem for file in sides[0]} == {file.stem for file in sides[1]}
    name_of = (lambda file: file.stem) if same else _bare_name
    names: dict[str, tuple[list[Path], list[Path]]] = defaultdict(lambda: ([], []))
    for side, files in enumerate(sides):
        for file in files:
            names[name_of(file)][side].append(file)
    alone = [f for pair in names.values() for f in (*pair[0], *pair[1]) if not (pair[0] and pair[1])]
    if alone:
        raise ValueError(f"every file must have a partner of the same name; these have none: {_list_files(alone)}.")
    several = [f for a, b in names.values() for f in (*a, *b) if len(a) > 1 or len(b) > 1]
    if several:
        raise ValueError(f"every file must have one partner; these have the same name: {_list_files(several)}.")
    return [(file, names[name_of(file)][1][0]) for file in sides[0]]


def _list_files(files: Sequence[Path]) -> str:
    return ", ".join(str(file) for file in files)
