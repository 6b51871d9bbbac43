"""Arrays of numbers in MATLAB's files of versions 4 to 7, read here: SciPy's reader trusts the file.

The format: MathWorks, "MAT-File Format" (R2023b). Every number in a file is compared with the bytes that are there.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._system import memory
from flowseg._system.invalid_file import StoredFile

# Version 5 to 7: bytes of the header, of a tag, and of the unit that elements are padded to.
HEADER, TAG, ALIGNED = 128, 8, 8
# Types of elements, and NumPy's codes of those that are numbers.
INT8, UINT8, INT32, UINT32, MATRIX, COMPRESSED, UTF8 = 1, 2, 5, 6, 14, 15, 16
CODES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
# Classes of arrays: 6 to 15 are numbers; the flag of complex ones.
CLASSES = {1: "cell array", 2: "structure", 3: "object", 4: "text", 5: "sparse array", 16: "function", 17: "object"}
NUMBERS, COMPLEX = range(6, 16), 1 << 11
# Bytes at the start of a compressed array that must hold its class, shape and name.
HEAD = 4096
# Version 4: bytes of an array's header; NumPy's codes by the third digit of its type.
HEADER_4 = 20
CODES_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
# How an HDF5 file begins, which version 7.3 is.
HDF5 = b"\x89HDF\r\n\x1a\n"
HDF5_PLACES = (0, 512)


@dataclass(frozen=True)
class Matrix:
    """An array as a file describes it; its numbers are read on request."""

    name: str
    kind: str  # empty for real numbers
    shape: tuple[int, ...]
    data: memoryview  # in version 5 its numbers are an element of their own
    is_compressed: bool
    start: int  # of the numbers, in the data
    code: str  # NumPy's code of the numbers in version 4; their byte order in version 5
    stored: StoredFile

    def read(self) -> NDArray[Any]:
        """Return the array."""
        stored = self.stored
        if self.kind:
            raise stored.invalid(f"{self.name}, which is no array of real numbers but a {self.kind}")
        n = math.prod(self.shape)
        if len(self.code) > 1:
            code, raw = self.code, self.data[self.start :]
        else:
            most = self.start + TAG + 8 * n + ALIGNED
            memory.check(2 * most, f"with {self.name} of shape {self.shape} it", stored.path)
            body = memoryview(_inflate(self.data, most, stored, is_all=True)) if self.is_compressed else self.data
            kind, raw, _ = _element(body, self.start, self.code, stored)
            if kind not in CODES:
                raise stored.invalid(f"{self.name}, whose numbers are of the unknown type {kind}")
            code = self.code + CODES[kind]
        dtype = np.dtype(code)
        if len(raw) < n * dtype.itemsize:
            raise stored.invalid(f"{self.name} of shape {self.shape} with {len(raw)} bytes of {dtype}")
        flat = np.frombuffer(raw[: n * dtype.itemsize], dtype)
        return flat.reshape(self.shape, order="F").astype(dtype.newbyteorder("="))


def read_matrices(stored: StoredFile) -> list[Matrix]:
    """Return all arrays that have a name, without their numbers."""
    raw = memoryview(stored.read_bytes())
    if any(raw[place : place + len(HDF5)] == HDF5 for place in HDF5_PLACES):
        raise stored.invalid("version 7.3: save with save(..., '-v7')")
    if len(raw) >= HEADER and 0 not in bytes(raw[:4]) and bytes(raw[126:128]) in (b"IM", b"MI"):
        found = list(_version_5(raw, stored))
    else:
        found = list(_version_4(raw, stored))
    return [matrix for matrix in found if matrix.name]


def _version_5(raw: memoryview, stored: StoredFile) -> Iterator[Matrix]:
    order = "<" if bytes(raw[126:128]) == b"IM" else ">"
    place = HEADER
    while place < len(raw):
        is_aligned = raw[place : place + 4] != _tag(order, COMPRESSED)
        kind, data, place = _element(raw, place, order, stored, is_aligned=is_aligned)
        if kind == COMPRESSED:
            head = memoryview(_inflate(data, HEAD, stored))
            kind, length = struct.unpack_from(f"{order}II", head) if len(head) >= TAG else (0, 0)
            if kind == MATRIX:
                yield _describe(head[: TAG + length], TAG, order, data, stored)
        elif kind == MATRIX:
            yield _describe(data, 0, order, None, stored)


def _tag(order: str, kind: int) -> bytes:
    return struct.pack(f"{order}I", kind)


def _describe(head: memoryview, place: int, order: str, compressed: memoryview | None, stored: StoredFile) -> Matrix:
    """Return an array as its first elements describe it: its flags, its shape and its name."""
    _, flags, place = _element(head, place, order, stored, kinds=(UINT32,))
    _, lengths, place = _element(head, place, order, stored, kinds=(INT32, UINT32))
    _, name, place = _element(head, place, order, stored, kinds=(INT8, UINT8, UTF8))
    if len(flags) != 8 or len(lengths) % 4 or len(lengths) < 8:
        raise stored.invalid("an array whose flags or shape are damaged")
    (flag_bits,) = struct.unpack_from(f"{order}I", flags)
    shape = struct.unpack(f"{order}{len(lengths) // 4}i", lengths)
    if min(shape) < 0:
        raise stored.invalid(f"an array of shape {shape}")
    kind = "complex array" if flag_bits & COMPLEX else ""
    if flag_bits & 0xFF not in NUMBERS:
        kind = CLASSES.get(flag_bits & 0xFF, f"class {flag_bits & 0xFF}")
    data = head if compressed is None else compressed
    text = bytes(name).decode("utf-8", "replace").rstrip("\0")
    return Matrix(text, kind, shape, data, compressed is not None, place, order, stored)


def _element(
    data: memoryview,
    place: int,
    order: str,
    stored: StoredFile,
    *,
    kinds: tuple[int, ...] = (),
    is_aligned: bool = True,
) -> tuple[int, memoryview, int]:
    """Return type and content of the element at a place, and the place of the next one."""
    if len(data) - place < TAG:
        raise stored.invalid("an element that is cut short")
    kind, length = struct.unpack_from(f"{order}II", data, place)
    if kind >> 16:  # a small one: both in four bytes, and the content in the other four
        kind, length, start, stop = kind & 0xFFFF, kind >> 16, place + 4, place + TAG
        if length > 4:
            raise stored.invalid("a small element that is none")
    else:
        start = place + TAG
        stop = start + (math.ceil(length / ALIGNED) * ALIGNED if is_aligned else length)
    if start + length > len(data) or (kinds and kind not in kinds):
        raise stored.invalid(f"an element of type {kind} and {length} bytes, where there are {len(data) - start}")
    return kind, data[start : start + length], stop


def _inflate(data: memoryview, most: int, stored: StoredFile, *, is_all: bool = False) -> bytes:
    """Return the first bytes of compressed data; with ``is_all`` they must be all that there are."""
    decoder = zlib.decompressobj()
    with stored.parsing(zlib.error):
        content = decoder.decompress(data, most)
    if is_all and not decoder.eof:
        raise stored.invalid("an array that is cut short, or longer than declared")
    return content


def _version_4(raw: memoryview, stored: StoredFile) -> Iterator[Matrix]:
    place = 0
    while place < len(raw):
        if len(raw) - place < HEADER_4:
            raise stored.invalid("an array that is cut short")
        little, big = (struct.unpack_from(f"{order}5i", raw, place) for order in "<>")
        order, header = ("<", little) if 0 <= little[0] < 1000 else (">", big)
        if not 0 <= header[0] <= 4052 or header[0] // 1000 != (0 if order == "<" else 1):
            raise stored.invalid("something that does not begin as a MATLAB file")
        kind, rows, columns, is_complex, n_name = header
        code, form = kind // 10 % 10, kind % 10
        if code >= len(CODES_4) or kind // 100 % 10 or min(rows, columns, n_name) < 0 or is_complex not in (0, 1):
            raise stored.invalid("an array whose header is damaged")
        dtype = np.dtype(order + CODES_4[code])
        start = place + HEADER_4 + n_name
        stop = start + rows * columns * dtype.itemsize * (1 + is_complex)
        if stop > len(raw):
            raise stored.invalid(f"an array of shape {(rows, columns)} that is cut short")
        name = bytes(raw[place + HEADER_4 : start]).decode("latin-1").rstrip("\0")
        kind_name = "complex array" if is_complex else ("", "text", "sparse array")[form] if form < 3 else "class"
        yield Matrix(name, kind_name, (rows, columns), raw[start:stop], False, 0, order + CODES_4[code], stored)
        place = stop
