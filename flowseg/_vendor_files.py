"""Images in the formats of microscopes' makers, as bioio reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _files
from flowseg._image_source import Index, Source, pick
from flowseg._optional import need
from flowseg._scenes import choose_scene

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


def is_vendor_file(path: Path) -> bool:
    """Whether a file's name says that it is one for bioio."""
    return path.suffix.lower() in READERS


@contextmanager
def open_scene(path: Path, scene: int | str | None) -> Iterator[Source]:
    """Open one scene, of which only what is chosen is read.

    Colour pictures are read at once: read later, bioio-czi 3.0 gives the first colour three times.
    """
    image = _open(path, scene)
    with _files.naming_what_is_damaged(path, "image file"):
        axes = str(image.dims.order)
        array = image.data if "S" in axes else image.dask_data

    def read(index: Index) -> NDArray[Any]:
        with _files.naming_what_is_damaged(path, "image file"):
            return np.asarray(pick(array, index))

    yield Source(path, axes, tuple(array.shape), array.dtype, read)


def scene_pixel_size(path: Path, scene: int | str | None) -> tuple[float, float] | None:
    """Height and width of a pixel in micrometres, or None if the file does not say."""
    image = _open(path, scene)
    with _files.naming_what_is_damaged(path, "image file"):
        size = image.physical_pixel_sizes
        known = bool(size.Y and size.X) and (path.suffix.lower() != ".nd2" or _is_calibrated(path))
    return (float(size.Y), float(size.X)) if known else None


def _is_calibrated(path: Path) -> bool:
    """Whether a Nikon file knows its pixel size: its reader says 1 micrometre of those that do not."""
    with need("nd2", "bioio").ND2File(path) as file:
        channels = getattr(file.metadata, "channels", None) or []
        return all(all(channel.volume.axesCalibrated[:2]) for channel in channels)


def _open(path: Path, scene: int | str | None) -> Any:
    """A bioio.BioImage, set to the scene."""
    bioio = need("bioio", "bioio")
    reader = READERS[path.suffix.lower()]
    if path.suffix.lower() not in need("bioio.plugins", "bioio").get_plugins(use_cache=True):
        raise ImportError(f"{path} needs the package {reader}; install it with: pip install {reader}")
    with _files.naming_what_is_damaged(path, "image file"):
        image = bioio.BioImage(path)
        names = [str(name) for name in image.scenes]
    number = choose_scene(names, scene, path)
    with _files.naming_what_is_damaged(path, "image file"):
        image.set_scene(number)
    return image
