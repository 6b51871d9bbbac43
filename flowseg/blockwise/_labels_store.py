"""The labels of a run, written block by block into an OME-Zarr: a new one, or the one that holds the image.

A new store holds ``labels/NAME``, the label image in several resolutions, and metadata that show the same arrays as the
image around it: readers look for labels beside an image only, and the image itself is not copied.

Metadata come last. Until `LabelsStore.finish` there are arrays in groups without OME metadata, which no reader takes
for a label image.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
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
from flowseg._system import files
from flowseg._system.optional import need
from flowseg.blockwise._array_source import pixel_size_of_spec, spec_of_pixel_size
from flowseg.blockwise._label_metadata import describe_labels, describe_root, list_label
from flowseg.blockwise._source import JsonObject, PixelSize, Source

# Largest and smallest side of a chunk in pixels: 4 MiB of int32, as viewers load, and not more files than needed.
LARGEST_CHUNK, SMALLEST_CHUNK = 1024, 64
# Levels are halved until the smaller side is below this many pixels.
SMALLEST_LEVEL = 1024
# Name of the label image where none is given.
DEFAULT_NAME = "objects"
# Effort of the compression (zstd): more takes longer and hardly makes labels smaller.
COMPRESSION_LEVEL = 3
VERSIONS: dict[str, Literal[2, 3]] = {"0.4": 2, "0.5": 3}
DTYPE = np.dtype(np.int32)
LARGEST_LABEL = int(np.iinfo(DTYPE).max)


def choose_chunk(block_size: int) -> int:
    """Return the side of chunks of which a block is made: the largest divisor that is not too large, or the block."""
    divisors = (n for n in range(min(LARGEST_CHUNK, block_size), SMALLEST_CHUNK - 1, -1) if block_size % n == 0)
    return next(divisors, block_size)


def level_shapes(shape: tuple[int, int], n_levels: int | None = None) -> list[tuple[int, int]]:
    """Return rows and columns of the levels: each takes every second pixel of the one before.

    Beside an image there are as many as it has, as the specification of OME-Zarr wants; in a new store the smallest one
    is the first whose smaller side is below `SMALLEST_LEVEL`.
    """
    shapes = [shape]
    while min(shapes[-1]) >= SMALLEST_LEVEL if n_levels is None else len(shapes) < n_levels:
        rows, columns = shapes[-1]
        shapes.append(((rows + 1) // 2, (columns + 1) // 2))
    return shapes


@dataclass(frozen=True, eq=False)
class LabelsStore:
    """A label image in an OME-Zarr, int32, 0 for background.

    Parameters
    ----------
    root : str
        Path or URL of the OME-Zarr.
    name : str
        Name of the label image in it.
    shape : (int, int)
        Rows and columns.
    chunk : int
        Side of the chunks, of every level.
    version : str
        Version of OME-Zarr, "0.4" or "0.5".
    is_new : bool
        Whether the OME-Zarr holds nothing but this label image.
    pixel_size : PixelSize, optional
        Size of a pixel.
    n_levels : int, optional
        Number of levels; by default as many as the shape needs.
    options : dict, optional
        Options of fsspec, where ``root`` is a URL.
    """

    root: str
    name: str
    shape: tuple[int, int]
    chunk: int
    version: str = "0.5"
    is_new: bool = True
    pixel_size: PixelSize | None = None
    n_levels: int | None = None
    options: StorageOptions | None = None
    _arrays: dict[int, Any] = field(default_factory=dict, repr=False)

    @property
    def location(self) -> str:
        """Path or URL of the group of the label image."""
        return join(self.root, "labels", self.name)

    @property
    def level_shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of the levels, the full resolution first."""
        return level_shapes(self.shape, self.n_levels)

    def spec(self) -> JsonObject:
        """Return a JSON object with which `open_labels` opens the store in another process."""
        return {
            "root": self.root,
            "name": self.name,
            "shape": list(self.shape),
            "chunk": self.chunk,
            "version": self.version,
            "is_new": self.is_new,
            "n_levels": self.n_levels,
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

    def read(self, level: int, rows: slice, columns: slice) -> NDArray[np.int32]:
        """Return a window of a level; chunks that are not written are background."""
        return read_part(self.array(level), (rows, columns), join(self.location, str(level)), self.options)

    def write_block(self, level: int, rows: slice, columns: slice, labels: NDArray[Any]) -> None:
        """Write labels of whole chunks of a level; writing them again gives the same files.

        Raises
        ------
        ValueError
            If the window cuts chunks, or is not of the shape of the labels, or these are no int32.
        OSError
            If there is no space or no permission, or the store has vanished.
        """
        location = join(self.location, str(level))
        for window, n in zip((rows, columns), self.level_shapes[level], strict=True):
            ends = window.stop == n or window.stop % self.chunk == 0
            if window.start % self.chunk or not ends or not 0 <= window.start < window.stop <= n:
                raise ValueError(f"a block must be whole chunks of {self.chunk} pixels of {n}; got {window}.")
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        _checks.check_same_shape(labels.shape, shape, "labels", "their window")
        if labels.dtype.kind not in "iu" or not 0 <= labels.min() <= labels.max() <= LARGEST_LABEL:
            raise ValueError(
                f"labels must be integers from 0 to {LARGEST_LABEL}; got {labels.dtype} to {labels.max()}."
            )
        array = self.array(level)
        check_in_place(location, self.options)
        with naming(location):
            array[rows, columns] = labels.astype(DTYPE, copy=False)

    def fill_block(self, level: int, rows: slice, columns: slice) -> None:
        """Write whole chunks of a level above 0: every second pixel of the level before."""
        above = self.level_shapes[level - 1]
        window = [slice(2 * w.start, min(2 * w.stop, n)) for w, n in zip((rows, columns), above, strict=True)]
        self.write_block(level, rows, columns, self.read(level - 1, *window)[::2, ::2])

    def finish(self, n_objects: int = 0) -> Any:
        """Write the metadata that make the arrays a label image, and return the one of full resolution, read-only."""
        zarr = need("zarr", "large")
        n_levels = len(self.level_shapes)
        for level in range(n_levels):
            check_in_place(join(self.location, str(level)), self.options)
        with naming(self.location):
            self._open_group(self.location).attrs.update(
                describe_labels(self.name, n_levels, self.version, self.pixel_size)
            )
            labels = self._open_group(join(self.root, "labels"))
            labels.attrs.update(list_label(dict(labels.attrs), self.name, self.version))
            root = self._open_group(self.root)
            if self.is_new:
                root.attrs.update(describe_root(self.name, n_levels, self.version, self.pixel_size, n_objects))
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
    shape, options = spec["shape"], spec.get("options")
    if not isinstance(shape, list):
        raise ValueError(f"the spec of labels must have a shape; got {shape!r}.")
    rows, columns = (int(str(n)) for n in shape)
    return LabelsStore(
        str(spec["root"]),
        str(spec["name"]),
        (rows, columns),
        int(str(spec["chunk"])),
        str(spec["version"]),
        bool(spec["is_new"]),
        pixel_size_of_spec(spec),
        None if spec.get("n_levels") is None else int(str(spec["n_levels"])),
        options if isinstance(options, dict) else None,
    )


def create_labels(
    output: str | os.PathLike[str],
    source: Source,
    block_size: int,
    *,
    name: str = DEFAULT_NAME,
    storage_options: StorageOptions | None = None,
) -> LabelsStore:
    """Create the arrays for the labels of an image.

    Parameters
    ----------
    output : path or URL
        The OME-Zarr: a path where nothing is yet, or that of the image, if it is OME-Zarr.
    source : Source
        The image; its pixel size becomes that of the labels.
    block_size : int
        Side of the blocks that are written, in pixels.
    name : str
        Name of the label image.
    storage_options : dict, optional
        Options of fsspec for a URL.

    Raises
    ------
    FileExistsError
        If there is something at the path, or a label image of that name in the image.
    ValueError
        If the output lies inside the image, or the name is none of a group.
    OSError
        If the folder does not exist or cannot be written to.
    """
    block_size = _checks.as_integer(block_size, "block_size", minimum=1)
    _check_name(name)
    root = os.fspath(output)
    root = root.rstrip("/") if is_url(root) else os.path.abspath(root)
    is_new = source.group is None or not _same(root, source.group)
    version = "0.5" if is_new or source.version is None else source.version
    store = LabelsStore(
        root,
        name,
        source.shape[:2],
        choose_chunk(block_size),
        version,
        is_new,
        source.pixel_size,
        None if is_new else source.n_levels,
        storage_options,
    )
    _check_place(store, source)
    with naming(root):
        created = store.root if is_new else store.location
        if is_new and not is_url(root):
            os.mkdir(root)  # which fails where another process was quicker
        try:
            _create_nodes(store)
        except BaseException:
            if not is_url(root):
                shutil.rmtree(created, ignore_errors=True)
            raise
    return store


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name or "/" in name or "\\" in name or name.startswith((".", "__")):
        raise ValueError(f"name must be that of a group, without / and not beginning with . or __; got {name!r}.")


def _same(one: str, other: str) -> bool:
    if is_url(one) or is_url(other):
        return one.rstrip("/") == other.rstrip("/")
    return os.path.realpath(one) == os.path.realpath(other)


def _check_place(store: LabelsStore, source: Source) -> None:
    """Refuse an output that exists, lies inside the image, or cannot be written."""
    root = store.root
    if not store.is_new:
        if open_node(store.location, store.options) is not None or os.path.lexists(store.location):
            raise FileExistsError(f"{root} must have no labels {store.name!r} yet; it has. Choose another name.")
        if not is_url(root) and not os.access(root, os.W_OK | os.X_OK):
            raise PermissionError(f"{root} must be a folder that can be written to; it cannot.")
        return
    around = source.group or (source.location if source.kind == "zarr" else None)
    if around is not None and _is_inside(root, around):
        advice = f" Give {source.group} to add labels to the image." if source.group else ""
        raise ValueError(f"output must not lie inside the image {around}; got {root}.{advice}")
    if is_url(root):
        if open_node(root, store.options) is not None:
            raise FileExistsError(f"{root} must not exist yet; it does.")
        return
    if os.path.lexists(root):
        raise FileExistsError(f"{root} must not exist yet; it does.")
    files.check_folder_of(Path(root), root)


def _is_inside(inner: str, outer: str) -> bool:
    if not is_url(inner) and not is_url(outer):
        inner, outer = os.path.realpath(inner), os.path.realpath(outer)
    return (inner.rstrip("/") + "/").replace(os.sep, "/").startswith(outer.rstrip("/").replace(os.sep, "/") + "/")


def _create_nodes(store: LabelsStore) -> None:
    zarr = need("zarr", "large")
    zarr_format = VERSIONS[store.version]
    given = store.options if is_url(store.root) else None
    groups = [store.root] if store.is_new else []
    labels = join(store.root, "labels")
    if store.is_new or open_node(labels, store.options) is None:
        groups.append(labels)
    for location in (*groups, store.location):
        zarr.create_group(location, zarr_format=zarr_format, storage_options=given)
    for level, shape in enumerate(store.level_shapes):
        zarr.create_array(
            join(store.location, str(level)),
            shape=shape,
            chunks=tuple(min(store.chunk, n) for n in shape),
            dtype=DTYPE,
            fill_value=0,
            zarr_format=zarr_format,
            storage_options=given,
            compressors=_compressor(zarr_format),
            chunk_key_encoding={"name": "default" if zarr_format == 3 else "v2", "separator": "/"},
            dimension_names=("y", "x") if zarr_format == 3 else None,
        )


def _compressor(zarr_format: Literal[2, 3]) -> Any:
    """Return the compressor: with a checksum where readers of the format know one."""
    if zarr_format == 3:
        return need("zarr.codecs", "large").ZstdCodec(level=COMPRESSION_LEVEL, checksum=True)
    return need("numcodecs", "large").Blosc(cname="zstd", clevel=COMPRESSION_LEVEL, shuffle=1)


@contextmanager
def naming(location: str) -> Iterator[None]:
    """Let errors of the system name the store where they name no file."""
    try:
        yield
    except OSError as error:
        if error.strerror is not None and error.filename is None:
            error.filename = location
        raise
