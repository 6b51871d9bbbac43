"""Write a file whole or not at all; read and write TIFF arrays."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a new file beside ``path``, then put it in the place of ``path`` in one step.

    When anything goes wrong (a full disk, an interruption) the new file is removed and ``path`` is as it was.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    beside = Path(name)
    try:
        write(beside)
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        beside.chmod(0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_tiff(path: Path, array: NDArray[Any]) -> None:
    """Write an array as a zlib-compressed TIFF, whole or not at all."""
    write_whole(path, lambda beside: tifffile.imwrite(beside, array, compression="zlib", photometric="minisblack"))


def read_tiff(path: Path) -> NDArray[Any]:
    """Read a TIFF as it is; raise ValueError when it is damaged or no TIFF."""
    try:
        return np.asarray(tifffile.imread(path))
    except (tifffile.TiffFileError, struct.error, zlib.error, ValueError, IndexError, KeyError, EOFError) as error:
        raise ValueError(f"{path} must be a readable TIFF file; got: {error}") from error
