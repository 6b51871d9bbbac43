"""How the images of a command are read: the axes of the files, the part of them to take, their spacing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks, io
from flowseg._image_files.opening import open_image
from flowseg._image_files.reading import check_image_memory
from flowseg._image_files.selection import AXES, Selection
from flowseg._image_files.volumes import check_volume_memory
from flowseg.cli._shared.option_values import parse_channel, parse_spacing

# Bytes per pixel that segmenting an image takes beside the image itself, at least: outputs of the network (three
# float32), masks from flows (24, see the page on speed), the masks (int32). Per voxel: measured, 42 for the outputs and
# 70 until the masks are done, of which a part does not grow with the volume.
BYTES_PER_PIXEL = {2: 40, 3: 60}
# Axes of images and of volumes, without channels.
IMAGE, VOLUME = 2, 3

Spacing = tuple[float, ...]


@dataclass(frozen=True)
class Reading(Selection):
    """The axes of the files, and the part of them to take; see `flowseg.io.read_image` and `flowseg.io.read_volume`.

    Parameters
    ----------
    ndim : int
        Axes of what is read, without channels: 2 of images, 3 of volumes.
    spacing : tuple of float, optional
        Distance between pixels along each axis in micrometers, in place of what the files hold.
    unnamed_are_planes : bool
        Whether an axis without a name, if a file has only one, counts its planes: true where the user or the model
        wants volumes.
    """

    ndim: int = IMAGE
    spacing: Spacing | None = None
    unnamed_are_planes: bool = False

    @property
    def selection(self) -> Selection:
        """The axes and the part alone."""
        return Selection(**{field.name: getattr(self, field.name) for field in fields(Selection)})

    @property
    def recorded(self) -> Iterator[tuple[str, Any]]:
        """The options that results depend on, with their values; those of images have no number of axes."""
        yield from vars(self.selection).items()
        yield "ndim", self.ndim if self.ndim == VOLUME else None
        yield "spacing", None if self.spacing is None else format_spacing(self.spacing)

    def of_ndim(self, ndim: int, *, unnamed_are_planes: bool = False) -> Reading:
        """Return how images of this number of axes are read; ValueError if options are not for them."""
        if ndim == VOLUME and self.z is not None:
            raise ValueError("--z must be left out for volumes: all their planes are read.")
        _checks.as_spacing(self.spacing, ndim, "--spacing")
        return replace(self, ndim=ndim, unnamed_are_planes=unnamed_are_planes)

    def read(self, file: Path, *, keep_color: bool = False) -> NDArray[Any]:
        """Read the image or the volume of a file, whose values must be finite numbers."""
        return _checks.as_image(self.read_unchecked(file, keep_color=keep_color), str(file))

    def read_unchecked(self, file: Path, *, keep_color: bool = False) -> NDArray[Any]:
        """Read the image or the volume of a file."""
        if self.ndim == VOLUME:
            return io.read_volume(
                file, axes=self.axes_of(file), channel=self.channel, t=self.t, scene=self.scene, keep_color=keep_color
            )
        return io.read_image(
            file,
            axes=self.axes,
            channel=self.channel,
            z=self.z,
            t=self.t,
            scene=self.scene,
            keep_color=keep_color,
        )

    def axes_of(self, file: Path) -> str | None:
        """Return the axes to read a volume by; None: as the file names them."""
        if self.axes is not None or not self.unnamed_are_planes:
            return self.axes
        with open_image(file, self.scene) as source:
            names = source.axes
        unnamed = [name for name in names if name not in AXES]
        return names.replace(unnamed[0], "Z") if len(unnamed) == 1 and "Z" not in names else None

    def axes_of_labels(self, file: Path) -> str | None:
        """Return the axes to read the label volume of an image by: those that are given, without channels, if they fit.

        None: as the file names them; a name that it has for the planes stays.
        """
        letters = "".join(letter for letter in (self.axes or "").upper() if letter not in "CS")
        if "Z" not in letters:
            return None
        with open_image(file, None, labels=True) as source:
            return letters if len(letters) == len(source.shape) and "Z" not in source.axes else None

    def read_spacing(self, file: Path) -> Spacing | None:
        """Return the spacing that is given, or of a volume that of its file; None where it is not known."""
        if self.spacing is not None or self.ndim == IMAGE:
            return self.spacing
        return io.read_spacing(file, axes=self.axes_of(file), scene=self.scene)

    def read_pixel_size(self, file: Path) -> Spacing | None:
        """Return the size of a pixel in micrometers for results, or None where it is not known.

        It is height and width, and of a volume the distance between planes before these where it is known.
        """
        known = self.read_spacing(file)
        return io.read_pixel_size(file, scene=self.scene) if known is None else known

    def read_height_and_width(self, file: Path) -> tuple[float, float] | None:
        """Return height and width of a pixel of an image in micrometers, or None where they are not known."""
        if self.spacing is None:
            return io.read_pixel_size(file, scene=self.scene)
        return self.spacing[-2], self.spacing[-1]

    def check_memory(self, file: Path) -> None:
        """Refuse, before it is read, an image or a volume that this machine has not the memory to segment."""
        check = check_volume_memory if self.ndim == VOLUME else check_image_memory
        axes = self.axes_of(file) if self.ndim == VOLUME else self.axes
        check(file, BYTES_PER_PIXEL[self.ndim], Selection(axes, self.channel, self.z, self.t, self.scene))


def make_reading(
    axes: str | None,
    channel: str | None,
    z: int | None,
    t: int | None,
    scene: str | None,
    spacing: str | None = None,
) -> Reading:
    """Return how images are read, from the text of the options."""
    number = int(scene) if scene is not None and scene.isdecimal() else scene
    return Reading(axes, parse_channel(channel), z, t, number, spacing=parse_spacing(spacing))


def format_spacing(spacing: Spacing) -> str:
    """Return a spacing as it is given on the command line."""
    return ",".join(f"{length:g}" for length in spacing)


def with_channels(image: NDArray[Any], ndim: int) -> NDArray[Any]:
    """Return an image with an axis for its channels."""
    return image[..., np.newaxis] if image.ndim == ndim else image
