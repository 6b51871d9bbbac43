"""``flowseg info``: describe a model file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flowseg.cli._shared.image_reading import VOLUME, format_spacing
from flowseg.cli._shared.models import find_model
from flowseg.cli._shared.options import AsJson, ModelArgument
from flowseg.cli._shared.terminal import print_json, print_lines

# Estimator -> its method; losses of a document, of which the first present one is shown.
KINDS = {"FlowSegmenter": " (flows)", "BoundarySegmenter": " (three classes)"}
ONEDNN_WORDS = {"0": "off", "1": "on", "default": "as usual"}
AXES = ("planes", "rows", "columns")
LOSSES = (("best_val_loss", "validation loss"), ("best_loss", "loss"))


def info(
    model: ModelArgument,
    as_json: AsJson = False,
) -> None:
    """Describe a model file: estimator, images or volumes, training, spacing, sizes of objects, thresholds, model card.

    With --json everything: parameters, learned values, scores.
    """
    from flowseg._segmenters.model_files.reading import read_document

    file = find_model(model, "MODEL")
    document = _shorten_history(read_document(file))
    _report(file, document, as_json=as_json)


def _shorten_history(document: dict[str, Any]) -> dict[str, Any]:
    """Replace the losses of a document by the number of epochs and the lowest losses."""
    history = document.pop("history", {})
    document["epochs_trained"] = len(history.get("loss", []))
    for name in ("loss", "val_loss"):
        finite = [loss for loss in history.get(name, []) if math.isfinite(loss)]  # JSON has no other
        if finite:
            document[f"best_{name}"] = round(min(finite), 4)
    return document


def _report(file: Path, document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print_lines(*_summarize(file, document))


def _summarize(file: Path, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a few lines about a model."""
    parameters, learned = document["parameters"], document["learned"]
    kind = KINDS.get(document["estimator"], "")
    megabytes = file.stat().st_size / 1e6
    yield f"{file.name}: {document['estimator']}{kind}, {megabytes:.1f} MB, flowseg {document['flowseg_version']}"
    channels = parameters.get("n_channels")
    filters = ", ".join(map(str, parameters.get("filters") or []))
    images = "volumes" if parameters.get("ndim") == VOLUME else "images"
    yield f"network: {parameters.get('network')} with {filters} filters, for {images} of {_count(channels, 'channel')}"
    loss = next((f", best {word} {document[name]}" for name, word in LOSSES if name in document), "")
    yield f"training: {_count(document['epochs_trained'], 'epoch')}{loss}"
    yield from _describe_lattice(learned.get("lattice"))
    yield f"objects: {', '.join(_describe_sizes(learned))}"
    if learned.get("classes"):
        yield f"classes: {', '.join(learned['classes']['names'])}"
    if learned.get("ranges"):
        yield f"usual images: {', '.join(_describe_ranges(learned['ranges']))}"
    if document.get("trained_with"):
        yield f"trained with: {_describe_machine(document['trained_with'])}"
    thresholds = dict(learned.get("thresholds") or {})
    thresholds |= {n: v for n, v in parameters.items() if n.endswith(("_threshold", "min_size")) and v != "auto"}
    if thresholds:
        yield "thresholds: " + ", ".join(f"{name} {_round(value)}" for name, value in thresholds.items())
    for name, value in (document.get("card") or {}).items():
        yield f"{name}: {value}" if isinstance(value, str | int | float) else f"{name}: with --json"


def _describe_lattice(lattice: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield a line about the spacing of the training images, if it matters: of volumes, and where it is known."""
    if lattice is None or (lattice["spacing"] is None and len(lattice["coarse_levels"]) < VOLUME):
        return
    if lattice["spacing"] is None:
        yield "spacing: none, pixels count as equally long"
        return
    coarse = [
        f"{2**level} times as long along {name}"
        for name, level in zip(AXES[-len(lattice["coarse_levels"]) :], lattice["coarse_levels"], strict=True)
        if level
    ]
    seen = f", seen by the network as {' and '.join(coarse)}" if coarse else ""
    yield f"spacing: {format_spacing(tuple(lattice['spacing']))}{seen}"


def _describe_machine(trained_with: Mapping[str, Any]) -> str:
    """Return the software and machine on which the same seed gives the same model."""
    words = [trained_with[name] for name in ("backend", "platform") if name in trained_with]
    words += [f"{name} {trained_with[name]}" for name in ("keras", "numpy") if name in trained_with]
    words += [
        _count(trained_with[name], name.removesuffix("s")) for name in ("cores", "threads") if name in trained_with
    ]
    if "onednn" in trained_with:
        words.append(f"oneDNN {ONEDNN_WORDS.get(str(trained_with['onednn']), trained_with['onednn'])}")
    return ", ".join(map(str, words))


def _describe_sizes(learned: Mapping[str, Any]) -> Iterator[str]:
    yield f"typical diameter {learned['diameter']:.1f} pixels"
    sizes = learned.get("sizes") or {}
    if "low" in sizes and "high" in sizes:
        yield f"from {sizes['low']:.1f} to {sizes['high']:.1f}"
    if "working" in sizes:
        yield f"seen by the network at {sizes['working']:.1f}"
    if "estimate" in sizes:
        yield "estimated for each image" if sizes["estimate"] else "not estimated"


def _describe_ranges(ranges: Mapping[str, Any]) -> Iterator[str]:
    """Yield the range of each statistic by which images are compared with those of training."""
    for name, (low, high) in ranges["ends"].items():
        yield f"{name.replace('_', ' ')} {low:.3g} to {high:.3g}"
    yield f"in {_count(ranges['n_images'], 'image')}"


def _count(n: Any, word: str) -> str:
    return f"{n} {word}{'s' * (n != 1)}"


def _round(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
