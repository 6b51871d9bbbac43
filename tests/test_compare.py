"""`flowseg.compare`: folds, results, intervals, resuming, the page, and bad input."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.ndimage import label
from sklearn.base import clone
from sklearn.model_selection import GroupKFold

import flowseg
from flowseg import BoundarySegmenter, FlowSegmenter, metrics, synthetic
from flowseg._compare.adjacent_tiles import find_adjacent
from flowseg._compare.candidates import AS_IS, FURTHER, TRAINED, as_candidates
from flowseg._compare.compare import make_plan
from flowseg._compare.differences import Difference, Estimates, estimate
from flowseg._compare.expected_time import measure_fold
from flowseg._compare.sentence import answer, remarks
from flowseg._report.bootstrap import RESAMPLES, SEED

SMALL = {"filters": (8,), "crop_size": 32, "batch_size": 1, "epochs": 1, "steps_per_epoch": 2, "random_state": 0}


class Threshold(FlowSegmenter):
    """A segmenter without a network: objects are what is above `diameter` percent of the intensities."""

    n_fits = 0
    stop_at = None  # fit that is interrupted

    def fit(self, images, masks, *, callbacks=()):
        Threshold.n_fits += 1
        if Threshold.n_fits == Threshold.stop_at:
            raise KeyboardInterrupt
        assert len(images) == len(masks)
        return self

    def predict(self, images):
        return [label(x[..., 0] > np.percentile(x, self.diameter))[0].astype(np.int32) for x in images]


@pytest.fixture
def thresholds():
    Threshold.n_fits, Threshold.stop_at = 0, None
    return {"low": Threshold(diameter=60.0), "high": Threshold(diameter=85.0)}


@pytest.fixture(scope="module")
def data():
    """Twelve images, two of each field."""
    images, masks = zip(*[synthetic.cells((64, 64), 6, rng=seed) for seed in range(12)])
    return list(images), list(masks), [f"field {k // 2}" for k in range(12)]


def test_the_result_is_that_of_cross_validation_by_hand(data):
    images, masks, groups = (part[:4] for part in data)
    segmenter = FlowSegmenter(**SMALL)
    result = flowseg.compare({"flows": segmenter}, images, masks, groups=groups, cv=2)
    train, test = next(GroupKFold(2).split(images, groups=groups))
    fitted = clone(segmenter).fit([images[i] for i in train], [masks[i] for i in train])
    found = [result.images_and_masks(i, ["flows"])[2][1] for i in range(4)]
    for i, labels in zip(test, fitted.predict([images[i] for i in test]), strict=True):
        assert np.array_equal(found[i], labels)
    assert np.array_equal(result.summary[0].precision, metrics.average_precision(masks, found))
    per_image = metrics.average_precision_per_image(masks, found)
    assert np.array_equal(np.transpose([result.per_image[f"ap_{t}"] for t in (0.5, 0.75, 0.9)]), per_image)
    assert result.summary[0].training_seconds > 0
    assert not segmenter.__sklearn_is_fitted__()


def test_folds_never_share_a_group_and_test_every_image_once(data, thresholds):
    images, masks, groups = data
    plan = make_plan(thresholds, images, masks, groups, 3, None)
    assert sorted(np.concatenate(plan.folds)) == list(range(12))
    for fold, test in enumerate(plan.folds):
        trained = {id(plan.images[i].base) for i in plan.train_set(fold)}
        tested = {groups[i] for i in test}
        assert len(trained) == 12 - len(test)
        assert tested.isdisjoint({groups[i] for i in range(12) if id(plan.images[i].base) in trained})


def test_the_table_has_every_image_and_segmenter(data, thresholds):
    images, masks, groups = data
    result = flowseg.compare(thresholds, images, masks, groups=groups, cv=3)
    table = result.per_image
    assert {len(column) for column in table.values()} == {24}
    assert [one.name for one in result.summary] == [result.pairs[0].first, result.pairs[0].second]
    first = [value for name, value in zip(table["segmenter"], table["ap_0.5"], strict=True) if name == "low"]
    second = [value for name, value in zip(table["segmenter"], table["ap_0.5"], strict=True) if name == "high"]
    wins, pair = np.greater(first, second).sum(), result.pairs[0]
    assert wins == (pair.wins if pair.first == "low" else pair.losses)
    assert pair.wins + pair.losses + pair.ties == 12


def test_intervals_of_a_case_by_hand():
    # Of a group, 10 objects; the first segmenter always finds one more than the second, whatever is drawn.
    tp = np.array([[5, 6, 7, 8], [4, 5, 6, 7]])
    counts = np.stack([tp, np.zeros_like(tp), 10 - tp], axis=-1)[:, :, None, :].repeat(3, axis=2)
    found = estimate(["a", "b"], counts, np.arange(4))
    assert np.allclose(found.pairs[0].difference, 0.1)
    assert np.allclose(found.pairs[0].interval, 0.1)
    assert (found.pairs[0].wins, found.pairs[0].losses, found.pairs[0].ties) == (4, 0, 0)
    assert np.all(found.intervals[0, 0] > [0.49, 0.6])  # alone, the score depends on the groups that are drawn
    assert found.precision[0, 0] == 26 / 40


def test_intervals_draw_groups_not_images():
    rng = np.random.default_rng(1)
    counts, groups = rng.integers(1, 9, (2, 6, 3, 3)), np.array([0, 0, 1, 1, 2, 2])
    drawn = np.random.default_rng(SEED).multinomial(3, np.full(3, 1 / 3), size=RESAMPLES)
    differences = []
    for times in drawn:
        one, two = ((part * times[groups][:, None, None]).sum(axis=0) for part in counts)
        differences.append(one[:, 0] / one.sum(axis=1) - two[:, 0] / two.sum(axis=1))
    expected = np.percentile(differences, [2.5, 97.5], axis=0).T
    pair = estimate(["a", "b"], counts, groups).pairs[0]
    assert np.allclose(pair.interval, expected if pair.first == "a" else -expected[:, ::-1])


def test_a_comparison_continues_after_an_interruption(data, thresholds, tmp_path):
    images, masks, groups = data
    whole = flowseg.compare(thresholds, images, masks, groups=groups, cv=3)
    Threshold.n_fits, Threshold.stop_at = 0, 4
    with pytest.raises(KeyboardInterrupt):
        flowseg.compare(thresholds, images, masks, groups=groups, cv=3, folder=tmp_path)
    assert len(list(tmp_path.glob("fold-*"))) == 3
    result = flowseg.compare(thresholds, images, masks, groups=groups, cv=3, folder=tmp_path)
    assert Threshold.n_fits == 4 + 3
    assert result.per_image == whole.per_image
    assert result.sentence == whole.sentence
    flowseg.compare(thresholds, images, masks, groups=groups, cv=3, folder=tmp_path)
    assert Threshold.n_fits == 7


def test_another_comparison_is_refused(data, thresholds, tmp_path):
    images, masks, groups = data
    flowseg.compare(thresholds, images, masks, groups=groups, cv=3, folder=tmp_path)

    def refused(segmenters=thresholds, images=images, masks=masks, cv=3):
        with pytest.raises(ValueError, match="must be a new folder or hold results of the same comparison") as error:
            flowseg.compare(segmenters, images, masks, groups=groups, cv=cv, folder=tmp_path)
        return str(error.value)

    assert "the images are not the same" in refused(images=[2 * image for image in images])
    assert "the masks are not the same" in refused(masks=[np.flip(m, 0) for m in masks])
    assert "the groups and folds are not" in refused(cv=2)
    assert "segmenter 'low' is not the same" in refused({**thresholds, "low": Threshold(diameter=61.0)})
    assert "the names of segmenters are not" in refused({"low": thresholds["low"]})
    next(tmp_path.glob("fold-1-*")).write_bytes(b"damaged")
    with pytest.raises(flowseg.io.InvalidFileError, match="must be a readable result of a comparison"):
        flowseg.compare(thresholds, images, masks, groups=groups, cv=3, folder=tmp_path)


def test_fitted_segmenters_are_used_or_trained_further(data, tiny, tmp_path):
    images, masks, _ = (part[:2] for part in data)
    fitted = tiny["FlowSegmenter"]
    assert [one.way for one in as_candidates({"a": fitted, "b": "nuclei", "c": FlowSegmenter()})] == [
        AS_IS, AS_IS, TRAINED
    ]  # fmt: skip
    fitted.save(tmp_path / "model.safetensors")
    further = FlowSegmenter.load(tmp_path / "model.safetensors").set_params(
        warm_start=True, epochs=1, steps_per_epoch=2, batch_size=1, crop_size=32
    )
    before = further.fitted_
    weights = [w.copy() for w in further.network_.get_weights()]
    (one,) = as_candidates({"further": further})
    assert one.way == FURTHER
    flowseg.compare({"further": further, "as it is": tmp_path / "model.safetensors"}, images, masks, cv=2)
    assert further.fitted_ is before
    assert all(np.array_equal(a, b) for a, b in zip(weights, further.network_.get_weights(), strict=True))


def test_the_expected_time_is_measured(data, tiny):
    images, masks, groups = (part[:4] for part in data)
    long = FlowSegmenter(**SMALL | {"epochs": 1000})
    plan = make_plan({"flows": long, "as it is": tiny["BoundarySegmenter"]}, images, masks, groups, 2, None)
    assert measure_fold(plan, 0) > 2
    assert 0 < measure_fold(plan, 1) < 60
    assert not long.__sklearn_is_fitted__()


class Page(HTMLParser):
    """Reads a page; fails where tags do not match."""

    EMPTY = ("meta", "link", "image", "path")

    def __init__(self):
        super().__init__()
        self.open, self.text, self.addresses = [], [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("href", "src")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and "style" not in self.open and "title" not in self.open:
            self.text.append(data.strip())


def test_the_page(data, thresholds, tmp_path):
    images, masks, groups = data
    named = {"<b>low</b>": thresholds["low"], "high": thresholds["high"]}
    result = flowseg.compare(named, images, masks, groups=groups, cv=3, names=[f"<i>{k}&" for k in range(12)])
    result.save_report(tmp_path / "page.html")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)
    assert not re.search(r"<script|<b>low|<i>|\{\{", text)
    assert page.text[0] == result.sentence
    pair = result.pairs[0]
    row = page.text.index(f"{pair.first} minus {pair.second}")
    assert page.text[row + 1].startswith(f"{pair.difference[0]:+.3f} (")
    assert page.text[row + 4 : row + 7] == [str(pair.wins), str(pair.losses), str(pair.ties)]
    if "is higher with" in result.sentence:
        assert f"on {pair.wins} of 12 images" in result.sentence
    assert text.count("<figure>") == 3 * min(6, pair.wins + pair.losses)


def test_a_page_of_volumes(tmp_path):
    from flowseg._compare.panels import choose_plane

    true = np.zeros((5, 8, 9), dtype=np.int32)
    true[3, 2:5, 2:5] = 1
    image, (plane, _) = choose_plane(np.arange(5)[:, None, None, None] * np.ones((5, 8, 9, 1)), [true, true])
    assert image.shape == (8, 9, 1)
    assert image[0, 0, 0] == 3
    assert plane.sum() == 9


def found_of(difference, low, high, n=20, wins=18):
    pair = Difference("flows", "three classes", np.full(3, difference), np.array([[low, high]] * 3), wins, n - wins, 0)
    return Estimates(np.array([[0.8] * 3, [0.7] * 3]), np.zeros((2, 3, 2)), [pair])


def test_the_answer_in_words():
    names = ["flows", "three classes"]
    assert answer(names, found_of(0.06, 0.03, 0.09), 20) == (
        "Average precision is higher with flows than with three classes on 18 of 20 images; over all objects, the "
        "difference is 0.06, 0.03 to 0.09."
    )
    unclear = found_of(0.02, -0.02, 0.06)
    assert answer(names, unclear, 20).startswith("The data are too few to tell flows and three classes apart")
    assert "about 80 independent images" in " ".join(remarks(unclear, 20, {}, []))
    assert answer(names, found_of(0.04, -0.001, 0.07), 20).endswith("is 0.04, 0.00 to 0.07.")
    assert answer(names, found_of(0.0, -0.01, 0.01), 20).startswith("flows and three classes are equally good")
    assert answer(names, found_of(0.06, 0.03, 0.09), 5).startswith("The data are too few to know: 5 independent")
    assert "different numbers of steps" in " ".join(remarks(unclear, 20, {"a": 1, "b": 2}, []))
    assert "nuclei was used without training" in " ".join(remarks(unclear, 20, {}, ["nuclei"]))


def test_tiles_of_one_field_are_found(data, thresholds):
    image, masks = synthetic.cells((128, 128), 30, rng=3)
    tiles = [image[r : r + 64, c : c + 64] for r in (0, 64) for c in (0, 64)]
    labels = [masks[r : r + 64, c : c + 64] for r in (0, 64) for c in (0, 64)]
    assert set(find_adjacent([tile[..., None] for tile in tiles])) <= {(0, 1), (0, 2), (1, 3), (2, 3)}
    with pytest.warns(UserWarning, match="look like tiles of one field of view"):
        flowseg.compare(thresholds, tiles, labels, cv=2, names=["a", "b", "c", "d"])
    assert find_adjacent([image[..., None] for image in data[0]]) == []
    assert find_adjacent([np.ones((64, 64, 1))] * 3) == []


def test_real_tiles_of_one_field_are_found_and_no_others(shared):
    import csv

    folder = shared / "data" / "dsb2018"
    with (folder / "samples.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["modality"] == "fluorescence_small"][:60]
    images = [flowseg.io.read_image(folder / row["image"]) for row in rows]
    pairs = find_adjacent([image[..., None] if image.ndim == 2 else image for image in images])
    assert pairs
    assert all(rows[a]["field_group"] == rows[b]["field_group"] for a, b in pairs)


ONE = FlowSegmenter(**SMALL)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"segmenters": {}}, "segmenters must be at least one segmenter with its name; got none."),
        ({"segmenters": [ONE]}, "segmenters must be a dict of names and segmenters; got list."),
        ({"segmenters": {"a": 3}}, "segmenters['a'] must be a FlowSegmenter, a BoundarySegmenter,"),
        ({"segmenters": {1: ONE}}, "names of segmenters must be text; got 1."),
        ({"segmenters": {"a": ONE, "b": ONE}}, "segmenters must be different; got the same one as 'a' and 'b'."),
        ({"segmenters": {"a": "nuclei", "b": "nuclei"}}, "segmenters must be different; got the same one as 'a' and"),
        ({"segmenters": {"a": ONE, "b": FlowSegmenter(n_channels=3)}}, "segmenters must all have the same n_channels"),
        ({"segmenters": {"a": ONE, "b": FlowSegmenter(ndim=3)}}, "segmenters must all have the same ndim"),
        ({"segmenters": {"a": FlowSegmenter(n_channels=3)}}, "images[0] must have 3 channels"),
        ({"segmenters": {"a": FlowSegmenter(epochs=0)}}, "epochs must be an integer of at least 1"),
        ({"images": 1}, "images must be at least 2, to train on some and to test on others; got 1."),
        ({"masks": 3}, "images and masks must be lists of the same length; got 4 images and 3 masks."),
        ({"groups": ["a"] * 4}, "groups must name at least 2 fields of view"),
        ({"groups": ["a", "b"]}, "groups must be one per image, 4; got 2."),
        ({"groups": "abcd"}, "groups must be a sequence of one value per image; got 'abcd'."),
        ({"groups": [[], [], [], []]}, "groups must be texts or numbers"),
        ({"groups": list("aabb"), "cv": 3}, "cv must be at most the number of groups of images, 2; got 3."),
        ({"cv": 5}, "cv must be at most the number of groups of images, 4; got 5."),
        ({"cv": 1}, "cv must be an integer of at least 2; got 1."),
        ({"cv": "two"}, "cv must be an integer of at least 2; got 'two'."),
        ({"names": ["a"]}, "names must be one per image, 4; got 1."),
        ({"names": "abcd"}, "names must be a sequence of texts"),
        ({"folder": 3}, "folder must be a path; got 3."),
        ({"verbose": -1}, "verbose must be an integer of at least 0; got -1."),
    ],
)  # fmt: skip
def test_bad_input(data, change, sentence):
    arguments = {"segmenters": {"a": ONE}, "cv": 2, "images": 4, "masks": change.get("images", 4)} | change
    arguments |= {name: data[k][: arguments[name]] for k, name in enumerate(("images", "masks"))}
    with pytest.raises((TypeError, ValueError)) as error:
        flowseg.compare(arguments.pop("segmenters"), arguments.pop("images"), arguments.pop("masks"), **arguments)
    assert sentence in str(error.value)


def test_empty_images(data, thresholds, tmp_path):
    images, masks = list(data[0][:6]), list(data[1][:6])
    masks[0] = np.zeros_like(masks[0])
    flowseg.compare(thresholds, images, masks, cv=2)
    masks[2] = masks[4] = masks[0]
    groups = [0, 1, 0, 1, 0, 1]
    with pytest.raises(
        ValueError, match=r"masks must hold an object in every fold; the test images of fold \d \(image 0, image 2"
    ):
        flowseg.compare(thresholds, images, masks, groups=groups, cv=2)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="folder must be a folder or not exist"):
        flowseg.compare(thresholds, *data[:2], folder=tmp_path / "file")


def test_what_is_hashed_is_the_same_in_every_process(data):
    images, masks, _ = data
    names = {
        "a": FlowSegmenter(network=flowseg.build_unet),
        "b": BoundarySegmenter(random_state=np.random.RandomState(3)),
    }
    digests = [make_plan(names, images, masks, None, 2, None).describe() for _ in range(2)]
    assert digests[0] == digests[1]
    assert re.fullmatch("[0-9a-f]{64}", digests[0]["segmenter 'b'"])
