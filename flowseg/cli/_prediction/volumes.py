"""``flowseg predict`` for volumes: by a model of volumes, or by one of images along all axes or plane by plane."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowseg._checks import check_choice
from flowseg._segmenters.pipeline import Pipeline
from flowseg._segmenters.volumes.segment import PLANES, STITCH
from flowseg.cli._shared.find_ndim import stack_of
from flowseg.cli._shared.image_reading import IMAGE, VOLUME, Reading, Spacing, format_spacing

if TYPE_CHECKING:
    from flowseg._nets.lattice import Spacing as LatticeSpacing

# Ways of a model of images to segment a volume.
MODES = (PLANES, STITCH)
# Kinds of results of volumes; the others hold objects of one plane. Flows are those of a model of volumes.
KINDS = ("tif", "overlay", "roi", "csv", "parquet", "flows")


def choose_reading(
    reading: Reading, model_ndim: int, volume: str | None, stack_axis: str, kinds: Sequence[str]
) -> Reading:
    """Return how files are read for a model of images or volumes; raise ValueError for options that do not fit it."""
    if volume is not None:
        check_choice(volume, "--volume", MODES)
        if model_ndim == VOLUME:
            raise ValueError(
                f"--volume is for models of images; --model is one of volumes, which it segments as they are; got "
                f"{volume}."
            )
        if stack_axis:
            raise ValueError(f"--volume must not be given together with --{stack_axis.lower()} all; got {volume}.")
    elif model_ndim == VOLUME and stack_axis:
        advice = "choose one time with --t" if stack_axis == "T" else "leave it out"
        raise ValueError(
            f"--{stack_axis.lower()} all is for models of images; --model is one of volumes, which takes all planes at "
            f"once: {advice}."
        )
    ndim = IMAGE if volume is None else VOLUME
    chosen = reading.of_ndim(max(ndim, model_ndim))
    if chosen.ndim == VOLUME:
        _check_kinds(kinds, volume)
    return chosen


def _check_kinds(kinds: Sequence[str], volume: str | None) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(
                f"--also {kind} is for images: such a file holds no volume. For volumes there are "
                f"{', '.join(KINDS[2:])}."
            )
        if kind == "flows" and volume is not None:
            raise ValueError("--also flows must not be given with --volume, whose flows are those of several views.")


def check_is_image(file: Path, reading: Reading) -> None:
    """Refuse a stack of planes where an image is expected, with all that a model of images can do with it."""
    if "Z" in stack_of(file, reading):
        raise ValueError(
            f"{file} must be one image; it is a stack of planes (Z). Choose a plane with --z. Or choose what to do "
            "with all: --volume planes for objects that extend over planes, by the network along all three axes; "
            "--volume stitch for such objects, by the overlap of neighboring planes; --z all for every plane by itself."
        )


class Spacings:
    """The spacing of each file for the network, and the notes on it.

    Parameters
    ----------
    pipeline : Pipeline
        The model's way from images to masks.
    reading : Reading
        How files are read.
    """

    def __init__(self, pipeline: Pipeline, reading: Reading) -> None:
        self._pipeline = pipeline
        self._reading = reading
        self._seen: dict[Path, Spacing | None] = {}
        self._lock = threading.Lock()

    def of(self, file: Path, *, by_planes: bool = False) -> LatticeSpacing | None:
        """Return the spacing of a file; None where it has none, or the model was trained without.

        ``by_planes`` is whether a model of images segments a volume: it takes any spacing, and the library warns of it.
        """
        spacing = self._reading.read_spacing(file)
        if by_planes:
            if spacing is None:
                warnings.warn(f"{file} holds no spacing: voxels count as equally long (--spacing).", stacklevel=2)
            return spacing
        with self._lock:
            self._seen[file] = spacing
        return None if self._pipeline.fitted.lattice.spacing is None else spacing

    def warn(self, stacklevel: int) -> None:
        """Warn of files without spacing, of a model without, and of others than in training, in one line each."""
        trained = self._pipeline.fitted.lattice.spacing
        known = [spacing for spacing in self._seen.values() if spacing is not None]
        without = [file for file, spacing in self._seen.items() if spacing is None]
        if trained is None:
            if known:
                warnings.warn(
                    f"the model was trained without spacing: {format_spacing(known[0])} gives sizes in results, and "
                    "the network takes pixels as they are.",
                    stacklevel=stacklevel + 1,
                )
            return
        if without:
            more = "" if len(without) == 1 else f" and {len(without) - 1} more"
            warnings.warn(
                f"{without[0]}{more} holds no spacing: it is taken for that of the training images, "
                f"{format_spacing(trained)} (--spacing).",
                stacklevel=stacklevel + 1,
            )
        self._pipeline.warn_of_spacing(known, stacklevel=stacklevel + 1)
