"""``flowseg convert``: annotations of other programs into label images, and label images for other programs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from numpy.typing import NDArray

from flowseg import io
from flowseg._checks import check_choice
from flowseg._cli_annotations import ENDINGS, bare_name, find_annotations, needs_shape, readers
from flowseg._cli_batch import Batch, Task, count_done, plan_batch, report_batch, run_batch, write_coco
from flowseg._cli_files import find_inputs
from flowseg._cli_options import AsJson, FileWorkers, OutputFolder, Overwrite, Resume
from flowseg._cli_record import describe_run
from flowseg._cli_stream import FAULTS, Stages
from flowseg._overlaps import count_objects
from flowseg._result_kinds import COCO, MasksOfFiles, Result, complete_kinds, parse_kinds, result_files, write_results

# What can be made of masks.
TO = ("tif", "png", "roi", "geojson", COCO, "csv", "parquet")


def _complete_from(incomplete: str) -> list[str]:
    return [kind for kind in ENDINGS if kind.startswith(incomplete)]


def _complete_to(incomplete: str) -> list[str]:
    return complete_kinds(incomplete, TO)


def convert(
    annotations: Annotated[
        str, typer.Argument(metavar="ANNOTATIONS", help="File of annotations, folder or quoted pattern of them.")
    ],
    output: OutputFolder,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What to write, with commas between: {', '.join(TO)}.  [default: tif]", autocompletion=_complete_to
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--from",
            help=f"What the annotations are, where their names do not say it: {', '.join(ENDINGS)}.",
            autocompletion=_complete_from,
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(help="Images of the same names: for their sizes, which roi, geojson and outlines do not hold."),
    ] = None,
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

    flowseg convert masks --to roi,coco --output for-others
    """
    if kind is not None:
        check_choice(kind, "--from", tuple(ENDINGS))
    kinds = parse_kinds(to or ["tif"], TO, "--to")
    found = find_annotations(annotations, kind)
    work = Conversion(_find_images(found, images), kinds, output)
    tasks = [task for file, its_kind in found for task in work.add(file, its_kind)]
    run = describe_run("convert", None, [("to", ",".join(kinds)), ("from", found[0][1])])
    batch = plan_batch(output, run, tasks, resume=resume, overwrite=overwrite, workers=workers)
    run_batch(batch, Stages(work.read, lambda masks: masks, work.finish), "converting")
    if COCO in kinds:
        write_coco(batch, work.all_masks(batch))
    report_batch(batch, f"{batch.n_objects} objects in {count_done(batch)}, written to {output}", as_json=as_json)


def _find_images(found: list[tuple[Path, str]], images: str | None) -> dict[Path, Path]:
    """Images by the files of their annotations."""
    if images is None:
        return {}
    available = find_inputs(images)
    if len(found) == len(available) == 1:
        return {found[0][0]: available[0]}
    by_name = {image.stem: image for image in available}
    names = [(file, next((n for n in (file.stem, bare_name(file)) if n in by_name), None)) for file, _ in found]
    alone = [str(file) for file, name in names if name is None]
    if alone:
        raise ValueError(
            f"--images must hold an image of the same name for every file; got none for {', '.join(alone)}."
        )
    return {file: by_name[name] for file, name in names if name is not None}


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
    """

    def __init__(self, images: dict[Path, Path], kinds: tuple[str, ...], folder: Path) -> None:
        self.images = images
        self.kinds = kinds
        self.folder = folder
        self._readers: dict[str, Any] = {}

    def add(self, file: Path, kind: str) -> list[Task]:
        """The tasks of one file of annotations."""
        sources = (file, *([self.images[file]] if file in self.images else []))
        try:
            parts = [*readers(file, kind)]
        except FAULTS as error:  # said when it is its turn
            parts = [("", partial(_fail, error))]
        tasks = []
        for part, reader in parts:
            name = Path(part).stem if part else bare_name(file)
            self._readers[name] = partial(self._read, reader, file, kind)
            tasks.append(Task(sources, name, result_files(self.folder, name, self.kinds), part))
        return tasks

    def _read(self, reader: Any, file: Path, kind: str) -> NDArray[Any]:
        shape = None
        if needs_shape(file, kind) and file in self.images:
            shape = io.read_image(self.images[file]).shape[:2]
        return reader(shape)

    def read(self, task: Task) -> NDArray[Any]:
        """Masks of one image."""
        return self._readers[task.name]()

    def finish(self, task: Task, masks: NDArray[Any]) -> int:
        """Write all files; the number of objects."""
        pixel_size = io.read_pixel_size(task.sources[-1])
        write_results(self.folder, task.name, self.kinds, Result(masks, pixel_size=pixel_size))
        return count_objects(masks)

    def all_masks(self, batch: Batch) -> MasksOfFiles:
        """Masks of all files that were done, read once more."""
        return MasksOfFiles([(entry.file, self._readers[name]) for name, entry in batch.entries.items()])


def _fail(error: Exception, _: tuple[int, int] | None) -> NDArray[Any]:
    raise error
