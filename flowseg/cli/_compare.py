"""``flowseg compare``: compare segmenters on the folds of annotated images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowseg.cli._batch.output_folder import check_output_folder
from flowseg.cli._comparison.inputs import find_groups, make_segmenters, training_parameters
from flowseg.cli._comparison.options import CropsPerStep, Folds, GroupBy, ResultsFolder
from flowseg.cli._comparison.report import as_lines, describe_comparison, report_answer
from flowseg.cli._shared.find_inputs import find_pairs
from flowseg.cli._shared.image_reading import IMAGE, make_reading
from flowseg.cli._shared.models import find_model
from flowseg.cli._shared.options import (
    AsJson,
    Axes,
    Channel,
    ImagesArgument,
    MasksArgument,
    Plane,
    Scene,
    Time,
    complete_model,
)
from flowseg.cli._shared.progress import advising
from flowseg.cli._shared.read_pairs import count_channels, read_pairs
from flowseg.cli._training import options

if TYPE_CHECKING:
    from flowseg import Comparison

PAGE = "comparison.html"
# Shorter than `flowseg train`, with half as many crops per step: there are ten trainings by default.
EPOCHS, BATCH_SIZE = 12, 4
COMPARED = "What to compare"


def compare(
    images: ImagesArgument,
    masks: MasksArgument,
    output: ResultsFolder,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare this model file or pretrained model, too, as it is; may be given several times.",
            autocompletion=complete_model,
            rich_help_panel=COMPARED,
        ),
    ] = None,
    further: Annotated[
        bool, typer.Option("--further", help="Compare the pretrained model trained further.", rich_help_panel=COMPARED)
    ] = False,
    resunet: Annotated[
        bool, typer.Option("--resunet", help="Compare flows with the network resunet, too.", rich_help_panel=COMPARED)
    ] = False,
    group_by: GroupBy = None,
    cv: Folds = 5,
    epochs: options.Epochs = EPOCHS,
    steps_per_epoch: options.StepsPerEpoch = None,
    filters: options.Filters = None,
    batch_size: CropsPerStep = BATCH_SIZE,
    crop_size: options.CropSize = None,
    seed: options.Seed = 0,
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    as_json: AsJson = False,
) -> None:
    """Compare flows, three classes and the pretrained model on your own annotated images.

    Each fold trains on some fields of view and tests on the others, with the same steps for all. The page
    comparison.html in the output folder says in its first sentence which is better, or that the data are too few to
    know. The pretrained model is nuclei for images of one channel and tissue for images of three. After an
    interruption, the same command continues with the first fold that is not finished. Example:

    flowseg compare images masks --group-by '^field[0-9]+' --output comparison
    """
    parameters = training_parameters(epochs, steps_per_epoch, filters, batch_size, crop_size, seed)
    reading = make_reading(axes, channel, z, t, scene, None).of_ndim(IMAGE)
    models = [(name, find_model(name)) for name in (str(Path(name)) for name in model or ())]
    files = find_pairs(images, masks)
    groups = find_groups([image for image, _ in files], group_by)
    check_output_folder(output, [(PAGE, [*(file for _, file in models), *(file for pair in files for file in pair)])])
    arrays = read_pairs(files, reading)
    segmenters = make_segmenters(parameters, models, count_channels(arrays[0], IMAGE), further=further, resunet=resunet)
    names = [image.name for image, _ in files]
    with advising(f"the same command continues after the last finished training in {output}"):
        result = _run(segmenters, arrays, (names, groups), cv, output, verbose=not as_json)
    _report(result, output, as_json=as_json)


def _run(
    segmenters: dict[str, Any],
    arrays: tuple[list[Any], list[Any]],
    known: tuple[list[str], list[str] | None],
    cv: int,
    output: Path,
    *,
    verbose: bool,
) -> Comparison:
    """Return the comparison; ``known`` are the names of the images and their groups."""
    from flowseg import compare as compare_segmenters

    names, groups = known
    return compare_segmenters(
        segmenters, *arrays, groups=groups, cv=cv, names=names, folder=output, verbose=int(verbose)
    )


def _report(result: Comparison, output: Path, *, as_json: bool) -> None:
    page = output / PAGE
    result.save_report(page)
    report_answer(describe_comparison(result), as_lines(result), page, as_json=as_json)
