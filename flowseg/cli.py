"""The ``flowseg`` command: check, train, predict, evaluate, flows, info, demo."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from flowseg import __version__, _report, io, plot
from flowseg._cli_check import check
from flowseg._cli_files import (
    check_output_file,
    check_targets,
    count_channels,
    count_objects,
    exit_unless_all,
    for_each_file,
    load_to_train,
    make_progress,
    model_file,
    parse_diameter,
    parse_filters,
    read_pairs,
    segmenter_class,
    set_parameter,
    without_overlays,
)
from flowseg._files import write_tiff
from flowseg._flows import labels_to_flows
from flowseg._quiet import hush_native_libraries

app = typer.Typer(
    name="flowseg",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Segment touching, irregular objects (cells, nuclei, bacteria, grains) with flows learned from your own "
    "annotated images. Start with: flowseg demo",
)

# Exit status after Ctrl-C, as shells have it (128 + the signal's number).
INTERRUPTED = 130

ImagesArgument = Annotated[
    str, typer.Argument(metavar="IMAGES", help="Image file, folder of images, or quoted pattern such as 'a/*.tif'.")
]
MasksArgument = Annotated[
    str,
    typer.Argument(
        metavar="MASKS", help="Label images or coloured annotations with the images' names: file, folder or pattern."
    ),
]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to; made when it is not there.")]
Workers = Annotated[int | None, typer.Option(help="Threads; by default all cores.")]


def main() -> None:
    """Run the command; a user's error is one line on standard error and exit status 1."""
    hush_native_libraries()
    try:
        app()
    except (ValueError, TypeError, OSError, MemoryError, ImportError) as error:
        _fail(error)
    except SystemExit as exit_:
        if exit_.code == INTERRUPTED:
            typer.echo("flowseg: interrupted", err=True)
        raise


def _fail(error: BaseException) -> None:
    message = " ".join(str(error).split()) or type(error).__name__
    typer.echo(f"flowseg: {message}", err=True)
    sys.exit(1)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"flowseg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


app.command()(check)


@app.command()
def train(
    images: ImagesArgument,
    masks: MasksArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write (.safetensors).")],
    validation_images: Annotated[
        str | None, typer.Option(help="Images to choose the best weights on; by default a tenth of IMAGES.")
    ] = None,
    validation_masks: Annotated[str | None, typer.Option(help="Masks of the validation images.")] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Train this model further: a model file, or a pretrained one (nuclei)."),
    ] = None,
    boundary: Annotated[
        bool, typer.Option("--boundary", help="Train the three-class baseline instead of flows.")
    ] = False,
    epochs: Annotated[int, typer.Option(help="Epochs of 50 steps of 8 crops; one takes about 40 s on two cores.")] = 40,
    diameter: Annotated[
        float | None, typer.Option(help="Working diameter in pixels that typical objects are scaled to.  [default: 24]")
    ] = None,
    network: Annotated[str | None, typer.Option(help="unet or resunet.  [default: unet]")] = None,
    filters: Annotated[
        str | None, typer.Option(help="Filters per level, finest first.  [default: 32,64,128,256]")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File for the state after every epoch; a training that it holds goes on.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed: the same one gives the same model on the same machine.")] = 0,
    workers: Workers = None,
) -> None:
    """Train a segmenter on images and their masks and save it as one file.

    Images and masks pair by name (cell_7.png with cell_7.tif or cell_7_masks.tif). Masks are label images, one number
    per object, or RGB annotations, one colour per object. Example:

    flowseg train images masks --output model.safetensors
    """
    check_output_file(output)
    if (validation_images is None) != (validation_masks is None):
        raise ValueError("--validation-images and --validation-masks must be given together.")
    pairs = read_pairs(images, masks)
    validation = read_pairs(validation_images, validation_masks) if validation_images and validation_masks else None
    choices = {"network": network, "filters": parse_filters(filters) if filters else None, "diameter": diameter}
    given = {name: value for name, value in choices.items() if value is not None}
    if start is None:
        segmenter = segmenter_class(boundary)(n_channels=count_channels(pairs[0]), **given)
    else:
        segmenter = load_to_train(start, [*given, *(["boundary"] if boundary else [])])
    segmenter.set_params(epochs=epochs, random_state=seed, workers=workers)
    typer.echo(f"{len(pairs[0])} images, {sum(count_objects(m) for m in pairs[1])} objects")
    progress = make_progress(epochs * segmenter.steps_per_epoch)
    segmenter.fit(*pairs, validation=validation, callbacks=[progress], checkpoint=checkpoint)
    segmenter.save(output)
    losses = segmenter.history_.get("val_loss", segmenter.history_["loss"])
    typer.echo(f"typical diameter {segmenter.diameter_:.1f} pixels, best loss {min(losses):.3f}, saved as {output}")


