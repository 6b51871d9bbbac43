"""``flowseg demo``: train, segment and score on annotated images that ship with flowseg."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowseg._system.locks import holding_folder
from flowseg.cli._shared.options import WRITE
from flowseg.cli._shared.progress import make_progress
from flowseg.cli._shared.terminal import print_lines


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.", rich_help_panel=WRITE)] = Path(
        "flowseg-demo"
    ),
    epochs: Annotated[
        int, typer.Option(help="Training length; the default takes one to four minutes on two cores.")
    ] = 14,
) -> None:
    """Train on eight annotated images of nuclei, segment four unseen ones, print the scores and write a picture.

    The images ship with flowseg: nothing is downloaded. They are left in the output folder, with their masks, so that
    the other commands can be tried on them.
    """
    from flowseg.cli._training import demo_run

    output.mkdir(parents=True, exist_ok=True)
    print_lines("Training a small U-Net on the flows of eight annotated images of nuclei ...")
    with holding_folder(output, "flowseg demo", f"--output {output}"):
        lines = demo_run.run(output, epochs, make_progress)
    print_lines(*lines)
