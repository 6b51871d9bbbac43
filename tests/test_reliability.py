import numpy as np
import pandas
import pytest

from flowseg import metrics, plot


def row_of(n):
    """Objects 1..n, two pixels each, and background between them."""
    return np.kron(np.stack([np.arange(1, n + 1), np.zeros(n, int)], axis=1).reshape(1, -1), np.ones((2, 1), int))


def table(scores):
    return {"label": np.arange(1, len(scores) + 1), "score": np.array(scores, dtype=float)}


@pytest.fixture
def drawn():
    """Predicted objects of which each is real with the probability that its score says, in three images."""
    rng = np.random.default_rng(0)
    true, predicted, objects = [], [], []
    for n in (400, 0, 600):
        scores = rng.random(n)
        masks = row_of(n) if n else np.zeros((2, 4), int)
        real = np.concatenate([[False], rng.random(n) < scores])
        true.append(np.where(real[masks], masks, 0))
        predicted.append(masks)
        objects.append(table(scores))
    return true, predicted, objects


def test_counts_are_those_of_match(drawn):
    true, predicted, objects = drawn
    result = plot.reliability(true, predicted, objects, n_bins=7)
    pooled = metrics.pool([metrics.match(t, p) for t, p in zip(true, predicted)])
    assert result.matched.sum() == pooled.tp
    assert result.counts.sum() == pooled.tp + pooled.fp == 1000
    scores = np.concatenate([o["score"] for o in objects])
    assert np.array_equal(result.counts, np.histogram(scores, result.edges)[0])
    for k in range(7):
        inside = (scores >= result.edges[k]) & (scores < result.edges[k + 1])
        assert result.mean_scores[k] == pytest.approx(scores[inside].mean())


def test_a_good_score_is_on_the_diagonal_and_a_hopeful_one_below(drawn):
    true, predicted, objects = drawn
    good = plot.reliability(true, predicted, objects)
    assert good.expected_calibration_error < 0.05
    low, high = good.intervals
    assert np.all((low <= good.shares) & (good.shares <= high))
    assert np.mean((low <= good.mean_scores) & (good.mean_scores <= high)) >= 0.8
    hopeful = [o | {"score": np.sqrt(o["score"])} for o in objects]
    bad = plot.reliability(true, predicted, hopeful)
    assert bad.expected_calibration_error == pytest.approx(2 / 3 - 1 / 2, abs=0.03)  # E sqrt(u) - E u
    assert np.all(bad.intervals[1][3:9] < bad.mean_scores[3:9])


def test_objects_on_pixels_to_ignore_do_not_count():
    true, predicted = [np.array([[1, 1, 0, -1, -1]])], [np.array([[2, 2, 0, 1, 1]])]
    objects = [{"label": np.array([1, 2]), "score": np.array([0.3, 0.95])}]
    result = plot.reliability(true, predicted, objects)
    assert (result.counts.sum(), result.matched.sum()) == (1, 1)
    assert result.expected_calibration_error == pytest.approx(0.05)
    assert plot.reliability([np.maximum(true[0], 0)], predicted, objects).counts.sum() == 2
    with pytest.raises(ValueError, match="at least one object that is not on pixels to ignore; got none"):
        plot.reliability([np.full((1, 5), -1)], predicted, objects)


def test_intervals_are_wilsons():
    from scipy.stats import binomtest

    masks = row_of(30)
    real = np.concatenate([[0], np.arange(30) % 3 == 0, []]).astype(bool)
    scores = np.repeat([0.05, 0.5, 0.95], [1, 9, 20])
    result = plot.reliability([np.where(real[masks], masks, 0)], [masks], [table(scores)], n_bins=3)
    for k in range(3):
        expected = binomtest(int(result.matched[k]), int(result.counts[k])).proportion_ci(method="wilson")
        assert result.intervals[:, k] == pytest.approx([expected.low, expected.high], abs=1e-6)


