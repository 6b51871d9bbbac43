"""How the images of a command are read: the axes of the files, and the part of them to take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from flowseg import _checks, io
from flowseg._image_files.reading import check_image_memory
from flowseg._image_files.selection import Selection
from flowseg.cli._shared.option_values import parse_channel

# Bytes per pixel that segmenting an image takes beside the image itself, at least: outputs of the network (three
# float32), masks from flows (24, see the page on speed), the masks (int32).
BYTES_PER_PIXEL = 40


class Reading(Selection):
    """The axes of the files, and the part of them to take; see `flowseg.io.read_image`."""

    def read(self, file: Path, *, keep_color: bool = False) -> NDArray[Any]:
        """Read the image of a file."""
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
        """Return height and width of a pixel in micrometers, or None where the file does not hold them."""
        return io.read_pixel_size(file, scene=self.scene)

    def check_memory(self, file: Path) -> None:
        """Refuse, before it is read, an image that this machine has not the memory to segment."""
        check_image_memory(file, BYTES_PER_PIXEL, self)


def make_reading(axes: str | None, channel: str | None, z: int | None, t: int | None, scene: str | None) -> Reading:
    """Return how images are read, from the text of the options."""
    number = int(scene) if scene is not None and scene.isdecimal() else scene
    return Reading(axes, parse_channel(channel), z, t, number)
