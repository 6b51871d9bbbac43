"""``flowseg tune``: the thresholds of a model chosen anew."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from flowseg._cli_files import check_model_output, find_pairs, model_channels, model_file, read_pairs
from flowseg._cli_options import (
    AsJson,
    Axes,
    Channel,
    ImagesArgument,
    MasksArgument,
    Plane,
    Scene,
    Time,
    Workers,
    complete_model,
    make_reading,
)
from flowseg._overlaps import count_objects
from flowseg._thresholds import Thresholds


def tune(
    images: ImagesArgument,
    masks: MasksArgument,
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Model file, or a pretrained one: nuclei.", autocompletion=complete_model),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write (.safetensors).")],
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Choose the thresholds of a model anew and learn its scores, on images that it was not trained on.

    Fifty objects in several images are a start. The weights and the model card stay as they are. Example:

    flowseg tune images masks --model nuclei --output tuned.safetensors
    """
    file = model_file(model)
    files = find_pairs(images, masks)
    check_model_output(output, [file, *(each for pair in files for each in pair)])
    pairs = read_pairs(files, make_reading(axes, channel, z, t, scene), model_channels(file))

    from flowseg._saving import read_document
    from flowseg._segmenters import load_segmenter

    segmenter = load_segmenter(file)
    if not hasattr(segmenter, "fit_thresholds"):
        raise ValueError(f"--model must be a FlowSegmenter, which has thresholds; got a {type(segmenter).__name__}.")
    before = segmenter.workers
    segmenter.set_params(workers=workers).fit_thresholds(*pairs)
    segmenter.set_params(workers=before).save(output, card=read_document(file).get("card"))
    chosen = {field.name: getattr(segmenter, f"{field.name}_") for field in fields(Thresholds)}
    n_objects = sum(count_objects(m) for m in pairs[1])
    if as_json:
        said = {"command": "tune", "output": str(output), "images": len(pairs[0]), "objects": n_objects, **chosen}
        typer.echo(json.dumps(said, indent=1))
    else:
        words = ", ".join(f"{name} {value}" for name, value in chosen.items())
        typer.echo(f"{words}, chosen on {n_objects} objects in {len(pairs[0])} images, saved as {output}")
