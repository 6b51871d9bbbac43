"""Masks with pixels that are not annotated: how they look in the viewer."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap, label_colormap

from flowseg._labels.numbering import NOT_ANNOTATED

# Key in the metadata of layers of masks with such pixels.
MARK = "flowseg not annotated"
# They are darkened; without a color of their own napari would paint them as an object.
SHADE = (0.0, 0.0, 0.0, 0.5)
# Labels above the highest that have colors, for objects that are drawn; and the most that napari takes, where numba is
# not installed.
MORE, MOST = 1000, 30_000


def color_objects(layer: Labels) -> None:
    """Give every object a color of its own, as napari does, and darken pixels that are not annotated."""
    if not layer.metadata.get(MARK):
        layer.colormap = label_colormap()
        return
    cyclic: CyclicLabelColormap = label_colormap()
    colors = cyclic.colors[1:]
    n_labels = min(int(layer.data.max(initial=0)) + MORE, MOST)
    by_label: dict[int | None, Any] = {label: colors[(label - 1) % len(colors)] for label in range(1, n_labels + 1)}
    others: dict[int | None, Any] = {None: colors[0], 0: (0.0, 0.0, 0.0, 0.0), NOT_ANNOTATED: SHADE}
    layer.colormap = DirectLabelColormap(color_dict=others | by_label)
