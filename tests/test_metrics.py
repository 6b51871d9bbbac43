import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from flowseg import metrics

masks_pairs = st.tuples(
    hnp.arrays(np.int16, (7, 8), elements=st.integers(-1, 4)), hnp.arrays(np.int64, (7, 8), elements=st.integers(0, 4))
)


def plain_without_ignored(true, predicted):
    """Predicted masks without what lies on pixels to ignore, and without objects mostly there."""
    judged = predicted.copy()
    for k in np.unique(predicted[predicted > 0]):
        here = predicted == k
        if np.mean(true[here] < 0) > 0.5:
            judged[here] = 0
    judged[true < 0] = 0
    return judged


def plain_iou(true, predicted):
    predicted = plain_without_ignored(true, predicted)
    a, b = (np.unique(m[m > 0]) for m in (true, predicted))
    return np.array(
        [[np.sum((true == i) & (predicted == j)) / np.sum((true == i) | (predicted == j)) for j in b] for i in a]
    ).reshape(len(a), len(b))


@settings(max_examples=200, deadline=None)
@given(masks_pairs, st.sampled_from([0.1, 0.3, 0.5, 0.75, 1.0]))
def test_match_agrees_with_plain_assignment(pair, threshold):
    iou = plain_iou(*pair)
    hits = iou >= threshold
    rows, columns = linear_sum_assignment(hits + iou / 100, maximize=True)
    tp = int(hits[rows, columns].sum())
    found = metrics.match(*pair, threshold=threshold)
    assert (found.tp, found.fp, found.fn) == (tp, iou.shape[1] - tp, iou.shape[0] - tp)
    assert len(found.pairs) == len(found.pair_iou) == tp
    assert np.all(found.pair_iou >= threshold)
    assert found.iou == pytest.approx(iou.max(axis=1, initial=0))
    assert 0 <= found.panoptic_quality <= 1
    assert len(np.unique(found.pairs[:, 0])) == len(np.unique(found.pairs[:, 1])) == tp


@settings(max_examples=100, deadline=None)
@given(masks_pairs)
def test_aggregated_jaccard_agrees_with_plain_loop(pair):
    true, predicted = pair[0], plain_without_ignored(*pair)
    iou, used, inside, union = plain_iou(*pair), set(), 0, 0
    labels = np.unique(predicted[predicted > 0])
    for k, i in enumerate(np.unique(true[true > 0])):
        if not iou.size or iou[k].max() == 0:
            union += np.sum(true == i)
            continue
        j = labels[np.argmax(iou[k])]
        used.add(j)
        inside += np.sum((true == i) & (predicted == j))
        union += np.sum((true == i) | (predicted == j))
    union += sum(np.sum(predicted == j) for j in labels if j not in used)
    expected = inside / union if union else 1.0
    assert metrics.aggregated_jaccard(*pair) == pytest.approx(expected)


def test_scores():
    true = np.array([[1, 1, 1, 1, 0, 2, 2, 0, 3]])
    predicted = np.array([[4, 4, 4, 0, 0, 9, 9, 7, 0]])
    found = metrics.match(true, predicted)
    assert (found.tp, found.fp, found.fn) == (2, 1, 1)
    assert found.pairs.tolist() == [[1, 4], [2, 9]]
    assert found.iou.tolist() == [0.75, 1.0, 0.0]
    assert found.precision == found.recall == found.f1 == pytest.approx(2 / 3)
    assert found.average_precision == 0.5
    assert found.panoptic_quality == pytest.approx(1.75 / 3)


def test_the_values_of_labels_have_no_effect():
    rng = np.random.default_rng(0)
    true = np.kron(rng.integers(0, 5, (6, 6)), np.ones((4, 4), int))
    new = np.array([0, 2**40, 17, 3, 2**33])
    assert metrics.match(true, new[true]).tp == metrics.match(true, true).tp == len(np.unique(true)) - 1
    assert metrics.aggregated_jaccard(true, new[true]) == 1


def test_pairs_of_huge_labels():
    true = np.array([[2**53 + 1, 0, 2**53 + 3]], dtype=np.uint64)
    found = metrics.match(true, np.array([[1, 0, 2]], np.int32))
    assert found.pairs.tolist() == [[2**53 + 1, 1], [2**53 + 3, 2]]
    with pytest.raises(ValueError, match=r"true must have labels below 2\*\*63"):
        metrics.match(true + np.uint64(2**63), true)


def test_a_real_label_image_with_gaps_equals_itself(shared):
    # The three-class baseline's own evaluation gives F1 = 0.81 here: it needs consecutive numbers.
    import tifffile

    (file,) = (shared / "data" / "stardist_examples" / "labels").glob("*nuclei2d*")
    masks = tifffile.imread(file)
    found = metrics.match(masks, masks, threshold=1.0)
    assert (found.tp, found.fp, found.fn) == (125, 0, 0)


