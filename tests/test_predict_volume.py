"""A segmenter of images on a volume: what is checked, thresholds, and results with real networks."""

import warnings
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from real_data import read_pair, rows_of
from scipy import ndimage

from flowseg import FlowSegmenter, metrics, synthetic
from flowseg._nets.lattice import Lattice
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.learned_decoding.thresholds import Thresholds
from flowseg._segmenters.pipeline import Pipeline, pipeline_of
from flowseg._segmenters.volumes.segment import segment_volume
from flowseg._segmenters.volumes.volume import spread
from flowseg._segmenters.volumes.volume_codec import codec_of_planes, codec_of_volume, voxels_of_ball

MODES = ["planes", "stitch"]
DRAWN = (18, 48, 48), 4  # shape and number of cells


@pytest.fixture(scope="module")
def nuclei():
    return FlowSegmenter.from_pretrained("nuclei")


@pytest.fixture
def model(fitted):
    return copy(fitted["FlowSegmenter"])


@pytest.fixture(params=["FlowSegmenter", "BoundarySegmenter"])
def knowing(request, fitted, monkeypatch):
    """A segmenter whose network knows the masks of images that hold them as intensities."""

    def run_at(pipeline, image, size, _="diameters"):
        masks = image.array[..., 0].astype(np.int32)
        if image.limits is None:
            array = pipeline.settings.codec.no_objects(masks.shape)
        else:
            target = pipeline.settings.codec.encode(masks, workers=1)[..., 1:]
            known = target if not pipeline.has_flows else np.roll(target, -1, axis=-1)
            is_logit = slice(-1, None) if pipeline.has_flows else slice(None)
            known[..., is_logit] = 10 * known[..., is_logit] - 5
            array = known.astype(np.float32)
        return Outputs(array, pipeline.scale_factor(size), None, image.pixel)

    monkeypatch.setattr(Pipeline, "run_at", run_at)
    return copy(fitted[request.param])


