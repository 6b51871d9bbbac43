"""The documentation in a package of bioimage.io, in Markdown."""

from __future__ import annotations

from flowseg._export.publication import Publication
from flowseg._segmenters.pipeline import Pipeline

TEXT = """\
# {name}

{what} It was trained with flowseg {version}, and is exported from it.

## Use

1. Scale the image so that objects are about {working:.3g} pixels across. In the training images they were
   {diameter:.3g} pixels across, which is a factor of {factor:.3g}.
2. {normalization}
3. Sides must be multiples of {multiples} pixels. Mirror the image to fill them up, and crop the outputs.
4. The network returns {outputs}.
{decoding}
Blocks that overlap by the halo, {margins} pixels on each side, give the outputs of the whole image. Programs fill up
the halo at its border, which flowseg itself does not do: outputs there differ.

The test image was scaled before it was put into the package.

## Validation

{validation}

To validate the model on images of your own, annotate some that were not used for training, and compare the masks with
`flowseg evaluate` or `flowseg.metrics.average_precision`. Look at the objects that are wrong, not at the number alone.
"""

PERCENTILES_TEXT = """\
Intensities: the percentiles {low:g} and {high:g} of each channel become 0 and 1. The preprocessing in this package does
   it. flowseg also leaves out padding and saturated strips, which this preprocessing does not."""
LIMITS_TEXT = "Intensities: the limits that the preprocessing in this package holds become 0 and 1."
UNCHANGED_TEXT = "Intensities are taken as they are."

FLOWS_TEXT = """\
the flow along each axis and the logit of the foreground. Flows point to the center of
   the object and have unit length inside objects"""
CLASSES_TEXT = "the logits of background, interior and boundary"

DECODING_TEXT = """\
5. Masks are what `flowseg.flows_to_masks(flows, cellprob)` returns, with cellprob_threshold={cellprob_threshold:g},
   flow_threshold={flow_threshold} and min_size={min_size}. It needs no deep-learning package. Cellpose's
   `compute_masks`, and with it the postprocessing `cellpose_flow_dynamics`, takes flows that are five times as long,
   and returns other masks.
"""


def write_readme(pipeline: Pipeline, publication: Publication, description: str, version: str) -> str:
    """Return the text."""
    fitted, thresholds = pipeline.fitted, pipeline.thresholds
    rule = pipeline.settings.normalize
    if rule is None:
        normalization = UNCHANGED_TEXT
    elif rule[0] == "percentiles":
        normalization = PERCENTILES_TEXT.format(low=rule[1], high=rule[2])
    else:
        normalization = LIMITS_TEXT
    return TEXT.format(
        name=publication.name,
        what=description,
        version=version,
        working=fitted.sizes.working,
        diameter=fitted.diameter,
        factor=fitted.sizes.working / fitted.diameter,
        normalization=normalization,
        multiples=" x ".join(map(str, fitted.grid.steps)),
        margins=" x ".join(map(str, fitted.grid.margins)),
        outputs=FLOWS_TEXT if pipeline.has_flows else CLASSES_TEXT,
        decoding="" if thresholds is None else DECODING_TEXT.format_map(vars(thresholds)),
        validation=publication.validation,
    )
