"""``flowseg evaluate``: predicted against true masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from numpy.typing import NDArray

from flowseg import io
from flowseg._labels.overlaps import find_overlaps, leave_out_ignored
from flowseg._report import scores as scoring
from flowseg._report.page import Compared, write_page
from flowseg._system.bars import bar
from flowseg.cli._shared.files import check_output_file
from flowseg.cli._shared.inputs import find_masks_with_masks, find_partners, result_names
from flowseg.cli._shared.options import READ, WRITE, AsJson, Axes, Channel, Plane, Reading, Scene, Time, make_reading
from flowseg.cli._shared.say import complain, say, say_json
from flowseg.cli._shared.stream import FAULTS, sentence_of


class Files(NamedTuple):
    """Files of one image."""

    name: str
    true: Path
    predicted: Path
    image: Path | None


def evaluate(
    true: Annotated[str, typer.Argument(metavar="TRUE", help="True label images: file, folder or pattern.")],
    predicted: Annotated[str, typer.Argument(metavar="PREDICTED", help="Predicted label images with the same names.")],
    images: Annotated[
        str | None, typer.Option(help="The images with the same names, to be seen in the report.", rich_help_panel=READ)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="HTML file to write: scores, and every image with what went wrong in it.", rich_help_panel=WRITE
        ),
    ] = None,
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    as_json: AsJson = False,
) -> None:
    """Compare predicted with true masks.

    Average precision is TP / (TP + FP + FN) at an overlap (IoU) of 0.5 to 0.9, over all objects together (pooled) and
    as the mean over the images; intervals are from the bootstrap over images. The report is one page that any browser
    opens and that needs no network; channel, plane, time, scene and axes are those of the images in it. Example:

    flowseg evaluate masks results --images images --report report.html
    """
    if images is not None and report is None:
        raise ValueError("--images must come with --report, which shows them; got no --report.")
    reading = make_reading(axes, channel, z, t, scene)
    if images is None and reading != Reading():
        raise ValueError("--channel, --z, --t, --scene and --axes must come with --images, whose they are; got none.")
    files = _find(true, predicted, images)
    if report is None:
        results = [one.scores for one in _compare(files, reading)]
    else:
        check_output_file(report, [file for one in files for file in one[1:]], "--report")
        results = write_page(report, _compare(files, reading, flat=True), len(files), f"{predicted} against {true}")
    scores = scoring.summarize(results)
    if as_json:
        say_json(scoring.as_document(scores))
    else:
        say(*scoring.as_table(scores).split("\n"))


def _find(true: str, predicted: str, images: str | None) -> list[Files]:
    pairs = find_masks_with_masks(true, predicted)
    truths = [truth for truth, _ in pairs]
    partners = {} if images is None else find_partners(truths, images, "images", ("TRUE", "--images"))
    names = result_names(truths)
    return [Files(name, a, b, partners.get(a)) for name, (a, b) in zip(names, pairs, strict=True)]


def _compare(files: list[Files], reading: Reading, *, flat: bool = False) -> Iterator[Compared]:
    """One image after the other; each that cannot be compared is named, and then there are no scores at all."""
    n_failed = 0
    for one in bar(files, "comparing"):
        try:
            compared = _compare_one(one, reading, flat)
        except FAULTS as error:
            n_failed += 1
            complain(sentence_of(error))
            continue
        if not n_failed:
            yield compared
    if n_failed:
        raise typer.Exit(1)


def _compare_one(files: Files, reading: Reading, flat: bool) -> Compared:
    true, predicted = _read(files.true, io.read_masks), _read(files.predicted, io.read_masks)
    if predicted.shape != true.shape:
        raise ValueError(f"{files.predicted} must have the shape of {files.true}, {true.shape}; got {predicted.shape}.")
    if flat and true.ndim != 2:
        raise ValueError(f"{files.true} must be 2-D (rows, columns) to be shown in a report; got shape {true.shape}.")
    image = None if files.image is None else _read(files.image, reading.read)
    if image is not None and image.shape[:2] != true.shape:
        raise ValueError(
            f"{files.image} must have the rows and columns of {files.true}, {true.shape}; got {image.shape[:2]}."
        )
    predicted = leave_out_ignored(true, predicted)
    overlaps = find_overlaps(true, predicted)
    scores = scoring.score_image(files.name, true, predicted, overlaps)
    return Compared(scores, true, predicted, overlaps, image)


def _read(file: Path, reader: Callable[[Path], NDArray[Any]]) -> NDArray[Any]:
    """Read a file; an error names it."""
    try:
        return reader(file)
    except (ValueError, TypeError, MemoryError) as error:
        if str(file) in str(error):
            raise
        raise ValueError(f"{file}: {sentence_of(error)}") from error
