"""``flowseg tune``: choose the thresholds of a model again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowseg import metrics
from flowseg._labels.overlaps import count_objects
from flowseg._segmenters.fitting.fit_summary import IOU_NAMES, format_precision, format_thresholds, thresholds_of
from flowseg._system.bars import bar
from flowseg.cli._batch.input_snapshots import take_snapshot
from flowseg.cli._shared.find_inputs import find_pairs
from flowseg.cli._shared.find_spacings import Spacings, find_spacings
from flowseg.cli._shared.image_reading import make_reading
from flowseg.cli._shared.models import find_model, model_channels, model_ndim, model_spacing
from flowseg.cli._shared.options import (
    AsJson,
    Axes,
    Channel,
    ImagesArgument,
    MasksArgument,
    Model,
    ModelOutput,
    Plane,
    Scene,
    Spacing,
    Time,
    Workers,
)
from flowseg.cli._shared.output_file import check_model_output
from flowseg.cli._shared.read_pairs import Arrays, read_pairs
from flowseg.cli._shared.rescue_model import save_or_rescue
from flowseg.cli._shared.terminal import print_json, print_lines

if TYPE_CHECKING:
    from flowseg import FlowSegmenter


def tune(
    images: ImagesArgument,
    masks: MasksArgument,
    model: Model,
    output: ModelOutput,
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    spacing: Spacing = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Choose the thresholds of a model again and calibrate its scores, on images that it was not trained on.

    Give at least two images with fifty objects together. The weights and the model card stay as they are. Example:

    flowseg tune images masks --model nuclei --output tuned.safetensors
    """
    reading = make_reading(axes, channel, z, t, scene, spacing)
    file, files = find_model(model), find_pairs(images, masks)
    check_model_output(output, [file, *(each for pair in files for each in pair)])
    reading = reading.of_ndim(model_ndim(file))
    pairs = read_pairs(files, reading, model_channels(file))
    is_without = model_spacing(file) is None and reading.spacing is None
    spacings = None if is_without else find_spacings(files, reading)
    segmenter, card = _load(file)
    before, after = _run_tuning(segmenter, pairs, spacings, workers)
    save_or_rescue(partial(segmenter.save, card=card), output)
    _report(pairs, before, after, output, as_json=as_json)


def _load(file: Path) -> tuple[FlowSegmenter, dict[str, Any] | None]:
    """Load the model and its card."""
    from flowseg._segmenters.flow import FlowSegmenter
    from flowseg._segmenters.loading import load_segmenter
    from flowseg._segmenters.model_files.reading import read_document

    snapshot = take_snapshot(file)
    segmenter, card = load_segmenter(file), read_document(file).get("card")
    snapshot.check()
    if not isinstance(segmenter, FlowSegmenter):
        raise ValueError(f"--model must be a FlowSegmenter, which has thresholds; got a {type(segmenter).__name__}.")
    return segmenter, card


def _run_tuning(
    segmenter: FlowSegmenter, pairs: tuple[Arrays, Arrays], spacings: Spacings, workers: int | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Choose the thresholds; return them and the average precision before and after."""
    own_workers = segmenter.workers
    segmenter.set_params(workers=workers)
    before = _evaluate(segmenter, pairs, spacings)
    segmenter.fit_thresholds(*pairs, spacing=spacings)
    after = _evaluate(segmenter, pairs, spacings)
    segmenter.set_params(workers=own_workers)
    return before, after


def _evaluate(segmenter: FlowSegmenter, pairs: tuple[Arrays, Arrays], spacings: Spacings) -> dict[str, Any]:
    """Return the thresholds in effect, and the average precision with them."""
    steps = [None] * len(pairs[0]) if spacings is None else spacings
    predicted = [
        segmenter.predict(image, spacing=step) for image, step in zip(bar(pairs[0], "measuring"), steps, strict=True)
    ]
    values = metrics.average_precision(pairs[1], predicted, thresholds=tuple(map(float, IOU_NAMES)))
    return thresholds_of(segmenter) | {"ap": dict(zip(IOU_NAMES, map(float, values), strict=True))}


def _report(
    pairs: tuple[Arrays, Arrays], before: dict[str, Any], after: dict[str, Any], output: Path, *, as_json: bool
) -> None:
    n_images, n_objects = len(pairs[0]), sum(count_objects(masks) for masks in pairs[1])
    if as_json:
        document = {"command": "tune", "output": str(output), "images": n_images, "objects": n_objects}
        print_json(document | after | {"before": before})
    else:
        print_lines(
            f"before: {_describe(before)}",
            f"after: {_describe(after)}",
            f"chosen on {n_objects} objects in {n_images} images, saved as {output}",
        )


def _describe(result: dict[str, Any]) -> str:
    thresholds = {name: value for name, value in result.items() if name != "ap"}
    return f"{format_thresholds(thresholds)}; {format_precision(result['ap'].values())}"
