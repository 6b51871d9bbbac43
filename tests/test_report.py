"""Scores with intervals, and the page that shows them."""

import base64
import gc
import json
import re
import weakref
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from flowseg import metrics, synthetic
from flowseg._labels.overlaps import find_overlaps
from flowseg._labels.polygons import fill
from flowseg._report import image_picture
from flowseg._report.bootstrap import bootstrap
from flowseg._report.html_page import FOLDER, SCRIPTS, Compared, read_part, write_page
from flowseg._report.image_picture import find_factor, make_picture
from flowseg._report.object_outlines import describe_objects
from flowseg._report.score_table import as_document, as_table
from flowseg._report.scores import IOU_THRESHOLDS, TABLE_THRESHOLDS, curve, score_image, summarize
from flowseg._system.printable import shown


def damage(masks, seed):
    """A prediction: objects moved, removed, added, cut and joined."""
    rng = np.random.default_rng(seed)
    found = np.roll(masks, tuple(rng.integers(-2, 3, 2)), (0, 1))
    labels = rng.permutation(np.unique(found[found > 0]))
    found[found == labels[0]] = 0
    found[found == labels[1]] = labels[2]
    rows, columns = np.nonzero(found == labels[3])
    half = columns < np.median(columns)
    found[rows[half], columns[half]] = found.max() + 1
    found[:4, :4] = found.max() + 7
    return found


@pytest.fixture(scope="module")
def masks():
    """Pairs of masks, two of them without objects."""
    drawn = [synthetic.cells((96, 80), 14, rng=seed)[1] for seed in range(7)]
    empty = np.zeros((20, 30), dtype=np.int32)
    return [(m, damage(m, k)) for k, m in enumerate(drawn)] + [(empty, empty), (empty, empty + 1)]


@pytest.fixture(scope="module")
def scores(masks):
    return [score_image(f"image {k}", find_overlaps(a, b)) for k, (a, b) in enumerate(masks)]


def test_summary_agrees_with_metrics(masks, scores):
    true, predicted = zip(*masks)
    said = summarize(scores)
    pooled = metrics.pool([metrics.match(a, b) for a, b in masks])
    assert said["images"] == 9
    assert (said["true_objects"], said["predicted_objects"]) == (pooled.tp + pooled.fn, pooled.tp + pooled.fp)
    assert said["thresholds"] == list(TABLE_THRESHOLDS)
    expected = metrics.average_precision(true, predicted, thresholds=TABLE_THRESHOLDS)
    assert said["average_precision_pooled"] == pytest.approx(expected, abs=1e-12)
    single = metrics.average_precision_per_image(true, predicted, thresholds=TABLE_THRESHOLDS)
    assert said["average_precision_mean"] == pytest.approx(single.mean(axis=0), abs=1e-12)
    for name in ("precision", "recall", "f1", "panoptic_quality"):
        assert said["at_0.5"][name] == pytest.approx(getattr(pooled, name), abs=1e-12)
    jaccard = [metrics.aggregated_jaccard(a, b) for a, b in masks]
    assert said["aggregated_jaccard_mean"] == pytest.approx(np.mean(jaccard), abs=1e-12)
    errors = [metrics.splits_merges(a, b) for a, b in masks]
    assert (said["splits"], said["merges"]) == (sum(e.splits for e in errors), sum(e.merges for e in errors))
    assert said["splits"] > 0
    assert said["merges"] > 0


def test_rows_agree_with_metrics_of_each_image(masks, scores):
    for row, (a, b) in zip(summarize(scores)["per_image"], masks, strict=True):
        match, errors = metrics.match(a, b), metrics.splits_merges(a, b)
        assert (row["tp"], row["fp"], row["fn"]) == (match.tp, match.fp, match.fn)
        assert (row["splits"], row["merges"]) == errors
        for name in ("precision", "recall", "f1", "panoptic_quality"):
            assert row[name] == pytest.approx(getattr(match, name), abs=1e-12)
        expected = metrics.average_precision([a], [b], thresholds=TABLE_THRESHOLDS)
        assert row["average_precision"] == pytest.approx(expected, abs=1e-12)
        assert row["aggregated_jaccard"] == pytest.approx(metrics.aggregated_jaccard(a, b), abs=1e-12)


