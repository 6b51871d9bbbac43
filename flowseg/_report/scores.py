"""Scores of a set of masks: of each image, and of all together with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import metrics
from flowseg._labels.overlaps import Overlaps, assign, exceeds
from flowseg._report.bootstrap import CONFIDENCE, RESAMPLES, bootstrap
from flowseg.metrics._jaccard import jaccard_of_overlaps

# IoU from 0.5 to 0.95 in steps of 0.05, as in the COCO challenge: those of the curve.
IOU_THRESHOLDS = tuple(k / 20 for k in range(10, 20))
# Those in tables, and their places on the curve.
TABLE_THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
IN_TABLE = [IOU_THRESHOLDS.index(t) for t in TABLE_THRESHOLDS]
AT_HALF = ("precision", "recall", "f1", "panoptic_quality")

Arrays = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ImageScores:
    """Counts and scores of one image."""

    name: str
    counts: NDArray[np.int64]  # (len(IOU_THRESHOLDS), 3): tp, fp, fn
    iou_sum: float  # of the pairs that match at IoU 0.5
    jaccard: float
    splits: int
    merges: int


def score_image(name: str, overlaps: Overlaps) -> ImageScores:
    """Compare the masks of one image by their overlaps."""
    n_true, n_predicted = overlaps.true_labels.size, overlaps.predicted_labels.size
    chosen = [assign(overlaps, threshold) for threshold in IOU_THRESHOLDS]
    counts = [(pairs.size, n_predicted - pairs.size, n_true - pairs.size) for pairs in chosen]
    per_true, per_predicted = count_partners(overlaps)
    return ImageScores(
        name=name,
        counts=np.array(counts, dtype=np.int64),
        iou_sum=float(overlaps.iou[chosen[0]].sum()),
        jaccard=jaccard_of_overlaps(overlaps),
        splits=int(np.sum(per_true > 1)),
        merges=int(np.sum(per_predicted > 1)),
    )


def count_partners(overlaps: Overlaps) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the partners of every true and every predicted object, as `metrics.splits_merges` does."""
    partners = exceeds(overlaps.iou, metrics.PARTNER_IOU)
    return (
        np.bincount(overlaps.true_index[partners], minlength=overlaps.true_labels.size),
        np.bincount(overlaps.predicted_index[partners], minlength=overlaps.predicted_labels.size),
    )


def summarize(images: Sequence[ImageScores]) -> dict[str, Any]:
    """Return the scores of `flowseg.metrics` for all images together, with intervals, and for each image."""
    counts = np.sum([image.counts for image in images], axis=0)
    tp, fp, fn = counts[0].tolist()
    scores = _weigh(images, np.ones((1, len(images))))
    return {
        "images": len(images),
        "true_objects": tp + fn,
        "predicted_objects": tp + fp,
        "thresholds": list(TABLE_THRESHOLDS),
        "average_precision_pooled": _plain(scores["average_precision_pooled"][0, IN_TABLE]),
        "average_precision_mean": _plain(scores["average_precision_mean"][0, IN_TABLE]),
        "at_0.5": {name: _plain(scores[name][0]) for name in AT_HALF},
        "aggregated_jaccard_mean": _plain(scores["aggregated_jaccard_mean"][0]),
        "splits": sum(image.splits for image in images),
        "merges": sum(image.merges for image in images),
        "intervals": _intervals(images, IN_TABLE),
        "per_image": [_row(image) for image in images],
    }


def curve(images: Sequence[ImageScores]) -> dict[str, Any]:
    """Return the curve of average precision over IoU: thresholds, pooled and mean values, intervals."""
    scores = _weigh(images, np.ones((1, len(images))))
    names = ("average_precision_pooled", "average_precision_mean")
    intervals = _intervals(images, list(range(len(IOU_THRESHOLDS))))
    return {
        "thresholds": list(IOU_THRESHOLDS),
        **{name: _plain(scores[name][0]) for name in names},
        "intervals": {name: intervals[name] for name in names} if intervals else None,
    }


def _row(image: ImageScores) -> dict[str, Any]:
    scores = _weigh([image], np.ones((1, 1)))
    tp, fp, fn = image.counts[0].tolist()
    return {
        "name": image.name,
        "true_objects": tp + fn,
        "predicted_objects": tp + fp,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "average_precision": _plain(scores["average_precision_pooled"][0, IN_TABLE]),
        **{name: _plain(scores[name][0]) for name in AT_HALF},
        "aggregated_jaccard": _plain(scores["aggregated_jaccard_mean"][0]),
        "splits": image.splits,
        "merges": image.merges,
    }


def _intervals(images: Sequence[ImageScores], shown: list[int]) -> dict[str, Any] | None:
    """Return intervals of all scores between 0 and 1; None for one image, from which there are none."""
    if len(images) < 2:
        return None
    found = bootstrap(lambda weights: _weigh(images, weights), len(images))
    curves = {name: found[name][:, shown].T for name in ("average_precision_pooled", "average_precision_mean")}
    return {
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        **{name: _plain(values) for name, values in curves.items()},
        "at_0.5": {name: _plain(found[name]) for name in AT_HALF},
        "aggregated_jaccard_mean": _plain(found["aggregated_jaccard_mean"]),
    }


def _weigh(images: Sequence[ImageScores], weights: NDArray[np.float64]) -> Arrays:
    """Return the scores of sets of images; ``weights`` (n_sets, n_images) is how often each set holds each image."""
    counts = np.array([image.counts for image in images], dtype=np.float64)
    tp, fp, fn = np.moveaxis(np.tensordot(weights, counts, axes=1), -1, 0)
    single = ratio(counts[..., 0], counts.sum(axis=-1))
    n_images = weights.sum(axis=1)
    tp_half, fp_half, fn_half = tp[:, 0], fp[:, 0], fn[:, 0]
    return {
        "average_precision_pooled": ratio(tp, tp + fp + fn),
        "average_precision_mean": weights @ single / n_images[:, None],
        "precision": ratio(tp_half, tp_half + fp_half, fn_half),
        "recall": ratio(tp_half, tp_half + fn_half, fp_half),
        "f1": ratio(2 * tp_half, 2 * tp_half + fp_half + fn_half),
        "panoptic_quality": ratio(weights @ [i.iou_sum for i in images], tp_half + 0.5 * (fp_half + fn_half)),
        "aggregated_jaccard_mean": weights @ [i.jaccard for i in images] / n_images,
    }


def ratio(part: NDArray[Any], whole: NDArray[Any], others: NDArray[Any] | float = 0.0) -> NDArray[np.float64]:
    """Return ``part / whole``; where the whole is 0, 1 if ``others`` is 0 as well, else 0, as in `metrics`."""
    empty = np.where(np.asarray(others) == 0, 1.0, 0.0)
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), empty)


def _plain(values: NDArray[Any]) -> Any:
    return np.asarray(values).tolist()