def test_ignored_pixels():
    true = np.array([[1, 1, 1, -1, -1, -1, 0, 0]])
    found = np.array([[1, 1, 1, 1, 2, 2, 2, 0]])  # 1 reaches onto them, 2 lies there mostly
    assert metrics.match(true, found, threshold=1.0).average_precision == 1.0
    assert metrics.average_precision([true], [found]).tolist() == [1.0] * 3
    assert metrics.aggregated_jaccard(true, found) == 1.0
    assert metrics.splits_merges(np.array([[1, 1, -1, 2]]), np.array([[1, 1, 1, 1]])) == (0, 1)
    assert metrics.splits_merges(np.array([[1, 1, -1, -1]]), np.array([[1, 3, 3, 3]])) == (0, 0)
    half = metrics.match(np.array([[-1, 0]]), np.array([[7, 7]]))
    assert (half.tp, half.fp, half.fn) == (0, 1, 0)
    assert metrics.match(np.maximum(true, 0), found, threshold=1.0).fp == 2


def test_empty_cases():
    nothing, something = np.zeros((3, 3), int), np.eye(3, dtype=int)
    both = metrics.match(nothing, nothing)
    for name in ("precision", "recall", "f1", "average_precision", "panoptic_quality"):
        assert getattr(both, name) == 1
        for pair in ((nothing, something), (something, nothing)):
            assert getattr(metrics.match(*pair), name) == 0
    assert metrics.aggregated_jaccard(nothing, nothing) == 1
    assert metrics.aggregated_jaccard(nothing, something) == metrics.aggregated_jaccard(something, nothing) == 0
    assert metrics.average_precision([nothing], [nothing]).tolist() == [1, 1, 1]
    assert metrics.average_precision_per_image([nothing, something], [nothing, nothing])[:, 0].tolist() == [1, 0]


def test_pooled_and_per_image():
    true = [np.array([[1, 0, 2, 0, 3]]), np.array([[1, 0]])]
    predicted = [np.array([[1, 0, 0, 0, 0]]), np.array([[1, 0]])]
    assert metrics.average_precision(true, predicted, thresholds=[0.5]) == pytest.approx([0.5])
    assert metrics.average_precision_per_image(true, predicted, thresholds=[0.5]) == pytest.approx(
        np.array([[1 / 3], [1]])
    )


def test_matches_can_be_compared_and_pooled():
    labels = [[1, 0], [0, 1]]
    one = metrics.match(labels, labels)
    assert one == one
    assert len({one, metrics.match(labels, labels)}) == 2
    assert metrics.pool(metrics.match(labels, labels) for _ in range(3)).tp == 3
    assert np.array_equal(metrics.average_precision([np.ma.masked_equal(labels, 9)], [labels]), [1, 1, 1])


