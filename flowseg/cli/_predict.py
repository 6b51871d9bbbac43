"""``flowseg predict``: segment files."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from flowseg import io
from flowseg._labels.measure import Table, measure
from flowseg._segmenters.codecs import Outputs
from flowseg._segmenters.inputs import ESTIMATE, Diameter, is_constant, warn_of_constant
from flowseg._segmenters.noise import NoiseCheck
from flowseg._segmenters.pipeline import Pipeline, pipeline_of
from flowseg.cli._shared.batch import Batch, Task, made_files, make_tasks, plan_batch, run_batch
from flowseg.cli._shared.files import check_memory, model_file, parse_number, set_parameter
from flowseg.cli._shared.inputs import find_images
from flowseg.cli._shared.options import (
    READ,
    SEGMENT,
    WRITE,
    AsJson,
    Axes,
    Channel,
    FileWorkers,
    ImageFiles,
    Normalize,
    OutputFolder,
    Overwrite,
    Reading,
    Resume,
    Scene,
    complete_model,
    make_reading,
    parse_normalize,
)
from flowseg.cli._shared.progress import TileBar
from flowseg.cli._shared.record import describe_run
from flowseg.cli._shared.sources import look
from flowseg.cli._shared.stacks import (
    ALL,
    Labelled,
    Stack,
    check_kinds,
    open_stack,
    parse_planes,
    segment_stack,
    write_stack,
)
from flowseg.cli._shared.stream import Stages
from flowseg.cli._shared.summary import count_done, report_batch
from flowseg.io._results import (
    COCO,
    MasksOfFiles,
    Result,
    complete_kinds,
    parse_kinds,
    result_file,
    write_results,
)

if TYPE_CHECKING:
    from flowseg import BoundarySegmenter, FlowSegmenter

# The word that switches a threshold off.
NONE = "none"

# What can be made beside the masks.
ALSO = ("roi", "geojson", COCO, "png", "csv", "parquet", "flows")


def _complete_also(incomplete: str) -> list[str]:
    return complete_kinds(incomplete, ALSO)


def predict(
    images: ImageFiles,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Model file that flowseg train wrote, or a pretrained one: nuclei.",
            autocompletion=complete_model,
            rich_help_panel=SEGMENT,
        ),
    ],
    output: OutputFolder,
    also: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Results to write beside the masks, with commas between: {', '.join(ALSO)}.",
            autocompletion=_complete_also,
            rich_help_panel=WRITE,
        ),
    ] = None,
    overlay: Annotated[
        bool | None,
        typer.Option(
            help="Write pictures of the outlines on the images.  [default: not of stacks]", rich_help_panel=WRITE
        ),
    ] = None,
    diameter: Annotated[
        str | None,
        typer.Option(
            help="Typical diameter of the objects in pixels, or 'estimate'; by default that of the training images or, "
            "with a model that was better with them, an estimate within their sizes.",
            rich_help_panel=SEGMENT,
        ),
    ] = None,
    estimate_diameters: Annotated[
        bool | None,
        typer.Option(
            "--estimate/--no-estimate",
            help="Whether diameters are estimated where --diameter is not given; by default as chosen in training.",
            rich_help_panel=SEGMENT,
        ),
    ] = None,
    cellprob_threshold: Annotated[
        float | None,
        typer.Option(
            help="Higher finds fewer, smaller objects; by default as chosen in training.", rich_help_panel=SEGMENT
        ),
    ] = None,
    flow_threshold: Annotated[
        str | None,
        typer.Option(
            help="Lower drops more doubtful objects, 'none' keeps all; by default as chosen in training.",
            rich_help_panel=SEGMENT,
        ),
    ] = None,
    min_size: Annotated[
        int | None,
        typer.Option(help="Drop objects of fewer pixels; by default as chosen in training.", rich_help_panel=SEGMENT),
    ] = None,
    score_threshold: Annotated[
        str | None,
        typer.Option(
            help="Drop objects that are real with less than this probability, 'none' keeps all; by default as chosen "
            "in training.",
            rich_help_panel=SEGMENT,
        ),
    ] = None,
    test_time_augmentation: Annotated[
        bool,
        typer.Option(
            "--tta",
            help="Mean over the image turned and flipped: a little better, eight times slower.",
            rich_help_panel=SEGMENT,
        ),
    ] = False,
    normalize: Normalize = None,
    channel: Channel = None,
    z: Annotated[
        str | None,
        typer.Option(
            "--z", help="Plane to take of a stack, the first is 0, or 'all' for each in turn.", rich_help_panel=READ
        ),
    ] = None,
    t: Annotated[
        str | None,
        typer.Option(
            "--t", help="Time to take of a series, the first is 0, or 'all' for each in turn.", rich_help_panel=READ
        ),
    ] = None,
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

    **--z all** or **--t all** segments every plane or time of a stack by itself and writes one stack of masks, in which
    no label stands in two planes; tables get a column for the plane.
    """
    each, numbers = parse_planes(z, t)
    with_overlay = not each if overlay is None else overlay
    kinds = ("tif", *(["overlay"] if with_overlay else []), *parse_kinds(also or [], ALSO, "--also"))
    check_kinds(each, kinds)
    reading = make_reading(axes, channel, *numbers, scene)
    file = model_file(model)
    size = parse_number(diameter, "--diameter", ESTIMATE)
    parameters = [
        ("cellprob_threshold", cellprob_threshold),
        ("flow_threshold", parse_number(flow_threshold, "--flow-threshold", NONE)),
        ("min_size", min_size),
        ("score_threshold", parse_number(score_threshold, "--score-threshold", NONE)),
        ("test_time_augmentation", test_time_augmentation or None),
        ("estimate_diameters", estimate_diameters),
        ("normalize", parse_normalize(normalize)),
    ]
    options = [*parameters, *vars(reading).items(), ("diameter", size), ("also", ",".join(kinds))]
    options += [(axis, ALL) for axis in each.lower()]
    tasks = make_tasks(find_images(images, made_files(output)), output, kinds)
    model_seen = look(file)
    run = describe_run("predict", model_seen, options)
    batch = plan_batch(output, run, tasks, resume=resume, overwrite=overwrite, workers=workers)
    work = Prediction(_load(file, [*parameters, ("workers", workers)]), reading, size, kinds, output, each, batch.notes)
    model_seen.check()
    work.check()
    stages = Stages(work.read, work.run_network, work.make, work.write)
    run_batch(batch, stages, "segmenting", partial(_masks_of_all, batch) if COCO in kinds else None)
    warn_of_constant(sum(work.seen), len(work.seen), stacklevel=1)
    sentence = f"{batch.n_objects} objects in {count_done(batch)}, written to {output}"
    report_batch(batch, sentence, as_json=as_json)


