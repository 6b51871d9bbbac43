"""Write a file whole or not at all; write TIFF arrays and named arrays."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tifffile
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from flowseg import _memory

# Bytes of chance in the name of a file that is not whole yet.
TOKEN_BYTES = 8

# What .safetensors calls the types of numbers that Keras' weights have and NumPy knows.
DTYPE_NAMES = {"float32": "F32", "float16": "F16", "float64": "F64", "int32": "I32", "int64": "I64", "uint32": "U32"}


def fits(stored: str, dtype: str) -> bool:
    """Whether values of a type, by its name in a file, are kept exactly by weights of a dtype."""
    return stored == DTYPE_NAMES.get(dtype) or (stored == "F32" and dtype == "float64")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a new file beside ``path``, then put it in the place of ``path`` in one step.

    When anything goes wrong (a full disk, an interruption) the new file is removed and ``path`` is as it was.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    check_target(path)
    beside = path.with_name(f"{_unfinished(path.name)}{secrets.token_hex(TOKEN_BYTES)}{path.suffix}")
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # less what the umask takes away
    mode = (path if path.exists() else beside).stat().st_mode
    try:
        write(beside)
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        beside.chmod(mode)  # safetensors makes a file of its own, for nobody else to read
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _unfinished(name: str) -> str:
    """How the name of a file begins while it is written."""
    return f".{name[:40]}."


def is_unfinished(file: Path, names: Iterable[str]) -> bool:
    """Whether `write_whole` was writing one of ``names`` to this file, and was killed."""
    beginning = file.name.removesuffix(file.suffix)[: -2 * TOKEN_BYTES]
    return beginning in map(_unfinished, names)


def check_folder_of(path: Path, name: str) -> None:
    """Raise, calling the file ``name``, when no file can be made in its folder."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{name} must lie in a folder that exists; {path.parent} does not.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{name} must lie in a folder that can be written to; {path.parent} cannot.")


def check_target(path: Path, name: str = "") -> None:
    """Raise, calling the file ``name``, when it can never be written to ``path``."""
    name = name or str(path)
    check_folder_of(path, name)
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "something else"
        raise ValueError(f"{name} must be a file or not exist; it is {kind}.")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{name} must be writable; it is not.")


def write_tiff(path: Path, array: NDArray[Any], pixel_size: tuple[float, float] | None = None) -> None:
    """Write an array as a zlib-compressed TIFF, whole or not at all; ``pixel_size``: height, width in micrometres."""
    axes = "Q" * (array.ndim - 2) + "YX"  # said outright: an array of shape (n, rows, 1) could be an image, too
    said: dict[str, Any] = {"compression": "zlib", "photometric": "minisblack", "metadata": {"axes": axes}}
    if pixel_size is not None:  # pixels per centimetre, across and down: the unit that TIFF has
        said |= {"resolution": (1e4 / pixel_size[1], 1e4 / pixel_size[0]), "resolutionunit": "CENTIMETER"}
    write_whole(path, lambda beside: tifffile.imwrite(beside, array, **said))


def write_safetensors(path: Path, tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    """Write named arrays, whole or not at all."""

    def write(beside: Path) -> None:
        try:
            save_file(tensors, str(beside), metadata=metadata)
        except SafetensorError as error:  # a full disk, say
            raise OSError(f"{path} could not be written; {' '.join(str(error).split())}") from None

    write_whole(path, write)


@contextmanager
def naming_what_is_damaged(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a damaged file makes a library raise into one sentence that names the file."""
    try:
        yield
    except MemoryError as error:
        raise _memory.named(path, error) from error
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(f"{path} must "):  # a sentence already
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} must be a readable {kind}; got: {reason}") from error
