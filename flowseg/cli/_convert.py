"""``flowseg convert``: annotations of other programs to label images, and label images to files for other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from numpy.typing import NDArray

from flowseg._checks import check_choice
from flowseg._image_files.find_and_pair import nearest_files
from flowseg._image_files.reading import read_shape
from flowseg._labels.classes.given import as_columns
from flowseg._labels.overlaps import count_objects
from flowseg.cli._batch.file_stream import Stages
from flowseg.cli._batch.input_snapshots import take_snapshot
from flowseg.cli._batch.plan import Batch, Task, plan_batch
from flowseg.cli._batch.report import count_done, report_batch
from flowseg.cli._batch.result_names import add_folders, name_part
from flowseg.cli._batch.run import run_batch
from flowseg.cli._batch.run_record import Entry, describe_run
from flowseg.cli._shared.annotation_files import (
    ENDINGS,
    OF_SEVERAL,
    Annotation,
    Reader,
    Selection,
    find_annotations,
    find_readers,
    image_folder,
    image_name,
    needs_shape,
    parse_classes,
)
from flowseg.cli._shared.errors import FAULTS
from flowseg.cli._shared.find_inputs import find_images
from flowseg.cli._shared.image_reading import VOLUME, Reading, make_reading
from flowseg.cli._shared.label_stacks import look_at_labels
from flowseg.cli._shared.options import (
    READ,
    WRITE,
    AsJson,
    Axes,
    FileWorkers,
    OutputFolder,
    Overwrite,
    Plane,
    Resume,
    Spacing,
    Time,
)
from flowseg.io._results import (
    COCO,
    AllObjects,
    OfFiles,
    Result,
    complete_kinds,
    parse_kinds,
    result_files,
    write_results,
)

# Kinds of files that can be made of masks.
TO = ("tif", "png", "roi", "geojson", COCO, "csv", "parquet")
# Those that can be made of volumes.
VOLUME_KINDS = ("tif", "roi", "csv", "parquet")


def _complete_from(incomplete: str) -> list[str]:
    return [kind for kind in ENDINGS if kind.startswith(incomplete)]


def _complete_to(incomplete: str) -> list[str]:
    return complete_kinds(incomplete, TO)


def convert(
    annotations: Annotated[
        list[str],
        typer.Argument(metavar="ANNOTATIONS", help="Annotation files, folders or patterns."),
    ],
    output: OutputFolder,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Kinds of files to write, with commas between: {', '.join(TO)}.  [default: tif]",
            autocompletion=_complete_to,
            rich_help_panel=WRITE,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--from",
            help=f"Kind of the annotations: {', '.join(ENDINGS)}.  [default: as their file names show]",
            autocompletion=_complete_from,
            rich_help_panel=READ,
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="Images of the same names. Their rows and columns are used for annotations that do not hold them: "
            "roi, geojson, outlines.",
            rich_help_panel=READ,
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Names of the classes to take from geojson, coco, cvat or labkit, with commas between.  "
            "[default: all]",
            rich_help_panel=READ,
        ),
    ] = None,
    z: Plane = None,
    t: Time = None,
    axes: Axes = None,
    spacing: Spacing = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    workers: FileWorkers = None,
    as_json: AsJson = False,
) -> None:
    """Convert annotations of ImageJ, QuPath, COCO, CVAT, Labkit, Cellpose, MATLAB, ... and label images.

    **--to** chooses what is written: NAME_masks.tif or .png, NAME_rois.zip for ImageJ, NAME.geojson for QuPath,
    NAME_objects.csv or .parquet with measurements, coco.json for all images. Outlines are exact to the pixel.
    Classes in geojson and coco are written to geojson, coco and tables.
    **--from binary** labels the connected components of black and white images; **--from files** takes folders with
    one file per object. Volumes of labels become TIFF, which Fiji shows with its spacing (**--spacing** where the file
    holds none), regions of ImageJ, one for each plane of an object, and tables. Examples:

    flowseg convert rois --images images --output masks

    flowseg convert cells.geojson --images slide.tif --classes Tumor --output masks

    flowseg convert masks --to roi,coco --output for-others
    """
    if kind is not None:
        check_choice(kind, "--from", tuple(ENDINGS))
    kinds = parse_kinds(to or ["tif"], TO, "--to")
    selection = Selection(parse_classes(classes), z, t, axes)
    reading = make_reading(axes, None, None, None, None, spacing)
    files = find_annotations(annotations, kind)
    selection.check(files[0][1])
    conversion = Conversion(_find_images(files, images), kinds, output, selection, reading)
    chosen = [("classes", classes), ("z", z), ("t", t), ("axes", axes), ("spacing", spacing)]
    run = describe_run("convert", None, [("to", ",".join(kinds)), ("from", files[0][1]), *chosen])
    tasks = conversion.plan_tasks(files)
    batch = plan_batch(output, run, tasks, resume=resume, overwrite=overwrite, workers=workers)
    stages = Stages(conversion.read, lambda read: read, lambda _, read: read, conversion.write)
    run_batch(batch, stages, "converting", partial(conversion.all_objects, batch) if COCO in kinds else None)
    report_batch(batch, f"{batch.n_objects} objects in {count_done(batch)}, written to {output}", as_json=as_json)


def _find_images(files: list[tuple[Path, str]], images: str | None) -> dict[Path, Path]:
    """Find the image of each annotation file."""
    if images is None:
        return {}
    names = {image_folder(file) / f"{image_name(file)}.tif" if file.is_dir() else file: file for file, _ in files}
    return {names[name]: image for name, image in nearest_files([*names], find_images([images]), "--images").items()}


class Conversion:
    """The stages of an annotation file.

    Parameters
    ----------
    images : dict of Path to Path
        Images by the files of their annotations.
    kinds : tuple of str
        Kinds of files to write.
    folder : Path
        Output folder.
    selection : Selection
        The annotations to take.
    reading : Reading
        The axes and the spacing of label images.
    """

    def __init__(
        self,
        images: dict[Path, Path],
        kinds: tuple[str, ...],
        folder: Path,
        selection: Selection,
        reading: Reading,
    ) -> None:
        self.selection = selection
        self.reading = reading
        self.images = images
        self.kinds = kinds
        self.folder = folder
        self._readers: dict[str, Callable[[], Annotation]] = {}

    def plan_tasks(self, files: list[tuple[Path, str]]) -> list[Task]:
        """Return one task per image of all annotation files."""
        parts = []
        for file, kind in files:
            snapshot = take_snapshot(file) if kind in OF_SEVERAL else None  # these files are read here
            parts += [(file, part, reader, snapshot) for part, reader in self._find_parts(file, kind)]
        places = [name_part(image_folder(file), image_name(file), part) for file, part, _, _ in parts]
        names = add_folders(*map(list, zip(*places, strict=True)))
        tasks = []
        for name, (file, part, reader, snapshot) in zip(names, parts, strict=True):
            self._readers[name] = reader
            sources = (file, *([self.images[file]] if file in self.images else []))
            tasks.append(Task(sources, name, result_files(self.folder, name, self.kinds), part, snapshot))
        return tasks

    def _find_parts(self, file: Path, kind: str) -> list[tuple[str, Callable[[], Annotation]]]:
        """Return the names of the images of a file, and functions that read their masks."""
        try:
            return [
                (part, partial(self._read, reader, file, kind))
                for part, reader in find_readers(file, kind, self.selection)
            ]
        except FAULTS as error:  # reported when it is this file's turn
            return [("", partial(_fail, error))]

    def _read(self, reader: Reader, file: Path, kind: str) -> Annotation:
        known = needs_shape(file, kind) and file in self.images
        return reader(read_shape(self.images[file]) if known else None)

    def read(self, task: Task) -> Annotation:
        """Read the annotation of one image."""
        return self._readers[task.name]()

    def write(self, task: Task, annotation: Annotation) -> int:
        """Write all files; return the number of objects."""
        masks = annotation.masks
        stack = look_at_labels(task.sources[0], masks.shape, self.reading, self.images.get(task.sources[0]))
        if masks.ndim == VOLUME:
            _check_kinds(task.sources[0], self.kinds)
            if {"csv", "parquet"} & {*self.kinds}:
                stack.check_volume("to be measured")
        objects = as_columns(annotation.classes)
        result = Result(masks, None, objects, pixel_size=stack.pixel_size, axes=stack.axes)
        write_results(self.folder, task.name, self.kinds, result)
        return count_objects(masks)

    def all_objects(self, batch: Batch) -> AllObjects:
        """Return the objects of all finished files, read again."""
        tasks = {task.name: task for task in batch.tasks}
        readers = {entry.file: partial(self._read_again, tasks[name], entry) for name, entry in batch.entries.items()}
        masks = OfFiles([(file, partial(_masks_of, read)) for file, read in readers.items()])
        return AllObjects(masks, OfFiles([(file, partial(_classes_of, read)) for file, read in readers.items()]))

    def _read_again(self, task: Task, entry: Entry) -> Annotation:
        snapshot = take_snapshot(*task.sources)
        if snapshot.digest != entry.sha256:
            raise ValueError(f"{task.title} must not change while it is in use; it did.")
        annotation = self.read(task)
        snapshot.check()
        return annotation


def _masks_of(read: Callable[[], Annotation]) -> NDArray[Any]:
    return read().masks


def _classes_of(read: Callable[[], Annotation]) -> Mapping[int, str | None] | None:
    return read().classes


def _check_kinds(file: Path, kinds: Sequence[str]) -> None:
    """Refuse kinds of files that hold no volume."""
    others = [kind for kind in kinds if kind not in VOLUME_KINDS]
    if others:
        raise ValueError(
            f"--to must be one or more of {', '.join(VOLUME_KINDS)} for {file}, a stack of planes; got {others[0]}."
        )


def _fail(error: Exception) -> NoReturn:
    raise error
