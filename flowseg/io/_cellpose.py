"""Masks that Cellpose saved."""

from __future__ import annotations

import io
import math
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
from flowseg._system import memory
from flowseg._system.invalid_file import InvalidFileError, StoredFile
from flowseg.io._documents import read_text

StrPath = str | os.PathLike[str]

# Types of the arrays to make, and orders of their bytes, as `numpy.dtype` writes them.
CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
ORDERS = ("|", "<", ">")


class _Type:
    """Stands for `numpy.dtype`, whose own state could make its arrays point anywhere."""

    def __init__(self, *given: Any) -> None:
        self.code: Any = given[0] if given else None
        self.order: Any = "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1] if isinstance(state, tuple) and len(state) > 1 else None


class _Array:
    """Stands for an array or a number: keeps its parts from the pickle, of which `make` makes an array."""

    kind: Any = None
    shape: Any = ()
    order: Any = "C"
    axes: Any = None
    data: Any = b""

    def __init__(self, *_: Any) -> None:
        """Take any arguments and ignore them: the state holds everything."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 5:
            _, self.shape, self.kind, by_columns, self.data = state
            self.order = "F" if by_columns else "C"

    def make(self, stored: StoredFile) -> NDArray[Any]:
        """Return the array; every value of the pickle is checked first."""
        kind, shape = self.kind, self.shape
        if not isinstance(kind, _Type) or kind.code not in CODES or kind.order not in ORDERS:
            raise stored.invalid("masks that are no array of numbers")
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            raise stored.invalid("masks whose shape is not made of whole numbers")
        dtype = np.dtype(kind.order + kind.code)
        n_bytes = math.prod(shape) * dtype.itemsize
        if not isinstance(self.data, bytes | bytearray) or len(self.data) != n_bytes or self.order not in ("C", "F"):
            raise stored.invalid(f"masks of shape {shape} that do not have the {n_bytes} bytes of {dtype}")
        array = np.frombuffer(self.data, dtype=dtype).reshape(shape, order=self.order)
        if self.axes is None:
            return np.array(array)
        axes = sorted(map(repr, self.axes)) if isinstance(self.axes, tuple | list) else []
        if axes != [repr(axis) for axis in range(len(shape))]:
            raise stored.invalid("masks whose axes are in no order")
        return np.array(array.transpose(self.axes))


class _Buffer(_Array):
    """Stands for an array as pickles of protocol 5 hold it: its data, type, shape, order and, perhaps, axes."""

    def __init__(self, *given: Any) -> None:
        self.data, self.kind, self.shape, order, self.axes, *_ = (*given, None, None, None, None, None)
        self.order = "C" if order == "K" else order  # K: by rows, then with its axes in another order


# Every class in a file of Cellpose's, (module, name) as in a pickle, and the stand-in for each.
STAND_INS: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _Buffer,
}


class _ArraysOnly(pickle.Unpickler):
    """Admits NumPy arrays and plain containers, and calls nothing but its own stand-ins for them."""

    def __init__(self, stream: IO[bytes], stored: StoredFile) -> None:
        super().__init__(stream)
        self._stored = stored

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # bytes, before protocol 3
            return self._encode
        stand_in = STAND_INS.get((module.replace("numpy._core.", "numpy.core."), name))
        if stand_in is None:
            raise self._stored.invalid(f"{module}.{name}, which is no array")
        return stand_in

    def _encode(self, *given: Any) -> bytes:
        text = given[0] if given else None
        if not isinstance(text, str) or not all(ord(character) < 256 for character in text):
            raise self._stored.invalid("bytes that are no bytes")
        return text.encode("latin-1")


def read_cellpose(path: StrPath, shape: tuple[int, int] | None = None) -> NDArray[Any]:
    """Read masks from a file of Cellpose.

    Parameters
    ----------
    path : path
        ``_seg.npy``, which its window saves; ``_flows.tif``, labels and flows, which its training saves;
        ``_outlines.txt``, polygons for ImageJ.
    shape : tuple of int, optional
        Rows and columns of the image; needed for outlines, which do not hold them.

    Returns
    -------
    masks : ndarray of int
        Label image; from outlines numbered 1..n in raster order.

    Raises
    ------
    ValueError
        If the path has another ending, or the shape is needed and missing.
    InvalidFileError
        If the file is none of these, or is damaged. A ``_seg.npy`` is a pickle, which could run any program; this
        reader admits arrays and plain containers only.

    Notes
    -----
    Outlines run through the centers of an object's outermost pixels, which belong to it.

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
        stored = StoredFile(file, "file of Cellpose's (_seg.npy)")
        masks = _read_masks(io.BytesIO(stored.read_bytes()), stored)
        fault = _checks.find_mask_fault(masks, f"the masks in {path}")
        if fault:
            raise InvalidFileError(fault)
        return masks
    if suffix in (".tif", ".tiff"):
        return _labels_of_flows(file)
    if suffix == ".txt":
        if shape is None:
            raise ValueError(f"shape must be given for outlines: {path} does not hold it; got None.")
        return _masks_from_outlines(StoredFile(file, "text file of outlines"), _checks.as_shape(shape))
    raise ValueError(f"path must end in _seg.npy, _flows.tif or _outlines.txt; got {path}.")


