"""Pictures as RGB arrays that any library can show or save, and figures, which need matplotlib (``flowseg[plot]``)."""

from flowseg.plot._palette import OUTLINE_COLOR as OUTLINE_COLOR
from flowseg.plot._pictures import flow_colors, flow_key, mask_colors, outlines
from flowseg.plot._reliability import Reliability, reliability
from flowseg.plot._show_comparison import show_comparison
from flowseg.plot._show_history import show_history
from flowseg.plot._show_image import show_flows, show_masks, show_outlines
from flowseg.plot._show_scores import show_quality, show_reliability
from flowseg.plot._show_volume import show_projections, show_volume
from flowseg.plot._volumes import maximum_projections, orthogonal_views

__all__ = [
    "Reliability",
    "flow_colors",
    "flow_key",
    "mask_colors",
    "maximum_projections",
    "orthogonal_views",
    "outlines",
    "reliability",
    "show_comparison",
    "show_flows",
    "show_history",
    "show_masks",
    "show_outlines",
    "show_projections",
    "show_quality",
    "show_reliability",
    "show_volume",
]