def test_intervals_hold_the_values_and_are_the_same_every_time(scores):
    said = summarize(scores)
    intervals = said["intervals"]
    assert intervals == summarize(scores)["intervals"]
    assert json.loads(json.dumps(said)) == said
    pairs = [*zip(said["average_precision_pooled"], intervals["average_precision_pooled"])]
    pairs += [*zip(said["average_precision_mean"], intervals["average_precision_mean"])]
    pairs += [(said["at_0.5"][name], intervals["at_0.5"][name]) for name in intervals["at_0.5"]]
    pairs += [(said["aggregated_jaccard_mean"], intervals["aggregated_jaccard_mean"])]
    assert len(pairs) == 17
    for value, (low, high) in pairs:
        assert 0 <= low < value < high <= 1
    table = as_table(said)
    assert "95% interval from" in table
    assert f"{intervals['average_precision_pooled'][0][0]:.3f}" in table
    said["average_precision_pooled"][0] = 1806 / 2242  # 0.80553...: of 0.8055 it would become 0.805
    assert "  all objects (pooled)       0.806" in as_table(said)
    assert as_document(said)["average_precision_pooled"][0] == 0.8055


def test_intervals_of_one_image_are_not_made_up(scores):
    said = summarize(scores[:1])
    assert said["intervals"] is None
    assert curve(scores[:1])["intervals"] is None
    assert "interval" not in as_table(said)
    same = summarize([scores[0]] * 5)  # five images that are alike: nothing varies
    assert all(low == high for low, high in same["intervals"]["average_precision_pooled"])


def test_bootstrap_of_a_mean_is_as_wide_as_in_theory():
    values = np.random.default_rng(1).normal(0.5, 0.1, 200)
    found = bootstrap(lambda weights: {"mean": weights @ values / weights.sum(axis=1)}, values.size)
    low, high = found["mean"]
    error = values.std() / np.sqrt(values.size)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def draw_rings(rings, shape):
    """Pixels inside rings as the page has them."""
    corners = []
    for column, row, *moves in rings:
        ring = [(row, column)]
        for k, move in enumerate(moves):
            column, row = (column + move, row) if k % 2 == 0 else (column, row + move)
            ring.append((row, column))
        assert ring[-1] == ring[0]
        corners.append(np.array(ring[:-1], dtype=float))
    return fill(corners, shape)


def test_outlines_hold_exactly_the_objects(masks):
    ring = np.zeros((9, 9), dtype=int)
    ring[1:8, 1:8] = 3
    ring[3:5, 3:6] = 0
    ring[8, 8] = 3  # touches at a corner
    for true, predicted in [*masks, (ring, ring[::-1])]:
        said = describe_objects(true, predicted, find_overlaps(true, predicted))
        assert (said["rows"], said["columns"]) == true.shape
        for name, labels in (("true", true), ("predicted", predicted)):
            assert said[name]["label"] == [label for label in np.unique(labels).tolist() if label > 0]
            for label, rings in zip(said[name]["label"], said[name]["rings"], strict=True):
                assert np.array_equal(draw_rings(rings, labels.shape), labels == label)


def test_errors_of_objects_are_what_metrics_counts(masks):
    for true, predicted in masks:
        said = describe_objects(true, predicted, find_overlaps(true, predicted))
        splits, merges = metrics.splits_merges(true, predicted)
        assert sum(n > 1 for n in said["true"]["parts"]) == splits
        assert sum(n > 1 for n in said["predicted"]["parts"]) == merges
        for threshold in IOU_THRESHOLDS:
            match = metrics.match(true, predicted, threshold=threshold)
            assert sum(iou >= threshold for iou in said["true"]["iou"]) == match.tp
            assert sum(iou < threshold for iou in said["predicted"]["iou"]) == match.fp


def test_objects_of_a_split_and_a_merge():
    true = np.array([[1, 1, 1, 1, 0, 2, 2, 3, 3, 0, 4]])
    predicted = np.array([[5, 5, 6, 6, 0, 7, 7, 7, 7, 8, 0]])
    said = describe_objects(true, predicted, find_overlaps(true, predicted))
    assert said["true"]["parts"] == [2, 1, 1, 0]
    assert said["true"]["shared"] == [0, 1, 1, 0]  # 2 and 3 are in a merge, 4 is a false negative
    assert said["predicted"]["parts"] == [1, 1, 2, 0]
    assert said["predicted"]["shared"] == [1, 1, 0, 0]  # 5 and 6 are parts of a split, 8 is a false positive


def decode(picture):
    kind, data = picture.uri.split(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(BytesIO(base64.b64decode(data))))


def test_pictures_keep_every_pixel():
    image = np.arange(0, 12 * 4000, 4000, dtype=np.uint16).reshape(3, 4)
    picture = make_picture(image, 1)
    gray = decode(picture)[..., 0]
    assert (picture.factor, picture.note) == (1, "")
    assert np.all(np.diff(gray.ravel().astype(int)) > 0)
    assert (gray.min(), gray.max()) == (0, 255)
    color = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert np.abs(decode(make_picture(color, 1)).astype(int) - color).max() < 8
    assert decode(make_picture(np.full((5, 6), 7.5), 1)).max() == 0


