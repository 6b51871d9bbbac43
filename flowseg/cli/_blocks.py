"""``flowseg blocks``: segment an image larger than memory in the parts of a job array."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowseg._segmenters.inputs import ESTIMATE
from flowseg.cli._prediction import options
from flowseg.cli._shared.image_reading import Reading, make_reading
from flowseg.cli._shared.models import find_model, load_model, model_ndim, model_spacing
from flowseg.cli._shared.option_values import parse_number, parse_part
from flowseg.cli._shared.options import RUN, WRITE, AsJson, Axes, Channel, Model, Normalize, Plane, Scene, Spacing, Time
from flowseg.cli._shared.progress import advising
from flowseg.cli._shared.terminal import print_json, print_lines

if TYPE_CHECKING:
    from flowseg.blockwise._runs.plan import Plan

CONTINUE = "blocks that are done stay; the same command continues"

Image = Annotated[
    str,
    typer.Argument(
        metavar="IMAGE", help="Image larger than memory: a group of OME-Zarr, or a tiled or pyramidal TIFF file."
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="OME-Zarr to write, in a folder that all machines see under the same path. Until the run is finished, its "
        "state is in the folder OUTPUT.blocks.",
        rich_help_panel=WRITE,
    ),
]
PlannedOutput = Annotated[
    Path, typer.Argument(metavar="OUTPUT", help="The --output that was given to flowseg blocks plan.")
]
BlockSize = Annotated[
    int | None,
    typer.Option(
        help="Side of a block in pixels, at least 64, of volumes 40. Larger blocks take more memory; the result is the "
        "same.  [default: 2048; for volumes 160]",
        rich_help_panel=RUN,
    ),
]
Part = Annotated[
    str,
    typer.Option(
        help="Which part to do, and how many there are: 17/200 is the seventeenth of two hundred.", rich_help_panel=RUN
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        help="Take over the blocks of another part after this many seconds without news from it.  [default: 300]",
        rich_help_panel=RUN,
    ),
]
Keep = Annotated[
    bool,
    typer.Option("--keep", help="Keep the folder OUTPUT.blocks with the results of all steps.", rich_help_panel=WRITE),
]


def plan(
    image: Image,
    model: Model,
    output: Output,
    block_size: BlockSize = None,
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    spacing: Spacing = None,
    diameter: options.Diameter = None,
    estimate_diameters: options.EstimateDiameters = None,
    cellprob_threshold: options.CellprobThreshold = None,
    flow_threshold: options.FlowThreshold = None,
    min_size: options.MinSize = None,
    score_threshold: options.ScoreThreshold = None,
    test_time_augmentation: options.TestTimeAugmentation = False,
    precision: options.Precision = None,
    normalize: Normalize = None,
    as_json: AsJson = False,
) -> None:
    """Plan the segmentation of a large image or volume, without doing any of it.

    The model, the options and the state of the image are written to OUTPUT.blocks, where flowseg blocks run finds them.
    Example:

    flowseg blocks plan slide.ome.zarr --model nuclei --output nuclei.ome.zarr
    """
    from flowseg import blockwise

    size = parse_number(diameter, "--diameter", ESTIMATE)
    thresholds = options.parse_thresholds(cellprob_threshold, flow_threshold, min_size, score_threshold)
    running = options.parse_running(test_time_augmentation, precision, estimate_diameters, normalize)
    parameters = [*thresholds, *running]
    reading = make_reading(axes, channel, z, t, scene, spacing)
    file = find_model(model)
    reading = reading.of_ndim(model_ndim(file))
    segmenter = load_model(file, parameters)
    planned = blockwise.plan(
        segmenter,
        image,
        output,
        block_size=block_size,
        diameters=size,
        spacing=_choose_spacing(image, reading, file),
        **dataclasses.asdict(reading.selection),
    )
    sentence = (
        f"{planned.n_blocks} blocks planned; next: flowseg blocks run {output} --part 1/N, for all parts 1 to N, at "
        "once or in any order"
    )
    _report(planned, "plan", output, sentence, as_json=as_json)


def run(output: PlannedOutput, part: Part, timeout: Timeout = None, as_json: AsJson = False) -> None:
    """Do one part of a segmentation that was planned.

    Parts may run at once, on machines that see the same folder. Each takes every N-th block, and waits for the others
    between the steps of the segmentation. Blocks of a part that does not run, or was killed, are done by the others
    after **--timeout**. Blocks that are done are not done again: after an interruption, run the same command. Example:

    flowseg blocks run nuclei.ome.zarr --part 17/200
    """
    from flowseg import blockwise
    from flowseg.blockwise._runs.runners.parts import TIMEOUT
    from flowseg.blockwise._runs.runners.progress import StageProgress

    number, n_parts = parse_part(part)
    _find_work_folder(output)
    seconds = TIMEOUT if timeout is None else timeout
    with advising(CONTINUE):
        planned = blockwise.run_part(output, number, n_parts, timeout=seconds, progress=StageProgress(by_lines=True))
    sentence = f"all {planned.n_blocks} blocks are done; next: flowseg blocks finish {output}"
    _report(planned, "run", output, sentence, as_json=as_json)


def finish(output: PlannedOutput, keep: Keep = False, as_json: AsJson = False) -> None:
    """Finish a segmentation whose parts are all done: complete the output and remove OUTPUT.blocks.

    Example:

    flowseg blocks finish nuclei.ome.zarr
    """
    from flowseg import blockwise

    _find_work_folder(output)
    planned = blockwise.finish(output, keep=keep)
    _report(planned, "finish", output, f"{planned.n_blocks} blocks done, written to {output}", as_json=as_json)


def _choose_spacing(image: str, reading: Reading, model: Path) -> tuple[float, ...] | None:
    """Return the spacing that is given, or of a volume in a file what the file holds, for a model that takes one."""
    if reading.spacing is not None or model_spacing(model) is None or not Path(image).exists():
        return reading.spacing
    return reading.read_spacing(Path(image))


def _find_work_folder(output: Path) -> Path:
    """Return the work folder of an output, where a run is planned for it."""
    from flowseg.blockwise._runs.job import work_folder_of
    from flowseg.blockwise._runs.plan import PLAN_NAME

    folder = work_folder_of(output)
    if not (folder / PLAN_NAME).is_file():
        raise FileNotFoundError(
            f"OUTPUT must be one that flowseg blocks plan was given; got {output}, and {folder / PLAN_NAME} does not "
            "exist."
        )
    return folder


def _report(planned: Plan, step: str, output: Path, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"command": f"blocks {step}", "output": str(output), "blocks": planned.n_blocks})
    else:
        print_lines(sentence)
