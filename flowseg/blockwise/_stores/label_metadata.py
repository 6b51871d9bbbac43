"""OME-Zarr metadata of label images, in versions 0.4 and 0.5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flowseg.blockwise._stores.source import PixelSize

# How the image of a new store is shown: in gray. It is not hidden, as napari hides labels at first.
COLOR = "FFFFFF"

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Levels:
    """The levels of a label image: what one pixel of each stands for."""

    factors: list[tuple[int, ...]]  # pixels of the full resolution along each axis
    size: PixelSize | None  # of a pixel of the full resolution


def describe_labels(name: str, levels: Levels, version: str) -> Attributes:
    """Return the attributes of the group of a label image."""
    label: Attributes = {"source": {"image": "../../"}}
    if version == "0.4":
        label["version"] = version
    return _wrap({"multiscales": [_multiscale(name, "", levels, version)], "image-label": label}, version)


def list_label(attributes: Attributes, name: str, version: str) -> Attributes:
    """Return the attributes of the group of all label images, with one more."""
    ome = attributes.get("ome")
    listed = [*(ome.get("labels", []) if isinstance(ome, dict) else []), *attributes.get("labels", [])]
    names = list(dict.fromkeys([*listed, name]))
    changed: Attributes = _wrap({"labels": names}, version)
    if isinstance(ome, dict) and version != "0.4":
        changed["ome"] = {**ome, **changed["ome"]}
    if "labels" in attributes:  # as some writers of 0.5 have it
        changed["labels"] = names
    return changed


def describe_root(name: str, levels: Levels, version: str, n_objects: int) -> Attributes:
    """Return the attributes of the root of a new store: the label image as an image."""
    last = float(max(n_objects, 1))
    channel = {
        "label": name,
        "color": COLOR,
        "active": True,
        "window": {"min": 0.0, "start": 0.0, "end": last, "max": last},
    }
    image = _multiscale(name, f"labels/{name}/", levels, version)
    return _wrap({"multiscales": [image], "omero": {"channels": [channel]}}, version)


def _wrap(attributes: Attributes, version: str) -> Attributes:
    """Return attributes where the version has them: 0.5 under a name of their own, with the version."""
    return attributes if version == "0.4" else {"ome": {"version": version, **attributes}}


def _multiscale(name: str, folder: str, levels: Levels, version: str) -> Attributes:
    """Return the metadata of an image whose levels take single pixels of the one before.

    The first pixel of a level is the first one of the image: that is why levels have one origin.
    """
    ndim = len(levels.factors[0])
    size = levels.size or PixelSize.of((1.0,) * ndim, None)
    axes = [
        {"name": axis, "type": "space"} | ({} if unit is None else {"unit": unit})
        for axis, unit in zip("zyx"[-ndim:], size.units, strict=True)
    ]
    datasets = []
    for level, factors in enumerate(levels.factors):
        scale = [length * float(n) for length, n in zip(size.scale, factors, strict=True)]
        transformations: list[Attributes] = [{"type": "scale", "scale": scale}]
        if any(size.origin):
            transformations.append({"type": "translation", "translation": list(size.origin)})
        datasets.append({"path": f"{folder}{level}", "coordinateTransformations": transformations})
    multiscale: Attributes = {"name": name, "axes": axes, "datasets": datasets, "type": "nearest"}
    return multiscale | ({"version": version} if version == "0.4" else {})
