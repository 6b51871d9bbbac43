"""``flowseg predict``: segment images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from flowseg import io
from flowseg._segmenters.inputs import ESTIMATE, warn_of_constant
from flowseg.cli._batch.file_stream import Stages
from flowseg.cli._batch.input_snapshots import take_snapshot
from flowseg.cli._batch.plan import Batch, find_earlier_results, make_tasks, plan_batch
from flowseg.cli._batch.report import count_done, report_batch
from flowseg.cli._batch.run import run_batch
from flowseg.cli._batch.run_record import describe_run
from flowseg.cli._prediction import options
from flowseg.cli._prediction.large import find_large_images, plan_large
from flowseg.cli._prediction.options import ALSO
from flowseg.cli._prediction.stacks import ALL, check_kinds, parse_planes
from flowseg.cli._prediction.stages import Prediction
from flowseg.cli._prediction.volumes import choose_reading
from flowseg.cli._shared.find_inputs import find_images
from flowseg.cli._shared.image_reading import make_reading
from flowseg.cli._shared.models import find_model, has_classes, load_model, model_ndim
from flowseg.cli._shared.option_values import parse_number
from flowseg.cli._shared.options import (
    AsJson,
    Axes,
    Channel,
    FileWorkers,
    ImageFiles,
    Model,
    Normalize,
    OutputFolder,
    Overwrite,
    Resume,
    Scene,
    Spacing,
)
from flowseg.io._results import COCO, AllObjects, OfFiles, parse_kinds, result_file

T = TypeVar("T")


def predict(
    images: ImageFiles,
    model: Model,
    output: OutputFolder,
    also: options.Also = None,
    overlay: options.Overlay = None,
    diameter: options.Diameter = None,
    estimate_diameters: options.EstimateDiameters = None,
    cellprob_threshold: options.CellprobThreshold = None,
    flow_threshold: options.FlowThreshold = None,
    min_size: options.MinSize = None,
    score_threshold: options.ScoreThreshold = None,
    test_time_augmentation: options.TestTimeAugmentation = False,
    precision: options.Precision = None,
    normalize: Normalize = None,
    channel: Channel = None,
    z: options.Plane = None,
    t: options.Time = None,
    scene: Scene = None,
    volume: options.Volume = None,
    axes: Axes = None,
    spacing: Spacing = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    workers: FileWorkers = None,
    blocks: options.Blocks = None,
    as_json: AsJson = False,
) -> None:
    """Segment images or volumes: writes NAME_masks.tif and NAME_overlay.png for each.

    **--also** writes files for other programs: ImageJ (roi: NAME_rois.zip), QuPath (NAME.geojson), COCO (coco.json, all
    images in one), label images as PNG (NAME_masks.png), tables of measurements (NAME_objects.csv or .parquet), and
    the outputs of the network (NAME_flows.tif: cellprob, row flow, column flow; for volumes also plane flow, before row
    flow). A model that was trained with classes of objects also writes NAME_objects.csv, with columns class and
    class_probability. Example:

    flowseg predict 'new/*.tif' --model model.safetensors --output results --also roi,csv

    **--z all** or **--t all** segments every plane or time point of a stack by itself and writes one stack of masks, in
    which no label occurs in two planes; tables get a column for the plane.

    A model of volumes segments files whose planes are named Z, by themselves or by **--axes ZYX**; the distance between
    planes, rows and columns is that of the files or of **--spacing**, and is written into the masks. The overlay shows
    three planes that are perpendicular to each other. A model of images segments a volume with **--volume planes**,
    which joins what the network sees along all three axes, or **--volume stitch**, which joins objects of neighboring
    planes that overlap.

    Images of more than 64 megapixels, and volumes of more than 40 megavoxels, are segmented block by block; the masks
    are the same. **--blocks** does this for images of any size. The results are NAME_masks.ome.zarr, NAME_objects.csv
    and a small NAME_overlay.png, with geojson (of images) and parquet on request.

    If a file fails, the others are still segmented, and the command names it at the end. The file flowseg-run.jsonl in
    the output folder records model, options and inputs.
    """
    stack_axis, numbers = parse_planes(z, t)
    with_overlay = not stack_axis if overlay is None else overlay
    kinds = ("tif", *(["overlay"] if with_overlay else []), *parse_kinds(also or [], ALSO, "--also"))
    check_kinds(stack_axis, kinds)
    reading = make_reading(axes, channel, *numbers, scene, spacing)
    size = parse_number(diameter, "--diameter", ESTIMATE)
    thresholds = options.parse_thresholds(cellprob_threshold, flow_threshold, min_size, score_threshold)
    running = options.parse_running(test_time_augmentation, precision, estimate_diameters, normalize)
    parameters = [*thresholds, *running]
    file, files = find_model(model), find_images(images, find_earlier_results(output))
    snapshot = take_snapshot(file)
    with_classes = has_classes(file)
    if with_classes and "csv" not in kinds:
        kinds = (*kinds, "csv")
    reading = choose_reading(reading, model_ndim(file), volume, stack_axis, kinds)
    recorded = [*parameters, *reading.recorded, ("volume", volume), ("diameter", size), ("also", ",".join(kinds))]
    run = describe_run("predict", snapshot, [*recorded, *((axis, ALL) for axis in stack_axis.lower())])
    all_planes = f"--{stack_axis.lower()} all" if stack_axis else f"--volume {volume}" if volume else ""
    large = find_large_images(files, reading, kinds, all_planes, blocks)
    if with_classes:
        _check_classes_are_found(volume, large)
    tasks = plan_large(make_tasks(files, output, kinds), output, kinds, large)
    batch = plan_batch(output, run, tasks, resume=resume, overwrite=overwrite, workers=workers)
    segmenter = load_model(file, [*parameters, ("workers", workers)])
    snapshot.check()
    names = frozenset(task.name for task in tasks if task.sources[-1] in large)
    prediction = Prediction(segmenter, reading, size, kinds, output, stack_axis, volume, batch.notes, names, workers)
    prediction.check()
    stages = Stages(prediction.read, prediction.run_network, prediction.make_results, prediction.write)
    run_batch(batch, stages, "segmenting", partial(_read_objects, batch, with_classes) if COCO in kinds else None)
    warn_of_constant(sum(prediction.constant), len(prediction.constant), stacklevel=1)
    prediction.spacings.warn(stacklevel=1)
    report_batch(batch, f"{batch.n_objects} objects in {count_done(batch)}, written to {output}", as_json=as_json)


def _check_classes_are_found(volume: str | None, large: set[Path]) -> None:
    """Raise where a model with classes would find objects without."""
    if volume:
        raise ValueError(
            f"--volume must not be given for a model with classes, which are those of objects in images; got {volume}."
        )
    if large:
        raise ValueError(
            f"--model must be one without classes for images that are segmented block by block, such as {min(large)}; "
            "got one with classes. Choose --no-blocks for files that fit into memory."
        )


def _read_objects(batch: Batch, with_classes: bool) -> AllObjects:
    """Return the objects of all images in the record, read from the output folder."""
    entries = sorted(batch.all_entries.values(), key=lambda entry: entry.name)

    def of_files(read: Callable[[Path], T], kind: str) -> OfFiles[T]:
        return OfFiles([(e.file, partial(read, result_file(batch.folder, e.name, kind))) for e in entries])

    classes = of_files(lambda file: io.read_classes(file)[""], "csv") if with_classes else None
    return AllObjects(of_files(io.read_masks, "tif"), classes)
