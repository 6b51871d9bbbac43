"""Scores of predicted masks against true ones.

Objects of images and volumes are compared by the intersection over union (IoU) of their pixels. 0 is background. Pixels
where true masks are negative are ignored, as are predicted objects of which more than half is there. Of a volume of
which whole planes or a box are annotated, only these are compared. Two empty images have a score of 1; if only one of
them is empty, the score is 0.
"""

from flowseg.metrics._classification import Classification, classification
from flowseg.metrics._jaccard import aggregated_jaccard
from flowseg.metrics._matching import Match, match, pool
from flowseg.metrics._precision import average_precision, average_precision_per_image
from flowseg.metrics._splits_merges import PARTNER_IOU as PARTNER_IOU
from flowseg.metrics._splits_merges import SplitsMerges, splits_merges

__all__ = [
    "Classification",
    "Match",
    "SplitsMerges",
    "aggregated_jaccard",
    "average_precision",
    "average_precision_per_image",
    "classification",
    "match",
    "pool",
    "splits_merges",
]
