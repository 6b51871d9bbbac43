"""Classes of objects: given to `fit`, found by `predict_objects`, kept in model files."""

import hashlib
import json
import warnings

import numpy as np
import pytest
from scipy import ndimage

from flowseg import BoundarySegmenter, FlowSegmenter, blockwise, build_unet, io, load_segmenter, metrics, synthetic
from flowseg._labels.classes.given import as_classes, find_class_names
from flowseg._nets.training.known_objects import KnownObjects
from flowseg._nets.training.samples import _number_compactly
from flowseg._segmenters.object_classes.class_head import ClassHead, mean_outputs, read_class_head
from flowseg._segmenters.object_classes.weigh_features import find_temperature

TINY = {"filters": (8,), "crop_size": 64, "epochs": 2, "steps_per_epoch": 4, "batch_size": 2, "random_state": 0}
MASKS = [np.array([[0, 5, 5], [2, 0, 9]]), np.array([[0, 1, 1], [0, 0, 0]])]


class Table:
    """What a pandas.DataFrame has of it."""

    def __init__(self, **columns):
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name):
        return np.array(self._columns[name], dtype=object)


def test_classes_are_dicts_or_tables():
    as_dict = {2: "a", 5: "b", 9: None}
    expected = [{2: "a", 5: "b"}, {1: "a"}]
    table = {"label": np.array([2, 5, 9]), "class": np.array(["a", "b", None], dtype=object), "score": np.zeros(3)}
    for first in (as_dict, table, Table(label=[2, 5, 9], **{"class": ["a", "b", float("nan")]})):
        assert as_classes([first, {1: np.str_("a")}], MASKS) == expected
    assert as_classes([as_dict, None], MASKS) == [expected[0], {}]


@pytest.mark.parametrize(
    ("classes", "error", "words"),
    [
        ({1: "a"}, TypeError, "classes must be a list with a dict"),
        ([None], ValueError, "classes must be one for each image, 2; got 1"),
        (
            [{2: "a", 5: "b", 9: "a", 7: "a"}, None],
            ValueError,
            r"classes\[0\] must be of objects in masks\[0\]; got a .*7",
        ),
        ([{2: "a"}, None], ValueError, r"must hold every object of masks\[0\], with None .* label 5 and 1 more"),
        ([{2: "a", 5: 1, 9: "a"}, None], TypeError, "class names as text, or None for unknown; got 1 for label 5"),
        ([{2: "a", 5: " ", 9: "a"}, None], TypeError, "got ' ' for label 5"),
        ([{2: "a", 5: "b", 9.5: "a"}, None], TypeError, "a label in"),
        (["ab", None], TypeError, "must be a dict of labels and class names, a table, or None; got str"),
        ([Table(label=[2]), None], ValueError, "must have the columns label and class; got none named 'class'"),
        ([{"label": [2, 2], "class": ["a", "b"]}, None], ValueError, "must have each label once; got 2 twice"),
        ([{"label": [2, 5], "class": ["a"]}, None], ValueError, "one class per label; got 2 labels, 1 classes"),
    ],
)
def test_classes_that_are_refused(classes, error, words):
    with pytest.raises(error, match=words):
        as_classes(classes, MASKS)


def test_names_of_classes():
    assert find_class_names([{1: "b"}, {2: "a", 3: "b"}]) == ("a", "b")
    assert find_class_names([{1: "b"}], ("c", "b")) == ("c", "b")
    with pytest.raises(ValueError, match="at least two, so that there is one to choose; got 'a'"):
        find_class_names([{1: "a"}, {}])
    with pytest.raises(ValueError, match="at least two.* got none"):
        find_class_names([{}])
    with pytest.raises(ValueError, match="among those that the segmenter was trained on, 'a', 'b'; got 'c'"):
        find_class_names([{1: "a", 2: "c"}], ("a", "b"))