def test_bounds_of_bins_and_empty_ones():
    masks = row_of(4)
    result = plot.reliability([masks], [masks], [table([0.0, 0.5, 0.7, 1.0])], n_bins=10)
    assert result.counts.tolist() == [1, 0, 0, 0, 0, 1, 0, 1, 0, 1]
    assert np.isnan(result.shares).tolist() == (result.counts == 0).tolist()
    assert np.isnan(result.mean_scores).tolist() == (result.counts == 0).tolist()
    assert np.isnan(result.intervals[:, result.counts == 0]).all()
    assert result.expected_calibration_error == pytest.approx((1.0 + 0.5 + 0.3 + 0.0) / 4)


def test_threshold_decides_what_matches():
    true, predicted = [np.array([[1, 1, 1, 0]])], [np.array([[0, 1, 1, 0]])]
    for threshold, matched in ((0.5, 1), (0.75, 0)):
        result = plot.reliability(true, predicted, [table([0.9])], threshold=threshold)
        assert result.matched.sum() == matched
        assert result.threshold == threshold


def test_tables_in_any_order_of_rows_and_as_data_frames():
    true, predicted = [np.array([[7, 0, 0, 0]])], [np.array([[5, 0, 9, 0]])]
    objects = [{"label": np.array([9, 5]), "score": np.array([0.2, 0.9])}]
    result = plot.reliability(true, predicted, objects, n_bins=2)
    assert result.matched.tolist() == [0, 1]
    again = plot.reliability(true, predicted, [pandas.DataFrame(objects[0])], n_bins=2)
    assert again.matched.tolist() == [0, 1]


ONE = np.array([[1, 0, 2]])


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (([ONE], [ONE], [table([0.1])]), ValueError, r"objects\[0\] must have one row per object of predicted\[0\].*got 1 rows for 2"),
        (([ONE], [ONE], [table([0.1, 0.2, 0.3])]), ValueError, "got 3 rows for 2 objects"),
        (([ONE], [ONE], [table([0.1, 1.2])]), ValueError, "objects must have scores from 0 to 1; got 0.1 to 1.2"),
        (([ONE], [ONE], [table([0.1, np.nan])]), ValueError, "got NaN for 1 of 2 objects: a segmenter learns them"),
        (([ONE], [ONE], [{"label": [1, 2]}]), TypeError, r"objects\[0\] must be a table with the columns label and score.*got dict with label"),
        (([ONE], [ONE], [3]), TypeError, "got int with no columns"),
        (([ONE], [ONE], []), ValueError, "objects must hold at least one table; got an empty list"),
        (([ONE], [ONE], [{"label": [1, 2], "score": ["a", "b"]}]), ValueError, r"objects\[0\] must have a score, a number, for every label"),
        (([ONE], [ONE], [{"label": [1, 2], "score": [0.5]}]), ValueError, r"scores of shape \(1,\)"),
        (([ONE * 0], [ONE * 0], [table([])]), ValueError, "objects must hold at least one object; got none"),
        (([ONE, ONE], [ONE], [table([0.1, 0.2])]), ValueError, "true and predicted must be lists of the same length"),
        (([ONE], [ONE], [table([0.1, 0.2])] * 2), ValueError, "objects and predicted must be lists of the same length"),
        ((ONE, [ONE], [table([0.1, 0.2])]), TypeError, "true must be a list of arrays; got one array"),
        (([ONE[:, :2]], [ONE], [table([0.1, 0.2])]), ValueError, "predicted must have the shape of true"),
        (([ONE], [ONE > 0], [table([0.1, 0.2])]), TypeError, r"predicted\[0\] must be an integer label image"),
    ],
)  # fmt: skip
def test_refuses(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        plot.reliability(*arguments)


@pytest.mark.parametrize(
    ("settings", "error"),
    [({"n_bins": 0}, ValueError), ({"n_bins": 2.5}, TypeError), ({"threshold": 0}, ValueError), ({"threshold": "a"}, TypeError)],
)  # fmt: skip
def test_refuses_settings(settings, error):
    with pytest.raises(error, match=next(iter(settings))):
        plot.reliability([ONE], [ONE], [table([0.1, 0.2])], **settings)
