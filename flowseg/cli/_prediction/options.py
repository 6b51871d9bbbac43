"""The options of ``flowseg predict`` that no other command has."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flowseg.cli._shared.image_reading import IMAGE, VOLUME
from flowseg.cli._shared.large_images import large_size
from flowseg.cli._shared.option_values import NONE, parse_normalize, parse_number
from flowseg.cli._shared.options import READ, RUN, SEGMENT, WRITE
from flowseg.io._results import COCO, complete_kinds

# Kinds of results that can be written beside the masks.
ALSO = ("roi", "geojson", COCO, "png", "csv", "parquet", "flows")


def _complete_also(incomplete: str) -> list[str]:
    return complete_kinds(incomplete, ALSO)


Also = Annotated[
    list[str] | None,
    typer.Option(
        help=f"Results to write beside the masks, with commas between: {', '.join(ALSO)}.",
        autocompletion=_complete_also,
        rich_help_panel=WRITE,
    ),
]
Overlay = Annotated[
    bool | None,
    typer.Option(
        help="Write pictures of the outlines on the images.  [default: overlay; no-overlay for stacks]",
        rich_help_panel=WRITE,
    ),
]
Diameter = Annotated[
    str | None,
    typer.Option(
        help="Typical diameter of the objects in pixels, or 'estimate'.  [default: that of the training images, or an "
        "estimate within their sizes if the model was better with it]",
        rich_help_panel=SEGMENT,
    ),
]
EstimateDiameters = Annotated[
    bool | None,
    typer.Option(
        "--estimate/--no-estimate",
        help="Whether to estimate diameters where --diameter is not given.  [default: as chosen in training]",
        rich_help_panel=SEGMENT,
    ),
]
CellprobThreshold = Annotated[
    float | None,
    typer.Option(
        help="Pixels with a larger cellprob, a logit, are foreground: a higher threshold gives fewer, smaller "
        "objects.  [default: as chosen in training]",
        rich_help_panel=SEGMENT,
    ),
]
FlowThreshold = Annotated[
    str | None,
    typer.Option(
        help="Objects with a larger flow error, a squared difference, are dropped, except at the image's border; "
        "'none' keeps all.  [default: as chosen in training]",
        rich_help_panel=SEGMENT,
    ),
]
MinSize = Annotated[
    int | None,
    typer.Option(
        help="Objects of fewer pixels are dropped.  [default: as chosen in training]", rich_help_panel=SEGMENT
    ),
]
ScoreThreshold = Annotated[
    str | None,
    typer.Option(
        help="Objects with a lower score, the probability that they are real, are dropped; 'none' keeps all.  "
        "[default: as chosen in training]",
        rich_help_panel=SEGMENT,
    ),
]
TestTimeAugmentation = Annotated[
    bool,
    typer.Option(
        "--tta",
        help="Test-time augmentation: mean over the image rotated and flipped, a little better, eight times slower.",
        rich_help_panel=SEGMENT,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="Numbers that the network computes with: float32, or bfloat16, which takes about two thirds of the time "
        "on processors with instructions for it, and changes a few pixels.  [default: as the model was saved]",
        rich_help_panel=SEGMENT,
    ),
]
Blocks = Annotated[
    bool | None,
    typer.Option(
        "--blocks/--no-blocks",
        help="Segment block by block, with memory for a block at a time, or the whole image at once; the masks are the "
        f"same.  [default: blocks for images of {large_size(IMAGE)}, and volumes of {large_size(VOLUME)}]",
        rich_help_panel=RUN,
    ),
]
Plane = Annotated[
    str | None,
    typer.Option(
        "--z", help="Plane of a stack to take, counted from 0, or 'all' for each in turn.", rich_help_panel=READ
    ),
]
Volume = Annotated[
    str | None,
    typer.Option(
        help="How a model of images segments volumes: 'planes' runs the network on sections along all three axes, "
        "joins its outputs, and follows the flows in 3-D; 'stitch' segments every plane and gives objects that overlap "
        "in neighboring planes one label. With --z all no object extends over planes.",
        rich_help_panel=SEGMENT,
    ),
]
Time = Annotated[
    str | None,
    typer.Option(
        "--t", help="Time point of a series to take, counted from 0, or 'all' for each in turn.", rich_help_panel=READ
    ),
]


def parse_thresholds(
    cellprob_threshold: float | None, flow_threshold: str | None, min_size: int | None, score_threshold: str | None
) -> list[tuple[str, Any]]:
    """Return parameters of a segmenter that decide which objects are found; None where an option is not given."""
    return [
        ("cellprob_threshold", cellprob_threshold),
        ("flow_threshold", parse_number(flow_threshold, "--flow-threshold", NONE)),
        ("min_size", min_size),
        ("score_threshold", parse_number(score_threshold, "--score-threshold", NONE)),
    ]


def parse_running(
    test_time_augmentation: bool, precision: str | None, estimate_diameters: bool | None, normalize: str | None
) -> list[tuple[str, Any]]:
    """Return parameters of a segmenter that decide how its network is run."""
    return [
        ("test_time_augmentation", test_time_augmentation or None),
        ("precision", precision),
        ("estimate_diameters", estimate_diameters),
        ("normalize", parse_normalize(normalize)),
    ]
