"""Create the arrays for the labels of an image, in a new OME-Zarr or in the one that holds the image.

A run creates them in its work folder and moves them to their place when its plan is written. So what a kill leaves is
either in the work folder or complete, and nothing in the place of the output is ever removed.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from flowseg import _checks
from flowseg._image_files.ome_zarr.nodes import StorageOptions, is_url, join, open_node
from flowseg._system import files
from flowseg._system.optional_packages import need
from flowseg.blockwise._stores.labels import DTYPE, VERSIONS, LabelsStore, naming
from flowseg.blockwise._stores.levels import choose_steps
from flowseg.blockwise._stores.source import Source

Location = str | os.PathLike[str]

# Most pixels of a chunk, 4 MiB of int32 as viewers load, and its longest and shortest side, of volumes another one: not
# more files than needed.
CHUNK_PIXELS, LARGEST_CHUNK, SMALLEST_CHUNKS = 1024 * 1024, 1024, {2: 64, 3: 32}
# Name of the label image where none is given.
DEFAULT_NAME = "objects"
# Folder in a work folder for what is still to be moved to its place.
STAGED_NAME = "output"
# Effort of the compression (zstd): more takes longer and hardly makes labels smaller.
COMPRESSION_LEVEL = 3


def choose_chunk(block_size: int, shape: Sequence[int]) -> int:
    """Return the side of chunks of which a block is made: the largest divisor that is not too large, or the block."""
    smallest = SMALLEST_CHUNKS[len(shape)]
    divisors = (n for n in range(min(LARGEST_CHUNK, block_size), smallest - 1, -1) if block_size % n == 0)
    fitting = (side for side in divisors if math.prod(min(side, n) for n in shape) <= CHUNK_PIXELS)
    return next(fitting, block_size)


def create_labels(store: LabelsStore) -> None:
    """Create the arrays of a store that `describe_labels_store` returned, in their place."""
    with naming(store.root):
        created = store.root if store.is_new else store.location
        if store.is_new and not is_url(store.root):
            os.mkdir(store.root)  # which fails where another process was quicker
        try:
            _create_groups(store)
            _create_arrays(store, store.location)
        except BaseException:
            if not is_url(store.root):
                shutil.rmtree(created, ignore_errors=True)
            raise


def stage_labels(store: LabelsStore, folder: Path) -> None:
    """Create the arrays of a store in a work folder; what was there before is removed."""
    staged = folder / STAGED_NAME
    shutil.rmtree(staged, ignore_errors=True)
    with naming(str(staged)):
        if store.is_new:
            inside = replace(store, root=str(staged))
            _create_groups(inside)
            _create_arrays(inside, inside.location)
        else:
            _create_arrays(store, str(staged))


def place_labels(store: LabelsStore, folder: Path) -> None:
    """Move what `stage_labels` has created to its place, unless that is done.

    Raises
    ------
    FileExistsError
        If there is something in its place.
    FileNotFoundError
        If it was moved there and has vanished.
    """
    staged = folder / STAGED_NAME
    target = store.root if store.is_new else store.location
    if not staged.exists():
        if not os.path.isdir(target):
            raise FileNotFoundError(
                f"output {target} must stay while the run lasts; it has vanished. Delete {folder} to begin again."
            )
        return
    if os.path.lexists(target):
        raise FileExistsError(f"output {target} must not exist yet; it does.")
    with naming(target):
        if not store.is_new:
            _create_groups(store)
        os.rename(staged, target)


def check_placed(folder: Path) -> None:
    """Raise ValueError if the labels of a run are not in their place yet."""
    if (folder / STAGED_NAME).exists():
        raise ValueError(f"the run in {folder} must be planned completely; planning was interrupted. Plan it again.")


def describe_labels_store(
    output: Location,
    source: Source,
    block_size: int,
    *,
    name: str = DEFAULT_NAME,
    options: StorageOptions | None = None,
) -> LabelsStore:
    """Return the store for the labels of an image, where it can be created.

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
    options : dict, optional
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
    shape = source.shape[:-1]
    lengths = (1.0,) * len(shape) if source.pixel_size is None else source.pixel_size.scale
    store = LabelsStore(
        root,
        name,
        shape,
        choose_chunk(block_size, shape),
        # Beside an image there are as many levels as it has, as the specification of OME-Zarr wants.
        choose_steps(shape, lengths) if is_new or source.steps is None else source.steps,
        version,
        is_new,
        source.pixel_size,
        options,
    )
    _check_place(store, source)
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
            raise FileExistsError(
                f"{root} must have no labels {store.name!r} yet; it has. Remove them, or give another output."
            )
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


def _create_groups(store: LabelsStore) -> None:
    """Create the groups around the label image that do not exist yet."""
    zarr = need("zarr", "large")
    zarr_format = VERSIONS[store.version]
    given = store.options if is_url(store.root) else None
    groups = [store.root] if store.is_new else []
    labels = join(store.root, "labels")
    if store.is_new or open_node(labels, store.options) is None:
        groups.append(labels)
    for location in groups:
        zarr.create_group(location, zarr_format=zarr_format, storage_options=given)


def _create_arrays(store: LabelsStore, location: str) -> None:
    """Create the group of the label image and its arrays at a location."""
    zarr = need("zarr", "large")
    zarr_format = VERSIONS[store.version]
    given = store.options if is_url(location) else None
    zarr.create_group(location, zarr_format=zarr_format, storage_options=given)
    for level, shape in enumerate(store.level_shapes):
        zarr.create_array(
            join(location, str(level)),
            shape=shape,
            chunks=tuple(min(store.chunk, n) for n in shape),
            dtype=DTYPE,
            fill_value=0,
            zarr_format=zarr_format,
            storage_options=given,
            compressors=_compressor(zarr_format),
            chunk_key_encoding={"name": "default" if zarr_format == 3 else "v2", "separator": "/"},
            dimension_names=tuple("zyx"[-len(shape) :]) if zarr_format == 3 else None,
        )


def _compressor(zarr_format: Literal[2, 3]) -> Any:
    """Return the compressor: with a checksum where readers of the format know one."""
    if zarr_format == 3:
        return need("zarr.codecs", "large").ZstdCodec(level=COMPRESSION_LEVEL, checksum=True)
    return need("numcodecs", "large").Blosc(cname="zstd", clevel=COMPRESSION_LEVEL, shuffle=1)