def _read_masks(stream: IO[bytes], stored: StoredFile) -> NDArray[Any]:
    with stored.parsing():
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    if dtype != np.dtype(object) or shape not in ((), (1,)):
        raise stored.invalid(f"an array of {dtype} and shape {shape}")
    _check_opcodes(stream, stored)
    with stored.parsing():
        content = _ArraysOnly(stream, stored).load()
    if isinstance(content, _Array) and isinstance(content.data, list) and len(content.data) == 1:
        (content,) = content.data
    masks = content.get("masks") if isinstance(content, dict) else None
    if not isinstance(masks, _Array):
        raise stored.invalid("something without masks")
    return masks.make(stored)


def _check_opcodes(stream: IO[bytes], stored: StoredFile) -> None:
    """Refuse a pickle that declares more than it holds: `pickle` allocates what is declared before it reads it.

    `pickletools` allocates nothing. It refuses lengths beyond the end, but not places in the memo, which rise one by
    one where a program wrote them.
    """
    start = stream.tell()
    for n_opcodes, (opcode, value, _) in enumerate(stored.parsing_each(pickletools.genops(stream)), start=1):
        argument: Any = value
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= argument <= n_opcodes:
            raise stored.invalid(f"a pickle whose memo has place {argument} after {n_opcodes} steps")
    stream.seek(start)


def _labels_of_flows(file: Path) -> NDArray[np.int32]:
    array = read_tiff(file)
    if array.ndim not in (3, 4) or array.shape[0] < 3 + array.ndim - 2:
        raise InvalidFileError(
            f"{file} must hold labels, foreground and flows, shape (4, rows, columns); got {array.shape}."
        )
    labels = array[0]
    if np.any(labels != np.rint(labels)) or np.abs(labels.astype(np.float64)).max() > _checks.MAX_FLOAT32_LABEL:
        raise InvalidFileError(
            f"{file} must hold labels in its first plane; got numbers that are not whole, or too large."
        )
    return np.asarray(labels.astype(np.int32))


def _masks_from_outlines(stored: StoredFile, shape: tuple[int, int]) -> NDArray[np.int32]:
    canvas = Canvas(shape)
    with memory.naming(stored.path):
        for line in read_text(stored).splitlines():
            numbers = line.replace(",", " ").split()
            if len(numbers) % 2:
                raise stored.invalid(f"a line of {len(numbers)} numbers, which are no pairs x, y")
            if not numbers:
                continue
            with stored.parsing(ValueError):
                corners = np.array(numbers, dtype=np.float64).reshape(-1, 2)[:, ::-1] + 0.5
            if not np.all((corners >= 0) & (corners < shape)):
                raise stored.invalid(f"an outline beyond the image of shape {shape}")
            canvas.add_outline(corners)
        return canvas.paint()
