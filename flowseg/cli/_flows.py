"""``flowseg flows``: compute the flows of masks."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from flowseg import io
from flowseg._labels.overlaps import count_objects
from flowseg.cli._batch.file_stream import Stages
from flowseg.cli._batch.plan import Task, make_tasks, plan_batch
from flowseg.cli._batch.report import count_done, report_batch
from flowseg.cli._batch.run import run_batch
from flowseg.cli._batch.run_record import describe_run
from flowseg.cli._shared.find_inputs import find_masks
from flowseg.cli._shared.label_stacks import look_at_labels
from flowseg.cli._shared.options import AsJson, FileWorkers, MaskFiles, OutputFolder, Overwrite, Resume
from flowseg.io._flow_stacks import labels_to_flows
from flowseg.io._results import Result, write_results

KINDS = ("flow_picture", "flows")


def flows(
    masks: MaskFiles,
    output: OutputFolder,
    resume: Resume = False,
    overwrite: Overwrite = False,
    workers: FileWorkers = None,
    as_json: AsJson = False,
) -> None:
    """Compute flows of masks: writes NAME_flows.tif (float32) and NAME_flows.png for each.

    The TIFF holds label, foreground (0 or 1), row flow and column flow as signed floats; 8-bit pictures would lose
    every negative component. That of a volume has a plane flow before these. The PNG shows directions as colors; there
    is none of volumes. Example:

    flowseg flows annotations --output flows
    """
    files = find_masks(masks)
    run, tasks = describe_run("flows", None, []), make_tasks(files, output, ("flows",))
    batch = plan_batch(output, run, tasks, resume=resume, overwrite=overwrite, workers=workers)

    def read(task: Task) -> NDArray[Any]:
        labels = io.read_masks(task.sources[0])
        look_at_labels(task.sources[0], labels.shape).check_no_film()
        return labels

    def make(task: Task, labels: NDArray[Any]) -> Result:
        (stack,) = labels_to_flows([labels], workers=workers)
        return Result(labels, flows=stack, pixel_size=look_at_labels(task.sources[0], labels.shape).pixel_size)

    def write(task: Task, result: Result) -> int:
        write_results(output, task.name, KINDS if result.masks.ndim == 2 else KINDS[1:], result)
        return count_objects(result.masks)

    run_batch(batch, Stages(read, lambda labels: labels, make, write), "making flows")
    sentence = f"flows of {batch.n_objects} objects in {count_done(batch)}, written to {output}"
    report_batch(batch, sentence, as_json=as_json)
