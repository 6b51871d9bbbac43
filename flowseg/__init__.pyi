from . import blockwise, datasets, io, metrics, plot, synthetic
from ._compare.compare import compare
from ._compare.comparison import Comparison
from ._curve.learning_curve import learning_curve
from ._curve.result import LearningCurve
from ._export.onnx_file import export_onnx
from ._export.package import export_bioimageio
from ._flows.decoding import flows_to_masks
from ._flows.flow_check import flow_errors
from ._flows.following import follow_flows
from ._flows.targets import masks_to_flows
from ._images import normalize
from ._labels.check import check_masks
from ._labels.diameters import diameters
from ._labels.from_binary import masks_from_binary
from ._labels.from_rgb import masks_from_rgb
from ._labels.holes import fill_holes
from ._labels.measure import measure
from ._labels.mend import mend_masks
from ._nets.losses import boundary_loss, flow_loss
from ._nets.networks import build_resunet, build_unet
from ._segmenters.boundary import BoundarySegmenter
from ._segmenters.flow import FlowSegmenter
from ._segmenters.loading import load_segmenter
from ._suggest.suggest import suggest
from ._suggest.suggestion import Suggestion
from .io._flow_stacks import labels_to_flows

__version__: str
__all__ = [
    "BoundarySegmenter",
    "Comparison",
    "FlowSegmenter",
    "LearningCurve",
    "Suggestion",
    "blockwise",
    "boundary_loss",
    "build_resunet",
    "build_unet",
    "check_masks",
    "compare",
    "datasets",
    "diameters",
    "export_bioimageio",
    "export_onnx",
    "fill_holes",
    "flow_errors",
    "flow_loss",
    "flows_to_masks",
    "follow_flows",
    "io",
    "labels_to_flows",
    "learning_curve",
    "load_segmenter",
    "masks_from_binary",
    "masks_from_rgb",
    "masks_to_flows",
    "measure",
    "mend_masks",
    "metrics",
    "normalize",
    "plot",
    "suggest",
    "synthetic",
]
