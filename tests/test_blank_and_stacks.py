"""Constant images, and arrays of three axes that may be stacks, volumes, films or channels."""

import shutil
import warnings

import numpy as np
import pytest
import tifffile
from cli_tools import run_here
from sklearn.model_selection import cross_val_score

from flowseg import FlowSegmenter, io

BLANK = np.full((96, 96), 7.0)


@pytest.fixture(scope="module")
def nuclei():
    return FlowSegmenter.from_pretrained("nuclei")


# Of a network that finds objects which do not look like noise.
TWO_LEVELS = {"filters": (8, 16)}


def warned(call):
    """Result and sentences."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    return result, [str(w.message) for w in caught if issubclass(w.category, UserWarning)]


@pytest.mark.parametrize("kind", ["FlowSegmenter", "BoundarySegmenter"])
def test_a_constant_image_has_no_objects(kind, fitted, pairs):
    segmenter = fitted[kind]
    found, said = warned(lambda: segmenter.predict(BLANK))
    assert found.shape == (96, 96)
    assert found.dtype == np.int32
    assert not found.any()
    assert said == ["the image is constant (the same value in all pixels): no objects there."]
    found, said = warned(lambda: segmenter.predict([pairs[0][0], BLANK, BLANK[:9]], diameters="estimate"))
    assert [f.shape for f in found] == [(96, 96), (96, 96), (9, 96)]
    assert not found[1].any()
    # The network is hardly trained.
    said = [sentence for sentence in said if "false positives" not in sentence and "unlike" not in sentence]
    assert said == ["2 of 3 images are constant (the same value in all pixels): no objects there."]
    assert segmenter.set_params(workers=1).score([BLANK], [np.zeros((96, 96), int)]) == 1
    assert segmenter.score([BLANK], [pairs[0][1]]) == 0


def test_what_comes_before_masks_of_a_constant_image(fitted):
    flows, cellprob = fitted["FlowSegmenter"].predict_flows(BLANK)
    assert not flows.any()
    assert cellprob.max() < -50
    masks, objects = fitted["FlowSegmenter"].predict_objects(BLANK)
    assert not masks.any()
    assert all(len(column) == 0 for column in objects.values())
    probabilities = fitted["BoundarySegmenter"].predict_classes(BLANK)
    assert np.allclose(probabilities[3, 4], [1, 0, 0])


def test_one_constant_channel_is_no_constant_image(pairs, small):
    images, masks = zip(*pairs)
    two = [np.stack([x, BLANK], -1) for x in images]
    model = FlowSegmenter(n_channels=2, **(small | TWO_LEVELS)).fit(two, masks)
    _, said = warned(lambda: model.predict(two[0]))
    assert not said
    found, said = warned(lambda: model.predict(np.stack([BLANK, 2 * BLANK], -1)))
    assert not found.any()
    assert len(said) == 1


def test_blank_negatives_in_fit(pairs, small):
    images, masks = map(list, zip(*pairs))
    nothing = np.zeros((96, 96), int)
    model = FlowSegmenter(**small)
    model.fit([*images, BLANK], [*masks, nothing], validation=([images[0], BLANK], [masks[0], nothing]))
    assert np.isfinite(model.history_["val_loss"]).all()
    _, said = warned(lambda: model.fit_thresholds([*images, BLANK], [*masks, nothing]))
    assert "1 of 9 images are constant (the same value in all pixels): no objects there." in said
    with pytest.raises(ValueError, match=r"images\[8\] must not be constant where masks\[8\] holds objects; got 7.0"):
        model.fit([*images, BLANK], [*masks, masks[0]])
    with pytest.raises(ValueError, match=r"validation images\[0\] must not be constant where validation masks\[0\]"):
        model.fit(images, masks, validation=([BLANK], [masks[0]]))


def test_an_array_of_images_is_segmented_with_a_word(nuclei, pairs):
    images = np.stack([image for image, _ in pairs[:2]])
    alone = [nuclei.predict(image) for image in images]
    found, said = warned(lambda: nuclei.predict(images))
    assert np.array_equal(found, alone)
    (sentence,) = said
    assert "2 separate images were segmented, and labels start again in each" in sentence
    assert "n_channels=2" in sentence
    for quiet in (list(images), images[:1], images[0]):
        assert not warned(lambda quiet=quiet: nuclei.predict(quiet))[1]
    objects = np.empty(2, dtype=object)
    objects[:] = list(images)
    assert not warned(lambda: nuclei.predict(objects))[1]
    assert not warned(lambda: nuclei.score(images, np.stack([m for _, m in pairs[:2]])))[1]


def test_cross_validation_of_arrays(pairs, small):
    images, masks = map(np.stack, zip(*pairs))
    scores, said = warned(
        lambda: cross_val_score(FlowSegmenter(**(small | TWO_LEVELS)), images, masks, cv=2, error_score="raise")
    )
    assert scores.shape == (2,)
    assert not said


def test_fit_refuses_a_volume(pairs, small):
    _, planes = pairs[0]
    volume = np.stack([np.where(planes > k, planes, 0) for k in range(4)])
    image = volume + np.random.default_rng(0).normal(size=volume.shape)
    with pytest.raises(ValueError, match=r"masks of shape \(4, 96, 96\) with labels that go on from plane to plane"):
        FlowSegmenter(**small).fit(image, volume)
    FlowSegmenter(**small).fit(list(image), list(volume))
    same = np.stack([planes] * 4)  # one image again and again
    FlowSegmenter(**small).fit(same + np.random.default_rng(0).normal(size=same.shape), same)


@pytest.mark.parametrize(
    ("shape", "n_channels", "sentence"),
    [
        ((3, 40, 40), 3, r"got shape \(3, 40, 40\), which looks like channels first: move them, np.moveaxis"),
        ((5, 40, 40), 3, r"must have 3 channels in the last axis, .*; got shape \(5, 40, 40\)\."),
        ((40, 40, 3), 1, "which looks like one image of 3 channels"),
        ((2, 3, 40, 40), 1, r"images\[0\] must have 1 channel"),
        ((0, 40, 40), 1, "images must hold at least one array"),
    ],
)
def test_other_arrays(shape, n_channels, sentence, pairs, small):
    images, masks = zip(*pairs)
    model = FlowSegmenter(n_channels=n_channels, **small)
    model.fit([np.stack([x] * n_channels, -1) if n_channels > 1 else x for x in images], masks)
    array = np.random.default_rng(0).random(shape)
    with pytest.raises(ValueError, match=sentence):
        model.predict(array)


@pytest.fixture(scope="module")
def stack(pairs, tmp_path_factory):
    """Three planes, the second of which is blank."""
    folder = tmp_path_factory.mktemp("stack")
    image = (pairs[0][0] * 100).astype(np.uint16)
    planes = np.stack([image, np.full_like(image, 9), image[::-1]])
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    tifffile.imwrite(folder / "s.ome.tif", planes, metadata=metadata, photometric="minisblack")
    return folder / "s.ome.tif"


def test_every_plane_of_a_stack(stack, nuclei, tmp_path):
    options = ("--model", "nuclei", "--output", tmp_path, "--z", "all", "--also", "csv")
    result = run_here("predict", stack, *options)
    assert result.stderr.count("1 of 3 images are constant") == 1
    (file,) = tmp_path.glob("*_masks.tif")
    masks = io.read_masks(file)
    with tifffile.TiffFile(file) as tiff:
        assert tiff.series[0].axes == "ZYX"
    assert io.read_pixel_size(file) == (0.25, 0.5)
    parts = [masks[k][masks[k] > 0] for k in range(3)]
    assert not parts[1].size
    assert np.intersect1d(parts[0], parts[2]).size == 0
    for k in (0, 2):
        alone = nuclei.predict(io.read_image(stack, z=k))
        expected = np.where(alone > 0, alone + (0 if k == 0 else parts[0].max()), 0)
        assert np.array_equal(masks[k], expected)
    rows = (next(tmp_path.glob("*_objects.csv"))).read_text().splitlines()
    assert rows[0].startswith("label,z,")
    assert [tuple(map(int, row.split(",")[:2])) for row in rows[1:]] == [
        (k, 0 if k <= parts[0].max() else 2) for k in range(1, masks.max() + 1)
    ]
    assert f"{masks.max()} objects in 1 image" in result.stdout
    assert not list(tmp_path.glob("*_overlay.png"))
    assert "before" in run_here("predict", stack, *options, "--resume").stdout
    changed = run_here("predict", stack, *options[:-2], "--normalize", "limits:0,500", "--resume", status=1)
    assert "--normalize was not given, is ('limits', (0.0, 500.0))" in changed.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--z", "all", "--t", "all"), "--z all must not be given together with --t all"),
        (("--z", "one"), "--z must be a number from 0 or 'all'; got 'one'"),
        (("--t", "all"), "must have an axis T for --t all; it has axes ZYX of shape (3, 96, 96)"),
        (("--z", "all", "--also", "roi"), "--also roi must not be given with --z all, which writes masks and tables"),
        (("--z", "all", "--overlay"), "--overlay must not be given with --z all"),
        (("--normalize", "minmax"), "--normalize must be percentiles:LOW,HIGH, limits:LOW,HIGH or none; got 'minmax'"),
        (("--normalize", "limits:5,1"), "normalize's limits must be two numbers, the first less than the second"),
    ],
)
def test_stacks_that_cannot_be_done(options, sentence, stack, tmp_path):
    result = run_here("predict", stack, "--model", "nuclei", "--output", tmp_path / "out", *options, status=1)
    assert sentence in " ".join(result.stderr.split())


def test_train_names_a_constant_file(pairs, tmp_path):
    for k, image in enumerate([pairs[0][0], BLANK]):
        for folder, array in (("images", image), ("masks", pairs[0][1])):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{k}.tif", array)
    options = ("--output", tmp_path / "m.safetensors")
    result = run_here("train", tmp_path / "images", tmp_path / "masks", *options, status=1)
    assert "1.tif must not be constant where" in result.stderr


def test_a_blank_file_is_written_and_kept(pairs, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", (pairs[0][0] * 100).astype(np.uint16))
    for name in ("b", "c"):
        tifffile.imwrite(folder / f"{name}.tif", np.full((20, 30), 3, np.uint8))
    options = ("--model", "nuclei", "--output", tmp_path / "out", "--also", "csv,geojson,png")
    result = run_here("predict", folder, *options)
    assert result.stderr.count("2 of 3 images are constant") == 1
    masks = io.read_masks(tmp_path / "out" / "b_masks.tif")
    assert masks.shape == (20, 30)
    assert not masks.any()
    assert "3 of them done before" in run_here("predict", folder, *options, "--resume").stdout
    true = tmp_path / "true"
    true.mkdir()
    for file in (tmp_path / "out").glob("*_masks.tif"):
        shutil.copy(file, true)
    assert "1.000" in run_here("evaluate", true, tmp_path / "out").stdout
