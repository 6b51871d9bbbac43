"""Pictures of an image with outlines of true and found objects, as SVG in an HTML page."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.objects import objects_of
from flowseg._labels.overlaps import find_overlaps, leave_out_ignored
from flowseg._labels.polygons import trace
from flowseg._report.image_picture import make_picture
from flowseg._report.object_outlines import describe_errors, encode_ring

Masks = NDArray[Any]


def choose_plane(image: NDArray[Any], masks: list[Masks]) -> tuple[NDArray[Any], list[Masks]]:
    """Return an image and masks as they are, of a volume the plane with the most annotated object pixels."""
    if masks[0].ndim == 2:
        return image, masks
    plane = int(np.argmax((masks[0] > 0).sum(axis=(1, 2))))
    return image[plane], [labels[plane] for labels in masks]


def draw_true(picture: str, true: Masks) -> str:
    """Return a panel with the true objects."""
    return _draw(picture, true, [("true", np.unique(true[true > 0]))], "true objects")


def draw_found(picture: str, true: Masks, found: Masks, title: str) -> str:
    """Return a panel with the found objects that match a true one at IoU 0.5, those that do not, and missed ones."""
    found = leave_out_ignored(true, found)
    overlaps = find_overlaps(true, found)
    truth, predicted = (np.array(side["iou"]) for side in describe_errors(overlaps))
    missed = _draw_paths(true, [("missed", overlaps.true_labels[truth == 0])])
    kinds = [
        ("match", overlaps.predicted_labels[predicted > 0]),
        ("extra", overlaps.predicted_labels[predicted == 0]),
    ]
    return _draw(picture, found, kinds, title, missed)


def _draw(picture: str, masks: Masks, kinds: list[tuple[str, NDArray[Any]]], title: str, above: str = "") -> str:
    rows, columns = masks.shape
    label = html.escape(title, quote=True)
    return (
        f'<figure><svg viewBox="0 0 {columns} {rows}" role="img" aria-label="{label}">'
        f'<image href="{picture}" width="{columns}" height="{rows}" preserveAspectRatio="none"/>'
        f"{_draw_paths(masks, kinds)}{above}</svg><figcaption>{label}</figcaption></figure>"
    )


def _draw_paths(masks: Masks, kinds: list[tuple[str, NDArray[Any]]]) -> str:
    """Return the outlines of objects, one path for each kind."""
    rings = {
        label: "".join(_as_path(encode_ring(ring + corner)) for polygon in trace(mask) for ring in polygon)
        for label, corner, mask in objects_of(masks)
    }
    paths = ((kind, "".join(rings[label] for label in labels.tolist())) for kind, labels in kinds)
    return "".join(f'<path class="{kind}" d="{path}"/>' for kind, path in paths if path)


def _as_path(ring: list[int]) -> str:
    """Return the commands of SVG for a corner and the moves from it, along the row and the column in turn."""
    column, row, *moves = ring
    return f"M{column} {row}" + "".join(f"{'hv'[k % 2]}{move}" for k, move in enumerate(moves[:-1])) + "z"


def as_picture(image: NDArray[Any], n_images: int) -> str:
    """Return the address of a picture that holds all of it."""
    return make_picture(image, n_images).uri
