"""Figures: what is drawn is read back from the rendered canvas, legends and lines."""

import doctest
import importlib
import subprocess
import sys

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from skimage.io import imread

from flowseg import FlowSegmenter, masks_to_flows, metrics, plot, synthetic
from flowseg._labels.overlaps import number_objects
from flowseg.plot._axes import find_edges
from flowseg.plot._show_comparison import COMPARISON_OPACITY, FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE
from flowseg.plot._show_image import MASK_OPACITY

# Canvas pixels per image pixel, and per line: lines then cover two pixels on each side of an edge.
SCALE, LINE = 12, 4
DPI = 72  # one point is one canvas pixel
INSIDE = np.s_[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]  # middles of image pixels
FIGURES = (
    plot.show_comparison,
    plot.show_flows,
    plot.show_history,
    plot.show_masks,
    plot.show_outlines,
    plot.show_projections,
    plot.show_quality,
    plot.show_reliability,
    plot.show_volume,
)


@pytest.fixture(autouse=True)
def _close():
    plt.close("all")  # what examples have left open
    yield
    plt.close("all")


def exact_axes(shape):
    """Axes that fill a canvas of SCALE x SCALE pixels per image pixel."""
    figure = plt.figure(figsize=(shape[1] * SCALE / DPI, shape[0] * SCALE / DPI), dpi=DPI)
    return figure.add_axes((0, 0, 1, 1))


def canvas(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)


def near_edges(labels, distance):
    """Canvas pixels within a distance of an edge between pixels of different labels, or of the border of an object."""
    from scipy.ndimage import binary_dilation

    padded = np.kron(np.pad(labels, 1), np.ones((SCALE, SCALE), int))
    corner = np.zeros(padded.shape, bool)
    corner[1:] |= padded[1:] != padded[:-1]
    corner[:, 1:] |= padded[:, 1:] != padded[:, :-1]
    corner[1:, 1:] |= padded[1:, 1:] != padded[:-1, :-1]
    # The first canvas pixel after an edge is marked: a line of 2 d pixels covers d before the edge and d from it on.
    wide = binary_dilation(corner, np.ones((2 * distance, 2 * distance)), origin=0) if distance else corner
    return wide[SCALE:-SCALE, SCALE:-SCALE]


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.fixture(scope="module")
def drawn():
    return synthetic.cells((40, 50), 8, diameter=12, rng=3)


def arguments(function, image, masks):
    """Something that each figure can be made of."""
    objects = {"label": np.unique(masks[masks > 0]), "score": np.linspace(0, 1, masks.max())}
    return {
        plot.show_comparison: (masks, masks),
        plot.show_flows: (masks_to_flows(masks),),
        plot.show_history: ({"loss": [2.0, 1.0]},),
        plot.show_masks: (masks,),
        plot.show_outlines: (image, masks),
        plot.show_projections: (np.stack([image, image]),),
        plot.show_quality: (objects,),
        plot.show_reliability: (plot.reliability([masks], [masks], [objects]),),
        plot.show_volume: (np.stack([image, image]), np.stack([masks, masks])),
    }[function]


@pytest.mark.parametrize("function", FIGURES)
def test_axes(drawn, function):
    """Given axes are drawn on and returned; new ones are made for None, each time."""
    values = arguments(function, *drawn)
    _, (left, right) = plt.subplots(1, 2)
    assert function(*values, ax=left) is left
    assert left.has_data()
    assert not right.has_data()
    assert len(plt.get_fignums()) == 1
    ax = function(*values)
    assert ax.figure is not left.figure
    assert len(plt.get_fignums()) == 2
    canvas(ax.figure)
    with pytest.raises(TypeError, match=r"ax must be matplotlib Axes or None \(a new figure\); got Figure"):
        function(*values, ax=ax.figure)


@pytest.mark.parametrize(
    "module",
    ["_pictures", "_reliability", "_show_comparison", "_show_history", "_show_image", "_show_scores", "_show_volume"],
)
def test_examples(module):
    result = doctest.testmod(importlib.import_module(f"flowseg.plot.{module}"))
    assert result.attempted >= 3
    assert result.failed == 0


