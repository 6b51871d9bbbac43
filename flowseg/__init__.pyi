from . import io, metrics, plot, synthetic
from ._flows.decoding import flows_to_masks
from ._flows.flow_check import flow_errors
from ._flows.following import follow_flows
from ._flows.targets import masks_to_flows
from ._images import normalize
from ._labels.diameters import diameters
from ._labels.doctor import check_masks
from ._labels.from_rgb import masks_from_rgb
from ._labels.holes import fill_holes
from ._labels.measure import measure
from ._labels.mend import mend_masks
from ._nets.losses import boundary_loss, flow_loss
from ._nets.networks import build_resunet, build_unet
from ._segmenters.boundary import BoundarySegmenter
from ._segmenters.flow import FlowSegmenter
from ._segmenters.loading import load_segmenter
from .io._annotations import masks_from_binary, masks_from_files, masks_from_mat
from .io._cellpose import masks_from_cellpose
from .io._coco import masks_from_coco
from .io._cvat import masks_from_cvat
from .io._flow_stacks import labels_to_flows
from .io._geojson import masks_from_geojson
from .io._labkit import masks_from_labkit
from .io._roi import masks_from_roi

__version__: str
__all__ = [
    "BoundarySegmenter",
    "FlowSegmenter",
    "boundary_loss",
    "build_resunet",
    "build_unet",
    "check_masks",
    "diameters",
    "fill_holes",
    "flow_errors",
    "flow_loss",
    "flows_to_masks",
    "follow_flows",
    "io",
    "labels_to_flows",
    "load_segmenter",
    "masks_from_binary",
    "masks_from_cellpose",
    "masks_from_coco",
    "masks_from_cvat",
    "masks_from_files",
    "masks_from_geojson",
    "masks_from_labkit",
    "masks_from_mat",
    "masks_from_rgb",
    "masks_from_roi",
    "masks_to_flows",
    "measure",
    "mend_masks",
    "metrics",
    "normalize",
    "plot",
    "synthetic",
]
