"""Ways to segment a layer: which of its images, planes or volumes, and how a model of planes segments volumes."""

from __future__ import annotations

from dataclasses import dataclass

from napari.layers import Image

from flowseg._napari import layers
from flowseg._napari.image_kinds import NAMES, PLANE, VOLUME
from flowseg._napari.model_info import Model

# Modes of `predict_volume`, for a model of planes.
MODES = {"planes": "from planes of three orientations", "stitch": "from planes, stitched by overlap"}


@dataclass(frozen=True)
class Way:
    """One way to segment a layer."""

    ndim: int  # axes of an image: 2, planes, or 3, volumes
    mode: str  # of `predict_volume`, for a model of planes and volumes; '' otherwise
    is_every: bool  # all images of the layer, not that at the viewer's sliders

    def title(self, layer: Image) -> str:
        """Name the way."""
        name, n, how = NAMES[self.ndim], layers.count_images(layer, self.ndim), MODES.get(self.mode, "")
        if len(layers.shape(layer)) == self.ndim:
            which = f"the {name}"
        else:
            which = f"all {n} {name}s" if self.is_every else f"the {name} shown"
        return f"{which}, {how}" if how else which


def find_ways(layer: Image, model: Model) -> list[Way]:
    """Return the ways to segment a layer with a model; none where it takes volumes, and the layer holds none."""
    n_axes = len(layers.shape(layer))
    if model.ndim == PLANE:
        ways = [Way(PLANE, "", is_every) for is_every in (False, True)[: n_axes - 1]]
        return ways if layers.no_volume(layer) else [*ways, *_of_volumes(n_axes, tuple(MODES))]
    return [] if layers.no_volume(layer) else _of_volumes(n_axes, ("",))


def _of_volumes(n_axes: int, modes: tuple[str, ...]) -> list[Way]:
    which = (False,) if n_axes == VOLUME else (False, True)
    return [Way(VOLUME, mode, is_every) for mode in modes for is_every in which]
