"""The ``flowseg`` command: train, predict, evaluate, flows, info, demo."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from flowseg import __version__
from flowseg._quiet import hush_native_libraries

app = typer.Typer(
    name="flowseg",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Segment touching, irregular objects (cells, nuclei, bacteria, grains) with flows learned from your own "
    "annotated images. Start with: flowseg demo",
)

ImagesArgument = Annotated[
    str, typer.Argument(help="Image file, folder of images, or quoted pattern such as 'a/*.tif'.")
]
MasksArgument = Annotated[
    str,
    typer.Argument(help="Label images or coloured annotations with the images' names: file, folder or pattern."),
]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to; made when it is not there.")]
Workers = Annotated[int | None, typer.Option(help="Threads; by default all cores.")]


def main() -> None:
    """Run the command; a user's error is one line on standard error and exit status 1."""
    hush_native_libraries()
    try:
        app()
    except (ValueError, TypeError, OSError, MemoryError) as error:
        _fail(error)


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


@app.command()
def train(
    images: ImagesArgument,
    masks: MasksArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write (.safetensors).")],
    validation_images: Annotated[
        str | None, typer.Option(help="Images to choose the best weights on; by default a tenth of IMAGES.")
    ] = None,
    validation_masks: Annotated[str | None, typer.Option(help="Masks of the validation images.")] = None,
    boundary: Annotated[
        bool, typer.Option("--boundary", help="Train the three-class baseline instead of flows.")
    ] = False,
    epochs: Annotated[int, typer.Option(help="Epochs of 50 steps of 8 crops; one takes about 40 s on two cores.")] = 40,
    diameter: Annotated[
        float, typer.Option(help="Working diameter in pixels: what typical objects are scaled to.")
    ] = 24.0,
    network: Annotated[str, typer.Option(help="unet or resunet.")] = "unet",
    filters: Annotated[str, typer.Option(help="Filters per level, finest first.")] = "32,64,128,256",
    seed: Annotated[int, typer.Option(help="Seed: the same one gives the same model on the same machine.")] = 0,
    workers: Workers = None,
) -> None:
    """Train a segmenter on images and their masks and save it as one file.

    Images and masks pair by name (cell_7.png with cell_7.tif or cell_7_masks.tif). Masks are label images, one number
    per object, or RGB annotations, one colour per object. Example:

    flowseg train images masks --output model.safetensors
    """
    _check_output_file(output)
    if (validation_images is None) != (validation_masks is None):
        raise ValueError("--validation-images and --validation-masks must be given together.")
    pairs = _read_pairs(images, masks)
    validation = _read_pairs(validation_images, validation_masks) if validation_images and validation_masks else None
    segmenter = _segmenter_class(boundary)(
        network=network,
        filters=_parse_filters(filters),
        n_channels=_count_channels(pairs[0]),
        diameter=diameter,
        epochs=epochs,
        random_state=seed,
        workers=workers,
    )
    typer.echo(f"{len(pairs[0])} images, {sum(_count_objects(m) for m in pairs[1])} objects")
    progress = _make_progress(epochs * segmenter.steps_per_epoch)
    segmenter.fit(*pairs, validation=validation, callbacks=[progress])
    segmenter.save(output)
    losses = segmenter.history_.get("val_loss", segmenter.history_["loss"])
    typer.echo(f"typical diameter {segmenter.diameter_:.1f} pixels, best loss {min(losses):.3f}, saved as {output}")


@app.command()
def predict(
    images: ImagesArgument,
    model: Annotated[Path, typer.Option("--model", "-m", help="Model file that flowseg train wrote.")],
    output: OutputFolder,
    diameter: Annotated[
        float | None,
        typer.Option(help="Typical diameter of the objects in pixels; by default as in training."),
    ] = None,
    cellprob_threshold: Annotated[
        float | None, typer.Option(help="Higher finds fewer, smaller objects; by default as in training (0).")
    ] = None,
    flow_threshold: Annotated[
        float | None, typer.Option(help="Lower drops more doubtful objects; by default as in training (0.4).")
    ] = None,
    min_size: Annotated[
        int | None, typer.Option(help="Drop objects of fewer pixels; by default as in training (15).")
    ] = None,
    workers: Workers = None,
) -> None:
    """Segment images: writes NAME_masks.tif and NAME_overlay.png for each.

    A file that cannot be segmented is named at the end; the others are done all the same. Example:

    flowseg predict 'new/*.tif' --model model.safetensors --output results
    """
    from flowseg import io, plot
    from flowseg._segmenters import load_segmenter

    files = io.find_files(images)
    _check_stems(files)
    segmenter = load_segmenter(model)
    given = {
        "cellprob_threshold": cellprob_threshold,
        "flow_threshold": flow_threshold,
        "min_size": min_size,
        "workers": workers,
    }
    segmenter.set_params(**{name: value for name, value in given.items() if value is not None})
    segmenter._check_prediction_settings()
    output.mkdir(parents=True, exist_ok=True)

    def work(file: Path) -> int:
        image = io.read_image(file)
        masks = segmenter.predict([image], diameters=diameter)[0]
        io.write_masks(output / f"{file.stem}_masks.tif", masks)
        io.write_picture(output / f"{file.stem}_overlay.png", plot.outlines(image, masks))
        return int(masks.max())

    counts = _for_each_file(files, work, "segmenting")
    typer.echo(f"{sum(counts)} objects in {len(counts)} images, written to {output}")
    _exit_unless_all(files, counts)


