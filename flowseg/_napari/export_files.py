"""Export the masks of a layer to files, for flowseg and for other programs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from flowseg import io
from flowseg._labels.measure import measure
from flowseg._napari import layers
from flowseg._napari.doubtful_objects import COLUMNS
from flowseg._napari.image_kinds import PLANE, VOLUME, Index, index_columns
from flowseg._system.locks import holding_folder
from flowseg._system.optional_packages import need
from flowseg.io._results import COCO, COCO_NAME, NEEDS, Result, result_file, write_results

# Kind of files -> its title.
KINDS = {
    "tif": "Label image (.tif)",
    "png": "Label image (.png)",
    "roi": "ImageJ outlines (.zip)",
    "geojson": "QuPath outlines (.geojson)",
    COCO: "COCO annotations (.json)",
    "csv": "Table of measurements (.csv)",
    "overlay": "Picture of the outlines (.png)",
}
# Kinds of which one file holds all planes of a stack; the others have one file per plane, also of volumes.
OF_STACKS = ("tif", COCO, "csv")


class Stack(Enum):
    """What the axes of masks before rows and columns are."""

    PLANES = "planes, each on its own"
    VOLUME = "the planes of a volume"
    FILM = "times of a film"


# Characters that some systems forbid in file names.
FORBIDDEN = r'[\x00-\x1f\\/:*?"<>|]+'


class Export:
    """Files that are made of one layer of masks.

    Parameters
    ----------
    masks : Labels
        Layer to export.
    image : Image, optional
        For measurements of intensity and for pictures.
    folder : Path
        Output folder.
    name : str
        Start of the file names.
    pixel_size : tuple of float, optional
        Height and width in micrometers, of volumes after the distance of planes.
    stack : Stack
        What the axes before rows and columns are.
    """

    def __init__(
        self,
        masks: Labels,
        image: Image | None,
        folder: Path,
        name: str,
        pixel_size: tuple[float, ...] | None,
        stack: Stack = Stack.PLANES,
    ) -> None:
        self._masks, self._image, self._folder, self._pixel_size = masks, image, folder, pixel_size
        self._name, self._stack = safe_name(name), stack
        self._ndim = VOLUME if stack is Stack.VOLUME else PLANE
        self._images, self._planes = self._filled(self._ndim), self._filled(PLANE)
        if not self._planes:
            raise ValueError(f"Layer '{masks.name}' must hold an object to be exported; it holds none.")
        if not folder.is_dir():
            raise FileNotFoundError(f"The folder to export to must exist; {folder} does not.")

    def _filled(self, ndim: int) -> list[Index]:
        """Return the planes or volumes that hold an object."""
        masks = self._masks
        return [index for index in layers.all_images(masks, ndim) if (layers.label_image(masks, index) > 0).any()]

    def files(self, kinds: Sequence[str]) -> list[Path]:
        """Return the files that `write` will write."""
        if not kinds:
            raise ValueError("Choose one kind of file at least; none is chosen.")
        for kind in kinds:
            if kind in NEEDS:
                need(NEEDS[kind], "formats")
        if "overlay" in kinds and self._image is None:
            raise ValueError("A picture of outlines needs the image that was segmented; none of this shape is open.")
        return [file for kind in kinds for file in self._files_of(kind)]

    def _files_of(self, kind: str) -> list[Path]:
        if kind == COCO:
            return [self._folder / f"{self._name}_{COCO_NAME}"]
        if kind == "tif" and self._ndim == VOLUME:
            names = [self._name_of(index) for index in self._images]
        else:
            names = [self._name] if kind in OF_STACKS else [self._name_of(index) for index in self._planes]
        return [result_file(self._folder, name, kind) for name in names]

    def _name_of(self, index: Index) -> str:
        return "_".join([self._name, *(f"{k:03d}" for k in index)])

    def write(self, kinds: Sequence[str]) -> None:
        """Write files of several kinds, each atomically, while no command writes into the folder."""
        with holding_folder(self._folder, "the export of napari", f"The folder {self._folder}"):
            self._write(kinds)

    def _write(self, kinds: Sequence[str]) -> None:
        for kind in kinds:
            (target, *_) = self._files_of(kind)
            if kind == COCO:
                io.write_coco(target, {self._name_of(index): self._masks_of(index) for index in self._planes})
            elif kind == "csv":
                io.write_table(target, self._table())
            elif kind == "tif" and self._ndim == VOLUME:
                for index in self._images:
                    volume = Result(self._masks_of(index), pixel_size=self._pixel_size, axes="ZYX")
                    write_results(self._folder, self._name_of(index), [kind], volume)
            elif kind in OF_STACKS:
                masks = np.asarray(layers.full_size(self._masks))
                axes = "TYX" if self._stack is Stack.FILM and masks.ndim == VOLUME else None
                write_results(self._folder, self._name, [kind], Result(masks, pixel_size=self._in_plane, axes=axes))
            else:
                for index in self._planes:
                    result = Result(self._masks_of(index), self._pixels(index), pixel_size=self._in_plane)
                    write_results(self._folder, self._name_of(index), [kind], result)

    @property
    def _in_plane(self) -> tuple[float, ...] | None:
        return None if self._pixel_size is None else self._pixel_size[-PLANE:]

    def _masks_of(self, index: Index) -> NDArray[Any]:
        return layers.label_image(self._masks, index)

    def _pixels(self, index: Index) -> NDArray[Any] | None:
        return None if self._image is None else layers.pixels(self._image, index)

    def _table(self) -> dict[str, NDArray[Any]]:
        """Return measurements, with the qualities of the objects that were not changed by hand."""
        tables = []
        for index in self._images:
            masks = self._masks_of(index)
            qualities = self._qualities(np.unique(masks[masks > 0]))
            table = measure(masks, self._pixels(index), qualities, spacing=self._pixel_size)
            size = table["label"].size
            place = zip(index_columns(len(index), self._ndim), index, strict=True)
            tables.append({name: np.full(size, k) for name, k in place} | table)
        return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}

    def _qualities(self, labels: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
        features = self._masks.features
        if "index" not in features:
            return {}
        known = features.drop_duplicates("index").set_index("index").reindex(labels)
        return {name: known[name].to_numpy(dtype=np.float64) for name in COLUMNS if name in known}


def safe_name(name: str) -> str:
    """Return the name of a layer as the start of a file name."""
    return re.sub(FORBIDDEN, "_", name).strip(" .") or "masks"


def guess_stack(masks: Labels) -> Stack:
    """Return what the axes of masks probably are: by what they were found in, names of axes, and the scale."""
    if len(layers.shape(masks)) < VOLUME or masks.metadata.get(layers.NDIM_MARK) == PLANE:
        return Stack.PLANES
    if masks.metadata.get(layers.NDIM_MARK) == VOLUME:
        return Stack.VOLUME
    if layers.no_volume(masks):
        return Stack.FILM
    spacing = layers.spacing(masks, VOLUME)
    return Stack.VOLUME if spacing is not None and spacing[0] != 1 else Stack.PLANES
