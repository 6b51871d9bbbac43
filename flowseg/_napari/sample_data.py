"""Sample data for napari's File menu: drawn cells whose masks are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowseg import synthetic

# Rows and columns, and number of cells: crowded, with room for all of them.
SINGLE = ((256, 256), 70)
STACKED = ((192, 192), 40)
N_PLANES = 6
# A volume whose planes are twice as far apart as its rows and columns: its shape, cells, their diameter, its spacing.
VOLUME, N_CELLS, DIAMETER, SPACING = (24, 96, 96), 30, 20.0, (2.0, 1.0, 1.0)

LayerTuple = tuple[Any, dict[str, Any], str]


def cells() -> list[LayerTuple]:
    """Return one image of crowded cells and their masks."""
    image, masks = synthetic.cells(*SINGLE, rng=0)
    return [(image, {"name": "cells"}, "image"), (masks, {"name": "cells true masks"}, "labels")]


def cell_stack() -> list[LayerTuple]:
    """Return six such images as a stack, enough for a first training."""
    pairs = [synthetic.cells(*STACKED, rng=seed) for seed in range(1, N_PLANES + 1)]
    images, masks = zip(*pairs, strict=True)
    return [
        (np.stack(images), {"name": "cell stack"}, "image"),
        (np.stack(masks), {"name": "cell stack true masks"}, "labels"),
    ]


def cell_volume() -> list[LayerTuple]:
    """Return a volume of crowded cells and their masks; its scale shows that planes are further apart."""
    volume, masks = synthetic.cells(VOLUME, N_CELLS, diameter=DIAMETER, spacing=SPACING, rng=0)
    return [
        (volume, {"name": "cell volume", "scale": SPACING}, "image"),
        (masks, {"name": "cell volume true masks", "scale": SPACING}, "labels"),
    ]
