"""Segment touching, irregular objects with flows learned from your own annotated images."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowseg import io as io
    from flowseg import metrics as metrics
    from flowseg import plot as plot
    from flowseg import synthetic as synthetic
    from flowseg._flows.decoding import flows_to_masks as flows_to_masks
    from flowseg._flows.flow_check import flow_errors as flow_errors
    from flowseg._flows.following import follow_flows as follow_flows
    from flowseg._flows.targets import masks_to_flows as masks_to_flows
    from flowseg._images import normalize as normalize
    from flowseg._labels.diameters import diameters as diameters
    from flowseg._labels.doctor import check_masks as check_masks
    from flowseg._labels.from_rgb import masks_from_rgb as masks_from_rgb
    from flowseg._labels.holes import fill_holes as fill_holes
    from flowseg._labels.measure import measure as measure
    from flowseg._labels.mend import mend_masks as mend_masks
    from flowseg._nets.losses import boundary_loss as boundary_loss
    from flowseg._nets.losses import flow_loss as flow_loss
    from flowseg._nets.networks import build_resunet as build_resunet
    from flowseg._nets.networks import build_unet as build_unet
    from flowseg._segmenters.boundary import BoundarySegmenter as BoundarySegmenter
    from flowseg._segmenters.flow import FlowSegmenter as FlowSegmenter
    from flowseg._segmenters.loading import load_segmenter as load_segmenter
    from flowseg.io._annotations import masks_from_binary as masks_from_binary
    from flowseg.io._annotations import masks_from_files as masks_from_files
    from flowseg.io._annotations import masks_from_mat as masks_from_mat
    from flowseg.io._cellpose import masks_from_cellpose as masks_from_cellpose
    from flowseg.io._coco import masks_from_coco as masks_from_coco
    from flowseg.io._cvat import masks_from_cvat as masks_from_cvat
    from flowseg.io._flow_stacks import labels_to_flows as labels_to_flows
    from flowseg.io._geojson import masks_from_geojson as masks_from_geojson
    from flowseg.io._labkit import masks_from_labkit as masks_from_labkit
    from flowseg.io._roi import masks_from_roi as masks_from_roi

__version__ = "0.1.0"

# Public name -> module that defines it; loaded on first use, so that `import flowseg` is quick and needs no Keras.
_HOME = {
    "BoundarySegmenter": "_boundary_segmenter",
    "FlowSegmenter": "_flow_segmenter",
    "boundary_loss": "_losses",
    "build_resunet": "_networks",
    "build_unet": "_networks",
    "check_masks": "_doctor",
    "diameters": "_flows",
    "fill_holes": "_masks",
    "flow_errors": "_flows",
    "flow_loss": "_losses",
    "flows_to_masks": "_dynamics",
    "follow_flows": "_following",
    "labels_to_flows": "_flows",
    "load_segmenter": "_segmenters",
    "masks_from_binary": "_annotation_files",
    "masks_from_cellpose": "_cellpose_files",
    "masks_from_coco": "_coco",
    "masks_from_cvat": "_cvat",
    "masks_from_files": "_annotation_files",
    "masks_from_geojson": "_geojson",
    "masks_from_labkit": "_labkit",
    "masks_from_mat": "_annotation_files",
    "masks_from_roi": "_roi",
    "masks_from_rgb": "_masks",
    "masks_to_flows": "_flows",
    "mend_masks": "_mending",
    "measure": "_tables",
    "normalize": "_images",
}
_MODULES = ("io", "metrics", "plot", "synthetic")

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"flowseg.{_HOME[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"flowseg.{name}")
    else:
        raise AttributeError(f"module 'flowseg' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
