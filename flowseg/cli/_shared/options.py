"""Options that several commands have, and their completion in shells."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Annotated

import typer

from flowseg._segmenters.pretrained import pretrained_names


def complete_model(incomplete: str) -> list[str]:
    """Return the pretrained models, model files and folders that begin like this."""
    names = [name for name in pretrained_names() if name.startswith(incomplete)]
    found = sorted(glob.glob(glob.escape(incomplete) + "*"))
    files = [file for file in found if file.endswith(".safetensors")]
    return names + files + [folder + os.sep for folder in found if os.path.isdir(folder)]


# Groups of options in the help of the commands.
READ, WRITE, RUN, SEGMENT = "What to read", "What to write", "How to run", "How to segment"

ImagesArgument = Annotated[
    str, typer.Argument(metavar="IMAGES", help="Image file, folder of images, or quoted pattern such as 'a/*.tif'.")
]
MasksArgument = Annotated[
    str,
    typer.Argument(
        metavar="MASKS",
        help="Label images or RGB annotations with the images' names: file, folder or quoted pattern. The folder may "
        "be that of the images.",
    ),
]
ImageFiles = Annotated[
    list[str],
    typer.Argument(metavar="IMAGES", help="Image files, folders of images, or patterns such as 'a/*.tif'."),
]
MaskFiles = Annotated[
    list[str],
    typer.Argument(metavar="MASKS", help="Label images or RGB annotations: files, folders or patterns."),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Model file, or the name of a pretrained model: nuclei or tissue.",
        autocompletion=complete_model,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Model file that flowseg train wrote, or the name of a pretrained model: nuclei or tissue.",
        autocompletion=complete_model,
        rich_help_panel=READ,
    ),
]
ModelOutput = Annotated[
    Path, typer.Option("--output", "-o", help="Model file to write (.safetensors).", rich_help_panel=WRITE)
]
OutputFolder = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Folder to write to; created if it does not exist. Results of files in several folders go to subfolders "
        "of the same names.",
        rich_help_panel=WRITE,
    ),
]
Workers = Annotated[int | None, typer.Option(help="Number of threads.  [default: one per core]", rich_help_panel=RUN)]
FileWorkers = Annotated[
    int | None,
    typer.Option(
        help="Number of threads. With 1 the files are done one by one, which takes the least memory; results are the "
        "same.  [default: one per core]",
        rich_help_panel=RUN,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.", rich_help_panel=RUN)]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue an interrupted run: a file is not done again if its results are complete and were made of the "
        "same input with the same options.",
        rich_help_panel=RUN,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="First remove the results of these files that are in the output folder.",
        rich_help_panel=RUN,
    ),
]
Channel = Annotated[
    str | None,
    typer.Option(help="Channel to take, counted from 0; several as 0,2.  [default: all]", rich_help_panel=READ),
]
Plane = Annotated[
    int | None, typer.Option("--z", help="Plane of a stack to take, counted from 0.", rich_help_panel=READ)
]
Time = Annotated[
    int | None, typer.Option("--t", help="Time point of a series to take, counted from 0.", rich_help_panel=READ)
]
Scene = Annotated[
    str | None,
    typer.Option(
        help="Image to take from files that hold several: its name, or its number counted from 0.",
        rich_help_panel=READ,
    ),
]
Axes = Annotated[
    str | None,
    typer.Option(
        help="Axes of the files, in order, such as CYX: T time, Z plane, C channel, Y row, X column, S color.  "
        "[default: as the files state]",
        rich_help_panel=READ,
    ),
]
Spacing = Annotated[
    str | None,
    typer.Option(
        help="Distance between planes, rows and columns of volumes in micrometers, such as 0.28,0.13,0.13; of images "
        "between rows and columns.  [default: as the files hold it]",
        rich_help_panel=READ,
    ),
]
NORMALIZE_HELP = (
    "Intensities that become 0 and 1: 'percentiles:1,99', 'limits:0,4095' (for several channels one pair after the "
    "other), or 'none' for values as they are."
)
Normalize = Annotated[
    str | None, typer.Option(help=f"{NORMALIZE_HELP}  [default: as in training]", rich_help_panel=SEGMENT)
]
