"""The public function of the comparison."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from flowseg._compare.comparison import Comparison, make_comparison
from flowseg._compare.inputs import make_plan
from flowseg._compare.run import make_report, run_in_folder


def compare(
    segmenters: Mapping[str, Any],
    images: Any,
    masks: Any,
    *,
    groups: Sequence[Any] | None = None,
    cv: int = 5,
    names: Sequence[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    verbose: int = 0,
) -> Comparison:
    """Return how good segmenters are on images that they have not seen, and how sure their difference is.

    Each fold trains every segmenter on the same images and tests it on the others. All scores are of test images.

    Parameters
    ----------
    segmenters : dict of FlowSegmenter, BoundarySegmenter, str or path
        What to compare, by name. One that is not fitted is trained on each fold. A fitted one is used as it is, or with
        ``warm_start`` trained further on each fold. The name of a pretrained model, such as "nuclei", and a model file
        are used as they are. None of them is changed.
    images, masks : list of array_like
        As for `FlowSegmenter.fit`.
    groups : sequence, optional
        The field of view, specimen or patient of each image. No group is in training and test at once. By default every
        image is its own group.
    cv : int
        Number of folds.
    names : sequence of str, optional
        Names of the images, for the tables; by default "image 0", "image 1", ...
    folder : path, optional
        Folder for the result of each fold; it is made if it does not exist. If it holds results, the same comparison
        continues after them.
    verbose : int
        0 is silent; 1 writes the expected time and the progress to standard error.

    Returns
    -------
    result : Comparison
        The answer in one sentence, scores, differences and a table of the images; ``save_report`` writes a page.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, if there are fewer groups than folds or a fold without objects, or if the folder
        holds another comparison.

    Warns
    -----
    UserWarning
        If no groups are given and images look like tiles of one field of view.

    See Also
    --------
    metrics.average_precision : The score.

    Examples
    --------
    >>> import flowseg
    >>> images, masks = zip(*[flowseg.synthetic.cells((64, 64), 5, rng=seed) for seed in range(4)])
    >>> small = {"filters": (4, 8), "crop_size": 32, "batch_size": 1, "epochs": 1, "steps_per_epoch": 2}
    >>> segmenters = {"flows": flowseg.FlowSegmenter(**small, random_state=0), "nuclei as it is": "nuclei"}
    >>> result = flowseg.compare(segmenters, images, masks, cv=2)
    >>> result.sentence
    'The data are too few to know: 4 independent images or fields of view, and an answer takes at least 6.'
    >>> result.pairs[0].first, len(result.per_image["image"])
    ('nuclei as it is', 8)
    """
    report = make_report(verbose)
    plan = make_plan(segmenters, images, masks, groups, cv, names)
    return make_comparison(plan, run_in_folder(plan, folder, "comparison", "flowseg compare", report))