def test_splits_and_merges():
    true = np.array([[1] * 10 + [0] + [2] * 5 + [3] * 5])
    predicted = np.array([[1] * 5 + [2] * 5 + [0] + [3] * 10])
    assert metrics.splits_merges(true, predicted) == (1, 1)
    assert metrics.splits_merges(true, predicted, overlap=0.5) == (0, 0)
    assert metrics.splits_merges(true * 0, predicted) == (0, 0)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda m: metrics.match(m, m[:, :2]), ValueError, r"predicted must have the shape of true, \(3, 3\)"),
        (lambda m: metrics.match(m, m > 0), TypeError, "predicted must be an integer label image"),
        (
            lambda m: metrics.match(m, m, threshold=0),
            ValueError,
            "threshold must be a number above 0 and at most 1; got 0",
        ),
        (lambda m: metrics.match(m, m, threshold=1.5), ValueError, "got 1.5"),
        (lambda m: metrics.average_precision([m], [m, m]), ValueError, "got 1 true and 2 predicted"),
        (lambda m: metrics.average_precision(m, m), TypeError, "true must be a list of arrays; got one array"),
        (lambda m: metrics.average_precision([m], [m], thresholds=0.5), TypeError, "thresholds must be a sequence"),
        (lambda m: metrics.match([[1, 2], [3]], m), ValueError, "true must be an array; got rows of different lengths"),
        (lambda m: metrics.pool([]), ValueError, "matches must be at least one"),
        (lambda m: metrics.pool(metrics.match(m, m)), TypeError, "matches must be several of what match returns"),
        (lambda m: metrics.pool([1, 2]), TypeError, r"matches must be several of what match returns; got \[1, 2\]"),
        (
            lambda m: metrics.average_precision([m, m], [m, m[:1]]),
            ValueError,
            r"predicted\[1\] must have the shape of true",
        ),
        (
            lambda m: metrics.match(np.ma.masked_equal(m, 1), m),
            ValueError,
            "true must have a value everywhere .* 3 values",
        ),
        (lambda m: metrics.splits_merges(m, m, overlap=2), ValueError, "overlap must be a number"),
    ],
)
def test_refuses(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(np.eye(3, dtype=int))


def chains(n, length):
    """Objects side by side, and the same shifted: every one overlaps with two."""
    true = np.kron(np.arange(1, n * n + 1).reshape(n, n), np.ones((length, length), int))
    return true, np.roll(true, length // 3, axis=1)


def test_groups_agree_with_one_table(monkeypatch):
    rng = np.random.default_rng(0)
    for k in range(120):
        shape = tuple(rng.integers(1, 12, 2))
        true = rng.integers(0, rng.integers(1, 15), shape)
        predicted = np.where(rng.random(shape) < 0.6, true, rng.integers(0, 15, shape))
        threshold = rng.choice([0.01, 0.05, 0.1, 0.2, 0.5])
        iou = plain_iou(true, predicted)
        gain = np.where(iou >= threshold, 1 + iou / 100, 0)
        chosen = gain[linear_sum_assignment(gain, maximize=True)]
        monkeypatch.setattr("flowseg._labels.overlaps.MAX_DENSE_CELLS", 0 if k % 2 else 1 << 20)
        found = metrics.match(true, predicted, threshold=threshold)
        assert found.tp == np.count_nonzero(chosen)
        assert found.pair_iou.sum() == pytest.approx(100 * (chosen.sum() - found.tp), abs=1e-9)


def test_matching_needs_memory_for_the_overlaps_only():
    true, predicted = chains(100, 6)
    for shift, threshold in ((0, 0.1), (2, 0.02)):  # rows of the grid are groups; all of it is one
        tracemalloc.start()
        assert metrics.match(true, np.roll(predicted, shift, axis=0), threshold=threshold).tp == 10000
        assert tracemalloc.get_traced_memory()[1] < 100e6  # a table of all pairs has 800 MB
        tracemalloc.stop()


@pytest.mark.parametrize("parts", range(1, 20))
def test_rounding_has_no_effect_at_a_threshold(parts):
    """An IoU of k / 20 counts at each threshold up to k / 20, however that was made, and at none above."""
    true, predicted = np.zeros((2, 1, 40), int)
    true[0, : 10 + parts // 2], predicted[0, 10 + parts // 2 - parts : 20] = 1, 1
    for thresholds in (
        np.arange(0.05, 1, 0.05),
        np.linspace(0.05, 0.95, 19),
        np.cumsum([0.05] * 19),
        np.arange(1, 20) / 20,
    ):
        found = metrics.average_precision([true], [predicted], thresholds=thresholds)
        assert found.tolist() == [1.0] * parts + [0.0] * (19 - parts)
    assert metrics.match(true, predicted, threshold=parts / 20 + 1e-9).tp == 0


def test_a_partner_has_more_than_the_given_overlap():
    true = np.array([[1] * 10])
    predicted = np.array([[1] * 3 + [2] * 3 + [0] * 4])
    assert metrics.splits_merges(true, predicted, overlap=0.1 + 0.1 + 0.1).splits == 0  # 0.30000000000000004
    assert metrics.splits_merges(true, predicted, overlap=1 - 0.7).splits == 0
    assert metrics.splits_merges(true, predicted, overlap=0.29).splits == 1


class TestDefaults:
    TRUE = np.repeat([[1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0]], 2, axis=0)
    FOUND = np.repeat([[1, 1, 1, 0, 0, 2, 2, 2, 2, 0, 0]], 2, axis=0)  # IoU 0.6 and 0.8

    def test_average_precision_at_half_three_quarters_and_nine_tenths(self):
        expected = [1, 1 / 3, 0]
        assert metrics.average_precision([self.TRUE], [self.FOUND]) == pytest.approx(expected)
        assert metrics.average_precision_per_image([self.TRUE], [self.FOUND])[0] == pytest.approx(expected)

    def test_half_for_a_match(self):
        assert metrics.match(self.TRUE, self.FOUND).tp == 2
        assert metrics.match(self.TRUE, self.FOUND).threshold == 0.5

    @pytest.mark.parametrize(("n", "splits"), [(1, 0), (2, 1)])
    def test_a_tenth_for_a_partner(self, n, splits):
        true, found = np.ones((1, 16), int), np.ones((1, 16), int)
        found[0, :n] = 2  # IoU 1/16 or 1/8 with the true one
        assert metrics.splits_merges(true, found) == (splits, 0)
        assert metrics.splits_merges(found, true) == (0, splits)

    def test_an_overlap_beyond_one(self):
        metrics.splits_merges(self.TRUE, self.FOUND, overlap=1.0)
        with pytest.raises(ValueError, match="overlap must be a number of at least 0 and at most 1; got 1.2"):
            metrics.splits_merges(self.TRUE, self.FOUND, overlap=1.2)

    def test_a_single_match_is_pooled(self):
        one = metrics.match(self.TRUE, self.FOUND, threshold=0.7)
        pooled = metrics.pool([one])
        assert (pooled.tp, pooled.fp, pooled.fn, pooled.threshold) == (1, 1, 1, 0.7)
