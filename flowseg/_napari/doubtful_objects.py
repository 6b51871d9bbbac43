"""Doubtful objects: color by a column of the layer's table, and order with the most doubtful objects first."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap, ensure_colormap

from flowseg._napari.suggestions.pixels_not_annotated import color_objects

# Column to color by -> its title, and whether larger is better.
COLUMNS = {"score": ("score", True), "flow_error": ("flow error", False), "cellprob": ("cellprob", True)}
# Dark is doubtful, yellow is good; distinct for color-blind people, too.
COLORS = "viridis"
# Color of objects without values: drawn or changed by hand.
UNKNOWN = (0.6, 0.6, 0.6, 1.0)


def color_by(layer: Labels, column: str | None) -> None:
    """Color objects by a column of the layer's table; with None every object has a color of its own again."""
    if column is None:
        color_objects(layer)
        return
    values = _values(layer, column)
    known = np.isfinite(values)
    low, high = (0.0, 1.0) if column == "score" else (values[known].min(), values[known].max())
    share = np.clip((values[known] - low) / max(high - low, 1e-12), 0, 1)
    colors = ensure_colormap(COLORS).map(share if COLUMNS[column][1] else 1 - share)
    labels = np.asarray(layer.features["index"])[known]
    by_label: dict[int | None, Any] = {None: UNKNOWN, 0: (0.0, 0.0, 0.0, 0.0)}
    layer.colormap = DirectLabelColormap(color_dict=by_label | dict(zip(labels.tolist(), colors, strict=True)))


def doubtful_first(layer: Labels) -> tuple[str, list[int]]:
    """Return labels from the lowest score up or, where the model has none, from the largest flow error down."""
    scores = np.asarray(layer.features.get("score", []), dtype=np.float64)
    column = "score" if np.isfinite(scores).any() else "flow_error"
    values = _values(layer, column)
    order = np.argsort(values if COLUMNS[column][1] else -values, kind="stable")
    return column, np.asarray(layer.features["index"])[order].tolist()


def _values(layer: Labels, column: str) -> Any:
    values = np.asarray(layer.features.get(column, []), dtype=np.float64)
    if not np.isfinite(values).any():
        raise ValueError(
            f"Layer '{layer.name}' must have a {COLUMNS[column][0]} for its objects; it has none: segment with a model "
            "of flows, for scores with one that chose its thresholds on validation images."
        )
    return values
