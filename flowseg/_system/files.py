"""Write files atomically: completely or not at all.

A file is written under a hidden name beside its own, ``.NAME-MARK.NUMBER.unfinished.SUFFIX``, is locked by the
process that writes it (`locks`), and is renamed when it is complete. The next process that writes the same file removes
unlocked leftovers.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import tifffile
from numpy.typing import NDArray

from flowseg._system import locks
from flowseg._system.interrupts import interrupts_deferred

# Ending of the name of an unfinished file, before its suffix, which writers of formats go by.
UNFINISHED = ".unfinished"
LONGEST_SUFFIX = 16
# Processes that write the same file at once: this many leave leftovers that are always found; this many may write.
AT_ONCE, MOST_UNFINISHED = 4, 1000

# Numerator and denominator of a fraction in TIFF have 32 bits.
LARGEST_TERM = 2**32 - 1

# Types of numbers of Keras' weights by NumPy's names, and their names in .safetensors.
DTYPE_NAMES = {"float32": "F32", "float16": "F16", "float64": "F64", "int32": "I32", "int64": "I64", "uint32": "U32"}


def fits(stored: str, dtype: str) -> bool:
    """Return whether weights of a dtype keep values of a type, by its name in a file, exactly."""
    return stored == DTYPE_NAMES.get(dtype) or (stored == "F32" and dtype == "float64")


def write_atomically(
    path: Path, write: Callable[[Path], object], *, through_links: bool = True, durable: bool = True
) -> None:
    """Let ``write`` fill a new file beside ``path``, then put it in the place of ``path`` in one step.

    When anything goes wrong (a full disk, an interruption) the new file is removed and ``path`` stays as it was.
    Leftovers of killed processes that wrote the same file are removed. A link stays a link, and its target is replaced,
    unless ``through_links`` is False: then the new file takes the place of the link. Unless ``durable``, a power cut
    may leave a damaged file: for files that are checked when they are read, and made again.
    """
    if through_links:
        path = Path(os.path.realpath(path))
    if through_links or not path.is_symlink():
        check_target(path)
    beside = None
    try:
        with interrupts_deferred(), _naming(path):
            beside, descriptor = _begin(path)
        with _naming(path, beside), _closing(descriptor) as close:
            write(beside)
            if durable:
                os.fsync(descriptor)
            _keep_mode(path, beside)
            if os.name == "nt":  # which renames no file that is open
                close()
            os.replace(beside, path)
    except BaseException:
        if beside is not None:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        raise
    if durable:
        with _naming(path):
            sync_folder(path.parent)


@contextmanager
def _closing(descriptor: int) -> Iterator[Callable[[], None]]:
    """Close a file at the end of the block, or earlier."""
    is_open = [True]

    def close() -> None:
        if is_open:
            is_open.clear()
            os.close(descriptor)

    try:
        yield close
    finally:
        close()


@contextmanager
def _naming(path: Path, beside: Path | None = None) -> Iterator[None]:
    """Let errors of the system name the file to write, not the unfinished one."""
    try:
        yield
    except OSError as error:
        if error.strerror is not None and (beside is None or error.filename in (None, str(beside), beside)):
            error.filename, error.filename2 = str(path), None
        raise


def _keep_mode(path: Path, beside: Path) -> None:
    """Give the new file the permissions of the old one, if there is one."""
    if path.is_file() and not path.is_symlink():
        mode = path.stat().st_mode
        if mode != beside.stat().st_mode:
            beside.chmod(mode)


def sync_folder(folder: Path) -> None:
    """Flush the list of files in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder may be writable only
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def unfinished(path: Path, number: int) -> Path:
    """Return where a file is written before it is renamed; processes that write the same one use other numbers."""
    suffix = path.suffix if len(path.suffix) <= LONGEST_SUFFIX else ""
    return locks.name_beside(path, f".{number}{UNFINISHED}{suffix}")


