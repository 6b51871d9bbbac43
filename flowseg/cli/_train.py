"""``flowseg train``: train a model on images and masks."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flowseg._checks import AUTO
from flowseg._labels.overlaps import count_objects
from flowseg._segmenters.fitting.fit_summary import IOU_NAMES, describe_fit, is_start_kept, thresholds_of
from flowseg._segmenters.inputs import is_constant
from flowseg._system.locks import holding_file
from flowseg.cli._shared.find_inputs import Pairs, find_pairs
from flowseg.cli._shared.find_ndim import find_ndim
from flowseg.cli._shared.find_spacings import Spacings, describe_spacings, find_spacings
from flowseg.cli._shared.image_reading import VOLUME, Reading, make_reading, with_channels
from flowseg.cli._shared.models import find_model, model_channels, model_ndim, model_spacing
from flowseg.cli._shared.object_classes import Classes, Known, read_classes_of
from flowseg.cli._shared.option_values import NONE, parse_filters, parse_normalize
from flowseg.cli._shared.options import (
    AsJson,
    Axes,
    Channel,
    ImagesArgument,
    MasksArgument,
    ModelOutput,
    Plane,
    Scene,
    Spacing,
    Time,
    Workers,
)
from flowseg.cli._shared.output_file import check_model_output, check_output_file
from flowseg.cli._shared.progress import advising, make_progress
from flowseg.cli._shared.read_pairs import Arrays, count_channels, read_pairs
from flowseg.cli._shared.rescue_model import save_or_rescue
from flowseg.cli._shared.terminal import print_json, print_lines
from flowseg.cli._training import options
from flowseg.cli._training.train_segmenter import make_segmenter, parse_parameters, set_channels

if TYPE_CHECKING:
    from flowseg import BoundarySegmenter, FlowSegmenter

    Segmenter = FlowSegmenter | BoundarySegmenter

LOST = "this training is lost; with --checkpoint FILE the next one can continue after its last complete epoch"


class TrainingSet(NamedTuple):
    """Images, their masks, the spacing of each where it is known, and the classes of objects if they are given."""

    images: Arrays
    masks: Arrays
    spacings: Spacings
    classes: list[Known] | None = None


def train(
    images: ImagesArgument,
    masks: MasksArgument,
    output: ModelOutput,
    classes: Classes = None,
    start: options.Start = None,
    ndim: options.Ndim = None,
    boundary: options.Boundary = False,
    network: options.Network = None,
    filters: options.Filters = None,
    diameter: options.Diameter = None,
    epochs: options.Epochs = 40,
    steps_per_epoch: options.StepsPerEpoch = None,
    batch_size: options.BatchSize = None,
    crop_size: options.CropSize = None,
    learning_rate: options.LearningRate = AUTO,
    normalize: options.Normalize = None,
    augment: options.Augment = None,
    seed: options.Seed = 0,
    checkpoint: options.CheckpointFile = None,
    validation_images: options.ValidationImages = None,
    validation_masks: options.ValidationMasks = None,
    validation_classes: options.ValidationClasses = None,
    validation_fraction: options.ValidationFraction = None,
    patience: options.Patience = None,
    cellprob_threshold: options.CellprobThreshold = None,
    flow_threshold: options.FlowThreshold = None,
    min_size: options.MinSize = None,
    score_threshold: options.ScoreThreshold = None,
    estimate_diameters: options.Estimate = None,
    n_iter: options.Iterations = None,
    test_time_augmentation: options.TestTimeAugmentation = None,
    precision: options.Precision = None,
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    spacing: Spacing = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Train a segmenter on images and their masks and save it as one file.

    Images and masks pair by name (cell_7.png with cell_7.tif or cell_7_masks.tif). Masks are label images, one number
    per object, or RGB annotations, one color per object. Example:

    flowseg train images masks --output model.safetensors

    With **--classes** the model also learns the class of each object, from a table such as flowseg measure writes it,
    with a column class added. Example:

    flowseg train images masks --classes classes.csv --output model.safetensors

    If files name their planes Z (OME-TIFF, slices of ImageJ, OME-Zarr) and the masks are volumes, too, flowseg trains a
    segmenter of volumes; the first line of output says so. For other stacks, give **--ndim 3** or **--axes ZYX**. The
    distance between planes, rows and columns is that of the files or of **--spacing**. Example:

    flowseg train volumes labels --ndim 3 --spacing 0.28,0.13,0.13 --output model.safetensors
    """
    if (validation_images is None) != (validation_masks is None):
        raise ValueError("--validation-images and --validation-masks must be given together.")
    if validation_classes is not None and (classes is None or validation_images is None):
        raise ValueError("--validation-classes must come with --classes and --validation-images; got it without.")
    reading = make_reading(axes, channel, z, t, scene, spacing)
    new_network = parse_parameters({"network": network, "filters": parse_filters(filters), "diameter": diameter})
    given = {
        "epochs": epochs,
        "steps_per_epoch": steps_per_epoch,
        "batch_size": batch_size,
        "crop_size": crop_size,
        "learning_rate": learning_rate,
        "augment": augment,
        "random_state": seed,
        "validation_fraction": validation_fraction,
        "patience": patience,
        "cellprob_threshold": cellprob_threshold,
        "flow_threshold": flow_threshold,
        "min_size": min_size,
        "score_threshold": score_threshold,
        "estimate_diameters": estimate_diameters,
        "n_iter": n_iter,
        "test_time_augmentation": test_time_augmentation,
        "precision": precision,
    }
    parameters, rule = parse_parameters(given), parse_normalize(normalize)
    first = None if start is None else find_model(start, "--from")
    files, validation_files = find_pairs(images, masks), _find_validation(validation_images, validation_masks)
    _check_outputs(output, checkpoint, [first, *(file for pair in files + validation_files for file in pair)])
    reading = _find_reading(files + validation_files, reading, first, ndim)
    if first is None or ndim is not None:  # a model to start from has its own, which is no choice
        new_network["ndim"] = reading.ndim
    segmenter = make_segmenter(first, new_network, parameters, boundary=boundary)
    segmenter.set_params(workers=workers, verbose=0)
    if rule is not None:
        segmenter.set_params(normalize=None if rule == NONE else rule)
    pairs, validation = _read(files, validation_files, reading, first)
    pairs, validation = _read_classes((pairs, classes, files), (validation, validation_classes, validation_files))
    set_channels(segmenter, first, [file for file, _ in files], pairs.images)
    if not as_json:
        print_lines(_describe_images(pairs, reading, first, ndim))
    seconds = _run_training(segmenter, pairs, validation, output, checkpoint, by_lines=not as_json)
    _report(segmenter, pairs, output, seconds, as_json=as_json)