def test_every_figure_is_tested():
    assert {f.__name__ for f in FIGURES} == {name for name in plot.__all__ if name.startswith("show_")}


def test_without_matplotlib():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import numpy as np; from flowseg import plot; masks = np.eye(3, dtype=int)\n"
        "plot.mask_colors(masks); plot.reliability([masks], [masks], [{'label': [1], 'score': [0.5]}])\n"
        "try: plot.show_masks(masks)\n"
        "except ImportError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "this needs the package matplotlib; install it with: pip install matplotlib"


def test_edges_are_between_pixels():
    labels = np.array([[0, 0, 0], [0, 1, 2], [0, 1, 2]])
    lines = {tuple(map(tuple, line)) for line in find_edges(labels).tolist()}
    assert lines == {
        ((0.5, 0.5), (0.5, 2.5)),  # left of 1, over both its rows
        ((1.5, 0.5), (1.5, 2.5)),  # between 1 and 2, once
        ((2.5, 0.5), (2.5, 2.5)),  # the border of the image
        ((0.5, 0.5), (2.5, 0.5)),  # above both
        ((0.5, 2.5), (2.5, 2.5)),
    }
    assert find_edges(np.zeros((2, 2), int)).shape == (0, 2, 2)


@pytest.mark.parametrize("seed", range(3))
def test_outlines_are_true_to_the_pixel(seed):
    image, masks = synthetic.cells((30, 34), 6, diameter=10, rng=seed)
    ax = plot.show_outlines(image, masks, color="#ff00ff", linewidth=LINE, ax=exact_axes(masks.shape))
    picture = canvas(ax.figure)
    magenta = (picture == (255, 0, 255)).all(axis=2)
    assert np.array_equal(magenta, near_edges(masks, LINE // 2))
    expected = plot.outlines(image, np.zeros_like(masks))
    assert np.array_equal(picture[INSIDE], expected)  # no pixel is hidden
    ax = plot.show_outlines(image, masks, ax=exact_axes(masks.shape))
    assert to_hex(ax.collections[0].get_edgecolor()[0]) == "#ffdc00"


def test_outlines_on_a_real_image(shared):
    folder = shared / "data" / "dsb2018" / "val"
    file = sorted((folder / "labels").glob("*.tif"))[0]
    masks, image = imread(file).astype(int)[:80, :90], imread(folder / "images" / f"{file.stem}.png")[:80, :90]
    ax = plot.show_outlines(image, masks, linewidth=LINE, ax=exact_axes(masks.shape))
    picture = canvas(ax.figure)
    line = near_edges(masks, LINE // 2)
    assert line.any()
    assert np.array_equal((picture == plot.OUTLINE_COLOR).all(axis=2) & line, line)
    assert np.array_equal(picture[INSIDE], plot.outlines(image, np.zeros_like(masks)))


def test_masks(drawn):
    image, masks = drawn
    picture = canvas(plot.show_masks(masks, ax=exact_axes(masks.shape)).figure)
    assert np.array_equal(picture, np.kron(plot.mask_colors(masks), np.ones((SCALE, SCALE, 1), int)))
    over = canvas(plot.show_masks(masks, image=image, ax=exact_axes(masks.shape)).figure)[INSIDE]
    gray = plot.outlines(image, np.zeros_like(masks)).astype(float)
    mixed = (1 - MASK_OPACITY) * gray + MASK_OPACITY * plot.mask_colors(masks)
    assert np.array_equal(over, np.where(masks[..., None] > 0, np.rint(mixed), gray))


def test_flows_and_their_key(drawn):
    _, masks = drawn
    flows = masks_to_flows(masks)
    ax = plot.show_flows(flows, masks=masks, linewidth=LINE, ax=exact_axes(masks.shape))
    picture = canvas(ax.figure)
    assert np.array_equal(picture[INSIDE], plot.flow_colors(flows))
    assert np.array_equal((picture == 255).all(axis=2), near_edges(masks, LINE // 2))

    ax = plot.show_flows(flows)
    picture = canvas(ax.figure)
    assert not ax.collections  # no outlines
    (key,) = ax.child_axes
    box = key.get_window_extent()
    assert box.x0 >= ax.get_window_extent().x1  # beside the flows, hiding none
    middle, radius = np.array([box.x0 + box.x1, box.y0 + box.y1]) / 2, 0.4 * box.width
    assert box.width > 30
    for row, column in ((0, 1), (1, 0), (0, -1), (-1, 0), (0.6, -0.8)):
        x, y = middle + radius * np.array([column, -row])
        seen = picture[picture.shape[0] - 1 - int(y), int(x)]
        assert np.abs(seen - plot.flow_colors(np.array([[[row]], [[column]]], float))[0, 0]).max() < 20
    corner = picture[picture.shape[0] - 1 - int(box.y0 + 2), int(box.x0 + 2)]
    assert corner.tolist() == [255, 255, 255]  # outside the wheel


def mix(below, color):
    return np.rint((1 - COMPARISON_OPACITY) * np.array(below) + COMPARISON_OPACITY * np.array(color))


def spoil(masks, seed=0):
    """A prediction with objects removed, added, shrunk, split and merged."""
    rng = np.random.default_rng(seed)
    predicted = masks.copy()
    kind = rng.integers(0, 5, masks.max() + 1)[masks] * (masks > 0)
    row, column = np.indices(masks.shape)
    predicted[(kind == 1) & (column % 2 == 0)] = 0
    predicted[kind == 2] = 0
    predicted[(kind == 3) & (column % 8 < 4)] += 10_000
    predicted[kind == 4] = (20_000 + 100 * (row // 20) + column // 20)[kind == 4]  # those near each other
    predicted[:3, :3] = 50_000
    return predicted


def say(n, one, several=None):
    return f"{n} {one if n == 1 else several or one + 's'}"


def check_comparison(true, predicted, threshold):
    result = metrics.match(true, predicted, threshold=threshold)
    counts = metrics.splits_merges(true, predicted)
    ax = plot.show_comparison(true, predicted, threshold=threshold, linewidth=LINE, ax=exact_axes(true.shape))
    expected = [say(result.tp, "true positive"), say(result.fn, "false negative"), say(result.fp, "false positive")]
    expected += [say(n, name) for n, name in ((counts.splits, "split"), (counts.merges, "merge")) if n]
    assert sorted(texts(ax)) == sorted(expected)
    title = f"IoU {threshold:g}, average precision {result.average_precision:.2f}"
    assert ax.get_legend().get_title().get_text() == title

    matched, found = np.isin(predicted, result.pairs[:, 1]), np.isin(true, result.pairs[:, 0])
    expected = np.zeros((*true.shape, 3))
    expected[(predicted > 0) & matched] = mix((0, 0, 0), TRUE_POSITIVE)
    expected[(predicted > 0) & ~matched] = mix((0, 0, 0), FALSE_POSITIVE)
    expected[(true > 0) & ~found & (predicted == 0)] = mix((0, 0, 0), FALSE_NEGATIVE)
    places = np.concatenate([line.get_xydata() for line in ax.lines]) if ax.lines else np.empty((0, 2))
    assert len(places) == counts.splits + counts.merges
    for line in ax.lines:
        line.set_visible(False)
    picture = canvas(ax.figure)
    assert np.array_equal(picture[INSIDE], expected)
    edges = {
        TRUE_POSITIVE: near_edges(np.where(matched, predicted, 0), LINE // 2),
        FALSE_POSITIVE: near_edges(np.where(matched, 0, predicted), LINE // 2),
        FALSE_NEGATIVE: near_edges(np.where(found, 0, true), LINE // 2),
    }
    assert np.array_equal((picture == FALSE_NEGATIVE).all(axis=2), edges[FALSE_NEGATIVE])  # drawn last, on top
    assert np.array_equal((picture == FALSE_POSITIVE).all(axis=2), edges[FALSE_POSITIVE] & ~edges[FALSE_NEGATIVE])
    assert np.array_equal(
        (picture == TRUE_POSITIVE).all(axis=2), edges[TRUE_POSITIVE] & ~edges[FALSE_NEGATIVE] & ~edges[FALSE_POSITIVE]
    )
    return result, counts


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_comparison(threshold):
    _, true = synthetic.cells((60, 70), 25, diameter=9, rng=4)
    result, counts = check_comparison(true, spoil(true), threshold)
    assert min(result.tp, result.fn, result.fp, *counts) > 0


def test_comparison_of_real_masks(shared):
    true = imread(sorted((shared / "data" / "dsb2018" / "val" / "labels").glob("*.tif"))[0]).astype(int)[:120, :120]
    _, true, _ = number_objects(true)
    result, _ = check_comparison(true.reshape(120, 120), spoil(true.reshape(120, 120)), 0.5)
    assert result.tp > 0
    assert result.fp > 0


def test_comparison_with_nothing_in_it():
    nothing, one = np.zeros((3, 4), int), np.eye(3, 4, dtype=int)
    assert texts(plot.show_comparison(nothing, nothing)) == [
        "0 true positives",
        "0 false negatives",
        "0 false positives",
    ]
    assert texts(plot.show_comparison(one, nothing)) == ["0 true positives", "1 false negative", "0 false positives"]
    assert texts(plot.show_comparison(nothing, one - 2 * (one == 0))) == [
        "0 true positives",
        "0 false negatives",
        "1 false positive",
    ]


def test_comparison_marks_splits_and_merges():
    true, predicted = np.zeros((2, 9, 21), int)
    true[1:8, 1:8], predicted[1:8, 1:4], predicted[1:8, 5:8] = 1, 5, 6
    true[1:8, 11:15], true[1:8, 16:20], predicted[1:8, 11:20] = 2, 3, 7
    ax = plot.show_comparison(true, predicted)
    assert texts(ax)[1] == "1 split"
    assert texts(ax)[3] == "1 merge"
    split, merge = ax.lines
    assert split.get_xydata().tolist() == [[4, 4]]
    assert merge.get_xydata().tolist() == [[15, 4]]
    assert np.array_equal(ax.get_xlim() + ax.get_ylim(), (-0.5, 20.5, 8.5, -0.5))


def test_comparison_over_an_image(drawn):
    image, masks = drawn
    picture = canvas(plot.show_comparison(masks, masks, image=image, ax=exact_axes(masks.shape)).figure)[INSIDE]
    gray = plot.outlines(image, np.zeros_like(masks))
    assert np.array_equal(picture, np.where(masks[..., None] > 0, mix(gray, TRUE_POSITIVE), gray))


def test_history():
    history = {"loss": [3.0, 2.0, 1.5, 1.0], "val_loss": [4.0, 2.5, 2.5, 3.0], "learning_rate": [1, 1, 1, 1]}
    ax = plot.show_history(history)
    training, validation, best = ax.lines
    assert training.get_xydata().tolist() == [[1, 3], [2, 2], [3, 1.5], [4, 1]]
    assert validation.get_ydata().tolist() == history["val_loss"]
    assert best.get_xydata().tolist() == [[2, 2.5]]  # the first of equals, as in fit
    assert texts(ax) == ["training", "validation", "lowest: 2.5, epoch 2"]
    ax = plot.show_history({"loss": [1.0], "val_loss": [np.nan]})
    assert texts(ax) == ["training", "validation"]  # none is the best of none
    ax = plot.show_history({"loss": [2.0, 1.0], "val_loss": [np.nan, 3.0]})
    assert texts(ax)[2] == "lowest: 3, epoch 2"


def test_history_of_a_training_further():
    history = {"loss": [1.0, 0.9], "val_loss": [0.8, 0.7], "val_loss_before": [0.5], "val_loss_after": [0.5]}
    ax = plot.show_history(history)
    assert ax.lines[-1].get_xydata().tolist() == [[0, 0.5]]
    assert texts(ax)[-1] == "kept: 0.5, the start"
    ax = plot.show_history(history | {"val_loss_before": [0.75], "val_loss_after": [0.7]})
    assert texts(ax)[-1] == "lowest: 0.7, epoch 2"


def test_history_of_a_training(fitted):
    for segmenter in fitted.values():
        ax = plot.show_history(segmenter.history_)
        assert len(ax.lines) == (3 if "val_loss" in segmenter.history_ else 1)
        assert ax.lines[0].get_ydata().tolist() == segmenter.history_["loss"]


def heights(ax):
    return [np.array([bar.get_height() for bar in bars]) for bars in ax.containers]


def test_quality():
    rng = np.random.default_rng(0)
    true, predicted, objects = [], [], []
    for k in range(3):
        _, masks = synthetic.cells((80, 80), 20, diameter=10, rng=k)
        true.append(masks)
        predicted.append(spoil(masks, k))
        labels = np.unique(predicted[-1])[1:]
        objects.append({"label": labels, "score": rng.random(labels.size)})
    scores = np.concatenate([o["score"] for o in objects])
    pooled = metrics.pool([metrics.match(t, p) for t, p in zip(true, predicted)])

    ax = plot.show_quality(objects, true=true, predicted=predicted, n_bins=5)
    assert texts(ax) == [f"{pooled.tp} match", f"{pooled.fp} do not"]
    matched, others = heights(ax)
    assert matched.sum() == pooled.tp
    assert others.sum() == pooled.fp
    assert np.array_equal(matched + others, np.histogram(scores, np.arange(6) / 5)[0])
    assert [bar.get_y() for bar in ax.containers[1]] == matched.tolist()  # stacked

    (alone,) = heights(plot.show_quality(objects, n_bins=5))
    assert np.array_equal(alone, matched + others)
    one = plot.show_quality(objects[0], true=true[0], predicted=predicted[0])
    result = metrics.match(true[0], predicted[0])
    assert [h.sum() for h in heights(one)] == [result.tp, result.fp]


def test_reliability(drawn):
    _, masks = drawn
    labels = np.arange(1, masks.max() + 1)
    objects = [{"label": labels, "score": np.linspace(0.05, 0.95, labels.size)}]
    true = np.where(masks > masks.max() // 2, masks, 0)
    result = plot.reliability([true], [masks], objects, n_bins=4)
    ax = plot.show_reliability(result)
    canvas(ax.figure)
    assert ax.containers[0][0].get_xydata().tolist() == np.stack([result.mean_scores, result.shares], axis=1).tolist()
    (bars,) = ax.containers[0][2]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()]).T
    assert ends == pytest.approx(result.intervals)
    (above,) = ax.child_axes
    assert [t.get_text() for t in above.get_xticklabels()] == [str(n) for n in result.counts]
    assert above.get_xticks().tolist() == [0.125, 0.375, 0.625, 0.875]
    assert ax.get_title() == f"expected calibration error {result.expected_calibration_error:.3f}"
    with_empty = plot.reliability([masks], [masks], [{"label": labels, "score": np.full(labels.size, 0.95)}])
    ax = plot.show_reliability(with_empty)
    assert ax.containers[0][0].get_xydata() == pytest.approx(np.array([[0.95, 1.0]]))


def test_scores_of_a_segmenter(pairs):
    """From predict_objects to the charts; scores that were never learned are refused in a sentence."""
    images, true = zip(*pairs[:3])
    found = FlowSegmenter.from_pretrained("nuclei").predict_objects(list(images))
    predicted, objects = (list(part) for part in zip(*found))
    pooled = metrics.pool([metrics.match(t, p) for t, p in zip(true, predicted)])
    assert pooled.tp > 10
    result = plot.reliability(list(true), predicted, objects)
    assert (result.matched.sum(), result.counts.sum()) == (pooled.tp, pooled.tp + pooled.fp)
    assert [h.sum() for h in heights(plot.show_quality(objects, true=true, predicted=predicted))] == [
        pooled.tp,
        pooled.fp,
    ]

    unlearned = {"label": np.array([1]), "score": np.array([np.nan])}
    with pytest.raises(ValueError, match="objects must have scores; got NaN for 1 of 1 objects"):
        plot.show_quality(unlearned)


MASKS = np.eye(3, dtype=int)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: plot.show_flows(np.zeros((3, 4, 4))), ValueError, r"flows must have shape \(2, rows, columns\) or \(3, planes"),
        (lambda: plot.show_flows(np.zeros((2, 4, 4)), masks=MASKS), ValueError, r"masks must have the shape of one component of flows, \(4, 4\); got \(3, 3\)"),
        (lambda: plot.show_outlines(np.eye(4), MASKS), ValueError, r"image must have the shape of masks, \(3, 3\)"),
        (lambda: plot.show_outlines(np.eye(3), MASKS > 0), TypeError, "masks must be an integer label image"),
        (lambda: plot.show_outlines(np.eye(3), MASKS, color="no such"), ValueError, "color must be a color that matplotlib knows.*got 'no such'"),
        (lambda: plot.show_outlines(np.eye(3), MASKS, linewidth=-1), ValueError, "linewidth must be a number of at least 0; got -1"),
        (lambda: plot.show_masks(np.ones((2, 2, 2, 2), int)), ValueError, "masks must be 2-D"),
        (lambda: plot.show_masks(MASKS, image=np.eye(2)), ValueError, "image must have the shape of masks"),
        (lambda: plot.show_comparison(MASKS, np.eye(4, dtype=int)), ValueError, "predicted must have the shape of true"),
        (lambda: plot.show_comparison(*np.ones((2, 2, 2, 2, 2), int)), ValueError, "true must be 2-D"),
        (lambda: plot.show_comparison(MASKS, MASKS, threshold=2), ValueError, "threshold must be a number above 0 and at most 1; got 2"),
        (lambda: plot.show_comparison(MASKS, MASKS, image=np.eye(4)), ValueError, "image must have the shape of masks"),
        (lambda: plot.show_history([1.0]), TypeError, "history must be a dict of losses, a segmenter's history_; got list"),
        (lambda: plot.show_history({}), ValueError, "history must have the key 'loss'; got an empty dict"),
        (lambda: plot.show_history({"los": [1]}), ValueError, "history must have the key 'loss'; got 'los'"),
        (lambda: plot.show_history({"loss": []}), ValueError, r"history must hold one loss per epoch, of one epoch at least; got 'loss' of shape \(0,\)"),
        (lambda: plot.show_history({"loss": [1, 2], "val_loss": [1]}), ValueError, r"got 'loss' of shape \(2,\) and 'val_loss' of shape \(1,\)"),
        (lambda: plot.show_history({"loss": ["a"]}), TypeError, r"history\['loss'\] must be a list of numbers"),
        (lambda: plot.show_quality({"label": [1], "score": [0.5]}, true=MASKS), ValueError, "true and predicted must be given both or neither"),
        (lambda: plot.show_quality({"label": [1]}), TypeError, r"objects\[0\] must be a table with the columns label and score"),
        (lambda: plot.show_quality({"label": [1, 2], "score": [0.5, 0.5]}, true=MASKS, predicted=MASKS), ValueError, "got 2 rows for 1 objects"),
        (lambda: plot.show_quality({"label": [1], "score": [0.5]}, n_bins=0), ValueError, "n_bins must be an integer of at least 1; got 0"),
        (lambda: plot.show_reliability({"a": 1}), TypeError, "result must be what reliability returns; got dict"),
    ],
)  # fmt: skip
def test_refuses(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
    assert not plt.get_fignums()  # no empty figure is left behind
