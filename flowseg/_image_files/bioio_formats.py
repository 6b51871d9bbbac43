"""Images in the formats of microscope vendors, as bioio reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._image_files.scenes import choose_scene
from flowseg._image_files.source import Index, Source, pick
from flowseg._system import memory
from flowseg._system.invalid_file import SYSTEM_ERRORS, InvalidFileError, check_regular
from flowseg._system.optional_packages import need
from flowseg._system.printable import one_line

# Endings, and the package of bioio that each needs. The extra ``bioio`` installs the first three; the others have to be
# installed separately, and bioio-bioformats needs Java.
READERS = {
    ".czi": "bioio-czi",
    ".lif": "bioio-lif",
    ".nd2": "bioio-nd2",
    ".dv": "bioio-dv",
    ".oib": "bioio-bioformats",
    ".oif": "bioio-bioformats",
    ".oir": "bioio-bioformats",
    ".vsi": "bioio-bioformats",
}

# Axes that bioio's readers return: axes of images, scenes, positions and tiles of a mosaic.
KNOWN_AXES = "TZCYXSPM"


def is_vendor_file(path: Path) -> bool:
    """Return whether a file has the name of one for bioio."""
    return path.suffix.lower() in READERS


@contextmanager
def open_scene(path: Path, scene: int | str | None) -> Iterator[Source]:
    """Open one scene, of which only the selected part is read.

    Color pictures are read at once: read later, bioio-czi 3.0 gives the first color three times.
    """
    image, number = _open(path, scene)
    _refuse_hidden_axes(path, number)
    with _parsing(path):
        axes, lazy = str(image.dims.order), image.dask_data
        shape, dtype = tuple(map(int, lazy.shape)), np.dtype(lazy.dtype)

    def read(index: Index) -> NDArray[Any]:
        with _parsing(path):
            whole = image.data if "S" in axes else lazy
        part = pick(whole, index)
        with _parsing(path):
            return np.asarray(part)

    yield Source(path, axes, shape, dtype, read)


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """Translate exceptions of a reader of bioio; only its calls belong in the block."""
    try:
        yield
    except MemoryError as error:
        raise memory.named(path, error) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in SYSTEM_ERRORS:
            raise
        reason = one_line(str(error)).rstrip(".") or type(error).__name__
        raise InvalidFileError(
            f"{path} must be a file that {READERS[path.suffix.lower()]} can read; it reports: {reason}. Export the "
            "image as OME-TIFF."
        ) from error


def _refuse_hidden_axes(path: Path, number: int) -> None:
    """Refuse a file with axes of which bioio's reader gives the first plane only, without a word."""
    lengths = _all_axes(path, number)
    hidden = [f"{name} ({n})" for name, n in lengths.items() if n > 1 and name not in KNOWN_AXES]
    if hidden:
        raise InvalidFileError(
            f"{path} must have axes of time, planes, channels, rows and columns; it also has {', '.join(hidden)}, of "
            "which only the first could be read. Export the planes that you want as OME-TIFF."
        )


def _all_axes(path: Path, number: int) -> dict[str, int]:
    suffix = path.suffix.lower()
    if suffix == ".lif":
        liffile = need("liffile", "bioio")
        with _parsing(path), liffile.LifFile(path) as file:
            return {str(name): int(n) for name, n in file.images[number].sizes.items()}
    if suffix == ".nd2":
        nd2 = need("nd2", "bioio")
        with _parsing(path), nd2.ND2File(path) as file:
            return {str(name): int(n) for name, n in file.sizes.items()}
    if suffix == ".czi":
        czi = need("pylibCZIrw.czi", "bioio")
        with _parsing(path), czi.open_czi(str(path)) as file:
            return {str(name): int(high - low) for name, (low, high) in file.total_bounding_box.items()}
    return {}


def scene_pixel_sizes(path: Path, scene: int | str | None, letters: str) -> list[float | None]:
    """Return the size of a pixel along each axis in micrometers; None where the file does not hold it."""
    image, _ = _open(path, scene)
    with _parsing(path):
        size = image.physical_pixel_sizes
        found = [float(getattr(size, letter) or 0) or None for letter in letters]
    if path.suffix.lower() != ".nd2":
        return found
    return [one if _is_calibrated(path, letter) else None for one, letter in zip(found, letters, strict=True)]


def _is_calibrated(path: Path, letter: str) -> bool:
    """Return whether a Nikon file holds the size of its pixels: without one its reader reports 1 micrometer."""
    nd2 = need("nd2", "bioio")
    with _parsing(path), nd2.ND2File(path) as file:
        channels = getattr(file.metadata, "channels", None) or []
        return all(channel.volume.axesCalibrated["XYZ".index(letter)] for channel in channels)


def _open(path: Path, scene: int | str | None) -> tuple[Any, int]:
    """Return a bioio.BioImage, set to the scene, and the number of the scene."""
    check_regular(path)
    bioio = need("bioio", "bioio")
    reader = READERS[path.suffix.lower()]
    if path.suffix.lower() not in need("bioio.plugins", "bioio").get_plugins(use_cache=True):
        raise ImportError(f"{path} needs the package {reader}; install it with: pip install {reader}")
    with _parsing(path):
        image = bioio.BioImage(path)
        names = [str(name) for name in image.scenes]
    number = choose_scene(names, scene, path)
    with _parsing(path):
        image.set_scene(number)
    return image, number