@app.command()
def predict(
    images: ImagesArgument,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model file that flowseg train wrote, or a pretrained one: nuclei.")
    ],
    output: OutputFolder,
    diameter: Annotated[
        str | None,
        typer.Option(help="Typical diameter of the objects in pixels, or 'estimate'; by default as in training."),
    ] = None,
    cellprob_threshold: Annotated[
        float | None, typer.Option(help="Higher finds fewer, smaller objects; by default as chosen in training.")
    ] = None,
    flow_threshold: Annotated[
        float | None, typer.Option(help="Lower drops more doubtful objects; by default as chosen in training.")
    ] = None,
    min_size: Annotated[
        int | None, typer.Option(help="Drop objects of fewer pixels; by default as chosen in training.")
    ] = None,
    test_time_augmentation: Annotated[
        bool, typer.Option("--tta", help="Mean over the image turned and flipped: better, eight times slower.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Segment images: writes NAME_masks.tif and NAME_overlay.png for each.

    A file that cannot be segmented is named; the others are done all the same. Objects at an image's border are not
    subject to --flow-threshold. Example:

    flowseg predict 'new/*.tif' --model model.safetensors --output results
    """
    from flowseg._segmenters import load_segmenter

    files = io.find_files(images)
    check_targets(files, output)
    segmenter = load_segmenter(model_file(model))
    given = {
        "cellprob_threshold": cellprob_threshold,
        "flow_threshold": flow_threshold,
        "min_size": min_size,
        "test_time_augmentation": test_time_augmentation or None,
        "workers": workers,
    }
    for name, value in given.items():
        if value is not None:
            set_parameter(segmenter, name, value)
    size = parse_diameter(diameter)
    segmenter.check_prediction(size)
    output.mkdir(parents=True, exist_ok=True)

    def work(file: Path) -> int:
        image = io.read_image(file)
        masks = segmenter.predict([image], diameters=size)[0]
        io.write_masks(output / f"{file.stem}_masks.tif", masks)
        io.write_picture(output / f"{file.stem}_overlay.png", plot.outlines(image, masks))
        return int(masks.max())

    counts = for_each_file(files, work, "segmenting")
    typer.echo(f"{sum(counts)} objects in {len(counts)} images, written to {output}")
    exit_unless_all(files, counts)


@app.command()
def evaluate(
    true: Annotated[str, typer.Argument(metavar="TRUE", help="True label images: file, folder or pattern.")],
    predicted: Annotated[str, typer.Argument(metavar="PREDICTED", help="Predicted label images with the same names.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """Compare predicted with true masks.

    Average precision is TP / (TP + FP + FN) at an overlap (IoU) of 0.5 to 0.9, over all objects together (pooled) and
    as the mean over the images. Example:

    flowseg evaluate masks results
    """
    pairs = io.pair_files(io.find_files(true), without_overlays(io.find_files(predicted)))
    truths = [io.read_masks(a) for a, _ in pairs]
    predictions = [io.read_masks(b) for _, b in pairs]
    for (a, b), x, y in zip(pairs, truths, predictions, strict=True):
        if x.shape != y.shape:
            raise ValueError(f"{b} must have the shape of {a}, {x.shape}; got {y.shape}.")
    scores = _report.score(truths, predictions)
    typer.echo(json.dumps(scores, indent=1) if as_json else _report.as_table(scores))


@app.command()
def flows(
    masks: MasksArgument,
    output: OutputFolder,
    workers: Workers = None,
) -> None:
    """Make flows of masks: writes NAME_flows.tif (float32) and NAME_flows.png for each.

    The TIFF holds label, foreground (0 or 1), row flow and column flow, as signed floats: 8-bit pictures would lose
    every negative component. The PNG is for looking at. Example:

    flowseg flows annotations --output flows
    """
    files = io.find_files(masks)
    check_targets(files, output)
    output.mkdir(parents=True, exist_ok=True)

    def work(file: Path) -> int:
        labels = io.read_masks(file)
        (stack,) = labels_to_flows([labels], workers=workers)
        write_tiff(output / f"{file.stem}_flows.tif", stack)
        if labels.ndim == 2:
            io.write_picture(output / f"{file.stem}_flows.png", plot.flow_colours(stack[2:]))
        return count_objects(labels)

    counts = for_each_file(files, work, "making flows")
    typer.echo(f"flows of {sum(counts)} objects in {len(counts)} images, written to {output}")
    exit_unless_all(files, counts)


@app.command()
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model file, or a pretrained one: nuclei.")],
) -> None:
    """Show what a model file says of itself: class, version, parameters, training, model card."""
    from flowseg._saving import read_document

    document = read_document(model_file(model))
    history = document.pop("history", {})
    document["epochs_trained"] = len(history.get("loss", []))
    for name in ("loss", "val_loss"):
        if history.get(name):
            document[f"best_{name}"] = round(min(history[name]), 4)
    typer.echo(json.dumps(document, indent=1))


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path("flowseg-demo"),
    epochs: Annotated[
        int, typer.Option(help="Training length; the default takes about two minutes on two cores.")
    ] = 12,
) -> None:
    """Train on synthetic touching cells, segment unseen ones, print the scores and write a picture.

    Everything is drawn on the spot: nothing is downloaded.
    """
    from flowseg import _demo

    output.mkdir(parents=True, exist_ok=True)
    typer.echo("Drawing crowds of touching cells and training a small U-Net on their flows ...")
    lines = _demo.run(output, epochs, make_progress)
    typer.echo("\n".join(lines))


if __name__ == "__main__":
    main()
