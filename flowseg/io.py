"""Files: find them, pair them by name, read images and masks, write masks and pictures."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _files
from flowseg._masks import masks_from_rgb

__all__ = ["find_files", "pair_files", "read_image", "read_masks", "write_masks", "write_picture"]

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
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


def pair_files(first: Sequence[Path], second: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Pair files by name.

    Parameters
    ----------
    first, second : sequence of pathlib.Path
        For example images and masks. Suffixes do not count, nor do endings of masks files such as ``_masks``.

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
    if len(first) == len(second) == 1:
        return [(first[0], second[0])]
    names: dict[str, tuple[list[Path], list[Path]]] = defaultdict(lambda: ([], []))
    for side, files in enumerate((first, second)):
        for file in files:
            names[_bare_name(file)][side].append(file)
    alone = [f for pair in names.values() for f in (*pair[0], *pair[1]) if not (pair[0] and pair[1])]
    if alone:
        raise ValueError(f"every file must have a partner of the same name; these have none: {_list_files(alone)}.")
    several = [f for a, b in names.values() for f in (*a, *b) if len(a) > 1 or len(b) > 1]
    if several:
        raise ValueError(f"every file must have one partner; these have the same name: {_list_files(several)}.")
    return [(file, names[_bare_name(file)][1][0]) for file in first]


def _list_files(files: Sequence[Path]) -> str:
    return ", ".join(str(file) for file in files)


def read_image(path: StrPath) -> NDArray[Any]:
    """Read an image.

    Parameters
    ----------
    path : path
        TIFF, PNG, JPEG or BMP file.

    Returns
    -------
    image : ndarray, shape (rows, columns) or (rows, columns, channels)
        As in the file; an opacity channel that is opaque everywhere is left out.

    Raises
    ------
    ValueError
        If the file cannot be read as an image; its name is in the sentence.
    """
    array = _read(Path(path))
    if array.ndim == 3 and array.shape[2] == 4 and np.all(array[..., 3] == np.iinfo(array.dtype).max):
        return array[..., :3]
    return array


def read_masks(path: StrPath) -> NDArray[Any]:
    """Read a label image, or an annotation with one colour per object.

    Parameters
    ----------
    path : path
        Image file of integers. One with three or four channels is taken as a coloured annotation
        (see `masks_from_rgb`).

    Returns
    -------
    masks : ndarray of int
        0 is background.

    Raises
    ------
    TypeError, ValueError
        If the file cannot be read or holds no label image; its name is in the sentence.
    """
    array = _read(Path(path))
    if array.ndim == 3 and array.shape[2] in (3, 4) and np.issubdtype(array.dtype, np.integer):
        return masks_from_rgb(array)
    return _checks.as_masks(array, str(path))


def _read(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be an image file; there is none.")
    if path.suffix.lower() in (".tif", ".tiff"):
        return _files.read_tiff(path)
    from skimage.io import imread

    try:
        return np.asarray(imread(path))
    except (OSError, ValueError, SyntaxError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} must be a readable image file; got: {reason}") from error


def write_masks(path: StrPath, masks: ArrayLike) -> None:
    """Write a label image as TIFF, in the smallest of uint16 and uint32 that holds its labels.

    Parameters
    ----------
    path : path
        File to write; an old one is replaced in one step.
    masks : array_like of int
        Label image without negative pixels.

    Raises
    ------
    ValueError
        If a label does not fit: nothing is ever wrapped.
    """
    array = _checks.as_masks(masks)
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or highest > np.iinfo(np.uint32).max:
        raise ValueError(f"masks must have labels from 0 to 2**32 - 1 to be written; got {lowest} to {highest}.")
    dtype = np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32
    _files.write_tiff(Path(path), array.astype(dtype))


def write_picture(path: StrPath, picture: NDArray[np.uint8]) -> None:
    """Write an RGB picture as PNG.

    Parameters
    ----------
    path : path
        File to write; an old one is replaced in one step.
    picture : ndarray of uint8, shape (rows, columns, 3)
        See `flowseg.plot`.
    """
    from skimage.io import imsave

    _files.write_whole(Path(path), lambda beside: imsave(beside, picture, check_contrast=False))
