"""``flowseg curve``: average precision against the number of annotated images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowseg.cli._batch.output_folder import check_output_folder
from flowseg.cli._comparison.curve_report import as_lines, describe_curve
from flowseg.cli._comparison.inputs import find_groups, make_curve_segmenters, training_parameters
from flowseg.cli._comparison.options import CropsPerStep, Folds, GroupBy, ResultsFolder
from flowseg.cli._comparison.report import report_answer
from flowseg.cli._shared.find_inputs import find_pairs
from flowseg.cli._shared.image_reading import IMAGE, make_reading
from flowseg.cli._shared.option_values import parse_train_sizes
from flowseg.cli._shared.options import (
    RUN,
    AsJson,
    Axes,
    Channel,
    ImagesArgument,
    MasksArgument,
    Plane,
    Scene,
    Time,
)
from flowseg.cli._shared.progress import advising
from flowseg.cli._shared.read_pairs import count_channels, read_pairs
from flowseg.cli._training import options

if TYPE_CHECKING:
    from flowseg import LearningCurve

PAGE = "curve.html"
# Short trainings on small crops, as there are 24 by default: four sizes in three folds, from scratch and further.
EPOCHS, BATCH_SIZE, CROP_SIZE = 3, 4, 96


def curve(
    images: ImagesArgument,
    masks: MasksArgument,
    output: ResultsFolder,
    further: Annotated[
        bool,
        typer.Option(
            "--further/--no-further",
            help="Train a pretrained model further: nuclei for images of one channel, tissue for images of three.",
            rich_help_panel=options.TRAINING,
        ),
    ] = True,
    group_by: GroupBy = None,
    cv: Folds = 3,
    train_sizes: Annotated[
        str | None,
        typer.Option(
            help="Numbers of training images with commas between, such as 4,8,16, or shares of those that a fold has, "
            "such as 0.25,0.5,1.0.  [default: all, and a half, a quarter and an eighth]",
            rich_help_panel=RUN,
        ),
    ] = None,
    epochs: options.Epochs = EPOCHS,
    steps_per_epoch: options.StepsPerEpoch = None,
    filters: options.Filters = None,
    batch_size: CropsPerStep = BATCH_SIZE,
    crop_size: Annotated[
        int, typer.Option(help="Side of the crops in pixels.", rich_help_panel=options.TRAINING)
    ] = CROP_SIZE,
    seed: options.Seed = 0,
    channel: Channel = None,
    z: Plane = None,
    t: Time = None,
    scene: Scene = None,
    axes: Axes = None,
    as_json: AsJson = False,
) -> None:
    """Find out what twice as many annotated images would give.

    Each fold trains on a few of your images, on twice as many, and so on, with the same steps for all, and tests on
    others. The page curve.html in the output folder says in its first sentence how much better the segmenter would be,
    or that the data are too few to know. After an interruption, the same command continues with the first training that
    is not finished. Example:

    flowseg curve images masks --group-by '^field[0-9]+' --output curve
    """
    parameters = training_parameters(epochs, steps_per_epoch, filters, batch_size, crop_size, seed)
    sizes = parse_train_sizes(train_sizes)
    reading = make_reading(axes, channel, z, t, scene, None).of_ndim(IMAGE)
    files = find_pairs(images, masks)
    groups = find_groups([image for image, _ in files], group_by)
    check_output_folder(output, [(PAGE, [file for pair in files for file in pair])])
    arrays = read_pairs(files, reading)
    segmenters = make_curve_segmenters(parameters, count_channels(arrays[0], IMAGE), further=further)
    names = [image.name for image, _ in files]
    with advising(f"the same command continues after the last finished training in {output}"):
        result = _run(segmenters, arrays, (names, groups), (cv, sizes, seed), output, verbose=not as_json)
    page = output / PAGE
    result.save_report(page)
    report_answer(describe_curve(result), as_lines(result), page, as_json=as_json)


def _run(
    segmenters: dict[str, Any],
    arrays: tuple[list[Any], list[Any]],
    known: tuple[list[str], list[str] | None],
    split: tuple[int, list[float] | None, int],
    output: Path,
    *,
    verbose: bool,
) -> LearningCurve:
    """Return the learning curve; ``known`` are the names of the images and their groups."""
    from flowseg import learning_curve

    names, groups = known
    cv, sizes, seed = split
    return learning_curve(
        segmenters,
        *arrays,
        groups=groups,
        train_sizes=sizes,
        cv=cv,
        random_state=seed,
        names=names,
        folder=output,
        verbose=int(verbose),
    )
