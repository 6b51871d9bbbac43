"""The public function of the learning curve."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from flowseg import _checks
from flowseg._compare.inputs import make_plan
from flowseg._compare.run import make_report, run_in_folder
from flowseg._curve.plan import extend_plan
from flowseg._curve.result import LearningCurve, make_curve
from flowseg._nets.training.known_objects import find_known_objects
from flowseg._segmenters.fitting.annotation_checks import warn_of_components

# Warnings of `fit` that many trainings would repeat: the masks are looked at once, and whether a further training makes
# the model better is what the curve shows.
REPEATED = ("masks hold ", "without validation images ")


def learning_curve(
    segmenters: Mapping[str, Any],
    images: Any,
    masks: Any,
    *,
    groups: Sequence[Any] | None = None,
    train_sizes: Sequence[float] | None = None,
    cv: int = 3,
    random_state: int = 0,
    names: Sequence[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    verbose: int = 0,
) -> LearningCurve:
    """Return how good segmenters are after training on few and on more images, and what twice as many would give.

    Each fold tests on its own images, and trains on parts of the others: a few, about twice as many, and so on. Each
    part contains the one before. All trainings of a segmenter have the same number of steps.

    Parameters
    ----------
    segmenters : dict of FlowSegmenter, BoundarySegmenter, str or path
        As for `compare`: one that is not fitted is trained from scratch, a fitted one with ``warm_start`` is trained
        further, any other is used as it is, without training images. None of them is changed.
    images, masks : list of array_like
        As for `FlowSegmenter.fit`.
    groups : sequence, optional
        The field of view, specimen or patient of each image. No group is in training and test at once, and training
        images are added group by group. By default every image is its own group.
    train_sizes : sequence of int or float, optional
        Numbers of training images; floats are shares of those that every fold has for training. By default all of
        them, and a half, a quarter and an eighth.
    cv : int
        Number of folds.
    random_state : int
        Seed of the choice of training images.
    names : sequence of str, optional
        Names of the images, for the table; by default "image 0", "image 1", ...
    folder : path, optional
        Folder for the result of each training; it is made if it does not exist. If it holds results, the same learning
        curve continues after them.
    verbose : int
        0 is silent; 1 writes the expected time and the progress to standard error.

    Returns
    -------
    result : LearningCurve
        The answer in one sentence, the curves with what they predict, and a table of the images; ``save_report`` writes
        a page.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, if there are fewer groups than folds, a fold without objects, or fewer images for
        training than a size, or if the folder holds another learning curve.

    Warns
    -----
    UserWarning
        If no groups are given and images look like tiles of one field of view.

    See Also
    --------
    compare : which segmenter is better on all images.
    sklearn.model_selection.learning_curve : the same for numbers in place of images, without a prediction.

    Notes
    -----
    The curve is the inverse power law ``a - b * n**-c`` [1]_, fitted to the average precision over all images with a
    larger weight on larger training sets, and with c from 0 to 2. The bootstrap draws groups of images, and adds the
    scatter of the trainings around the mean of their fold and their size.

    References
    ----------
    .. [1] R. L. Figueroa, Q. Zeng-Treitler, S. Kandula, L. H. Ngo, "Predicting sample size required for classification
       performance", BMC Med. Inform. Decis. Mak. 12:8, 2012.

    Examples
    --------
    >>> import flowseg
    >>> images, masks = zip(*[flowseg.synthetic.cells((64, 64), 5, rng=seed) for seed in range(4)])
    >>> small = {"filters": (4, 8), "crop_size": 32, "batch_size": 1, "epochs": 1, "steps_per_epoch": 2}
    >>> segmenters = {"flows": flowseg.FlowSegmenter(**small, random_state=0)}
    >>> result = flowseg.learning_curve(segmenters, images, masks, cv=2, train_sizes=[2])
    >>> result.sentence
    'The data are too few to know: 4 independent images or fields of view, and an answer takes at least 6.'
    >>> result.curves[0].train_sizes, result.curves[0].test_scores.shape
    (array([2]), (1, 2, 3))
    """
    report = make_report(verbose)
    seed = _checks.as_integer(random_state, "random_state", minimum=0)
    plan = extend_plan(make_plan(segmenters, images, masks, groups, cv, names), train_sizes, seed)
    warn_of_components([find_known_objects(labels, None).masks for labels in plan.masks], stacklevel=2)
    with warnings.catch_warnings():
        for start in REPEATED:
            warnings.filterwarnings("ignore", start, UserWarning)
        results = run_in_folder(plan, folder, "learning curve", "flowseg curve", report)
    return make_curve(plan, results)
