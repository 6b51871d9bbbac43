"""``flowseg convert``: annotations of other programs into label images, and label images for other programs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from numpy.typing import NDArray

from flowseg import io
from flowseg._checks import check_choice
from flowseg._image_files.find_and_pair import nearest_files
from flowseg._image_files.reading import read_shape
from flowseg._labels.overlaps import count_objects
from flowseg.cli._shared.annotations import (
    ENDINGS,
    OF_SEVERAL,
    Chosen,
    find_annotations,
    image_folder,
    image_name,
    needs_shape,
    parse_classes,
    readers,
)
from flowseg.cli._shared.batch import Batch, Task, plan_batch, run_batch
from flowseg.cli._shared.inputs import find_images, part_place, place_names
from flowseg.cli._shared.options import READ, WRITE, AsJson, FileWorkers, OutputFolder, Overwrite, Plane, Resume, Time
from flowseg.cli._shared.record import Entry, describe_run
from flowseg.cli._shared.sources import look
from flowseg.cli._shared.stream import FAULTS, Stages
from flowseg.cli._shared.summary import count_done, report_batch
from flowseg.io._results import COCO, MasksOfFiles, Result, complete_kinds, parse_kinds, result_files, write_results

# What can be made of masks.
TO = ("tif", "png", "roi", "geojson", COCO, "csv", "parquet")


def _complete_from(incomplete: str) -> list[str]:
    return [kind for kind in ENDINGS if kind.startswith(incomplete)]


def _complete_to(incomplete: str) -> list[str]:
    return complete_kinds(incomplete, TO)


def convert(
    annotations: Annotated[
        list[str],
        typer.Argument(metavar="ANNOTATIONS", help="Files of annotations, folders or patterns of them."),
    ],
    output: OutputFolder,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What to write, with commas between: {', '.join(TO)}.  [default: tif]",
            autocompletion=_complete_to,
            rich_help_panel=WRITE,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--from",
            help=f"What the annotations are, where their names do not say it: {', '.join(ENDINGS)}.",
            autocompletion=_complete_from,
            rich_help_panel=READ,
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="Images of the same names: for their sizes, which roi, geojson and outlines do not hold. Of stacks "
            "that of a plane counts.",
            rich_help_panel=READ,
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Classes to take of geojson, coco, cvat, labkit: names, with commas between.  [default: all]",
            rich_help_panel=READ,
        ),
    ] = None,
    z: Plane = None,
    t: Time = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    workers: FileWorkers = None,
    as_json: AsJson = False,
) -> None:
    """Convert annotations of ImageJ, QuPath, COCO, CVAT, Labkit, Cellpose, MATLAB, ... and label images.

    Writes NAME_masks.tif (or .png), NAME_rois.zip for ImageJ, NAME.geojson for QuPath, NAME_objects.csv (or .parquet)
    with measurements, coco.json. **--from binary** numbers the pieces of black and white images, **--from files** takes
    folders of one file per object. Outlines are exact to the pixel. Examples:

    flowseg convert rois --images images --output masks

    flowseg convert cells.geojson --images slide.tif --classes Tumor --output masks

    flowseg convert masks --to roi,coco --output for-others
    """
    if kind is not None:
        check_choice(kind, "--from", tuple(ENDINGS))
    kinds = parse_kinds(to or ["tif"], TO, "--to")
    found = find_annotations(annotations, kind)
    chosen = Chosen(parse_classes(classes), z, t)
    chosen.check(found[0][1])
    work = Conversion(_find_images(found, images), kinds, output, chosen)
    tasks = work.plan(found)
    run = describe_run(
        "convert", None, [("to", ",".join(kinds)), ("from", found[0][1]), ("classes", classes), ("z", z), ("t", t)]
    )
    batch = plan_batch(output, run, tasks, resume=resume, overwrite=overwrite, workers=workers)
    stages = Stages(work.read, lambda masks: masks, lambda _, masks: masks, work.write)
    run_batch(batch, stages, "converting", partial(work.all_masks, batch) if COCO in kinds else None)
    report_batch(batch, f"{batch.n_objects} objects in {count_done(batch)}, written to {output}", as_json=as_json)


def _find_images(found: list[tuple[Path, str]], images: str | None) -> dict[Path, Path]:
    """Images by the files of their annotations."""
    if images is None:
        return {}
    names = {image_folder(file) / f"{image_name(file)}.tif" if file.is_dir() else file: file for file, _ in found}
    return {names[name]: image for name, image in nearest_files([*names], find_images([images]), "--images").items()}


class Conversion:
    """The stages that a file goes through.

    Parameters
    ----------
    images : dict of Path to Path
        Images by the files of their annotations.
    kinds : tuple of str
        What to write.
    folder : Path
        Where to.
    chosen : Chosen
        What of the annotations to take.
    """

    def __init__(self, images: dict[Path, Path], kinds: tuple[str, ...], folder: Path, chosen: Chosen) -> None:
        self.chosen = chosen
        self.images = images
        self.kinds = kinds
        self.folder = folder
        self._readers: dict[str, Any] = {}

    def plan(self, found: list[tuple[Path, str]]) -> list[Task]:
        """The tasks of all files of annotations."""
        parts = []
        for file, kind in found:
            seen = look(file) if kind in OF_SEVERAL else None  # which are read here
            parts += [(file, part, reader, seen) for part, reader in self._parts(file, kind)]
        places = [part_place(image_folder(file), image_name(file), part) for file, part, _, _ in parts]
        names = place_names(*map(list, zip(*places, strict=True)))
        tasks = []
        for name, (file, part, reader, seen) in zip(names, parts, strict=True):
            self._readers[name] = reader
            sources = (file, *([self.images[file]] if file in self.images else []))
            tasks.append(Task(sources, name, result_files(self.folder, name, self.kinds), part, seen))
        return tasks

    def _parts(self, file: Path, kind: str) -> list[tuple[str, Callable[[], NDArray[Any]]]]:
        try:
            return [
                (part, partial(self._read, reader, file, kind)) for part, reader in readers(file, kind, self.chosen)
            ]
        except FAULTS as error:  # said when it is its turn
            return [("", partial(_fail, error))]

    def _read(self, reader: Any, file: Path, kind: str) -> NDArray[Any]:
        known = needs_shape(file, kind) and file in self.images
        return reader(read_shape(self.images[file]) if known else None)

    def read(self, task: Task) -> NDArray[Any]:
        """Masks of one image."""
        return self._readers[task.name]()

    def write(self, task: Task, masks: NDArray[Any]) -> int:
        """Write all files; the number of objects."""
        pixel_size = io.read_pixel_size(task.sources[-1])
        write_results(self.folder, task.name, self.kinds, Result(masks, pixel_size=pixel_size))
        return count_objects(masks)

    def all_masks(self, batch: Batch) -> MasksOfFiles:
        """Masks of all files that were done, read once more."""
        tasks = {task.name: task for task in batch.tasks}
        return MasksOfFiles(
            [(entry.file, partial(self._read_again, tasks[name], entry)) for name, entry in batch.entries.items()]
        )

    def _read_again(self, task: Task, entry: Entry) -> NDArray[Any]:
        seen = look(*task.sources)
        if seen.digest != entry.sha256:
            raise ValueError(f"{task.title} must not change while it is worked on; it did.")
        masks = self.read(task)
        seen.check()
        return masks


def _fail(error: Exception) -> NDArray[Any]:
    raise error
