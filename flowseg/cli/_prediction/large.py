"""``flowseg predict`` for large images: they are segmented block by block, to the same masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowseg import io
from flowseg._segmenters.inputs import Diameter
from flowseg._system.invalid_file import InvalidFileError
from flowseg.cli._batch.output_folder import remove_result
from flowseg.cli._batch.plan import Task
from flowseg.cli._prediction.volumes import Spacings
from flowseg.cli._shared.image_reading import VOLUME, Reading
from flowseg.cli._shared.large_images import check_extra, find_large, large_size
from flowseg.cli._shared.terminal import print_message
from flowseg.io._results import COCO, result_file, result_files

if TYPE_CHECKING:
    from flowseg import BoundarySegmenter, FlowSegmenter
    from flowseg._labels.measure import Table
    from flowseg.blockwise._results.label_image import LabelImage
    from flowseg.blockwise._stores.source import Source

# Kinds of results of large images; label images are OME-Zarr.
KINDS = ("zarr", "overlay", "geojson", "csv", "parquet")
AT_ONCE = ", or choose --no-blocks for files that fit into memory"


@dataclass(frozen=True)
class LargeImage:
    """A file that is segmented block by block."""

    file: Path
    name: str  # of the results


def find_large_images(
    files: Sequence[Path], reading: Reading, kinds: Sequence[str], all_planes: str, choice: bool | None
) -> set[Path]:
    """Return the files that are segmented block by block, and print a note; refuse results that these cannot have.

    ``all_planes`` is the option by which a model of images segments all planes of a stack, or empty.
    """
    if all_planes:
        if choice:
            raise ValueError(f"--blocks is for single images; got {all_planes}, which makes stacks.")
        return set()
    large = find_large(files, reading, choice)
    if not large:
        return large
    first, several = min(large), "" if len(large) == 1 else f" and {len(large) - 1} more"
    refused = [kind for kind in kinds if kind not in (*KINDS, "tif")]
    if refused:
        whole = "holds all images" if refused[0] == COCO else "is written in one piece"
        kind, tables = ("volumes", "csv, parquet") if reading.ndim == VOLUME else ("images", "geojson, csv, parquet")
        raise ValueError(
            f"--also must be one or more of {tables} for {kind} that are segmented block by block, such as {first}; "
            f"got {refused[0]}, which {whole}. Leave it out{AT_ONCE}."
        )
    check_extra(first, AT_ONCE, reading.ndim)
    reason = "" if choice else f" ({large_size(reading.ndim)}; --no-blocks: at once)"
    print_message(f"note: {first}{several} is segmented block by block{reason}")
    return large


def plan_large(tasks: Sequence[Task], folder: Path, kinds: Sequence[str], large: set[Path]) -> list[Task]:
    """Return the tasks with the results of large images in place of those of others."""
    stored = ["zarr", "csv", *(kind for kind in kinds if kind != "tif")]
    return [
        replace(task, results=result_files(folder, task.name, stored)) if task.sources[-1] in large else task
        for task in tasks
    ]


@dataclass(frozen=True)
class LargePrediction:
    """Segments large images, and writes their results.

    Parameters
    ----------
    segmenter : FlowSegmenter or BoundarySegmenter
        The model.
    reading : Reading
        How images are read.
    diameter : float, "estimate" or None
        As for `predict`.
    kinds : tuple of str
        Kinds of results.
    folder : Path
        Output folder.
    workers : int, optional
        Number of processes.
    spacings : Spacings
        The spacing of each file.
    """

    segmenter: FlowSegmenter | BoundarySegmenter
    reading: Reading
    diameter: Diameter
    kinds: tuple[str, ...]
    folder: Path
    workers: int | None
    spacings: Spacings

    def segment(self, image: LargeImage) -> LargeImage:
        """Write the label image and the table of objects; continue where a run was interrupted."""
        from flowseg import blockwise
        from flowseg.blockwise._runs.job import work_folder_of

        output = result_file(self.folder, image.name, "zarr")
        resume = work_folder_of(output).exists()
        if output.exists() and not resume:
            return image  # finished, as a run that was interrupted left it
        try:
            blockwise.segment(
                self.segmenter,
                self._open(image),
                output,
                diameters=self.diameter,
                spacing=self.spacings.of(image.file),
                workers=self.workers,
                resume=resume,
            )
        except InvalidFileError:  # a damaged image: there is nothing to continue
            for file in (work_folder_of(output), output):
                remove_result(file)
            raise
        return image

    def write(self, image: LargeImage) -> int:
        """Write the other results; return the number of objects."""
        from flowseg.blockwise._results.label_image import open_label_image
        from flowseg.blockwise._results.objects_table import read_objects_table

        source = self._open(image)
        try:
            labels = open_label_image(result_file(self.folder, image.name, "zarr"))
            described = read_objects_table(result_file(self.folder, image.name, "csv"))
            if {"csv", "parquet"} & {*self.kinds}:
                self._write_tables(image, labels, source, described)
            if "geojson" in self.kinds:
                self._write_geojson(image, labels)
            if "overlay" in self.kinds:
                self._write_overlay(image, source)
        finally:
            source.close()
        return int(described["label"].size)

    def _open(self, image: LargeImage) -> Source:
        from flowseg.blockwise._stores.open_source import open_source
        from flowseg.blockwise._stores.source import PixelSize

        given = self.reading.spacing
        return open_source(
            image.file,
            self.reading.selection,
            ndim=self.reading.ndim,
            n_channels=self.segmenter.n_channels,
            pixel_size=None if given is None else PixelSize.of(given),
        )

    def _write_tables(self, image: LargeImage, labels: LabelImage, source: Source, described: Table) -> None:
        """Write tables of all measurements, as those of other images; the CSV replaces the table without them."""
        from flowseg.blockwise._results.measure_blocks import measure_blocks

        size = self.reading.read_pixel_size(image.file)
        spacing = size if size is not None and len(size) == self.reading.ndim else None
        table = measure_blocks(labels, source, described, spacing=spacing)
        for kind in ("parquet", "csv"):
            if kind in self.kinds:
                io.write_table(result_file(self.folder, image.name, kind), table)

    def _write_geojson(self, image: LargeImage, labels: LabelImage) -> None:
        from flowseg.blockwise._results.outlines import objects_of_blocks
        from flowseg.io._geojson_writer import write_objects

        write_objects(result_file(self.folder, image.name, "geojson"), objects_of_blocks(labels))

    def _write_overlay(self, image: LargeImage, source: Source) -> None:
        from flowseg import plot
        from flowseg.blockwise._results.thumbnail import make_thumbnail

        store = result_file(self.folder, image.name, "zarr")
        picture, reduced = make_thumbnail(source, store, self.reading.selection)
        io.write_picture(result_file(self.folder, image.name, "overlay"), plot.outlines(picture, reduced))
