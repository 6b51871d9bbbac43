"""The labels of a run, written block by block into an OME-Zarr: a new one, or the one that holds the image.

A new store holds ``labels/NAME``, the label image in several resolutions, and metadata that show the same arrays as the
image around it: readers look for labels beside an image only, and the image itself is not copied.

Metadata come last. Until `LabelsStore.finish` there are arrays in groups without OME metadata, which no reader takes
for a label image.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._image_files.ome_zarr.nodes import (
    StorageOptions,
    check_in_place,
    is_url,
    join,
    open_node,
    parsing_zarr,
    read_part,
)
from flowseg._system.optional_packages import need
from flowseg.blockwise._stores.array_source import pixel_size_of_spec, spec_of_pixel_size
from flowseg.blockwise._stores.label_metadata import Levels, describe_labels, describe_root, list_label
from flowseg.blockwise._stores.levels import Steps, level_factors, level_shapes
from flowseg.blockwise._stores.source import JsonObject, PixelSize, Window

VERSIONS: dict[str, Literal[2, 3]] = {"0.4": 2, "0.5": 3}
DTYPE = np.dtype(np.int32)
LARGEST_LABEL = int(np.iinfo(DTYPE).max)


@dataclass(frozen=True, eq=False)
class LabelsStore:
    """A label image in an OME-Zarr, int32, 0 for background.

    Parameters
    ----------
    root : str
        Path or URL of the OME-Zarr.
    name : str
        Name of the label image in it.
    shape : tuple of int
        Rows and columns, of a volume planes before them.
    chunk : int
        Side of the chunks, of every level.
    steps : tuple of tuple of int
        Steps between its levels.
    version : str
        Version of OME-Zarr, "0.4" or "0.5".
    is_new : bool
        Whether the OME-Zarr holds nothing but this label image.
    pixel_size : PixelSize, optional
        Size of a pixel.
    options : dict, optional
        Options of fsspec, where ``root`` is a URL.
    """

    root: str
    name: str
    shape: tuple[int, ...]
    chunk: int
    steps: Steps
    version: str = "0.5"
    is_new: bool = True
    pixel_size: PixelSize | None = None
    options: StorageOptions | None = None
    _arrays: dict[int, Any] = field(default_factory=dict, repr=False)

    @property
    def location(self) -> str:
        """Path or URL of the group of the label image."""
        return join(self.root, "labels", self.name)

    @property
    def level_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the levels, the full resolution first."""
        return level_shapes(self.shape, self.steps)

    def spec(self) -> JsonObject:
        """Return a JSON object with which `open_labels` opens the store in another process."""
        return {
            "root": self.root,
            "name": self.name,
            "shape": list(self.shape),
            "chunk": self.chunk,
            "version": self.version,
            "is_new": self.is_new,
            "steps": [list(step) for step in self.steps],
            "options": self.options,
            **spec_of_pixel_size(self.pixel_size),
        }

    def array(self, level: int = 0) -> Any:
        """Return the zarr.Array of a level."""
        if level not in self._arrays:
            zarr = need("zarr", "large")
            location = join(self.location, str(level))
            check_in_place(location, self.options)
            given = self.options if is_url(location) else None
            with parsing_zarr(location):
                self._arrays[level] = zarr.open_array(location, mode="r+", storage_options=given)
        return self._arrays[level]

    def read(self, level: int, window: Window) -> NDArray[np.int32]:
        """Return a window of a level; chunks that are not written are background."""
        return read_part(self.array(level), window, join(self.location, str(level)), self.options)

    def write_block(self, level: int, window: Window, labels: NDArray[Any]) -> None:
        """Write labels of whole chunks of a level; writing them again gives the same files.

        Raises
        ------
        ValueError
            If the window cuts chunks, or is not of the shape of the labels, or these are no int32.
        OSError
            If there is no space or no permission, or the store has vanished.
        """
        location = join(self.location, str(level))
        for part, n in zip(window, self.level_shapes[level], strict=True):
            ends = part.stop == n or part.stop % self.chunk == 0
            if part.start % self.chunk or not ends or not 0 <= part.start < part.stop <= n:
                raise ValueError(f"a block must be whole chunks of {self.chunk} pixels of {n}; got {part}.")
        shape = tuple(part.stop - part.start for part in window)
        _checks.check_same_shape(labels.shape, shape, "labels", "their window")
        if labels.dtype.kind not in "iu" or not 0 <= labels.min() <= labels.max() <= LARGEST_LABEL:
            raise ValueError(
                f"labels must be integers from 0 to {LARGEST_LABEL}; got {labels.dtype} to {labels.max()}."
            )
        array = self.array(level)
        check_in_place(location, self.options)
        with naming(location):
            array[window] = labels.astype(DTYPE, copy=False)

    def fill_block(self, level: int, window: Window) -> None:
        """Write whole chunks of a level above 0: single pixels of the level before."""
        step, below = self.steps[level - 1], self.level_shapes[level - 1]
        spans = zip(window, step, below, strict=True)
        source = tuple(slice(part.start * k, min(part.stop * k, n)) for part, k, n in spans)
        self.write_block(level, window, self.read(level - 1, source)[tuple(slice(None, None, k) for k in step)])

    def finish(self, n_objects: int = 0) -> Any:
        """Write the metadata that make the arrays a label image, and return the one of full resolution, read-only."""
        zarr = need("zarr", "large")
        for level in range(len(self.level_shapes)):
            check_in_place(join(self.location, str(level)), self.options)
        with naming(self.location):
            levels = Levels(level_factors(len(self.shape), self.steps), self.pixel_size)
            self._open_group(self.location).attrs.update(describe_labels(self.name, levels, self.version))
            labels = self._open_group(join(self.root, "labels"))
            labels.attrs.update(list_label(dict(labels.attrs), self.name, self.version))
            root = self._open_group(self.root)
            if self.is_new:
                root.attrs.update(describe_root(self.name, levels, self.version, n_objects))
            self._renew_consolidated()
        given = self.options if is_url(self.root) else None
        return zarr.open_array(join(self.location, "0"), mode="r", storage_options=given)

    def is_finished(self) -> bool:
        """Return whether the metadata are written."""
        group = open_node(self.location, self.options)
        return group is not None and bool({"multiscales", "ome"} & set(group.attrs))

    def _open_group(self, location: str) -> Any:
        zarr = need("zarr", "large")
        given = self.options if is_url(location) else None
        return zarr.open_group(location, mode="r+", storage_options=given, use_consolidated=False)

    def _renew_consolidated(self) -> None:
        """Bring the metadata of all nodes that a writer of the image gathered in its root up to date."""
        zarr = need("zarr", "large")
        if self.is_new or is_url(self.root):
            return
        root = zarr.open_group(self.root, mode="r")
        if root.metadata.consolidated_metadata is not None:
            zarr.consolidate_metadata(self.root, zarr_format=VERSIONS[self.version])


def open_labels(spec: JsonObject) -> LabelsStore:
    """Return the store of a spec, as `LabelsStore.spec` returns it."""
    shape, steps, options = spec["shape"], spec["steps"], spec.get("options")
    if not isinstance(shape, list) or not isinstance(steps, list):
        raise ValueError(f"the spec of labels must have a shape and steps; got {shape!r} and {steps!r}.")
    return LabelsStore(
        str(spec["root"]),
        str(spec["name"]),
        tuple(int(str(n)) for n in shape),
        int(str(spec["chunk"])),
        tuple(tuple(int(str(n)) for n in step) for step in steps if isinstance(step, list)),
        str(spec["version"]),
        bool(spec["is_new"]),
        pixel_size_of_spec(spec),
        options if isinstance(options, dict) else None,
    )


@contextmanager
def naming(location: str) -> Iterator[None]:
    """Let errors of the system name the store where they name no file."""
    try:
        yield
    except OSError as error:
        if error.strerror is not None and error.filename is None:
            error.filename = location
        raise