def test_the_class_of_an_object_is_that_of_its_mean_logits():
    masks = np.array([[1, 1, 2], [0, 3, 2]])
    logits = np.zeros((2, 3, 2), np.float32)
    logits[..., 0] = [[4, -1, 0], [99, 0, -2]]
    assert mean_outputs(masks, logits)[:, 0].tolist() == [1.5, -1, 0]
    table = ClassHead(("a", "b"), 0.5).describe(masks, logits)
    assert table["class"].tolist() == ["a", "b", "a"]
    assert table["class_probability"] == pytest.approx([1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-2)), 0.5])
    empty = ClassHead(("a", "b")).describe(np.zeros((2, 3), int), logits)
    assert empty["class"].shape == empty["class_probability"].shape == (0,)


def test_the_temperature_makes_probabilities_true():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((4000, 3)) * 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in p])
    assert find_temperature(3 * logits, truth) == pytest.approx(3, rel=0.08)
    certain = np.eye(3)[truth]
    temperature = find_temperature(certain, truth)  # all right, which is no certainty
    probability = np.exp(1 / temperature) / (np.exp(1 / temperature) + 2)
    assert 0.999 < probability < 1 - 1e-5


def test_documents_of_classes_are_checked():
    head = ClassHead(("a", "b"), 1.5)
    assert read_class_head(json.loads(json.dumps(head.as_document()))) == head
    assert read_class_head(None) is None
    wrong = (3, {"names": ["a", "b"]}, {"names": ["a"], "temperature": 1.0}, {"names": ["a", "a"], "temperature": 1.0})
    for document in (*wrong, {"names": ["a", 3], "temperature": 1.0}, {"names": ["a", "b"], "temperature": 0}):
        with pytest.raises((TypeError, ValueError), match="classes"):
            read_class_head(document)


def test_objects_that_are_cut_come_last_in_training():
    masks, sparse = _number_compactly(KnownObjects(MASKS[0]))
    assert sparse is None
    assert masks.tolist() == [[0, 2, 2], [1, 0, 3]]
    volume = np.stack([MASKS[0], np.full((2, 3), -1)])
    masks, sparse = _number_compactly(KnownObjects(volume, volume >= 0, np.array([2])))
    assert masks[0].tolist() == [[0, 1, 1], [3, 0, 2]]
    assert sparse.n_whole == 2


@pytest.fixture(scope="module")
def pairs():
    drawn = [synthetic.cells((80, 80), 8, rng=seed) for seed in range(4)]
    images, masks = map(list, zip(*drawn, strict=True))
    return images, masks, [{k: "ab"[k % 2] for k in range(1, int(m.max()) + 1)} for m in masks]


@pytest.fixture(scope="module")
def fitted(pairs):
    images, masks, classes = pairs
    segmenter = FlowSegmenter(**TINY, cellprob_threshold=-1.0, flow_threshold=None)
    validation = (images[3:], masks[3:], None, classes[3:])
    return segmenter.fit(images[:3], masks[:3], classes=classes[:3], validation=validation)


def test_objects_have_classes(pairs, fitted, tmp_path):
    image = pairs[0][0]
    assert fitted.classes_ == ("a", "b")
    assert fitted.network_.output_shape[-1] == 5
    masks, objects = fitted.predict_objects(image)
    assert (masks == fitted.predict(image)).all()
    n = masks.max()
    assert n > 0
    assert objects["class"].shape == objects["class_probability"].shape == (n,)
    assert {*objects["class"].tolist()} <= {"a", "b"}
    assert (objects["class_probability"] >= 0.5).all()
    flows, cellprob = fitted.predict_flows(image)
    assert flows.shape == (2, 80, 80)
    assert cellprob.shape == (80, 80)
    fitted.save(tmp_path / "model.safetensors")
    again = load_segmenter(tmp_path / "model.safetensors")
    assert again.classes_ == ("a", "b")
    assert again.fitted_.classes == fitted.fitted_.classes
    for name, column in again.predict_objects(image)[1].items():
        np.testing.assert_array_equal(column, objects[name])


