"""The public function."""

from __future__ import annotations

import warnings
from typing import Any

from flowseg._segmenters.base import Segmenter
from flowseg._segmenters.inputs import Diameters, as_diameters, as_image_list
from flowseg._segmenters.pipeline import pipeline_of
from flowseg._suggest.examine import Examination, Rules
from flowseg._suggest.suggestion import Suggestion


def suggest(
    segmenter: Segmenter,
    images: Any,
    *,
    number: int = 5,
    box_size: int | None = None,
    boxes_per_image: int = 1,
    views: int = 4,
    diameters: Diameters = None,
) -> list[Suggestion]:
    """Return which images, and which boxes in them, to annotate next.

    These are the boxes in which a segmenter expects most wrong objects, first in images unlike those of training.

    Parameters
    ----------
    segmenter : FlowSegmenter or BoundarySegmenter
        A fitted segmenter of images (``ndim=2``). It is not changed.
    images : list of array_like, shape (rows, columns) or (rows, columns, n_channels)
        Images without annotation, as for `FlowSegmenter.predict`.
    number : int
        How many images to suggest at most.
    box_size : int, optional
        Rows and columns of a box in pixels; of an image that has fewer, all of them. By default eight times the typical
        diameter, at least 64.
    boxes_per_image : int
        How many boxes to suggest in an image at most. They do not overlap.
    views : {2, 3, 4}
        How many flips of an image the network is run on: as it is, by half a turn, up and down, left to right.
    diameters : float, "estimate", or sequence of them, optional
        As for `FlowSegmenter.predict`.

    Returns
    -------
    suggestions : list of Suggestion
        The images to annotate, the first one first, with their boxes, and masks to correct in them.

    Raises
    ------
    NotFittedError
        If the segmenter is not fitted.
    TypeError, ValueError
        If an argument is invalid, if there are no images, or if the segmenter is one of volumes.

    Warns
    -----
    UserWarning
        If the segmenter has learned no scores of objects, or no ranges of its training images, which then do not count;
        if images are smaller than the given ``box_size``.

    See Also
    --------
    learning_curve : what twice as many annotated images would give.

    Notes
    -----
    The **doubt** in a box is the expected number of wrong objects. For each object it is the probability that it is
    wrong, 1 - score (see `FlowSegmenter.predict_objects`); for one that was dropped because of its score, the score. An
    object counts by its share of pixels in the box. Beside objects, doubt is the area that is foreground in some views
    and not in others, in areas of a typical object: the views are a committee that is queried [1]_. A pixel counts by
    twice the standard deviation of its foreground probability, from 0 to 1. Without scores, all pixels do.

    The **priority** of an image is the doubt of its best box as a share of the highest of all, plus its distance from
    the ranges of the training images, at most 1. Images are chosen one by one: the more an image is like one before, by
    the statistics that `FlowSegmenter.predict` checks, the less it counts, down to a half.

    References
    ----------
    .. [1] B. Settles, "Active learning literature survey", Computer Sciences Technical Report 1648, University of
       Wisconsin-Madison, 2009.

    Examples
    --------
    >>> import flowseg
    >>> images = [flowseg.synthetic.cells((96, 96), 8, rng=seed)[0] for seed in range(3)]
    >>> segmenter = flowseg.FlowSegmenter.from_pretrained("nuclei")
    >>> first, second = flowseg.suggest(segmenter, images, number=2, box_size=64, views=2)
    >>> first.masks.shape, int(first.masks.min()), first.boxes[0].max_row - first.boxes[0].min_row
    ((96, 96), -1, 64)
    """
    rules = Rules(number, box_size, boxes_per_image, views)
    rules.check()
    if not isinstance(segmenter, Segmenter):
        raise TypeError(f"segmenter must be a FlowSegmenter or a BoundarySegmenter; got {type(segmenter).__name__}.")
    examination = Examination(pipeline_of(segmenter), rules)
    items = as_image_list(images, examination.pipeline.n_channels)
    sizes = as_diameters(diameters, len(items))
    examined = [examination.look(*item) for item in zip(items, sizes, strict=True)]
    for remark in examination.remarks(examined):
        warnings.warn(remark, stacklevel=2)
    return examination.order(examined)[:number]