def quietly(call):
    """Result of a call, without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def balls(shape, centers, radius):
    """Balls with labels 1..n."""
    place = np.indices(shape)
    masks = np.zeros(shape, dtype=np.int32)
    for k, center in enumerate(centers, 1):
        masks[sum((x - c) ** 2 for x, c in zip(place, center)) <= radius**2] = k
    return masks


@pytest.mark.parametrize("mode", MODES)
def test_known_outputs_give_the_masks(knowing, mode):
    _, masks = synthetic.cells((30, 60, 60), 14, diameter=16, rng=1)
    found = quietly(lambda: knowing.predict_volume(masks, mode=mode, diameters=16))
    least = {"planes": 14, "stitch": 11} if isinstance(knowing, FlowSegmenter) else {"planes": 11, "stitch": 8}
    assert metrics.match(masks, found, threshold=0.5).tp >= least[mode]
    assert found.dtype == np.int32
    assert np.array_equal(np.unique(found), np.arange(found.max() + 1))


@pytest.mark.parametrize("mode", MODES)
def test_nuclei_in_drawn_volumes(nuclei, mode):
    volume, masks = synthetic.cells(*DRAWN, diameter=20, rng=0)
    found = nuclei.predict_volume(volume, mode=mode, diameters=20)
    assert metrics.match(masks, found).average_precision >= {"planes": 1, "stitch": 0.8}[mode]


def test_thick_planes_are_scaled(nuclei):
    volume, masks = synthetic.cells((9, 48, 48), 4, diameter=20, spacing=(2, 1, 1), rng=0)
    found = nuclei.predict_volume(volume, spacing=(0.5, 0.25, 0.25), diameters=20)
    assert metrics.match(masks, found).average_precision >= 0.8


def test_the_network_sees_planes_of_equal_pixels_and_one_pair_of_limits(model, monkeypatch):
    seen = []
    run_at = Pipeline.run_at

    def watch(pipeline, image, size, name="diameters"):
        seen.append((image.array.shape[:2], image.limits, image.pixel.factors(pipeline.scale_factor(size))))
        return run_at(pipeline, image, size, name)

    monkeypatch.setattr(Pipeline, "run_at", watch)
    volume = np.random.default_rng(0).normal(size=(4, 20, 24)) + np.arange(4).reshape(-1, 1, 1)
    done = []
    segment_volume(
        pipeline_of(model), volume, spacing=(3, 1, 1), diameters=24, on_plane=lambda *count: done.append(count)
    )
    assert done == [(k, 48) for k in range(1, 49)]
    factor = model.working_diameter_ / 24
    by_shape = {(20, 24): (1, 1), (4, 24): (3, 1), (4, 20): (3, 1)}
    assert [shape for shape, _, _ in seen] == [(20, 24)] * 4 + [(4, 24)] * 20 + [(4, 20)] * 24
    assert all(np.allclose(factors, factor * np.array(by_shape[shape])) for shape, _, factors in seen)
    assert len({id(limits) for _, limits, _ in seen}) == 1
    low, high = np.percentile(volume, (1, 99))
    assert np.allclose([seen[0][1].low[0], seen[0][1].high[0]], [low, high])


@pytest.mark.parametrize("kind", ["FlowSegmenter", "BoundarySegmenter"])
@pytest.mark.parametrize("diameters", [None, "estimate", 20])
def test_a_volume_of_one_plane_is_that_image(kind, diameters, fitted, pairs):
    image, segmenter = pairs[0][0], fitted[kind]
    expected = quietly(lambda: segmenter.predict(image, diameters=diameters))
    for mode in MODES:
        found = quietly(lambda mode=mode: segmenter.predict_volume(image[np.newaxis], mode=mode, diameters=diameters))
        assert np.array_equal(found, expected[np.newaxis])


@pytest.mark.parametrize("kind", ["FlowSegmenter", "BoundarySegmenter"])
@pytest.mark.parametrize("mode", MODES)
def test_a_constant_volume_has_no_objects(kind, mode, fitted):
    with pytest.warns(UserWarning, match="^the volume is constant .* no objects there.$") as caught:
        found = fitted[kind].predict_volume(np.full((3, 8, 9), 7), mode=mode)
    assert found.shape == (3, 8, 9)
    assert not found.any()
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize("mode", MODES)
def test_constant_planes_have_no_objects(nuclei, mode):
    volume, _ = synthetic.cells(*DRAWN, diameter=20, rng=0)
    volume[:5] = 0
    found = nuclei.predict_volume(volume, mode=mode, diameters=20)
    assert not found[:5].any()
    assert found.max() > 1


def test_channels(pairs, small):
    images = [np.stack([image, image[::-1]], axis=-1) for image, _ in pairs[:2]]
    segmenter = FlowSegmenter(n_channels=2, **{**small, "epochs": 1}).fit(images, [masks for _, masks in pairs[:2]])
    assert quietly(lambda: segmenter.predict_volume(np.stack(images)[:, :32, :32])).shape == (2, 32, 32)
    with pytest.raises(ValueError, match=r"volume must have 2 channels.*got shape \(96, 96, 2\), one image, which pr"):
        segmenter.predict_volume(images[0])
    with pytest.raises(ValueError, match=r"volume must have 2 channels, shape \(planes, rows, columns, 2\), as in"):
        segmenter.predict_volume(np.zeros((3, 4, 5, 6)))


def test_what_cannot_be_a_volume(nuclei):
    with pytest.raises(ValueError, match=r"got shape \(96, 96\), one image, which predict segments\.$"):
        nuclei.predict_volume(np.zeros((96, 96)))
    with pytest.raises(ValueError, match=r"volume must have 1 channel, .*got shape \(2, 3, 4, 5\)\.$"):
        nuclei.predict_volume(np.zeros((2, 3, 4, 5)))
    with pytest.raises(ValueError, match="volume must be finite"):
        nuclei.predict_volume(np.full((2, 3, 4), np.nan))
    with pytest.raises(ValueError, match="mode must be one of 'planes', 'stitch'; got 'slices'"):
        nuclei.predict_volume(np.zeros((2, 3, 4)), mode="slices")
    with pytest.raises(ValueError, match="diameters must be from"):
        nuclei.predict_volume(np.ones((2, 3, 4)), diameters=1)


@pytest.mark.parametrize("spacing", [(1, 1), (1, 0, 1), (1, 1, -1), (1, np.nan, 1), 2, "abc"])
def test_wrong_spacing(nuclei, spacing):
    with pytest.raises(ValueError, match="spacing must be 3 numbers above 0, one per axis; got"):
        nuclei.predict_volume(np.zeros((2, 3, 4)), spacing=spacing)


def test_planes_far_apart_are_not_enlarged_without_bound(nuclei):
    volume = np.random.default_rng(0).random((2, 20, 20))
    with pytest.raises(ValueError, match="spacing must be such that no axis is enlarged more than 12 times"):
        nuclei.predict_volume(volume, spacing=(100, 1, 1), diameters=24)


def test_a_segmenter_of_volumes_has_predict():
    volume, masks = synthetic.cells((16, 32, 32), 4, diameter=12, rng=0)
    small = {"filters": (4, 8), "crop_size": 16, "batch_size": 1, "epochs": 1, "steps_per_epoch": 1}
    segmenter = quietly(lambda: FlowSegmenter(ndim=3, random_state=0, **small).fit([volume] * 2, [masks] * 2))
    with pytest.raises(ValueError, match="ndim=2; this one has ndim=3: use predict"):
        segmenter.predict_volume(volume)


def test_spacing_of_training_images(model):
    volume = np.random.default_rng(0).random((2, 20, 20))
    model.fitted_ = replace(model.fitted_, lattice=Lattice((0.5, 0.5), (0, 0)))
    with pytest.warns(UserWarning, match="was trained at spacing") as caught:
        model.predict_volume(volume, spacing=(2, 1, 1))
    assert caught[0].filename == __file__
    model.fitted_ = replace(model.fitted_, lattice=Lattice((1.0, 0.5), (1, 0)))
    with pytest.raises(ValueError, match=r"spacing must be given .* at spacing \(1, 0.5\); got None"):
        model.predict_volume(volume)


def test_min_size_is_that_of_the_ball():
    area = np.pi * 5**2
    assert voxels_of_ball(area, (1, 1, 1)) == round(4 / 3 * np.pi * 5**3)
    assert voxels_of_ball(area, (2.5, 1, 1)) == round(4 / 3 * np.pi * 5**3 / 2.5)
    assert [voxels_of_ball(n, (1, 1, 1)) for n in (0, 1, 15)] == [0, 1, 44]


@pytest.mark.parametrize(
    ("given", "learned", "expected"),
    [
        ({}, Thresholds(flow_threshold=0.1), 0.4),
        ({}, Thresholds(flow_threshold=0.6), 0.6),
        ({}, Thresholds(flow_threshold=None), None),
        ({"flow_threshold": 0.1}, Thresholds(flow_threshold=0.6), 0.1),
        ({"flow_threshold": None}, Thresholds(), None),
    ],
)
def test_thresholds_in_volumes(fitted, given, learned, expected):
    segmenter = copy(fitted["FlowSegmenter"]).set_params(**given)
    learned = Decoding(replace(learned, cellprob_threshold=-1.0, min_size=15, score_threshold=0.9))
    codec = pipeline_of(segmenter).settings.codec
    in_volumes = codec_of_volume(codec, learned, (2, 1, 1))
    assert in_volumes.ndim == 3
    assert in_volumes.thresholds(learned) == Thresholds(-1.0, expected, 22, None)
    assert codec_of_planes(codec).thresholds(learned) == replace(codec.thresholds(learned), min_size=0)


def test_min_size_of_three_classes(fitted):
    codec = pipeline_of(fitted["BoundarySegmenter"]).settings.codec
    assert codec_of_volume(codec, Decoding(), (2, 1, 1)) == replace(codec, min_size=22, ndim=3)
    assert codec_of_planes(codec).min_size == 0


@pytest.mark.parametrize("mode", MODES)
def test_small_objects_are_dropped_at_the_end(knowing, mode):
    masks = balls((20, 30, 30), [(10, 9, 9)], 7) + 2 * balls((20, 30, 30), [(10, 23, 23)], 2)
    knowing.set_params(min_size=15)  # 44 voxels; the small ball has 33
    found = quietly(lambda: knowing.predict_volume(masks, mode=mode, diameters=14))
    assert found.max() == 1
    assert (
        metrics.match(balls((20, 30, 30), [(10, 9, 9)], 7), found).pair_iou[0] > 0.9
    )  # with its small first and last sections


def test_table_of_objects_and_flow_check(nuclei):
    masks = balls((24, 44, 44), [(12, 12, 13), (12, 31, 30)], 9)
    volume = ndimage.gaussian_filter(np.where(masks > 0, 1.0, 0.1), 1)
    volume += np.random.default_rng(0).normal(0, 0.02, volume.shape)
    found, objects = segment_volume(pipeline_of(nuclei), volume, diameters=18)
    assert metrics.match(masks, found, threshold=0.7).average_precision == 1
    assert np.array_equal(objects["volume"], np.bincount(found.ravel())[1:])
    assert np.array_equal(objects["label"], [1, 2])
    assert objects["flow_error"].max() < 0.3
    assert np.isfinite(objects["score"]).all()
    assert not objects["touches_border"].any()
    strict = copy(nuclei).set_params(flow_threshold=0.01)
    assert strict.predict_volume(volume, diameters=18).max() == 0
    assert segment_volume(pipeline_of(nuclei), volume, diameters=18, mode="stitch")[1] is None


def test_an_estimate_is_made_in_some_planes(knowing, monkeypatch):
    model = knowing
    model.fitted_ = replace(model.fitted_, diameter=10.0, sizes=replace(model.fitted_.sizes, low=1.0, high=100.0))
    _, masks = synthetic.cells((40, 80, 80), 10, diameter=30, rng=0)
    seen = []
    run_at = Pipeline.run_at

    def watch(pipeline, image, size, name="diameters"):
        seen.append((image.array.shape[:2], round(size, 1)))
        return run_at(pipeline, image, size, name)

    monkeypatch.setattr(Pipeline, "run_at", watch)
    quietly(lambda: model.predict_volume(masks, diameters="estimate", mode="stitch"))
    first, last = [size for _, size in seen if size == 20], {size for _, size in seen[-40:]}
    assert len(first) == 16
    assert len(last) == 1
    assert 20 < last.pop() < 32  # sections are smaller than the cells


def test_places_are_evenly_spaced():
    assert spread(3, 16) == [0, 1, 2]
    assert spread(1, 16) == [0]
    assert spread(100, 4) == [12, 37, 62, 87]


def test_noise_is_told(nuclei):
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 64, 64)), 3)
    with pytest.warns(UserWarning, match=r"objects found are probably false positives: .* as in noise") as caught:
        nuclei.predict_volume(noise, diameters=12, mode="stitch")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("name", "mode", "least"),
    [
        ("embryo3d_qcanet", "planes", 0.9),
        ("stardist_examples", "planes", 0.4),
        ("stardist_examples", "stitch", 0.1),
    ],
)
def test_nuclei_in_real_volumes(shared, nuclei, name, mode, least):
    folder, rows = rows_of(shared, name)
    image, masks = next(pair for pair in (read_pair(folder, row) for row in rows) if pair[1].ndim == 3)
    diameter = {"embryo3d_qcanet": 24, "stardist_examples": 13}[name]
    found = quietly(lambda: nuclei.predict_volume(image, mode=mode, diameters=diameter))
    assert metrics.match(masks, found).average_precision >= least