def test_test_time_augmentation_and_constant_images(pairs, fitted):
    fitted.set_params(test_time_augmentation=True)
    masks, objects = fitted.predict_objects(pairs[0][0])
    fitted.set_params(test_time_augmentation=False)
    assert objects["class"].shape == (masks.max(),)
    with pytest.warns(UserWarning, match="constant"):
        masks, objects = fitted.predict_objects(np.zeros((80, 80)))
    assert objects["class"].shape == objects["class_probability"].shape == (0,)


def test_further_training_knows_its_classes(pairs, fitted):
    images, masks, classes = pairs
    further = load_again(fitted)
    with pytest.raises(
        ValueError, match="classes must be given to train with a segmenter that was trained with classes"
    ):
        further.fit(images[:3], masks[:3])
    with pytest.raises(ValueError, match="among those that the segmenter was trained on, 'a', 'b'; got 'c'"):
        further.fit(images[:1], masks[:1], classes=[{**classes[0], 1: "c"}])
    validation = (images[3:], masks[3:], None, classes[3:])
    only_a = [dict.fromkeys(classes[0], "a")]
    assert further.fit(images[:1], masks[:1], classes=only_a, validation=validation).classes_ == ("a", "b")


def load_again(segmenter):
    from copy import copy

    return copy(segmenter).set_params(warm_start=True, epochs=1, steps_per_epoch=1)


def test_a_pretrained_segmenter_learns_classes(pairs):
    images, masks, classes = pairs
    segmenter = FlowSegmenter.from_pretrained("nuclei").set_params(epochs=1, steps_per_epoch=1, batch_size=1)
    before = segmenter.network_.get_layer("head").get_weights()[0]
    validation = (images[3:], masks[3:], None, classes[3:])
    segmenter.fit(images[:3], masks[:3], classes=classes[:3], validation=validation)
    assert {"val_ap_before", "val_ap_after"} <= segmenter.history_.keys()
    after = segmenter.network_.get_layer("head").get_weights()[0]
    assert segmenter.network_.output_shape[-1] == before.shape[-1] + 2
    assert np.abs(after - before).max() < 0.01  # one step of a small rate
    masks, objects = segmenter.predict_objects(images[3])
    assert objects["class"].shape == (masks.max(),)