def test_channels_that_are_no_colors():
    image = np.stack([np.eye(8), 1 - np.eye(8)], axis=-1)
    picture = make_picture(image, 1)
    assert picture.note == "channel 1 of 2"
    assert np.array_equal(decode(picture)[..., 0] > 128, np.eye(8) > 0)


def test_large_images_are_reduced_with_a_note(monkeypatch):
    monkeypatch.setattr(image_picture, "IMAGE_PIXELS", 30)
    image = np.kron(np.arange(24).reshape(4, 6), np.ones((3, 3)))
    picture = make_picture(image, 1)
    assert picture.factor == 3
    assert "1/3 of its resolution" in picture.note
    assert decode(picture).shape == (4, 6, 3)
    monkeypatch.setattr(image_picture, "PAGE_PIXELS", 240)
    assert decode(make_picture(image, 20)).shape == (3, 4, 3)  # 12 pixels each


@pytest.mark.parametrize(
    ("shape", "limit", "factor"),
    [((10, 10), 100, 1), ((10, 10), 99, 2), ((1, 40000), 1 << 20, 3), ((3000, 5000), 1 << 22, 2), ((1, 1), 1, 1)],
)
def test_find_factor(shape, limit, factor):
    assert find_factor(shape, limit) == factor


def test_all_parts_are_used():
    used = {"page.html", "style.css", *SCRIPTS, "answer.html", "answer.css", "comparison.css", "curve.css"}
    assert {file.name for file in FOLDER.iterdir()} == used
    marks = re.findall(r"\{\{(\w+)\}\}", read_part("page.html"))
    assert sorted(marks) == ["data", "images", "policy", "script", "style"]


def compare(name, true, predicted, image):
    overlaps = find_overlaps(true, predicted)
    return Compared(score_image(name, overlaps), true, predicted, overlaps, image)


class Page(HTMLParser):
    """The tags of a page, and what its scripts hold."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append([dict(attrs), ""])

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1][1] += data


EVIL = ["</script><script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "<!--", "{{script}}", "Zelle ä\udcff"]


def test_names_cannot_become_markup(tmp_path, masks):
    path = tmp_path / "report.html"
    image = np.random.default_rng(0).random((96, 80))
    compared = [compare(name, *masks[k], image) for k, name in enumerate(EVIL)]
    write_page(path, iter(compared), len(compared), EVIL[0])
    page = Page(path.read_text(encoding="utf-8"))
    runs = [attributes for attributes, _ in page.scripts if not attributes.get("type")]
    assert len(runs) == 1
    assert [tag for tag, _ in page.tags if tag == "img"] == []
    texts = {attributes["id"]: text for attributes, text in page.scripts if "id" in attributes}
    data = json.loads(texts["data"])
    assert [row["name"] for row in data["scores"]["per_image"]] == [shown(name) for name in EVIL]
    assert data["title"] == shown(EVIL[0])
    assert len(texts) == 1 + 2 * len(EVIL)


def test_the_page_asks_for_nothing(tmp_path, masks):
    path = tmp_path / "report.html"
    write_page(path, [compare("a", *masks[0], None)], 1, "title")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not [value for _, attributes in page.tags for name, value in attributes.items() if name == "src"]
    assert [a["href"] for tag, a in page.tags if tag == "link"] == ["data:,"]
    assert "picture-0" not in {a.get("id") for _, a in page.tags}
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "{{" not in text


def test_written_atomically(tmp_path, masks):
    path = tmp_path / "report.html"
    path.write_text("the one before")

    def broken():
        yield compare("a", *masks[0], None)
        raise ValueError("the second file is damaged")

    with pytest.raises(ValueError, match="the second file is damaged"):
        write_page(path, broken(), 2, "title")
    assert path.read_text() == "the one before"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_one_image_at_a_time(tmp_path, masks):
    images, most = [], []

    class Counted(np.ndarray):
        pass

    def stream():
        for k in range(6):
            true, predicted = masks[k]
            image = np.random.default_rng(k).random(true.shape).view(Counted)
            images.append(weakref.ref(image))
            gc.collect()
            most.append(sum(one() is not None for one in images))
            one = compare(f"{k}", true, predicted, image)
            del image
            yield one
            del one

    assert len(write_page(tmp_path / "report.html", stream(), 6, "title")) == 6
    assert max(most) <= 2
