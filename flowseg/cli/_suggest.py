"""``flowseg suggest``: which images, and which boxes in them, to annotate next."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from flowseg import _checks
from flowseg._segmenters.pipeline import pipeline_of
from flowseg._suggest.examine import Examination, Rules
from flowseg._suggest.suggestion import describe_reasons
from flowseg.cli._batch.output_folder import holding_output
from flowseg.cli._batch.report import report_failures
from flowseg.cli._shared.errors import name_options
from flowseg.cli._shared.find_inputs import find_images
from flowseg.cli._shared.image_reading import IMAGE, make_reading
from flowseg.cli._shared.models import find_model, load_model, model_ndim
from flowseg.cli._shared.options import (
    RUN,
    WRITE,
    AsJson,
    Axes,
    Channel,
    FileWorkers,
    ImageFiles,
    Model,
    OutputFolder,
    Overwrite,
    Plane,
    Scene,
    Time,
)
from flowseg.cli._shared.terminal import print_json, print_lines, print_message
from flowseg.cli._suggestion.result_files import ENDINGS, TABLE, endings, plan_files
from flowseg.cli._suggestion.search import Search


def suggest(
    images: ImageFiles,
    model: Model,
    output: OutputFolder,
    number: Annotated[int, typer.Option(help="Images to write at most.", rich_help_panel=WRITE)] = 5,
    box_size: Annotated[
        int | None,
        typer.Option(
            help="Rows and columns of a box in pixels.  [default: eight typical diameters, at least 64]",
            rich_help_panel=WRITE,
        ),
    ] = None,
    boxes_per_image: Annotated[
        int, typer.Option(help="Boxes in an image at most; they do not overlap.", rich_help_panel=WRITE)
    ] = 1,
    views: Annotated[
        int, typer.Option(help="Flips of each image that the network is run on, 2 to 4.", rich_help_panel=RUN)
    ] = 4,
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    overwrite: Overwrite = False,
    workers: FileWorkers = None,
    as_json: AsJson = False,
) -> None:
    """Find out which images, and which boxes in them, to annotate next.

    The model looks at all images and puts them in order. The best to annotate are images in which it expects many wrong
    objects, and images unlike its training images. The first **--number** images are written with all that you need to
    correct them and to train on them: NAME.tif, the image; NAME_masks.tif, the predicted objects that touch the box,
    and -1 (not annotated) in the rest outside the box; box and objects for QuPath (NAME_suggested.geojson) and ImageJ
    (NAME_suggested.zip, NAME_rois.zip). suggestions.csv has the order of all images. Example:

    flowseg suggest 'new/*.tif' --model model.safetensors --output next

    When the masks are corrected, train further on them. Example:

    flowseg train next next --from model.safetensors --output better.safetensors
    """
    began = time.perf_counter()
    rules = Rules(number, box_size, boxes_per_image, views)
    rules.check()
    n_threads = _checks.as_workers(workers)
    reading = make_reading(axes, channel, z, t, scene)
    file, files = find_model(model), find_images(images)
    _check_model(file)
    names, _ = plan_files(files, output, overwrite=overwrite)
    segmenter = load_model(file, [("workers", workers)])
    search = Search(segmenter, Examination(pipeline_of(segmenter), rules), reading.of_ndim(IMAGE))
    output.mkdir(parents=True, exist_ok=True)
    with holding_output(output, "flowseg suggest", places={(output / name).parent for name in names}):
        _, earlier = plan_files(files, output, overwrite=overwrite)  # another run may have written since
        remarks = search.look(files, n_threads)
        if search.order:
            search.write(output, dict(zip(files, names, strict=True)), earlier)
    _report(search, output, remarks, time.perf_counter() - began, as_json=as_json)


def _check_model(file: Path) -> None:
    if model_ndim(file) != IMAGE:
        raise ValueError(f"--model must be one of images to suggest boxes; got {file}, one of volumes.")


def _report(search: Search, output: Path, remarks: list[str], seconds: float, *, as_json: bool) -> None:
    """Print the order, remarks and failures; exit with status 1 if a file failed."""
    if endings() != ENDINGS:
        remarks = [*remarks, "no files for ImageJ are written; they need: pip install roifile."]
    if as_json:
        print_json(_as_document(search, output, remarks, seconds))
    elif search.order:
        print_lines(*(_describe(search, rank) for rank in range(1, len(search.order) + 1) if _is_written(search, rank)))
        print_lines(f"{len(search.written)} of {len(search.files)} images to annotate, written to {output}")
    for remark in remarks:
        print_message(f"note: {name_options(remark)}")
    report_failures(search.failures, search.n_files)


def _is_written(search: Search, rank: int) -> bool:
    return search.files[search.order[rank - 1].index] in search.written


def _describe(search: Search, rank: int) -> str:
    """Return the line of an image."""
    one = search.order[rank - 1]
    places = ", ".join(f"rows {b.min_row}-{b.max_row} columns {b.min_col}-{b.max_col}" for b in one.boxes)
    return f"{rank}. {search.files[one.index]}: {places}; {describe_reasons(one.doubt.sum(), one.distance)}"


def _as_document(search: Search, output: Path, remarks: list[str], seconds: float) -> dict[str, Any]:
    images = [
        {
            "file": str(search.files[one.index]),
            "priority": one.priority,
            "distance": None if math.isnan(one.distance) else one.distance,
            "boxes": [[*box] for box in one.boxes],
            "doubt": one.doubt.tolist(),
            "results": [str(file) for file in search.written.get(search.files[one.index], [])],
        }
        for one in search.order
    ]
    return {
        "command": "suggest",
        "output": str(output),
        "table": str(output / TABLE) if search.order else None,
        "images": images,
        "remarks": remarks,
        "failures": [{"file": file, "reason": reason} for file, reason in search.failures],
        "seconds": round(seconds, 3),
    }
