"""Open an image of any format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowseg._image_files.bioio_formats import is_vendor_file, open_scene
from flowseg._image_files.find_and_pair import SUFFIXES
from flowseg._image_files.ome_zarr.images import open_zarr_image
from flowseg._image_files.ome_zarr.nodes import is_zarr
from flowseg._image_files.png_jpeg_bmp import is_picture, open_picture
from flowseg._image_files.source import Source
from flowseg._image_files.tiff import is_tiff, open_tiff
from flowseg._system import memory
from flowseg._system.invalid_file import InvalidFileError, check_regular


@contextmanager
def open_image(path: Path, scene: int | str | None, *, labels: bool = False) -> Iterator[Source]:
    """Open an image; only its axes are read."""
    if is_zarr(path):
        with memory.naming(path), open_zarr_image(path, scene) as source:
            yield source
        return
    if path.is_dir():
        raise InvalidFileError(f"{path} must be an image file; it is a folder.")
    check_regular(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} must be an image file; there is none.")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} must be readable; it is not: Permission denied.")
    if is_vendor_file(path):
        opened = open_scene(path, scene)
    elif is_tiff(path):
        opened = open_tiff(path, scene, labels=labels)
    elif is_picture(path):
        opened = open_picture(path, scene, labels=labels)
    else:
        raise InvalidFileError(
            f"{path} must be an image file, whose name ends in one of {', '.join(SUFFIXES)}. Save the image as TIFF."
        )
    with memory.naming(path), opened as source:
        yield source
