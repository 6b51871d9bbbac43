"""``flowseg export``: write a model for other programs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowseg._checks import check_choice
from flowseg._segmenters.model_files.document_checks import CUSTOM_NETWORK
from flowseg.cli._shared.image_reading import make_reading
from flowseg.cli._shared.models import check_channels, find_model, load_model
from flowseg.cli._shared.options import RUN, WRITE, AsJson, ModelArgument
from flowseg.cli._shared.output_file import check_output_file
from flowseg.cli._shared.terminal import print_json, print_lines

if TYPE_CHECKING:
    from flowseg import BoundarySegmenter, FlowSegmenter

ONNX, BIOIMAGEIO = "onnx", "bioimageio"
# Ending of the output file by kind of export.
SUFFIXES = {ONNX: ".onnx", BIOIMAGEIO: ".zip"}
PACKAGE = "What to publish with a package of bioimage.io"


def _complete_to(incomplete: str) -> list[str]:
    return [kind for kind in SUFFIXES if kind.startswith(incomplete)]


def export(
    model: ModelArgument,
    to: Annotated[
        str,
        typer.Option(help=f"What to write: {', '.join(SUFFIXES)}.", autocompletion=_complete_to, rich_help_panel=WRITE),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write: .onnx, or .zip.", rich_help_panel=WRITE)
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output file if it exists.", rich_help_panel=RUN)
    ] = False,
    image: Annotated[
        Path | None,
        typer.Option(
            help="A typical image that you may publish: input of the package's test, and its cover.",
            rich_help_panel=PACKAGE,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model.", rich_help_panel=PACKAGE)] = None,
    author: Annotated[
        list[str] | None,
        typer.Option(
            help="Author, as 'Name', 'Name; affiliation' or 'Name; affiliation; ORCID'. Once for each.",
            rich_help_panel=PACKAGE,
        ),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(help="License of the weights, an SPDX identifier such as CC-BY-4.0.", rich_help_panel=PACKAGE),
    ] = None,
    cite: Annotated[
        list[str] | None,
        typer.Option(help="What to cite, as 'text; DOI' or 'text; URL'. Once for each.", rich_help_panel=PACKAGE),
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(help="On what the model was tested, how, and with which result.", rich_help_panel=PACKAGE),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a model for programs without Keras: as ONNX, or as a package of bioimage.io.

    The ONNX file holds the network, from a normalized image to flows and foreground. The package holds the same network
    with a description, a test and a cover; it asks for what only you know, and guesses nothing. Examples:

    flowseg export model.safetensors --to onnx --output model.onnx

    flowseg export model.safetensors --to bioimageio --output model.zip --image typical.tif --name "Our nuclei"
    --author "Ada Lovelace; University of London" --license CC-BY-4.0 --cite "Our paper; 10.1000/182"
    --validation "Average precision at IoU 0.5 on 20 images of other wells: 0.81."
    """
    check_choice(to, "--to", tuple(SUFFIXES))
    published = {"name": name, "authors": author, "license": license, "cite": cite, "validation": validation}
    _parse_published(to, {"image": image} | published)
    file = find_model(model, "MODEL")
    _check_network(file)
    _plan_output(output, SUFFIXES[to], [file, image], overwrite=overwrite)
    segmenter = load_model(file, [])
    if image is None:
        from flowseg._export.onnx_file import export_onnx

        export_onnx(segmenter, output)
    else:
        _run_package(segmenter, output, image, published)
    _report(file, to, output, as_json=as_json)


def _parse_published(to: str, given: Mapping[str, Any]) -> None:
    """Refuse a package without what is published with it, and a network alone with it."""
    options = {name: f"--{name.removesuffix('s') if name == 'authors' else name}" for name in given}
    missing = [options[name] for name, value in given.items() if not value]
    if to == BIOIMAGEIO and missing:
        raise ValueError(f"--to bioimageio must come with {', '.join(options.values())}; got no {', '.join(missing)}.")
    if to == ONNX and len(missing) < len(given):
        extra = [option for option in options.values() if option not in missing]
        raise ValueError(f"{', '.join(extra)} must be left out with --to onnx: the file holds the network only.")


def _check_network(file: Path) -> None:
    """Refuse a model whose network the file does not describe."""
    from flowseg._segmenters.model_files.reading import read_document

    if read_document(file)["parameters"].get("network") == CUSTOM_NETWORK:
        raise ValueError(
            f"MODEL must have one of flowseg's networks, 'unet' or 'resunet', to be exported; {file} has a custom "
            "network."
        )


def _plan_output(output: Path, suffix: str, inputs: list[Path | None], *, overwrite: bool) -> None:
    """Refuse a file that exists, cannot be written, or has another ending."""
    check_output_file(output, inputs)
    if output.suffix.lower() != suffix:
        raise ValueError(f"--output must end in {suffix}; got {output}.")
    if os.path.lexists(output) and not overwrite:
        raise FileExistsError(f"--output must be a new file; {output} exists. --overwrite replaces it.")


def _run_package(
    segmenter: FlowSegmenter | BoundarySegmenter, output: Path, image: Path, published: dict[str, Any]
) -> None:
    """Write a package."""
    from flowseg._export.package import export_bioimageio

    reading = make_reading(None, None, None, None, None).of_ndim(segmenter.ndim)
    reading.check_memory(image)
    array = reading.read(image, keep_color=segmenter.n_channels > 1)
    check_channels(image, array, reading.ndim, segmenter)
    export_bioimageio(segmenter, output, array, **published)


def _report(file: Path, to: str, output: Path, *, as_json: bool) -> None:
    size = output.stat().st_size
    if as_json:
        print_json({"command": "export", "model": str(file), "to": to, "output": str(output), "bytes": size})
    else:
        print_lines(f"{file.name} as {to}, {size / 1e6:.1f} MB, written to {output}")
