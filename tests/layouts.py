"""The same values in memory in every way that NumPy allows."""

import numpy as np


def misaligned(array: np.ndarray, offset: int = 1) -> np.ndarray:
    """A copy whose numbers start beside the places that are meant for them."""
    array = np.asarray(array)
    room = np.zeros(array.nbytes + 2 * 64, dtype=np.uint8)
    start = -room.ctypes.data % 64 + offset
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def packed(array: np.ndarray) -> np.ndarray:
    """A field of records that are an odd number of bytes apart."""
    records = np.zeros(array.shape, dtype=[("flag", "u1"), ("value", array.dtype)])
    records["value"] = array
    return records["value"]


def swapped(array: np.ndarray) -> np.ndarray:
    """In the other byte order."""
    return array.astype(array.dtype.newbyteorder())


def frozen(array: np.ndarray) -> np.ndarray:
    """Not to be written."""
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = {
    "as it is": np.copy,
    "misaligned": misaligned,
    "misaligned, frozen": lambda a: frozen_view(misaligned(a)),
    "misaligned by half": lambda a: misaligned(a, max(a.itemsize // 2, 1)),
    "packed": packed,
    "swapped": swapped,
    "swapped, misaligned": lambda a: misaligned(swapped(a), 3),
    "frozen": frozen,
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: np.flip(np.flip(a).copy()),
}


def frozen_view(array: np.ndarray) -> np.ndarray:
    """The same memory, not to be written."""
    view = array[...]
    view.flags.writeable = False
    return view
