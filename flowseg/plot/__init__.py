"""Pictures: RGB arrays that any library shows or saves, and figures, which need matplotlib (``flowseg[plot]``)."""

from flowseg.plot._charts import show_history, show_quality, show_reliability
from flowseg.plot._colors import OUTLINE_COLOR as OUTLINE_COLOR
from flowseg.plot._colors import flow_colors, flow_key, mask_colors, outlines
from flowseg.plot._figures import show_comparison, show_flows, show_masks, show_outlines
from flowseg.plot._reliability import Reliability, reliability

__all__ = [
    "Reliability",
    "flow_colors",
    "flow_key",
    "mask_colors",
    "outlines",
    "reliability",
    "show_comparison",
    "show_flows",
    "show_history",
    "show_masks",
    "show_outlines",
    "show_quality",
    "show_reliability",
]
