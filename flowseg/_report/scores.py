"""Scores of a set of masks: image by image, then together, as plain values and as a table to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import metrics
from flowseg._labels.overlaps import Overlaps, assign, exceeds
from flowseg._report.intervals import CONFIDENCE, RESAMPLES, bootstrap

# IoU from 0.5 to 0.95, as in the COCO challenge: the curve.
CURVE = tuple(k / 20 for k in range(10, 20))
# Those that tables show.
THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
SHOWN = [CURVE.index(t) for t in THRESHOLDS]
AT_HALF = ("precision", "recall", "f1", "panoptic_quality")
# Of numbers in a document; what is shown with fewer is rounded once, of the whole number.
DECIMALS = 4

Arrays = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ImageScores:
    """What is kept of one image."""

    name: str
    counts: NDArray[np.int64]  # (len(CURVE), 3): tp, fp, fn
    iou_sum: float  # of the pairs that match at IoU 0.5
    jaccard: float
    splits: int
    merges: int


def score_image(name: str, true: NDArray[Any], predicted: NDArray[Any], overlaps: Overlaps) -> ImageScores:
    """Compare the masks of one image; ``overlaps`` are theirs."""
    n_true, n_predicted = overlaps.true_labels.size, overlaps.predicted_labels.size
    chosen = [assign(overlaps, threshold) for threshold in CURVE]
    counts = [(pairs.size, n_predicted - pairs.size, n_true - pairs.size) for pairs in chosen]
    per_true, per_predicted = count_partners(overlaps)
    return ImageScores(
        name=name,
        counts=np.array(counts, dtype=np.int64),
        iou_sum=float(overlaps.iou[chosen[0]].sum()),
        jaccard=metrics.aggregated_jaccard(true, predicted),
        splits=int(np.sum(per_true > 1)),
        merges=int(np.sum(per_predicted > 1)),
    )


def count_partners(overlaps: Overlaps) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Partners of every true and of every predicted object, as `metrics.splits_merges` counts them."""
    partners = exceeds(overlaps.iou, metrics.PARTNER_IOU)
    return (
        np.bincount(overlaps.true_index[partners], minlength=overlaps.true_labels.size),
        np.bincount(overlaps.predicted_index[partners], minlength=overlaps.predicted_labels.size),
    )


def summarize(images: Sequence[ImageScores]) -> dict[str, Any]:
    """Everything `flowseg.metrics` says of all the images, with intervals, and of every one."""
    counts = np.sum([image.counts for image in images], axis=0)
    tp, fp, fn = counts[0].tolist()
    scores = _weigh(images, np.ones((1, len(images))))
    return {
        "images": len(images),
        "true_objects": tp + fn,
        "predicted_objects": tp + fp,
        "thresholds": list(THRESHOLDS),
        "average_precision_pooled": _plain(scores["average_precision_pooled"][0, SHOWN]),
        "average_precision_mean": _plain(scores["average_precision_mean"][0, SHOWN]),
        "at_0.5": {name: _plain(scores[name][0]) for name in AT_HALF},
        "aggregated_jaccard_mean": _plain(scores["aggregated_jaccard_mean"][0]),
        "splits": sum(image.splits for image in images),
        "merges": sum(image.merges for image in images),
        "intervals": _intervals(images, SHOWN),
        "per_image": [_row(image) for image in images],
    }


def curve(images: Sequence[ImageScores]) -> dict[str, Any]:
    """Average precision over IoU: thresholds, both kinds of values, intervals."""
    scores = _weigh(images, np.ones((1, len(images))))
    names = ("average_precision_pooled", "average_precision_mean")
    intervals = _intervals(images, list(range(len(CURVE))))
    return {
        "thresholds": list(CURVE),
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
        "average_precision": _plain(scores["average_precision_pooled"][0, SHOWN]),
        **{name: _plain(scores[name][0]) for name in AT_HALF},
        "aggregated_jaccard": _plain(scores["aggregated_jaccard_mean"][0]),
        "splits": image.splits,
        "merges": image.merges,
    }


def _intervals(images: Sequence[ImageScores], shown: list[int]) -> dict[str, Any] | None:
    """Intervals of everything that is between 0 and 1; None of one image, which says nothing of others."""
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
    """Scores of sets of images; ``weights``, of shape (n_sets, n_images), says how often each has each."""
    counts = np.array([image.counts for image in images], dtype=np.float64)
    tp, fp, fn = np.moveaxis(np.tensordot(weights, counts, axes=1), -1, 0)
    single = _ratio(counts[..., 0], counts.sum(axis=-1))
    n_images = weights.sum(axis=1)
    tp_half, fp_half, fn_half = tp[:, 0], fp[:, 0], fn[:, 0]
    return {
        "average_precision_pooled": _ratio(tp, tp + fp + fn),
        "average_precision_mean": weights @ single / n_images[:, None],
        "precision": _ratio(tp_half, tp_half + fp_half, fn_half),
        "recall": _ratio(tp_half, tp_half + fn_half, fp_half),
        "f1": _ratio(2 * tp_half, 2 * tp_half + fp_half + fn_half),
        "panoptic_quality": _ratio(weights @ [i.iou_sum for i in images], tp_half + 0.5 * (fp_half + fn_half)),
        "aggregated_jaccard_mean": weights @ [i.jaccard for i in images] / n_images,
    }


def _ratio(part: NDArray[Any], whole: NDArray[Any], others: NDArray[Any] | float = 0.0) -> NDArray[np.float64]:
    """``part / whole``; of nothing it is 1 when the other side has nothing either, else 0, as in `metrics`."""
    empty = np.where(np.asarray(others) == 0, 1.0, 0.0)
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), empty)


def _plain(values: NDArray[Any]) -> Any:
    return np.asarray(values).tolist()


def as_document(scores: Any) -> Any:
    """The same with numbers of so many decimals."""
    if isinstance(scores, dict):
        return {name: as_document(value) for name, value in scores.items()}
    if isinstance(scores, list):
        return [as_document(value) for value in scores]
    return round(scores, DECIMALS) if isinstance(scores, float) else scores


def as_table(scores: dict[str, Any]) -> str:
    """Lines for people to read."""
    at_half = scores["at_0.5"]
    rows = [
        f"{scores['images']} images, {scores['true_objects']} true and {scores['predicted_objects']} predicted objects",
        "",
        "average precision at IoU  " + "".join(f"{t:>8g}" for t in scores["thresholds"]),
        *_table_rows("all objects (pooled)", "average_precision_pooled", scores),
        *_table_rows("mean over images", "average_precision_mean", scores),
        "",
        f"at IoU 0.5: precision {at_half['precision']:.3f}, recall {at_half['recall']:.3f}, F1 {at_half['f1']:.3f}, "
        f"panoptic quality {at_half['panoptic_quality']:.3f}",
        f"aggregated Jaccard {scores['aggregated_jaccard_mean']:.3f} (mean over images); "
        f"{scores['splits']} splits, {scores['merges']} merges",
    ]
    return "\n".join(rows)


def _table_rows(title: str, name: str, scores: dict[str, Any]) -> list[str]:
    lines = [(f"  {title}", scores[name])]
    if scores["intervals"]:
        low, high = zip(*scores["intervals"][name], strict=True)
        lines += [(f"    {CONFIDENCE:.0%} interval from", low), ("                 to", high)]
    return [f"{start:26}" + "".join(f"{value:8.3f}" for value in values) for start, values in lines]
