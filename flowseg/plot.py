"""Pictures: RGB arrays that any library shows or saves, and figures, which need matplotlib (``flowseg[plot]``)."""

from flowseg._charts import show_history, show_quality, show_reliability
from flowseg._colours import OUTLINE_COLOUR as OUTLINE_COLOUR
from flowseg._colours import flow_colours, flow_key, mask_colours, outlines
from flowseg._figures import show_comparison, show_flows, show_masks, show_outlines
from flowseg._reliability import Reliability, reliability

__all__ = [
    "Reliability",
    "flow_colours",
    "flow_key",
    "mask_colours",
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
