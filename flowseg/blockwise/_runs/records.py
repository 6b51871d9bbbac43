"""Files of finished tasks: a record of named arrays, and large arrays beside it that are read by memory map.

A record is an uncompressed ``.npz`` file. It is written after its large arrays, under a temporary name, flushed and
renamed: that it exists means that the task is done. It has a checksum of every large array.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from flowseg import __version__
from flowseg._system import files
from flowseg._system.strict_json import read_strictly
from flowseg.blockwise._runs.plan import SCHEMA

# Member of a record that describes it.
ABOUT = "about"
# Bytes of a record up to which its checksums are compared already when its task is asked for.
SMALL = 1 << 20
# Bytes that a checksum takes at a time.
PORTION = 1 << 24

Array = NDArray[np.generic]


class DamagedRecordError(ValueError):
    """A record that is missing, cut short or changed: its task has to be done again.

    Parameters
    ----------
    sentence : str
        What is wrong.
    stage : str
        Stage of the task.
    index : int
        Number of the task.
    """

    def __init__(self, sentence: str, stage: str, index: int) -> None:
        super().__init__(sentence, stage, index)
        self.stage, self.index = stage, index

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class LargeArray:
    """Size and checksum of the file of a large array."""

    n_bytes: int
    crc32: int


@dataclass(frozen=True)
class About:
    """What a record is of, and the names of its arrays.

    ``plan`` is the digest of the run's plan, ``large`` has the large arrays by name.
    """

    plan: str
    stage: str
    index: int
    arrays: tuple[str, ...] = ()
    large: Mapping[str, LargeArray] = field(default_factory=dict)
    schema: int = SCHEMA


class _Checked:
    """A file to write to that takes the checksum of what is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.crc32, self.n_bytes = 0, 0

    def write(self, data: bytes) -> int:
        self.crc32 = zlib.crc32(data, self.crc32)
        self.n_bytes += len(data)
        return self._file.write(data)


def write_large(path: Path, array: Array) -> LargeArray:
    """Write a large array to a ``.npy`` file, atomically; return its size and checksum."""
    _check_plain(path.name, array)
    written: list[LargeArray] = []

    def write(beside: Path) -> None:
        with open(beside, "wb") as file:
            checked = _Checked(file)
            npy.write_array(checked, np.ascontiguousarray(array), allow_pickle=False)
        written.append(LargeArray(checked.n_bytes, checked.crc32))

    files.write_atomically(path, write, through_links=False, durable=False)  # its checksum is compared
    return written[-1]


def write_arrays(path: Path, about: About, arrays: Mapping[str, Array]) -> None:
    """Write a record, atomically."""
    for name, array in arrays.items():
        _check_plain(name, array)
    if ABOUT in arrays:
        raise ValueError(f"arrays must not have the name {ABOUT!r}, which describes the record.")
    text = json.dumps(asdict(replace(about, arrays=tuple(arrays))), sort_keys=True).encode("ascii")
    members = {ABOUT: np.frombuffer(text, dtype=np.uint8), **arrays}

    def write(beside: Path) -> None:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, array in members.items():  # names of 1980: the same arrays give the same bytes
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                    npy.write_array(file, np.asarray(array), allow_pickle=False)

    files.write_atomically(path, write, through_links=False)


def _check_plain(name: str, array: Array) -> None:
    if array.dtype.hasobject:
        raise TypeError(f"{name} must be an array of numbers or text; got dtype {array.dtype}.")


def read_about(path: Path) -> About | None:
    """Return what a record is of; None if there is no whole record.

    Raises
    ------
    ValueError
        If another schema wrote it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = _about_of(archive, path)
            if path.stat().st_size <= SMALL and archive.testzip() is not None:
                return None
    except (OSError, KeyError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        return None
    return about


def read_arrays(path: Path) -> tuple[About, dict[str, Array]]:
    """Return what a record is of, and its arrays; every byte is checked.

    Raises
    ------
    OSError, KeyError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile
        If it is missing or damaged.
    """
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(path) as archive:
        about = _about_of(archive, path)
        for name in about.arrays:
            arrays[name] = _member(archive, f"{name}.npy")
    return about, arrays


def _member(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(name) as file:
        array: Array = npy.read_array(file, allow_pickle=False)
        if file.read(1):  # to the end, where the checksum is compared
            raise EOFError(f"{name} has more bytes than its header states")
    return array


def _about_of(archive: zipfile.ZipFile, path: Path) -> About:
    try:
        document = read_strictly(_member(archive, f"{ABOUT}.npy").tobytes().decode("ascii"))
        schema = document["schema"]
    except (ValueError, TypeError) as error:
        raise EOFError(f"{path} does not describe itself: {error}") from None
    if schema != SCHEMA:
        raise ValueError(
            f"{path} must be a record of schema {SCHEMA}, which flowseg {__version__} continues; got schema {schema!r}."
        )
    about = _as_about(document)
    if archive.namelist() != [f"{name}.npy" for name in (ABOUT, *about.arrays)]:
        raise EOFError(f"{path} has other arrays than it states")
    return about


def _as_about(document: Any) -> About:
    arrays = tuple(map(str, document["arrays"]))
    large = {str(name): LargeArray(int(d["n_bytes"]), int(d["crc32"])) for name, d in document["large"].items()}
    return About(str(document["plan"]), str(document["stage"]), int(document["index"]), arrays, large)


def is_whole(path: Path, large: LargeArray) -> bool:
    """Whether the file of a large array has its checksum."""
    crc32 = n_bytes = 0
    with open(path, "rb") as file:
        while data := file.read(PORTION):
            crc32 = zlib.crc32(data, crc32)
            n_bytes += len(data)
    return (n_bytes, crc32) == (large.n_bytes, large.crc32)


def map_large(path: Path) -> Array:
    """Return a large array, read-only, by memory map."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:  # an empty array cannot be mapped
        array = np.load(path, allow_pickle=False)
    return array
