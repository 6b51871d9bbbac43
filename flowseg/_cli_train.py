"""``flowseg train``: a model from images and masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from flowseg._cli_files import (
    check_model_output,
    check_output_file,
    count_channels,
    find_pairs,
    load_to_train,
    make_progress,
    model_file,
    parse_filters,
    read_pairs,
    segmenter_class,
)
from flowseg._cli_options import (
    AsJson,
    Axes,
    Channel,
    ImagesArgument,
    MasksArgument,
    Normalize,
    Plane,
    Scene,
    Time,
    Workers,
    complete_model,
    make_reading,
    parse_normalize,
)
from flowseg._inputs import is_constant
from flowseg._overlaps import count_objects


def train(
    images: ImagesArgument,
    masks: MasksArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write (.safetensors).")],
    validation_images: Annotated[
        str | None, typer.Option(help="Images to choose weights and thresholds on; by default a tenth of IMAGES.")
    ] = None,
    validation_masks: Annotated[str | None, typer.Option(help="Masks of the validation images.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Train this model further: a model file, or a pretrained one (nuclei).",
            autocompletion=complete_model,
        ),
    ] = None,
    boundary: Annotated[
        bool, typer.Option("--boundary", help="Train the three-class baseline instead of flows.")
    ] = False,
    epochs: Annotated[int, typer.Option(help="Epochs; one of 50 steps takes 10 to 40 s on two cores.")] = 40,
    steps_per_epoch: Annotated[
        int | None, typer.Option(help="Steps of 8 crops in an epoch.  [default: 50, or as the model had them]")
    ] = None,
    diameter: Annotated[
        float | None,
        typer.Option(
            help="Working diameter in pixels that objects are scaled to.  [default: their own, from 24 to 40]"
        ),
    ] = None,
    network: Annotated[str | None, typer.Option(help="unet or resunet.  [default: unet]")] = None,
    normalize: Normalize = None,
    filters: Annotated[
        str | None, typer.Option(help="Filters per level, finest first.  [default: 16,32,64,128,256]")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File for the state after every epoch; a training that it holds goes on.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed: the same one gives the same model on the same machine.")] = 0,
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
    per object, or RGB annotations, one colour per object. Example:

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
    pairs = read_pairs(files, reading)
    validation = read_pairs(held_out, reading) if held_out else None
    _check_constant_are_empty(
        [*files, *held_out], *([*a, *b] for a, b in zip(pairs, validation or ([], []), strict=True))
    )
    widths = None if filters is None else parse_filters(filters)
    choices = {"network": network, "filters": widths, "diameter": diameter}
    given = {name: value for name, value in choices.items() if value is not None}
    if first is None:
        segmenter = segmenter_class(boundary)(n_channels=count_channels(pairs[0]), **given)
    else:
        segmenter = load_to_train(first, [*given, *(["boundary"] if boundary else [])])
    segmenter.set_params(epochs=epochs, random_state=seed, workers=workers)
    if normalize is not None:
        rule = parse_normalize(normalize)
        segmenter.set_params(normalize=None if rule == "none" else rule)
    if steps_per_epoch is not None:
        segmenter.set_params(steps_per_epoch=steps_per_epoch)
    n_objects = sum(count_objects(m) for m in pairs[1])
    if not as_json:
        typer.echo(f"{len(pairs[0])} images, {n_objects} objects")
    progress = make_progress(epochs * segmenter.steps_per_epoch)
    segmenter.fit(*pairs, validation=validation, callbacks=[progress], checkpoint=checkpoint)
    segmenter.set_params(workers=None).save(output)  # what this machine has is nothing of the model's
    losses = segmenter.history_.get("val_loss", segmenter.history_["loss"])
    if as_json:
        said = {"images": len(pairs[0]), "objects": n_objects, "diameter": segmenter.diameter_, "loss": min(losses)}
        typer.echo(json.dumps({"command": "train", "output": str(output), **said}, indent=1))
    else:
        typer.echo(f"typical diameter {segmenter.diameter_:.1f} pixels, best loss {min(losses):.3f}, saved as {output}")


def _check_constant_are_empty(files: list[tuple[Path, Path]], images: list[Any], masks: list[Any]) -> None:
    """As `fit` does, by the name of the file."""
    for (image_file, mask_file), image, labels in zip(files, images, masks, strict=True):
        if (labels > 0).any() and is_constant(np.atleast_3d(image)):
            raise ValueError(f"{image_file} must not be constant where {mask_file} holds objects: it teaches nothing.")