@app.command()
def evaluate(
    true: Annotated[str, typer.Argument(help="True label images: file, folder or pattern.")],
    predicted: Annotated[str, typer.Argument(help="Predicted label images with the same names.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """Compare predicted with true masks.

    Average precision is TP / (TP + FP + FN) at an overlap (IoU) of 0.5 to 0.9, over all objects together (pooled) and
    as the mean over the images. Example:

    flowseg evaluate masks results
    """
    from flowseg import _report, io

    pairs = io.pair_files(io.find_files(true), _without_overlays(io.find_files(predicted)))
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
    from flowseg import io, plot
    from flowseg._files import write_tiff
    from flowseg._flows import labels_to_flows

    files = io.find_files(masks)
    _check_stems(files)
    output.mkdir(parents=True, exist_ok=True)

    def work(file: Path) -> int:
        labels = io.read_masks(file)
        (stack,) = labels_to_flows([labels], workers=workers)
        write_tiff(output / f"{file.stem}_flows.tif", stack)
        if labels.ndim == 2:
            io.write_picture(output / f"{file.stem}_flows.png", plot.flow_colours(stack[2:]))
        return _count_objects(labels)

    counts = _for_each_file(files, work, "making flows")
    typer.echo(f"flows of {sum(counts)} objects in {len(counts)} images, written to {output}")
    _exit_unless_all(files, counts)


@app.command()
def info(model: Annotated[Path, typer.Argument(help="Model file.")]) -> None:
    """Show what a model file says of itself: class, version, parameters, training."""
    from flowseg._saving import read_document

    document = read_document(model)
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
    lines = _demo.run(output, epochs, lambda n_steps: _make_progress(n_steps))
    typer.echo("\n".join(lines))


def _segmenter_class(boundary: bool) -> Any:
    module = importlib.import_module("flowseg._segmenters")
    return module.BoundarySegmenter if boundary else module.FlowSegmenter


def _check_output_file(output: Path) -> None:
    """Find out before the training, not after it, that the result cannot be written."""
    folder = output.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"--output must lie in a folder that exists; {folder} does not.")
    if output.is_dir():
        raise ValueError(f"--output must be a file; {output} is a folder.")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"--output must lie in a folder that can be written to; {folder} cannot.")


def _read_pairs(images: str, masks: str) -> tuple[list[Any], list[Any]]:
    from tqdm import tqdm

    from flowseg import io

    pairs = io.pair_files(io.find_files(images), io.find_files(masks))
    read = [(io.read_image(a), io.read_masks(b)) for a, b in tqdm(pairs, "reading", disable=None, leave=False)]
    for (a, b), (image, labels) in zip(pairs, read, strict=True):
        if image.shape[:2] != labels.shape:
            raise ValueError(f"{b} must have the rows and columns of {a}, {image.shape[:2]}; got {labels.shape}.")
    return [image for image, _ in read], [labels for _, labels in read]


def _count_channels(images: list[Any]) -> int:
    channels = {1 if image.ndim == 2 else image.shape[2] for image in images}
    if len(channels) > 1:
        raise ValueError(f"all images must have the same number of channels; got {sorted(channels)}.")
    return channels.pop()


def _count_objects(masks: Any) -> int:
    import numpy as np

    return int(np.count_nonzero(np.unique(masks) > 0))


def _parse_filters(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--filters must be whole numbers with commas between, such as 32,64,128; got {text!r}."
        ) from None


def _check_stems(files: Iterable[Path]) -> None:
    """Two results must not have the same name."""
    seen: dict[str, Path] = {}
    for file in files:
        if file.stem in seen:
            raise ValueError(f"images must have different names; got {seen[file.stem]} and {file}.")
        seen[file.stem] = file


def _without_overlays(files: list[Path]) -> list[Path]:
    """A folder that flowseg predict wrote holds overlay pictures beside the masks."""
    return [file for file in files if not file.stem.endswith("_overlay")]


def _for_each_file(files: list[Path], work: Any, title: str) -> list[int]:
    """Results of all the files that can be worked on; each of the others is named on standard error."""
    from tqdm import tqdm

    results = []
    for file in tqdm(files, title, disable=None, leave=False):
        try:
            results.append(work(file))
        except (ValueError, TypeError, OSError, MemoryError) as error:
            typer.echo(f"flowseg: {file}: {' '.join(str(error).split())}", err=True)
    return results


def _exit_unless_all(files: list[Path], results: list[int]) -> None:
    if len(results) < len(files):
        typer.echo(f"flowseg: {len(files) - len(results)} of {len(files)} files failed", err=True)
        raise typer.Exit(1)


def _make_progress(n_steps: int) -> Any:
    from flowseg._progress import TrainingBar

    return TrainingBar(n_steps)


if __name__ == "__main__":
    main()
