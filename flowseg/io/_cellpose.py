"""Masks that Cellpose saved."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._image_files.tiff import read_tiff
from flowseg._labels.canvas import Canvas
from flowseg._system import files, memory
from flowseg.io._entries import read_text

StrPath = str | os.PathLike[str]

# Types of the arrays that are made, and orders of their bytes, as `numpy.dtype` writes them.
CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
ORDERS = ("|", "<", ">")


class _Type:
    """Stands for `numpy.dtype`, whose own state could make its arrays point anywhere."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """Stands for an array or a number: what a pickle says of it, of which an array is made when it is asked for."""

    kind: Any = None
    shape: Any = ()
    order: Any = "C"
    axes: Any = None
    data: Any = b""

    def __init__(self, *_: Any) -> None:
        """Take what comes, and forget it: the state says all."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.kind, by_columns, self.data = state
        self.order = "F" if by_columns else "C"

    def make(self) -> NDArray[Any]:
        kind = self.kind
        if not isinstance(kind, _Type) or kind.code not in CODES or kind.order not in ORDERS:
            raise ValueError("masks that are no array of numbers")
        dtype = np.dtype(kind.order + kind.code)
        array = np.frombuffer(self.data, dtype=dtype).reshape(self.shape, order=self.order)
        return np.array(array if self.axes is None else array.transpose(self.axes))


class _Buffer(_Array):
    """Stands for an array as pickles of protocol 5 say it."""

    def __init__(self, data: Any, kind: Any, shape: Any, order: Any, axes: Any = None) -> None:
        self.data, self.kind, self.shape, self.axes = data, kind, shape, axes
        self.order = "C" if order == "K" else order  # K: by rows, then with its axes in another order


# All that a file of Cellpose's is made of, (module, name) as a pickle says it, and what stands for it here.
STAND_INS: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _Buffer,
}


class _ArraysOnly(pickle.Unpickler):
    """Admits NumPy arrays and plain containers, and calls nothing but its own stand-ins for them."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # bytes, before protocol 3
            return lambda text, _: text.encode("latin-1")
        stand_in = STAND_INS.get((module.replace("numpy._core.", "numpy.core."), name))
        if stand_in is None:
            raise pickle.UnpicklingError(f"{module}.{name}, which is no array")
        return stand_in


def read_cellpose(path: StrPath, shape: tuple[int, int] | None = None) -> NDArray[Any]:
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
    >>> flowseg.io.read_cellpose("cells_seg.npy")
    array([[0, 1, 2]])
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix == ".npy":
        with files.naming_what_is_damaged(file, "file of Cellpose's (_seg.npy)"):
            array = _read_masks(io.BytesIO(memory.read_bytes(file)))
        return _checks.as_masks(array, f"the masks in {path}")
    if suffix in (".tif", ".tiff"):
        return _labels_of_flows(file)
    if suffix == ".txt":
        if shape is None:
            raise ValueError(f"shape must be given for outlines: {path} does not hold it; got None.")
        return _masks_from_outlines(file, _checks.as_shape(shape))
    raise ValueError(f"path must end in _seg.npy, _flows.tif or _outlines.txt; got {path}.")


def _read_masks(stream: IO[bytes]) -> NDArray[Any]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype != np.dtype(object) or shape not in ((), (1,)):
        raise ValueError(f"an array of {dtype} and shape {shape}")
    _check_opcodes(stream)
    content = _ArraysOnly(stream).load()
    if isinstance(content, _Array) and isinstance(content.data, list):
        (content,) = content.data
    masks = content.get("masks") if isinstance(content, dict) else None
    if not isinstance(masks, _Array):
        raise ValueError("something without masks")
    return masks.make()


def _check_opcodes(stream: IO[bytes]) -> None:
    """Refuse a pickle that names more than it holds: `pickle` makes room for what is named before it reads it.

    `pickletools` makes none. It refuses numbers of bytes beyond the end, and leaves places in the memo, which are
    rising numbers where a program wrote them.
    """
    start = stream.tell()
    for n_opcodes, (opcode, said, _) in enumerate(pickletools.genops(stream), start=1):
        argument: Any = said
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= argument <= n_opcodes:
            raise ValueError(f"a pickle whose memo has place {argument} after {n_opcodes} steps")
    stream.seek(start)


def _labels_of_flows(file: Path) -> NDArray[np.int32]:
    array = read_tiff(file)
    if array.ndim not in (3, 4) or array.shape[0] < 3 + array.ndim - 2:
        raise ValueError(f"{file} must hold labels, foreground and flows, shape (4, rows, columns); got {array.shape}.")
    labels = array[0]
    if np.any(labels != np.rint(labels)) or np.abs(labels.astype(np.float64)).max() > _checks.MAX_FLOAT32_LABEL:
        raise ValueError(f"{file} must hold labels in its first plane; got numbers that are not whole, or too large.")
    return labels.astype(np.int32)


def _masks_from_outlines(file: Path, shape: tuple[int, int]) -> NDArray[np.int32]:
    canvas = Canvas(shape)
    with files.naming_what_is_damaged(file, "text file of outlines"):
        for line in read_text(file).splitlines():
            numbers = line.replace(",", " ").split()
            if len(numbers) % 2:
                raise ValueError(f"a line of {len(numbers)} numbers, which are no pairs x, y")
            if numbers:
                canvas.add_outline(np.array(numbers, dtype=np.float64).reshape(-1, 2)[:, ::-1] + 0.5)
    with memory.naming(file):
        return canvas.paint()
