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
from PIL import Image

from flowseg import _checks, _files
from flowseg._coco import write_coco
from flowseg._geojson import write_geojson
from flowseg._masks import masks_from_rgb
from flowseg._roi import write_roi

__all__ = [
    "find_files",
    "pair_files",
    "read_image",
    "read_masks",
    "write_coco",
    "write_geojson",
    "write_masks",
    "write_picture",
    "write_roi",
]

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


def read_image(path: StrPath) -> NDArray[Any]:
    """Read an image.

    Parameters
    ----------
    path : path
        TIFF, PNG, JPEG or BMP file.

    Returns
    -------
    image : ndarray, shape (rows, columns) or (rows, columns, channels)
        As in the file, colour last; an opacity channel that is opaque everywhere is left out.

    Raises
    ------
    ValueError
        If the file cannot be read as an image; its name is in the sentence.
    """
    array, is_colour = read_array(Path(path))
    n_colours = array.shape[-1] - 1
    if is_colour and n_colours in (1, 3) and np.issubdtype(array.dtype, np.integer):
        opaque = np.all(array[..., -1] == np.iinfo(array.dtype).max)
        if opaque:
            return array[..., 0] if n_colours == 1 else array[..., :3]
    return array


def read_masks(path: StrPath) -> NDArray[Any]:
    """Read a label image, or an annotation with one colour per object.

    Parameters
    ----------
    path : path
        TIFF, PNG or BMP file of integers. A colour image is taken as a coloured annotation (see `masks_from_rgb`), one
        with a palette as a label image of the palette's indices.

    Returns
    -------
    masks : ndarray of int
        0 is background.

    Raises
    ------
    TypeError, ValueError
        If the file cannot be read or holds no label image; its name is in the sentence.
    """
    file = Path(path)
    if file.suffix.lower() in (".jpg", ".jpeg"):
        raise ValueError(f"{file} must not be a JPEG file: JPEG changes labels and colours. Save masks as TIFF or PNG.")
    array, is_colour = read_array(file, palette=False)
    if is_colour and array.shape[-1] in (3, 4) and np.issubdtype(array.dtype, np.integer):
        return masks_from_rgb(array)
    return _checks.as_masks(array, str(path))


def read_array(path: Path, *, palette: bool = True) -> tuple[NDArray[Any], bool]:
    """Read a file; say whether its last axis is colour. Without ``palette`` a palette image gives its indices."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be an image file; there is none.")
    if path.suffix.lower() in (".tif", ".tiff"):
        array, axes = _files.read_tiff(path)
        if axes[:1] == "S" and array.ndim == 3:  # planes of colour, one after the other
            return np.moveaxis(array, 0, -1), True
        return array, axes[-1:] == "S"
    with _files.naming_what_is_damaged(path, "image file"), Image.open(path) as file:
        _check_depth(path, file)
        array = np.asarray(file.convert("RGBA") if file.mode == "P" and palette else file)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    return array, array.ndim == 3


def _check_depth(path: Path, file: Image.Image) -> None:
    """Refuse PNG files with 16 bits per colour: the library would cut them to 8 bits."""
    with path.open("rb") as raw:
        header = raw.read(26)
    if file.format == "PNG" and header[24] == 16 and header[25] != 0:
        raise ValueError("a PNG with 16 bits per colour, of which 8 would be lost; save it as TIFF.")


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
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"path must end in .tif or .tiff; got {path}.")
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
