"""``flowseg mend``: repair label images."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from numpy.typing import NDArray

from flowseg._image_files.file_names import bare_name
from flowseg._labels.mend import Mended, mend_masks
from flowseg._labels.overlaps import count_objects
from flowseg.cli._batch.file_stream import Stages
from flowseg.cli._batch.plan import Batch, Task, make_tasks, plan_batch
from flowseg.cli._batch.report import count_done, report_batch
from flowseg.cli._batch.run import run_batch
from flowseg.cli._batch.run_record import describe_run
from flowseg.cli._shared.annotation_files import read_raw_masks
from flowseg.cli._shared.find_inputs import find_masks
from flowseg.cli._shared.label_stacks import look_at_labels
from flowseg.cli._shared.options import RUN, AsJson, FileWorkers, MaskFiles, OutputFolder, Overwrite, Resume
from flowseg.cli._shared.terminal import print_lines
from flowseg.io._results import Result, write_results


def mend(
    masks: MaskFiles,
    output: OutputFolder,
    min_size: Annotated[int, typer.Option(help="Drop objects of fewer pixels.", rich_help_panel=RUN)] = 5,
    resume: Resume = False,
    overwrite: Overwrite = False,
    workers: FileWorkers = None,
    as_json: AsJson = False,
) -> None:
    """Repair label images; writes NAME_masks.tif for each.

    Afterwards every label is one connected component without holes, there are no specks, and labels are 1 to n. One
    line per kind of repair reports what was done to a file. To see first what is wrong, run flowseg check. Example:

    flowseg mend annotations --output mended
    """
    files = find_masks(masks)
    run = describe_run("mend", None, [("min-size", min_size)])
    tasks = make_tasks(files, output, ("tif",), bare_name)
    batch = plan_batch(output, run, tasks, resume=resume, overwrite=overwrite, workers=workers)
    repairs: dict[str, list[str]] = {}

    def read(task: Task) -> NDArray[Any]:
        array = read_raw_masks(task.sources[0])
        look_at_labels(task.sources[0], array.shape).check_no_film()
        return array

    def make(_: Task, array: NDArray[Any]) -> Mended:
        return mend_masks(array, min_size=min_size)

    def write(task: Task, mended: Mended) -> int:
        stack = look_at_labels(task.sources[0], mended.masks.shape)
        result = Result(mended.masks, pixel_size=stack.pixel_size, axes=stack.axes)
        write_results(output, task.name, ("tif",), result)
        repairs[task.name] = mended.done
        return count_objects(mended.masks)

    run_batch(batch, Stages(read, lambda array: array, make, write), "mending")
    if not as_json:
        _report_repairs(batch, repairs)
    report_batch(batch, f"{batch.n_objects} objects in {count_done(batch)}, written to {output}", as_json=as_json)


def _report_repairs(batch: Batch, repairs: dict[str, list[str]]) -> None:
    failed = {file for file, _ in batch.failures}
    for task in batch.tasks:
        for sentence in repairs.get(task.name, []) if task.title not in failed else []:
            print_lines(f"{task.title}: {sentence}")
