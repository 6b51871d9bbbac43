"""Options that several commands have, and what shells complete for them."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from numpy.typing import NDArray

from flowseg import _checks, io
from flowseg._image_files.selection import Selection
from flowseg._intensities import LIMITS, PERCENTILES, as_rule
from flowseg._segmenters.pretrained import pretrained_names


def complete_model(incomplete: str) -> list[str]:
    """Pretrained models, model files and folders that begin like this."""
    names = [name for name in pretrained_names() if name.startswith(incomplete)]
    found = sorted(glob.glob(glob.escape(incomplete) + "*"))
    files = [file for file in found if file.endswith(".safetensors")]
    return names + files + [folder + os.sep for folder in found if os.path.isdir(folder)]


# Groups of options in the help of the commands.
READ, WRITE, RUN = "What to read", "What to write", "How to run"
SEGMENT, TRAIN = "How to segment", "How to train"

ImagesArgument = Annotated[
    str, typer.Argument(metavar="IMAGES", help="Image file, folder of images, or quoted pattern such as 'a/*.tif'.")
]
MasksArgument = Annotated[
    str,
    typer.Argument(
        metavar="MASKS",
        help="Label images or colored annotations with the images' names: file, folder or quoted pattern. The folder "
        "may be that of the images.",
    ),
]
ImageFiles = Annotated[
    list[str],
    typer.Argument(metavar="IMAGES", help="Image files, folders of images, or patterns such as 'a/*.tif'."),
]
MaskFiles = Annotated[
    list[str],
    typer.Argument(metavar="MASKS", help="Label images or colored annotations: files, folders or patterns."),
]
OutputFolder = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Folder to write to; made when it is not there. Results of files in several folders go to folders of "
        "these names in it.",
        rich_help_panel=WRITE,
    ),
]
Workers = Annotated[int | None, typer.Option(help="Threads; by default all cores.", rich_help_panel=RUN)]
FileWorkers = Annotated[
    int | None,
    typer.Option(
        help="Threads; by default all cores. With 1 the files are done strictly one by one, which takes least memory; "
        "results are the same.",
        rich_help_panel=RUN,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.", rich_help_panel=RUN)]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with what was interrupted: files whose results are whole, of the same input and made with the "
        "same options, are not done again.",
        rich_help_panel=RUN,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Remove results of these files that are in the output folder, then begin.",
        rich_help_panel=RUN,
    ),
]
Channel = Annotated[
    str | None,
    typer.Option(help="Channel to take, the first is 0; several as 0,2.  [default: all]", rich_help_panel=READ),
]
Plane = Annotated[
    int | None, typer.Option("--z", help="Plane to take of a stack, the first is 0.", rich_help_panel=READ)
]
Time = Annotated[
    int | None, typer.Option("--t", help="Time to take of a series, the first is 0.", rich_help_panel=READ)
]
Scene = Annotated[
    str | None,
    typer.Option(
        help="Which image to take of files that hold several: its number, the first is 0, or name.",
        rich_help_panel=READ,
    ),
]
Axes = Annotated[
    str | None,
    typer.Option(
        help="What the axes of the files are, if these do not say: letters of T time, Z planes, C channels, Y rows, "
        "X columns, S color, such as CYX.",
        rich_help_panel=READ,
    ),
]


NORMALIZE_HELP = (
    "Intensities that become 0 and 1: 'percentiles:1,99', 'limits:0,4095' (for several channels one pair after the "
    "other), or 'none' for values as they are.  [default: as the model has it, percentiles:1,99]"
)
Normalize = Annotated[str | None, typer.Option(help=NORMALIZE_HELP, rich_help_panel=SEGMENT)]


def parse_normalize(text: str | None) -> tuple[Any, ...] | str | None:
    """The segmenters' parameter `normalize` from text such as limits:0,4095; "none" stays that word."""
    if text is None or text == "none":
        return text
    kind, _, rest = text.partition(":")
    try:
        numbers = [float(part) for part in rest.split(",")]
    except ValueError:
        numbers = []
    if kind not in (PERCENTILES, LIMITS) or not numbers or len(numbers) % 2:
        raise ValueError(
            f"--normalize must be percentiles:LOW,HIGH, limits:LOW,HIGH or none; got '{text}'. Limits of several "
            "channels are pairs one after the other: limits:0,4095,100,2000."
        )
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return as_rule((kind, *pairs[0]) if len(pairs) == 1 else (kind, *pairs))


def parse_channel(text: str | None) -> int | tuple[int, ...] | None:
    """One channel or several from text such as 0 or 0,2."""
    if text is None:
        return None
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--channel must be a number from 0, or several such as 0,2; got {text!r}.") from None
    if min(numbers) < 0:
        raise ValueError(f"--channel must be a number from 0, or several such as 0,2; got {text!r}.")
    return numbers[0] if len(numbers) == 1 else numbers


class Reading(Selection):
    """How images are read: which axes the files have, and what of them to take."""

    def read(self, file: Path, *, keep_color: bool = False) -> NDArray[Any]:
        """The image of a file; see `read_image`."""
        image = io.read_image(
            file,
            axes=self.axes,
            channel=self.channel,
            z=self.z,
            t=self.t,
            scene=self.scene,
            keep_color=keep_color,
        )
        return _checks.as_image(image, str(file))

    def read_pixel_size(self, file: Path) -> tuple[float, float] | None:
        """Height and width of a pixel in micrometres, where the file says it."""
        return io.read_pixel_size(file, scene=self.scene)


def make_reading(axes: str | None, channel: str | None, z: int | None, t: int | None, scene: str | None) -> Reading:
    """How images are read, from the options."""
    number = int(scene) if scene is not None and scene.isdecimal() else scene
    return Reading(axes, parse_channel(channel), z, t, number)