def test_masks_do_not_depend_on_classes(pairs, fitted):
    images, masks, _ = pairs
    plain = FlowSegmenter(**TINY, cellprob_threshold=-1.0, flow_threshold=None)
    plain.fit(images[:3], masks[:3], validation=(images[3:], masks[3:]))
    assert plain.history_ == fitted.history_
    assert plain.validation_ap_ == fitted.validation_ap_
    for image in images:
        for one, other in zip(plain.predict_flows(image), fitted.predict_flows(image), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(plain.predict(image), fitted.predict(image))


def draw_textures(seed):
    """Cells of two kinds: the grain inside is fine or coarse, with the same mean and variance."""
    rng = np.random.default_rng(seed)
    image, masks = synthetic.cells((128, 128), 12, diameter=26, rng=rng)
    classes = {label: str(rng.choice(["coarse", "fine"])) for label in range(1, int(masks.max()) + 1)}
    noise = [ndimage.gaussian_filter(rng.standard_normal(image.shape), sigma, mode="wrap") for sigma in (1.0, 3.0)]
    fine, coarse = (n / n.std() for n in noise)
    is_fine = np.isin(masks, [label for label, name in classes.items() if name == "fine"])
    return image * (1 + 0.25 * np.where(is_fine, fine, coarse) * (masks > 0)), masks, classes


def test_classes_that_differ_in_texture_are_learned():
    """From features of a network that has seen neither: no step of its training is for classes."""
    images, masks, classes = map(list, zip(*map(draw_textures, range(8)), strict=True))
    segmenter = FlowSegmenter.from_pretrained("nuclei").set_params(
        epochs=1, steps_per_epoch=1, batch_size=1, learning_rate=1e-9, random_state=0
    )
    segmenter.fit(images[:5], masks[:5], classes=classes[:5], validation=(images[5:6], masks[5:6], None, classes[5:6]))
    found, tables = zip(*segmenter.predict_objects(images[6:]), strict=True)
    scores = metrics.classification(masks[6:], found, classes[6:], tables)
    assert len(found) == 2
    assert scores.accuracy >= 0.9
    assert scores.macro_f1 >= 0.9


def test_without_classes_nothing_changes(pairs, tmp_path):
    """Model files are the same, byte by byte, and have no entry for classes."""
    images, masks, _ = pairs
    digests = set()
    for name in ("one", "other"):
        segmenter = FlowSegmenter(**TINY).fit(images[:3], masks[:3], validation=(images[3:], masks[3:]))
        segmenter.save(tmp_path / name)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    assert segmenter.classes_ is None
    assert b'"classes"' not in (tmp_path / "one").read_bytes()
    assert "class" not in segmenter.predict_objects(images[3])[1]


def test_what_cannot_have_classes(pairs, fitted, tmp_path):
    images, masks, classes = pairs
    with pytest.raises(ValueError, match="classes must be left out for a BoundarySegmenter"):
        BoundarySegmenter(**TINY).fit(images, masks, classes=classes)
    with pytest.raises(ValueError, match="segmenter must be one without classes to segment block by block"):
        blockwise.segment(fitted, images[0], tmp_path / "out.ome.zarr")
    with pytest.raises(ValueError, match="classes must be given to train with a validation set with classes"):
        FlowSegmenter(**TINY).fit(images[:3], masks[:3], validation=(images[3:], masks[3:], None, classes[3:]))
    custom = FlowSegmenter(network=build_unet(filters=(4, 8)), epochs=1, steps_per_epoch=1, random_state=0)
    with pytest.raises(ValueError, match="classes must be left out for a custom network"):
        custom.fit(pairs[0][:3], pairs[1][:3], classes=pairs[2][:3])


def test_volumes_have_classes():
    pairs = [synthetic.cells((16, 40, 40), 5, diameter=12, rng=seed) for seed in range(2)]
    images, masks = map(list, zip(*pairs, strict=True))
    classes = [{k: "ab"[k % 2] for k in range(1, int(m.max()) + 1)} for m in masks]
    segmenter = FlowSegmenter(
        ndim=3, **TINY | {"crop_size": 16, "epochs": 1}, cellprob_threshold=-1.0, flow_threshold=None
    )
    segmenter.fit(images, masks, classes=classes)
    found, objects = segmenter.predict_objects(images[0])
    assert objects["class"].shape == (found.max(),)


def test_classification_scores():
    true = [np.array([[1, 1, 0, 2, 2, 0, 3]]), np.array([[1, 1, 0, 0, 0, 0, 0]])]
    found = [np.array([[7, 7, 0, 8, 8, 0, 0]]), np.array([[1, 1, 0, 2, 0, 0, 0]])]
    known = [{1: "a", 2: "b", 3: "c"}, {1: None}]
    scores = metrics.classification(true, found, known, [{7: "a", 8: "a"}, {1: "b", 2: "b"}])
    assert scores.names == ("a", "b", "c")
    assert scores.confusion.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert scores.f1[:2].tolist() == pytest.approx([2 / 3, 0])
    assert np.isnan(scores.f1[2])
    assert scores.macro_f1 == pytest.approx(1 / 3)
    assert scores.accuracy == 0.5
    with pytest.raises(
        ValueError, match=r"predicted_classes\[0\] must name a class for every object; got None for label 7"
    ):
        metrics.classification(true, found, known, [{7: None, 8: "a"}, {1: "b", 2: "b"}])
    with pytest.raises(ValueError, match=r"true_classes must be one for each image, 2; got 1"):
        metrics.classification(true, found, known[:1], [{7: "a", 8: "a"}, {1: "b", 2: "b"}])


def test_classification_agrees_with_scikit_learn():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    masks = np.arange(1, 101)[np.newaxis]
    true, found = (rng.choice(["a", "b", "c"], 100) for _ in range(2))
    tables = [{"label": masks[0], "class": names} for names in (true, found)]
    scores = metrics.classification([masks], [masks], tables[:1], tables[1:])
    assert scores.macro_f1 == pytest.approx(f1_score(true, found, average="macro"))


def test_classes_in_files_of_annotations(tmp_path):
    masks = np.array([[0, 4, 4, 0], [7, 0, 0, 9]])
    classes = {4: "b", 7: None, 9: "a"}
    io.write_geojson(tmp_path / "a.geojson", masks, classes=classes)
    expected = np.array([[0, 1, 1, 0], [2, 0, 0, 3]])
    for kept, names in ((None, {1: "b", 2: None, 3: "a"}), ("a", {1: "a"})):
        found, read = io.read_geojson_with_classes(tmp_path / "a.geojson", (2, 4), classes=kept)
        assert read == names
        assert (found == (expected if kept is None else expected == 3)).all()
    assert (io.read_geojson(tmp_path / "a.geojson", (2, 4)) == expected).all()
    with pytest.raises(ValueError, match="classes must hold every object of masks"):
        io.write_geojson(tmp_path / "a.geojson", masks, classes={4: "b"})


def test_classes_in_coco_files(tmp_path):
    pytest.importorskip("pycocotools")
    masks = {"a.png": np.array([[0, 4, 4, 0], [7, 0, 0, 9]]), "b.png": np.array([[1]])}
    classes = {"a.png": {4: "b", 7: None, 9: "a"}, "b.png": None}
    io.write_coco(tmp_path / "all.json", masks, classes=classes)
    found, names = io.read_coco_with_classes(tmp_path / "all.json")
    assert names == {"a.png": {1: "b", 2: "object", 3: "a"}, "b.png": {1: "object"}}
    assert (found["a.png"] == [[0, 1, 1, 0], [2, 0, 0, 3]]).all()
    plain = [tmp_path / "plain.json", tmp_path / "none.json"]
    io.write_coco(plain[0], masks)
    io.write_coco(plain[1], masks, classes=dict.fromkeys(masks))
    assert plain[0].read_bytes() == plain[1].read_bytes()
    with pytest.raises(ValueError, match="classes must hold every file name of masks; got none for 'b.png'"):
        io.write_coco(tmp_path / "all.json", masks, classes={"a.png": classes["a.png"]})


def test_tables_of_classes(tmp_path):
    file = tmp_path / "classes.csv"
    file.write_text("label,area,class\n3,1.0,a\n1,2.0,\n", encoding="utf-8-sig")
    assert io.read_classes(file) == {"": {3: "a", 1: None}}
    file.write_text("label,class\n")
    assert io.read_classes(file) == {"": {}}
    file.write_text("file,label,class\nx.tif,1,a\ny.tif,1,b\n")
    assert io.read_classes(file) == {"x.tif": {1: "a"}, "y.tif": {1: "b"}}
    for text in (
        "label\n1\n",
        "label,class\n1\n",
        "label,class\n1.5,a\n",
        "label,class\n0,a\n",
        "label,class\n1,a\n1,b\n",
    ):
        file.write_text(text)
        with pytest.raises(io.InvalidFileError, match="CSV file with columns label and class"):
            io.read_classes(file)
    file.write_bytes(b"label,class\n1,\xff\n")
    with pytest.raises(io.InvalidFileError):
        io.read_classes(file)


def test_fit_takes_what_predict_objects_returns(pairs, fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masks, objects = fitted.predict_objects(pairs[0][:1])[0]
    assert as_classes([objects], [masks]) == [
        dict(zip(objects["label"].tolist(), objects["class"].tolist(), strict=True))
    ]
