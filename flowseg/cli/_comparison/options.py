"""Options of the commands that train on folds of annotated images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowseg.cli._shared.options import READ, RUN, WRITE
from flowseg.cli._training.options import TRAINING

ResultsFolder = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Folder for the page, the scores, and the results of each fold; created if it does not exist.",
        rich_help_panel=WRITE,
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        help="Regular expression that finds the field of view in the names of the images, such as '^field[0-9]+'; "
        "with parentheses, what they enclose.  [default: every image is a field of its own]",
        rich_help_panel=READ,
    ),
]
CropsPerStep = Annotated[int, typer.Option(help="Crops per step.", rich_help_panel=TRAINING)]
Folds = Annotated[int, typer.Option(help="Number of folds.", rich_help_panel=RUN)]
