"""``flowseg info`` and ``flowseg demo``: what a model says of itself, and a first one made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flowseg._cli_files import model_file
from flowseg._cli_options import complete_model
from flowseg._cli_progress import make_progress


def info(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Model file, or a pretrained one: nuclei.", autocompletion=complete_model),
    ],
) -> None:
    """Show what a model file says of itself: class, version, parameters, training, model card."""
    from flowseg._saving import read_document

    document = read_document(model_file(model, "MODEL"))
    history = document.pop("history", {})
    document["epochs_trained"] = len(history.get("loss", []))
    for name in ("loss", "val_loss"):
        if history.get(name):
            document[f"best_{name}"] = round(min(history[name]), 4)
    typer.echo(json.dumps(document, indent=1))


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
