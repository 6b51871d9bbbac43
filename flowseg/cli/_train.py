"""``flowseg train``: a model from images and masks."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from flowseg._checks import AUTO
from flowseg._labels.overlaps import count_objects
from flowseg._segmenters.fitting.fit_summary import IOU_NAMES, describe_fit, is_start_kept, thresholds_of
from flowseg._segmenters.inputs import is_constant
from flowseg._system.locks import holding_file
from flowseg.cli._shared import train_options as options
from flowseg.cli._shared.files import (
    check_model_output,
    check_output_file,
    count_channels,
    load_to_train,
    model_channels,
    model_file,
    parse_filters,
    read_pairs,
    segmenter_class,
)
from flowseg.cli._shared.inputs import Pairs, find_pairs
from flowseg.cli._shared.options import (
    WRITE,
    AsJson,
    Axes,
    Channel,
    ImagesArgument,
    MasksArgument,
    Plane,
    Reading,
    Scene,
    Time,
    Workers,
    make_reading,
    parse_normalize,
)
from flowseg.cli._shared.progress import advising, make_progress
from flowseg.cli._shared.rescue import save_or_rescue
from flowseg.cli._shared.say import say, say_json

UNSAFE = "this training is lost; with --checkpoint FILE the next one can go on after its last whole epoch"

Arrays = tuple[list[Any], list[Any]]  # images and masks


def train(
    images: ImagesArgument,
    masks: MasksArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Model file to write (.safetensors).", rich_help_panel=WRITE)
    ],
    start: options.Start = None,
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
    validation_fraction: options.ValidationFraction = None,
    patience: options.Patience = None,
    cellprob_threshold: options.CellprobThreshold = None,
    flow_threshold: options.FlowThreshold = None,
    min_size: options.MinSize = None,
    score_threshold: options.ScoreThreshold = None,
    estimate_diameters: options.Estimate = None,
    n_iter: options.Iterations = None,
    test_time_augmentation: options.TestTimeAugmentation = None,
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Train a segmenter on images and their masks and save it as one file.

    Images and masks pair by name (cell_7.png with cell_7.tif or cell_7_masks.tif). Masks are label images, one number
    per object, or RGB annotations, one color per object. Example:

    flowseg train images masks --output model.safetensors
    """
    if (validation_images is None) != (validation_masks is None):
        raise ValueError("--validation-images and --validation-masks must be given together.")
    reading = make_reading(axes, channel, z, t, scene)
    files, held_out = find_pairs(images, masks), []
    if validation_images is not None and validation_masks is not None:
        held_out = find_pairs(validation_images, validation_masks)
    first = None if start is None else model_file(start, "--from")
    inputs = [first, *(file for pair in files + held_out for file in pair)]
    if checkpoint is not None:
        check_output_file(checkpoint, inputs, "--checkpoint")
    check_model_output(output, [*inputs, checkpoint])
    widths = None if filters is None else parse_filters(filters)
    given = [
        ("epochs", epochs),
        ("steps_per_epoch", steps_per_epoch),
        ("batch_size", batch_size),
        ("crop_size", crop_size),
        ("learning_rate", learning_rate),
        ("augment", augment),
        ("random_state", seed),
        ("validation_fraction", validation_fraction),
        ("patience", patience),
        ("cellprob_threshold", cellprob_threshold),
        ("flow_threshold", flow_threshold),
        ("min_size", min_size),
        ("score_threshold", score_threshold),
        ("estimate_diameters", estimate_diameters),
        ("n_iter", n_iter),
        ("test_time_augmentation", test_time_augmentation),
    ]
    fixed = [("network", network), ("filters", widths), ("diameter", diameter)]
    segmenter = _make_segmenter(first, options.parse_given(fixed), options.parse_given(given), boundary=boundary)
    segmenter.set_params(workers=workers, verbose=0)
    if normalize is not None:
        rule = parse_normalize(normalize)
        segmenter.set_params(normalize=None if rule == "none" else rule)
    pairs, validation = _read(files, held_out, reading, model_channels(first))
    _set_channels(segmenter, pairs[0], None if first is None else files)
    n_objects = sum(count_objects(m) for m in pairs[1])
    if not as_json:
        say(f"{len(pairs[0])} images, {n_objects} objects")
    advice = UNSAFE if checkpoint is None else f"the same command goes on after the last whole epoch in {checkpoint}"
    began = time.monotonic()
    with holding_file(output, "flowseg train", f"--output {output}"):
        with advising(advice), options.naming_options(), closing(make_progress(by_lines=not as_json)) as progress:
            segmenter.fit(*pairs, validation=validation, callbacks=[progress], checkpoint=checkpoint)
        seconds = time.monotonic() - began
        segmenter.set_params(workers=None)  # what this machine has is nothing of the model's
        save_or_rescue(segmenter.save, output)
    if as_json:
        said = {"command": "train", "output": str(output), "images": len(pairs[0]), "objects": n_objects}
        say_json(said | _document(segmenter, seconds))
    else:
        say(*describe_fit(segmenter, seconds), f"saved as {output}")


def _read(files: Pairs, held_out: Pairs, reading: Reading, n_channels: int | None) -> tuple[Arrays, Arrays | None]:
    """Images and masks to train on, and those to validate on where files are given for it."""
    pairs = read_pairs(files, reading, n_channels)
    validation = read_pairs(held_out, reading, count_channels(pairs[0])) if held_out else None
    _check_constant_are_empty(
        [*files, *held_out], *([*a, *b] for a, b in zip(pairs, validation or ([], []), strict=True))
    )
    return pairs, validation


def _make_segmenter(first: Path | None, fixed: dict[str, Any], given: dict[str, Any], *, boundary: bool) -> Any:
    """The segmenter to train, its parameters checked before anything is read."""
    if first is None:
        segmenter = segmenter_class(boundary)(**fixed)
    else:
        segmenter = load_to_train(first, [*fixed, *(["boundary"] if boundary else [])])
    for name, value in given.items():
        if name not in segmenter.get_params():
            raise ValueError(f"{options.option_of(name)} is not for a {type(segmenter).__name__}; got {value}.")
        segmenter.set_params(**{name: value})
    from flowseg._segmenters.fitting.settings import check_training_settings

    with options.naming_options():
        check_training_settings(segmenter)
    return segmenter


def _set_channels(segmenter: Any, images: list[Any], files: Pairs | None) -> None:
    """Take the number of channels from the images, or, given files, refuse those that the model cannot take."""
    if files is None:
        segmenter.set_params(n_channels=count_channels(images))
        return
    for (file, _), image in zip(files, images, strict=True):
        channels = 1 if image.ndim == 2 else image.shape[2]
        if channels != segmenter.n_channels:
            raise ValueError(
                f"{file} must have as many channels as the model was trained on, {segmenter.n_channels}; got "
                f"{channels}. Choose with --channel."
            )


def _document(segmenter: Any, seconds: float) -> dict[str, Any]:
    """What a training has come to."""
    history = segmenter.history_
    document: dict[str, Any] = {
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


def _check_constant_are_empty(files: Pairs, images: list[Any], masks: list[Any]) -> None:
    """As `fit` does, by the name of the file."""
    for (image_file, mask_file), image, labels in zip(files, images, masks, strict=True):
        if (labels > 0).any() and is_constant(np.atleast_3d(image)):
            raise ValueError(f"{image_file} must not be constant where {mask_file} holds objects: it teaches nothing.")