def _find_reading(files: Pairs, reading: Reading, start: Path | None, ndim: int | None) -> Reading:
    """Return how the files are read: as the model to start from takes them, or as they are."""
    if start is None:
        return find_ndim(files, reading, ndim)
    return reading.of_ndim(model_ndim(start))


def _find_validation(images: str | None, masks: str | None) -> Pairs:
    return [] if images is None or masks is None else find_pairs(images, masks)


def _check_outputs(output: Path, checkpoint: Path | None, inputs: list[Path | None]) -> None:
    if checkpoint is not None:
        check_output_file(checkpoint, inputs, "--checkpoint")
    check_model_output(output, [*inputs, checkpoint])


def _read(
    files: Pairs, validation_files: Pairs, reading: Reading, start: Path | None
) -> tuple[TrainingSet, TrainingSet | None]:
    """Read the images and masks to train on, and those of the validation set if files are given for it."""
    is_without = start is not None and model_spacing(start) is None and reading.spacing is None
    spacings = None if is_without else find_spacings(files + validation_files, reading)
    n_channels = None if start is None else model_channels(start)
    pairs = _read_set(files, reading, n_channels, None if spacings is None else spacings[: len(files)])
    if not validation_files:
        return pairs, None
    n_channels = count_channels(pairs.images, reading.ndim)
    return pairs, _read_set(validation_files, reading, n_channels, None if spacings is None else spacings[len(files) :])


def _read_classes(*parts: tuple[Any, str | None, Pairs]) -> Any:
    """Return the training and the validation set with the classes of their objects, if tables of these are given."""
    options = ("--classes", "--validation-classes")
    return [
        part if where is None else part._replace(classes=read_classes_of(where, [masks for _, masks in files], option))
        for (part, where, files), option in zip(parts, options, strict=True)
    ]


