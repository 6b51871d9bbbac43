"""``flowseg predict``: segment files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from flowseg import io
from flowseg._cli_batch import Task, count_done, plan_batch, report_batch, run_batch, write_coco
from flowseg._cli_files import check_memory, model_file, parse_number, set_parameter
from flowseg._cli_options import (
    AsJson,
    Axes,
    Channel,
    FileWorkers,
    ImagesArgument,
    OutputFolder,
    Overwrite,
    Plane,
    Reading,
    Resume,
    Scene,
    Time,
    complete_model,
    make_reading,
)
from flowseg._cli_record import describe_run
from flowseg._cli_stream import Stages
from flowseg._inputs import ESTIMATE
from flowseg._result_kinds import (
    COCO,
    MasksOfFiles,
    Result,
    complete_kinds,
    parse_kinds,
    result_file,
    result_files,
    write_results,
)

# The word that switches a threshold off.
NONE = "none"

# What can be made beside the masks.
ALSO = ("roi", "geojson", COCO, "png", "csv", "parquet", "flows")


def _complete_also(incomplete: str) -> list[str]:
    return complete_kinds(incomplete, ALSO)


def predict(
    images: ImagesArgument,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Model file that flowseg train wrote, or a pretrained one: nuclei.",
            autocompletion=complete_model,
        ),
    ],
    output: OutputFolder,
    also: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Results to write beside the masks, with commas between: {', '.join(ALSO)}.",
            autocompletion=_complete_also,
        ),
    ] = None,
    overlay: Annotated[bool, typer.Option(help="Write pictures of the outlines on the images.")] = True,
    diameter: Annotated[
        str | None,
        typer.Option(
            help="Typical diameter of the objects in pixels, or 'estimate'; by default that of the training images or, "
            "with a model that was better with them, an estimate within their sizes."
        ),
    ] = None,
    estimate_diameters: Annotated[
        bool | None,
        typer.Option(
            "--estimate/--no-estimate",
            help="Whether diameters are estimated where --diameter is not given; by default as chosen in training.",
        ),
    ] = None,
    cellprob_threshold: Annotated[
        float | None, typer.Option(help="Higher finds fewer, smaller objects; by default as chosen in training.")
    ] = None,
    flow_threshold: Annotated[
        str | None,
        typer.Option(help="Lower drops more doubtful objects, 'none' keeps all; by default as chosen in training."),
    ] = None,
    min_size: Annotated[
        int | None, typer.Option(help="Drop objects of fewer pixels; by default as chosen in training.")
    ] = None,
    score_threshold: Annotated[
        str | None,
        typer.Option(
            help="Drop objects that are real with less than this probability, 'none' keeps all; by default as chosen "
            "in training."
        ),
    ] = None,
    test_time_augmentation: Annotated[
        bool, typer.Option("--tta", help="Mean over the image turned and flipped: a little better, eight times slower.")
    ] = False,
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    workers: FileWorkers = None,
    as_json: AsJson = False,
) -> None:
    """Segment images: writes NAME_masks.tif and NAME_overlay.png for each.

    **--also** writes for other programs: ImageJ (roi: NAME_rois.zip), QuPath (NAME.geojson), COCO (coco.json, all
    images in one), label images as PNG (NAME_masks.png), tables of measurements (NAME_objects.csv or .parquet), and
    what the network said (NAME_flows.tif: cellprob, row flow, column flow). A file that cannot be segmented is named in
    the end; the others are done all the same. flowseg-run.jsonl keeps what the results were made of: **--resume** goes
    by it. Objects at an image's border are not subject to **--flow-threshold**. Example:

    flowseg predict 'new/*.tif' --model model.safetensors --output results --also roi,csv
    """
    kinds = ("tif", *(["overlay"] if overlay else []), *parse_kinds(also or [], ALSO, "--also"))
    reading = make_reading(axes, channel, z, t, scene)
    file = model_file(model)
    size = parse_number(diameter, "--diameter", ESTIMATE)
    parameters = [
        ("cellprob_threshold", cellprob_threshold),
        ("flow_threshold", parse_number(flow_threshold, "--flow-threshold", NONE)),
        ("min_size", min_size),
        ("score_threshold", parse_number(score_threshold, "--score-threshold", NONE)),
        ("test_time_augmentation", test_time_augmentation or None),
        ("estimate_diameters", estimate_diameters),
    ]
    options = [*parameters, *vars(reading).items(), ("diameter", size), ("also", ",".join(kinds))]
    tasks = [Task((image,), image.stem, result_files(output, image.stem, kinds)) for image in io.find_files(images)]
    run = describe_run("predict", file, options)
    batch = plan_batch(output, run, tasks, resume=resume, overwrite=overwrite, workers=workers)
    work = Prediction(_load(file, [*parameters, ("workers", workers)]), reading, size, kinds, output)
    work.check()
    run_batch(batch, Stages(work.read, work.run_network, work.finish), "segmenting")
    if COCO in kinds:
        done = sorted(batch.all_entries.values(), key=lambda entry: entry.name)
        write_coco(
            batch,
            MasksOfFiles([(e.file, partial(io.read_masks, result_file(output, e.name, "tif"))) for e in done]),
        )
    sentence = f"{batch.n_objects} objects in {count_done(batch)}, written to {output}"
    report_batch(batch, sentence, as_json=as_json)


def _load(file: Path, parameters: list[tuple[str, Any]]) -> Any:
    from flowseg._segmenters import load_segmenter

    segmenter = load_segmenter(file).set_params(workers=None)
    for name, value in parameters:
        if value is not None:
            set_parameter(segmenter, name, None if value == NONE else value)
    return segmenter


@dataclass(frozen=True)
class Loaded:
    """An image from its file."""

    image: NDArray[Any]
    pixel_size: tuple[float, float] | None


@dataclass(frozen=True)
class Seen:
    """An image with the outputs of the network and the factor that it was scaled by."""

    loaded: Loaded
    outputs: NDArray[np.float32]
    factor: float


@dataclass(frozen=True)
class Prediction:
    """The three stages that a file goes through."""

    segmenter: Any
    reading: Reading
    diameter: float | str | None
    kinds: tuple[str, ...]
    folder: Path

    def check(self) -> None:
        """Refuse options and kinds of results that are not for the model."""
        self.segmenter.check_prediction(self.diameter)
        if "flows" in self.kinds and not hasattr(self.segmenter, "predict_flows"):
            raise ValueError(f"--also flows is not for a {type(self.segmenter).__name__}, which makes none.")

    def read(self, task: Task) -> Loaded:
        """The image of the file, if the model can take it."""
        (file,) = task.sources
        check_memory(file)
        image = self.reading.read(file)
        channels = 1 if image.ndim == 2 else image.shape[2]
        if channels != self.segmenter.n_channels:
            raise ValueError(
                f"{file} must have as many channels as the model was trained on, {self.segmenter.n_channels}; got "
                f"{channels}. Choose with --channel."
            )
        if image.min() == image.max():
            raise ValueError(f"{file} must not be constant; got {image.flat[0]} in all of its pixels.")
        return Loaded(image, self.reading.read_pixel_size(file))

    def run_network(self, loaded: Loaded) -> Seen:
        """What the network says of it."""
        outputs, factor = self.segmenter._map(loaded.image, self.diameter, lambda *found: found)
        return Seen(loaded, outputs, factor)

    def finish(self, task: Task, seen: Seen) -> int:
        """Make masks and write all files; the number of objects."""
        result = self._decode(seen)
        write_results(self.folder, task.name, self.kinds, result)
        return int(result.masks.max())

    def _decode(self, seen: Seen) -> Result:
        objects = flows = None
        if {"csv", "parquet"} & set(self.kinds) and hasattr(self.segmenter, "predict_objects"):
            masks, objects = self.segmenter._decode_objects(seen.outputs, seen.factor)
        else:
            masks = self.segmenter._decode(seen.outputs, seen.factor)
        if "flows" in self.kinds:
            vectors, cellprob = self.segmenter._codec.split(seen.outputs)
            flows = np.concatenate([cellprob[np.newaxis], vectors])
        return Result(masks, seen.loaded.image, objects, flows, seen.loaded.pixel_size)