def _masks_of_all(batch: Batch) -> MasksOfFiles:
    """Masks of all images that the folder holds, read from it."""
    done = sorted(batch.all_entries.values(), key=lambda entry: entry.name)
    return MasksOfFiles([(e.file, partial(io.read_masks, result_file(batch.folder, e.name, "tif"))) for e in done])


def _load(file: Path, parameters: list[tuple[str, Any]]) -> FlowSegmenter | BoundarySegmenter:
    from flowseg._segmenters.loading import load_segmenter

    segmenter = load_segmenter(file).set_params(workers=None)
    for name, value in parameters:
        if value is not None:
            set_parameter(segmenter, name, None if isinstance(value, str) and value == NONE else value)
    return segmenter


@dataclass(frozen=True)
class Loaded:
    """An image from its file, or a stack of which planes are still to be read."""

    image: NDArray[Any]
    pixel_size: tuple[float, float] | None


@dataclass(frozen=True)
class Seen:
    """An image with the outputs of the network."""

    loaded: Loaded
    outputs: Outputs


@dataclass(frozen=True)
class Prediction:
    """The stages that a file goes through."""

    segmenter: FlowSegmenter | BoundarySegmenter
    reading: Reading
    diameter: Diameter
    kinds: tuple[str, ...]
    folder: Path
    each: str  # the axis of which every plane is segmented, Z or T
    notes: dict[str, str]  # what is to be said of results, by the name of the task
    seen: list[bool] = field(default_factory=list)  # of every image or plane whether it is constant

    @cached_property
    def pipeline(self) -> Pipeline:
        """The way from images to masks."""
        return pipeline_of(self.segmenter, on_tile=TileBar())

    def check(self) -> None:
        """Refuse options and kinds of results that are not for the model."""
        self.pipeline.check(self.diameter)
        if "flows" in self.kinds and not self.pipeline.has_flows:
            raise ValueError(f"--also flows is not for a {type(self.segmenter).__name__}, which makes none.")

    def read(self, task: Task) -> Loaded | Stack:
        """The image of the file, if the model can take it; of a stack what it takes to read its planes."""
        (file,) = task.sources
        if self.each:
            return open_stack(file, self.reading, self.each)
        return Loaded(self._read(file, self.reading), self.reading.read_pixel_size(file))

    def _read(self, file: Path, reading: Reading) -> NDArray[Any]:
        check_memory(file, reading)
        image = reading.read(file, keep_color=self.segmenter.n_channels > 1)
        channels = 1 if image.ndim == 2 else image.shape[2]
        if channels != self.segmenter.n_channels:
            raise ValueError(
                f"{file} must have as many channels as the model was trained on, {self.segmenter.n_channels}; got "
                f"{channels}. Choose with --channel."
            )
        return image

    def run_network(self, loaded: Loaded | Stack) -> Seen | Labelled:
        """What the network says of an image; of a stack the masks, for its planes do not fit into memory."""
        if isinstance(loaded, Stack):
            noise = self.pipeline.noise_check()
            labelled = segment_stack(loaded, partial(self._segment_plane, noise))
            return replace(labelled, note=noise.sentence("plane {}".format))
        return self._see(loaded)

    def _see(self, loaded: Loaded) -> Seen:
        self.seen.append(is_constant(np.atleast_3d(loaded.image)))
        return Seen(loaded, self.pipeline.run(loaded.image, self.diameter))

    def _segment_plane(self, noise: NoiseCheck, stack: Stack, number: int) -> tuple[NDArray[np.int32], Table | None]:
        """Masks of one plane, and its table where one is to be written."""
        image = self._read(stack.file, stack.reading_of(number))
        result = self._decode(self._see(Loaded(image, None)))
        noise.look(image, result.masks)
        wants_table = {"csv", "parquet"} & set(self.kinds)
        return result.masks, measure(result.masks, image, result.objects) if wants_table else None

    def make(self, task: Task, seen: Seen | Labelled) -> Result | Labelled:
        """Masks and what goes with them."""
        if isinstance(seen, Labelled):
            self._note(task, seen.note)
            return seen
        result = self._decode(seen)
        noise = self.pipeline.noise_check()
        noise.look(result.image, result.masks)
        self._note(task, noise.sentence())
        return result

    def write(self, task: Task, made: Result | Labelled) -> int:
        """Write all files; the number of objects."""
        if isinstance(made, Labelled):
            return write_stack(self.folder, task.name, self.kinds, made)
        write_results(self.folder, task.name, self.kinds, made)
        return int(made.masks.max())

    def _note(self, task: Task, note: str) -> None:
        if note:
            self.notes[task.name] = note

    def _decode(self, seen: Seen) -> Result:
        objects = flows = None
        if {"csv", "parquet"} & set(self.kinds):
            masks, objects = self.pipeline.decode_objects(seen.outputs)
        else:
            masks = self.pipeline.decode(seen.outputs)
        if "flows" in self.kinds:
            vectors, cellprob = self.pipeline.flows(seen.outputs)
            flows = np.concatenate([cellprob[np.newaxis], vectors])
        return Result(masks, seen.loaded.image, objects, flows, seen.loaded.pixel_size)