def _begin(path: Path) -> tuple[Path, int]:
    """Create an unfinished file, which is locked as long as its descriptor is open."""
    for number in range(MOST_UNFINISHED):
        beside = unfinished(path, number)
        try:
            descriptor = _create(beside)
        except FileExistsError:
            remove_if_left(beside)
            try:
                descriptor = _create(beside)
            except FileExistsError:  # another process writes it
                continue
        if locks.take(descriptor) is False or not locks.is_at(descriptor, beside):
            os.close(descriptor)  # another process took it for a leftover before it was locked
            continue
        for other in range(AT_ONCE):
            if other != number:
                remove_if_left(unfinished(path, other))
        return beside, descriptor
    first = unfinished(path, 0)
    raise OSError(f"{path} must have fewer than {MOST_UNFINISHED} unfinished files; remove {first} and others.")


def _create(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | locks.CAREFULLY, 0o666)  # less the umask


def remove_if_left(file: Path) -> None:
    """Remove an unfinished file that no living process has locked; where there are no locks it stays."""
    if not os.path.lexists(file):
        return
    with suppress(OSError):
        descriptor = os.open(file, os.O_RDWR | locks.CAREFULLY)
        if locks.is_at(descriptor, file) and locks.take(descriptor):
            locks.close_and_remove(descriptor, file)
        else:
            os.close(descriptor)


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Remove leftovers of killed processes that wrote files of these names."""
    beginnings = tuple(locks.name_beside(folder / name, ".").name for name in names)
    for file in folder.iterdir():
        if UNFINISHED in file.name and file.name.startswith(beginnings):
            remove_if_left(file)


def check_folder_of(path: Path, name: str) -> None:
    """Raise an error about ``name`` when no file can be created in its folder."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{name} must lie in a folder that exists; {path.parent} does not.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{name} must lie in a folder that can be written to; {path.parent} cannot.")


def check_kind(path: Path, name: str) -> None:
    """Raise an error about ``name`` when there is something else than a file."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "something else"
        raise ValueError(f"{name} must be a file or not exist; it is {kind}.")


def check_target(path: Path, name: str = "") -> None:
    """Raise an error about ``name`` when no file can be written to ``path``."""
    name = name or str(path)
    check_kind(path, name)
    check_folder_of(path, name)
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{name} must be writable; it is not.")


def write_tiff(
    path: Path, array: NDArray[Any], pixel_size: tuple[float, float] | None = None, *, axes: str | None = None
) -> None:
    """Write an array as a zlib-compressed TIFF, atomically; ``pixel_size``: height, width in micrometers."""
    if axes is None:  # given explicitly: an array of shape (n, rows, 1) could be an image, too
        axes = "Q" * (array.ndim - 2) + "YX"
    options: dict[str, Any] = {"compression": "zlib", "photometric": "minisblack", "metadata": {"axes": axes}}
    if pixel_size is not None:  # pixels per centimeter, across and down: the unit that TIFF has
        options |= {"resolution": as_resolution(pixel_size, 1e4), "resolutionunit": "CENTIMETER"}
    write_atomically(path, lambda beside: tifffile.imwrite(beside, array, **options))


def as_resolution(pixel_size: tuple[float, float], per_unit: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return pixels per unit, across and down, as the fractions that TIFF stores; ``pixel_size``: height, width.

    Made here because tifffile before 2026.3 rounds them: a pixel of 10 nm was off by 0.02 %.
    """
    height, width = pixel_size
    return _as_fraction(per_unit / width), _as_fraction(per_unit / height)


def _as_fraction(value: float) -> tuple[int, int]:
    fraction = Fraction(value).limit_denominator(int(LARGEST_TERM / max(value, 1.0)))
    return fraction.numerator, fraction.denominator


def write_safetensors(path: Path, tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    """Write named arrays atomically."""
    from safetensors.numpy import save  # which no other file needs

    def write(beside: Path) -> None:
        with open(beside, "wb") as file:
            file.write(save(tensors, metadata=metadata))

    write_atomically(path, write)
