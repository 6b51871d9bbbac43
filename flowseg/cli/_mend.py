"""``flowseg mend``: label images repaired."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from numpy.typing import NDArray

from flowseg import io
from flowseg._image_files.file_names import bare_name
from flowseg._labels.mend import Mended, mend_masks
from flowseg._labels.overlaps import count_objects
from flowseg.cli._shared.annotations import read_loose_masks
from flowseg.cli._shared.batch import Task, make_tasks, plan_batch, run_batch
from flowseg.cli._shared.inputs import find_masks
from flowseg.cli._shared.options import AsJson, FileWorkers, MaskFiles, OutputFolder, Overwrite, Resume
from flowseg.cli._shared.record import describe_run
from flowseg.cli._shared.say import say
from flowseg.cli._shared.stream import Stages
from flowseg.cli._shared.summary import count_done, report_batch
from flowseg.io._results import Result, write_results


def mend(
    masks: MaskFiles,
    output: OutputFolder,
    min_size: Annotated[int, typer.Option(help="Drop objects of fewer pixels.", rich_help_panel="How to repair")] = 5,
    resume: Resume = False,
    overwrite: Overwrite = False,
    workers: FileWorkers = None,
    as_json: AsJson = False,
) -> None:
    """Repair label images: one piece per object, no specks, no holes, labels 1..n; writes NAME_masks.tif for each.

    What was done to a file is said in one line per kind of repair; flowseg check says first what is wrong. Example:

    flowseg mend annotations --output mended
    """
    tasks = make_tasks(find_masks(masks), output, ("tif",), bare_name)
    run = describe_run("mend", None, [("min-size", min_size)])
    batch = plan_batch(output, run, tasks, resume=resume, overwrite=overwrite, workers=workers)
    done: dict[str, list[str]] = {}

    def read(task: Task) -> NDArray[Any]:
        return read_loose_masks(task.sources[0])

    def make(_: Task, array: NDArray[Any]) -> Mended:
        return mend_masks(array, min_size=min_size)

    def write(task: Task, mended: Mended) -> int:
        write_results(output, task.name, ("tif",), Result(mended.masks, pixel_size=io.read_pixel_size(task.sources[0])))
        done[task.name] = mended.done
        return count_objects(mended.masks)

    run_batch(batch, Stages(read, lambda array: array, make, write), "mending")
    if not as_json:
        failed = {file for file, _ in batch.failures}
        for task in batch.tasks:
            for sentence in done.get(task.name, []) if task.title not in failed else []:
                say(f"{task.title}: {sentence}")
    report_batch(batch, f"{batch.n_objects} objects in {count_done(batch)}, written to {output}", as_json=as_json)
