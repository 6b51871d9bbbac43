"""Images in the formats of microscopes' makers, as bioio reads them."""

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
from flowseg._system.optional import need
from flowseg._system.shown import one_line

# Endings, and the reader of bioio's that each needs. The extra brings the first three; the others are to be installed
# beside it, and bioio-bioformats needs Java.
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

# Axes that bioio's readers hand on: those of images, scenes and positions, tiles of a mosaic.
KNOWN_AXES = "TZCYXSPM"


def is_vendor_file(path: Path) -> bool:
    """Whether a file's name says that it is one for bioio."""
    return path.suffix.lower() in READERS


@contextmanager
def open_scene(path: Path, scene: int | str | None) -> Iterator[Source]:
    """Open one scene, of which only what is chosen is read.

    Color pictures are read at once: read later, bioio-czi 3.0 gives the first color three times.
    """
    image, number = _open(path, scene)
    _refuse_hidden_axes(path, number)
    with _naming_the_reader(path):
        axes, lazy = str(image.dims.order), image.dask_data

    def read(index: Index) -> NDArray[Any]:
        with _naming_the_reader(path):
            return np.asarray(pick(image.data if "S" in axes else lazy, index))

    yield Source(path, axes, tuple(map(int, lazy.shape)), np.dtype(lazy.dtype), read)


@contextmanager
def _naming_the_reader(path: Path) -> Iterator[None]:
    """Turn whatever a reader of bioio's raises into one sentence."""
    try:
        yield
    except MemoryError as error:
        raise memory.named(path, error) from error
    except Exception as error:
        reason = one_line(str(error)).rstrip(".") or type(error).__name__
        raise ValueError(
            f"{path} must be a file that {READERS[path.suffix.lower()]} can read; it says: {reason}. Export the image "
            "as OME-TIFF."
        ) from error


def _refuse_hidden_axes(path: Path, number: int) -> None:
    """Refuse a file with axes of which bioio's reader gives the first plane only, without a word."""
    with _naming_the_reader(path):
        hidden = {name: n for name, n in _all_axes(path, number).items() if n > 1 and name not in KNOWN_AXES}
    if hidden:
        said = ", ".join(f"{name} ({n})" for name, n in hidden.items())
        raise ValueError(
            f"{path} must have axes of time, planes, channels, rows and columns; it also has {said}, of which only the "
            "first could be read. Export the planes that you want as OME-TIFF."
        )


def _all_axes(path: Path, number: int) -> dict[str, int]:
    suffix = path.suffix.lower()
    if suffix == ".lif":
        with need("liffile", "bioio").LifFile(path) as file:
            return {str(name): int(n) for name, n in file.images[number].sizes.items()}
    if suffix == ".nd2":
        with need("nd2", "bioio").ND2File(path) as file:
            return {str(name): int(n) for name, n in file.sizes.items()}
    if suffix == ".czi":
        with need("pylibCZIrw.czi", "bioio").open_czi(str(path)) as file:
            return {str(name): int(high - low) for name, (low, high) in file.total_bounding_box.items()}
    return {}


def scene_pixel_size(path: Path, scene: int | str | None) -> tuple[float, float] | None:
    """Height and width of a pixel in micrometres, or None if the file does not say."""
    image, _ = _open(path, scene)
    with _naming_the_reader(path):
        size = image.physical_pixel_sizes
        known = bool(size.Y and size.X) and (path.suffix.lower() != ".nd2" or _is_calibrated(path))
    return (float(size.Y), float(size.X)) if known else None


def _is_calibrated(path: Path) -> bool:
    """Whether a Nikon file knows its pixel size: its reader says 1 micrometre of those that do not."""
    with need("nd2", "bioio").ND2File(path) as file:
        channels = getattr(file.metadata, "channels", None) or []
        return all(all(channel.volume.axesCalibrated[:2]) for channel in channels)


def _open(path: Path, scene: int | str | None) -> tuple[Any, int]:
    """A bioio.BioImage, set to the scene, and the number of the scene."""
    memory.check_regular(path)
    bioio = need("bioio", "bioio")
    reader = READERS[path.suffix.lower()]
    if path.suffix.lower() not in need("bioio.plugins", "bioio").get_plugins(use_cache=True):
        raise ImportError(f"{path} needs the package {reader}; install it with: pip install {reader}")
    with _naming_the_reader(path):
        image = bioio.BioImage(path)
        names = [str(name) for name in image.scenes]
    number = choose_scene(names, scene, path)
    with _naming_the_reader(path):
        image.set_scene(number)
    return image, number
