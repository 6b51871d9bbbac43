"""Masks that Cellpose saved."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks, _files
from flowseg._merging import Canvas

StrPath = str | os.PathLike[str]

# All that a file of Cellpose's is made of: arrays, their types, numbers. (module, name) as the pickle says them.
ADMITTED = {
    (module, name)
    for core in ("numpy.core", "numpy._core")
    for module, name in (
        (f"{core}.multiarray", "_reconstruct"),
        (f"{core}.multiarray", "scalar"),
        (f"{core}.numeric", "_frombuffer"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    )
}


class _ArraysOnly(pickle.Unpickler):
    """Admits NumPy arrays and plain containers: nothing that a file could make the computer do."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ADMITTED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}, which is no array")


def masks_from_cellpose(path: StrPath, shape: tuple[int, int] | None = None) -> NDArray[Any]:
    """Masks from a file of Cellpose's.

    Parameters
    ----------
    path : path
        ``_seg.npy``, as its window saves; ``_flows.tif``, labels and flows as its training keeps them;
        ``_outlines.txt``, polygons for ImageJ.
    shape : tuple of int, optional
        Rows and columns of the image: for outlines only, which do not hold them.

    Returns
    -------
    masks : ndarray of int
        Label image; from outlines numbered 1..n in raster order.

    Raises
    ------
    ValueError
        If the file is none of these, or is damaged. A ``_seg.npy`` is a pickle, which could run any program; it is read
        by a reader that admits arrays and plain containers and nothing else.

    Notes
    -----
    Outlines run through the centres of an object's outermost pixels, which belong to it.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> np.save("cells_seg.npy", {"masks": np.array([[0, 1, 2]]), "outlines": np.array([[0, 1, 2]])})
    >>> flowseg.masks_from_cellpose("cells_seg.npy")
    array([[0, 1, 2]])
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix == ".npy":
        with _files.naming_what_is_damaged(file, "file of Cellpose's (_seg.npy)"), open(file, "rb") as stream:
            content = _read_object(stream)
            array = np.asarray(content["masks"])
        return _checks.as_masks(array, f"the masks in {path}")
    if suffix in (".tif", ".tiff"):
        return _labels_of_flows(file)
    if suffix == ".txt":
        if shape is None:
            raise ValueError(f"shape must be given for outlines: {path} does not hold it; got None.")
        return _masks_from_outlines(file, _checks.as_shape(shape))
    raise ValueError(f"path must end in _seg.npy, _flows.tif or _outlines.txt; got {path}.")


def _read_object(stream: IO[bytes]) -> dict[str, Any]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype != np.dtype(object) or shape not in ((), (1,)):
        raise ValueError(f"an array of {dtype} and shape {shape}")
    content = _ArraysOnly(stream).load()
    content = content.item() if isinstance(content, np.ndarray) else content
    if not isinstance(content, dict) or "masks" not in content:
        raise ValueError("something without masks")
    return content


def _labels_of_flows(file: Path) -> NDArray[np.int32]:
    array, _ = _files.read_tiff(file)
    if array.ndim not in (3, 4) or array.shape[0] < 3 + array.ndim - 2:
        raise ValueError(f"{file} must hold labels, foreground and flows, shape (4, rows, columns); got {array.shape}.")
    labels = array[0]
    if np.any(labels != np.rint(labels)) or np.abs(labels).max() > _checks.MAX_FLOAT32_LABEL:
        raise ValueError(f"{file} must hold labels in its first plane; got numbers that are not whole, or too large.")
    return labels.astype(np.int32)


def _masks_from_outlines(file: Path, shape: tuple[int, int]) -> NDArray[np.int32]:
    canvas = Canvas(shape)
    with _files.naming_what_is_damaged(file, "text file of outlines"):
        for line in file.read_text(encoding="utf-8").split():
            ring = np.array(line.split(","), dtype=np.float64).reshape(-1, 2)[:, ::-1] + 0.5
            canvas.add_outline(ring)
    return canvas.paint()
