"""``flowseg tune``: the thresholds of a model chosen again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowseg import metrics
from flowseg._labels.overlaps import count_objects
from flowseg._segmenters.fitting.fit_summary import IOU_NAMES, format_precision, format_thresholds, thresholds_of
from flowseg._system.bars import bar
from flowseg.cli._shared.files import check_model_output, model_channels, model_file, read_pairs
from flowseg.cli._shared.inputs import find_pairs
from flowseg.cli._shared.options import (
    READ,
    WRITE,
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
from flowseg.cli._shared.rescue import save_or_rescue
from flowseg.cli._shared.say import say, say_json
from flowseg.cli._shared.sources import look

if TYPE_CHECKING:
    from flowseg import FlowSegmenter


def tune(
    images: ImagesArgument,
    masks: MasksArgument,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Model file, or a pretrained one: nuclei.",
            autocompletion=complete_model,
            rich_help_panel=READ,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Model file to write (.safetensors).", rich_help_panel=WRITE)
    ],
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Choose the thresholds of a model again and learn its scores, on images that it was not trained on.

    Fifty objects in several images are a start. The weights and the model card stay as they are. Example:

    flowseg tune images masks --model nuclei --output tuned.safetensors
    """
    file = model_file(model)
    files = find_pairs(images, masks)
    check_model_output(output, [file, *(each for pair in files for each in pair)])
    pairs = read_pairs(files, make_reading(axes, channel, z, t, scene), model_channels(file))

    from flowseg._segmenters.flow import FlowSegmenter
    from flowseg._segmenters.loading import load_segmenter
    from flowseg._segmenters.model_files.reading import read_document

    model_seen = look(file)
    segmenter, card = load_segmenter(file), read_document(file).get("card")
    model_seen.check()
    if not isinstance(segmenter, FlowSegmenter):
        raise ValueError(f"--model must be a FlowSegmenter, which has thresholds; got a {type(segmenter).__name__}.")
    workers_before = segmenter.workers
    segmenter.set_params(workers=workers)
    before = _look(segmenter, pairs)
    segmenter.fit_thresholds(*pairs)
    after = _look(segmenter, pairs)
    segmenter.set_params(workers=workers_before)
    save_or_rescue(partial(segmenter.save, card=card), output)
    n_objects = sum(count_objects(m) for m in pairs[1])
    if as_json:
        said = {"command": "tune", "output": str(output), "images": len(pairs[0]), "objects": n_objects}
        say_json(said | after | {"before": before})
    else:
        say(f"before: {_say(before)}")
        say(f"after: {_say(after)}")
        say(f"chosen on {n_objects} objects in {len(pairs[0])} images, saved as {output}")


def _look(segmenter: FlowSegmenter, pairs: tuple[list[Any], list[Any]]) -> dict[str, Any]:
    """Thresholds in effect, and the average precision with them."""
    found = [segmenter.predict(image) for image in bar(pairs[0], "measuring")]
    values = metrics.average_precision(pairs[1], found, thresholds=tuple(map(float, IOU_NAMES)))
    return thresholds_of(segmenter) | {"ap": dict(zip(IOU_NAMES, map(float, values), strict=True))}


def _say(seen: dict[str, Any]) -> str:
    return f"{format_thresholds({k: v for k, v in seen.items() if k != 'ap'})}; {format_precision(seen['ap'].values())}"
