"""``flowseg evaluate``: compare predicted with true masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import typer
from numpy.typing import NDArray

from flowseg import io, metrics
from flowseg._image_files.selection import Selection
from flowseg._labels.overlaps import find_overlaps, leave_out_ignored
from flowseg._report.class_scores import classes_as_document, classes_as_table
from flowseg._report.html_page import Compared, write_page
from flowseg._report.score_table import as_document, as_table
from flowseg._report.scores import ImageScores, score_image, summarize
from flowseg._system.bars import bar
from flowseg.cli._batch.result_names import name_results
from flowseg.cli._shared.errors import FAULTS, sentence_of
from flowseg.cli._shared.find_inputs import find_masks_with_masks, find_partners
from flowseg.cli._shared.image_reading import IMAGE, Reading, make_reading
from flowseg.cli._shared.label_stacks import look_at_labels, open_large_labels, volume_reading
from flowseg.cli._shared.large_images import LARGE_PIXELS, LARGE_VOXELS, MEGAPIXEL, check_extra, has_large_labels
from flowseg.cli._shared.object_classes import Classes, Known, read_classes_of
from flowseg.cli._shared.options import READ, WRITE, AsJson, Axes, Channel, Plane, Scene, Spacing, Time
from flowseg.cli._shared.output_file import check_output_file
from flowseg.cli._shared.terminal import print_json, print_lines, print_message
from flowseg.metrics._classification import join_classifications

Result = TypeVar("Result")


class Files(NamedTuple):
    """Files of one image."""

    name: str
    true: Path
    predicted: Path
    image: Path | None


def evaluate(
    true: Annotated[str, typer.Argument(metavar="TRUE", help="True label images: file, folder or pattern.")],
    predicted: Annotated[str, typer.Argument(metavar="PREDICTED", help="Predicted label images of the same names.")],
    images: Annotated[
        str | None, typer.Option(help="Images of the same names, to show in the report.", rich_help_panel=READ)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="HTML file to write: the scores, and every image with its errors.", rich_help_panel=WRITE),
    ] = None,
    classes: Classes = None,
    predicted_classes: Annotated[
        str | None, typer.Option(help="Classes of the predicted objects, as for --classes.", rich_help_panel=READ)
    ] = None,
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    spacing: Spacing = None,
    as_json: AsJson = False,
) -> None:
    """Compare predicted with true masks.

    Average precision is TP / (TP + FP + FN) at an overlap (IoU) of 0.5 to 0.9: over all objects together (pooled), and
    as the mean over the images. Intervals are from a bootstrap over images. The report is one page, which any browser
    opens without a network connection. Images of more than 64 megapixels, and volumes of more than 40 megavoxels, are
    compared block by block, with the same scores; **--report** refuses them. **--channel**, **--z** and the like select
    what the report shows of the images. Volumes are shown by three planes that are perpendicular to each other, in the
    proportions of the files or of **--spacing**. Example:

    flowseg evaluate masks results --images images --report report.html

    With **--classes** and **--predicted-classes** it also prints F1 scores of the classes of objects that match at an
    IoU of 0.5. Example:

    flowseg evaluate masks results --classes classes.csv --predicted-classes results
    """
    if (classes is None) != (predicted_classes is None):
        raise ValueError("--classes and --predicted-classes must be given together; got one of them.")
    if images is not None and report is None:
        raise ValueError("--images must come with --report, which shows them; got no --report.")
    reading = make_reading(axes, channel, z, t, scene, spacing)
    if report is None and spacing is not None:
        raise ValueError(
            "--spacing must come with --report, which shows volumes in these proportions; got no --report."
        )
    if images is None and reading.selection != Selection():
        raise ValueError("--channel, --z, --t, --scene and --axes must come with --images, which they select from.")
    files = _find_files(true, predicted, images)
    if report is not None:
        check_output_file(report, [file for one in files for file in one[1:]], "--report")
    known = _find_classes(files, classes, predicted_classes)
    results = _run_comparison(files, reading, report, f"{predicted} against {true}")
    _report(results, None if known is None else _compare_classes(files, *known), as_json=as_json)


def _find_files(true: str, predicted: str, images: str | None) -> list[Files]:
    pairs = find_masks_with_masks(true, predicted)
    truths = [truth for truth, _ in pairs]
    partners = {} if images is None else find_partners(truths, images, "images", ("TRUE", "--images"))
    names = name_results(truths)
    return [Files(name, a, b, partners.get(a)) for name, (a, b) in zip(names, pairs, strict=True)]


def _find_classes(
    files: list[Files], classes: str | None, predicted: str | None
) -> tuple[list[Known], list[Known]] | None:
    """Return the classes of true and of predicted objects, if they are given."""
    if classes is None or predicted is None:
        return None
    for one in files:
        if has_large_labels(one.true):
            raise ValueError(
                f"--classes is for images of up to {LARGE_PIXELS // MEGAPIXEL} megapixels and volumes of up to "
                f"{LARGE_VOXELS // MEGAPIXEL} megavoxels; {one.true} has more."
            )
    known = read_classes_of(classes, [one.true for one in files])
    return known, read_classes_of(predicted, [one.predicted for one in files], "--predicted-classes")


def _compare_classes(files: list[Files], known: list[Known], predicted: list[Known]) -> metrics.Classification:
    """Return the scores of classes; masks are read again, one image at a time."""
    return join_classifications(
        metrics.classification([true], [found], [a], [b])
        for (true, found), a, b in zip(map(_read_masks, files), known, predicted, strict=True)
    )


def _run_comparison(files: list[Files], reading: Reading, report: Path | None, title: str) -> list[ImageScores]:
    """Return the scores of all images; write the report if it is wanted."""
    if report is None:
        return list(_compare(files, _score_one))
    return write_page(report, _compare(files, partial(_compare_one, reading)), len(files), title)


def _compare(files: list[Files], compare: Callable[[Files], Result]) -> Iterator[Result]:
    """Yield one image after the other; if any cannot be compared, name all of those and exit: there are no scores."""
    n_failed = 0
    for one in bar(files, "comparing"):
        try:
            compared = compare(one)
        except FAULTS as error:
            n_failed += 1
            print_message(sentence_of(error))
            continue
        if not n_failed:
            yield compared
    if n_failed:
        raise typer.Exit(1)


def _score_one(files: Files) -> ImageScores:
    """Return the scores of an image, of a large one block by block."""
    if not has_large_labels(files.true) and not has_large_labels(files.predicted):
        return score_image(files.name, find_overlaps(*_read_masks(files)))
    check_extra(files.true)
    from flowseg.blockwise._results.compare_blocks import overlaps_of_blocks

    true, predicted = open_large_labels(files.true), open_large_labels(files.predicted)
    return score_image(files.name, overlaps_of_blocks(true, predicted))


def _read_masks(files: Files) -> tuple[NDArray[Any], NDArray[Any]]:
    true, predicted = _read(files.true, io.read_masks), _read(files.predicted, io.read_masks)
    if predicted.shape != true.shape:
        raise ValueError(f"{files.predicted} must have the shape of {files.true}, {true.shape}; got {predicted.shape}.")
    if true.size and true.max() < 0:
        raise ValueError(f"{files.true} must hold annotated pixels; all of its labels are below 0, to be ignored.")
    for file in (files.true, files.predicted):
        look_at_labels(file, true.shape).check_no_film()
    return true, predicted


def _compare_one(reading: Reading, files: Files) -> Compared:
    """Return an image for the report."""
    if has_large_labels(files.true):
        raise ValueError(
            f"--report is for images of up to {LARGE_PIXELS // MEGAPIXEL} megapixels and volumes of up to "
            f"{LARGE_VOXELS // MEGAPIXEL} megavoxels, which a browser can show; {files.true} has more."
        )
    true, predicted = _read_masks(files)
    image = None if files.image is None else _read(files.image, volume_reading(reading, true.ndim).read)
    if image is not None and image.shape[: true.ndim] != true.shape:
        axes = "rows and columns" if true.ndim == 2 else "planes, rows and columns"
        raise ValueError(
            f"{files.image} must have the {axes} of {files.true}, {true.shape}; got {image.shape[: true.ndim]}."
        )
    predicted = leave_out_ignored(true, predicted)
    overlaps = find_overlaps(true, predicted)
    spacing = None if true.ndim == IMAGE else _find_spacing(files, true.shape, reading)
    return Compared(score_image(files.name, overlaps), true, predicted, overlaps, image, spacing)


def _find_spacing(files: Files, shape: tuple[int, ...], reading: Reading) -> tuple[float, ...] | None:
    """Return the spacing of a volume that is given, or that one of its files holds."""
    found = (look_at_labels(file, shape, reading, files.image).spacing for file in (files.true, files.predicted))
    return next((spacing for spacing in found if spacing is not None), None)


def _read(file: Path, reader: Callable[[Path], NDArray[Any]]) -> NDArray[Any]:
    """Read a file; an error names it."""
    try:
        return reader(file)
    except (ValueError, TypeError, MemoryError) as error:
        if str(file) in str(error):
            raise
        raise ValueError(f"{file}: {sentence_of(error)}") from error


def _report(results: list[ImageScores], classes: metrics.Classification | None, *, as_json: bool) -> None:
    scores = summarize(results)
    if as_json:
        print_json(as_document(scores) | ({} if classes is None else {"classes": classes_as_document(classes)}))
    else:
        print_lines(*as_table(scores).split("\n"), *([] if classes is None else classes_as_table(classes)))