def _read_set(files: Pairs, reading: Reading, n_channels: int | None, spacings: Spacings) -> TrainingSet:
    """Read images and masks; constant images with objects are refused as `fit` does, by the names of the files."""
    images, masks = read_pairs(files, reading, n_channels)
    for (image_file, mask_file), image, labels in zip(files, images, masks, strict=True):
        if (labels > 0).any() and is_constant(with_channels(image, reading.ndim)):
            raise ValueError(
                f"{image_file} must not be constant where {mask_file} holds objects: nothing can be learned from it."
            )
    return TrainingSet(images, masks, spacings)


def _describe_images(pairs: TrainingSet, reading: Reading, start: Path | None, ndim: int | None) -> str:
    """Return what is trained on, and why these are volumes, in one line."""
    n, objects = len(pairs.images), f"{_count_objects(pairs)} objects"
    if reading.ndim != VOLUME:
        return f"{n} images, {objects}"
    named = "planes named Z" if reading.axes is None else f"--axes {reading.axes}"
    reason = "as for --from" if start else "--ndim 3" if ndim else named
    spacing = "without spacing" if start and pairs.spacings is None else describe_spacings(pairs.spacings, reading)
    return f"{n} volume{'s' * (n != 1)} ({reason}), {objects}, {spacing}"


def _count_objects(pairs: TrainingSet) -> int:
    return sum(count_objects(masks) for masks in pairs.masks)


def _run_training(
    segmenter: Segmenter,
    pairs: TrainingSet,
    validation: TrainingSet | None,
    output: Path,
    checkpoint: Path | None,
    *,
    by_lines: bool,
) -> float:
    """Train and save the model; return the seconds that the training took."""
    advice = LOST if checkpoint is None else f"the same command continues after the last complete epoch in {checkpoint}"
    began = time.monotonic()
    with holding_file(output, "flowseg train", f"--output {output}"):
        with advising(advice), closing(make_progress(by_lines=by_lines)) as progress:
            segmenter.fit(
                pairs.images,
                pairs.masks,
                classes=pairs.classes,
                spacing=pairs.spacings,
                validation=_as_validation(validation),
                callbacks=[progress],
                checkpoint=checkpoint,
            )
        seconds = time.monotonic() - began
        segmenter.set_params(workers=None)  # a property of this machine, not of the model
        save_or_rescue(segmenter.save, output)
    return seconds


def _as_validation(validation: TrainingSet | None) -> tuple[Any, ...] | None:
    """Return the validation set as `fit` takes it."""
    return validation if validation is None or validation.classes is not None else validation[:3]


def _report(segmenter: Segmenter, pairs: TrainingSet, output: Path, seconds: float, *, as_json: bool) -> None:
    if as_json:
        start = {
            "command": "train", "output": str(output), "images": len(pairs.images), "objects": _count_objects(pairs)
        }  # fmt: skip
        print_json(start | _describe_result(segmenter, seconds))
    else:
        print_lines(*describe_fit(segmenter, seconds), f"saved as {output}")


def _describe_result(segmenter: Segmenter, seconds: float) -> dict[str, Any]:
    history = segmenter.history_
    document: dict[str, Any] = {
        "ndim": segmenter.ndim,
        **({} if segmenter.classes_ is None else {"classes": segmenter.classes_}),
        "spacing": segmenter.spacing_,
        "diameter": segmenter.diameter_,
        "loss": min(history.get("val_loss", history["loss"])),
        "epochs": len(history["loss"]),
        "thresholds": thresholds_of(segmenter),
        "estimate_diameters": segmenter.estimate_diameters_,
        "seconds": round(seconds, 1),
    }
    if segmenter.validation_ap_ is not None:
        document["validation_ap"] = dict(zip(IOU_NAMES, segmenter.validation_ap_, strict=True))
    if "val_ap_before" in history:
        document["before"] = {
            "val_loss": history.get("val_loss_before", [None])[0],
            "validation_ap": dict(zip(IOU_NAMES, history["val_ap_before"], strict=True)),
        }
        document["start_kept"] = is_start_kept(history)
    return document
