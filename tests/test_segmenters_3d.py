"""Segmenters of volumes: training, prediction, spacing, sparse annotation, model files and what they refuse."""

import json
import warnings
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import flowseg
from flowseg import BoundarySegmenter, FlowSegmenter, load_segmenter, metrics, synthetic
from flowseg._nets.encoder import Sparse
from flowseg._nets.lattice import Lattice, PixelShape
from flowseg._nets.sizes import image_diameters
from flowseg._nets.training.known_objects import find_known_objects
from flowseg._nets.training.samples import make_samples
from flowseg._segmenters.codecs.boundary_codec import BoundaryCodec
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg._segmenters.fitting.annotation_checks import warn_of_components
from flowseg._segmenters.fitting.pairs import as_validation, make_pairs
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.learned_decoding.object_table import as_learned, describe_objects
from flowseg._segmenters.pipeline import Pipeline, pipeline_of

TINY = {
    "ndim": 3,
    "filters": (4, 8),
    "crop_size": 16,
    "batch_size": 1,
    "epochs": 1,
    "steps_per_epoch": 2,
    "random_state": 0,
}
SPACING = (2.0, 1.0, 1.0)
CLASSES = [FlowSegmenter, BoundarySegmenter]


@pytest.fixture(scope="module")
def volumes():
    """Three drawn volumes with their masks; planes are twice as far apart as columns."""
    drawn = [synthetic.cells((12, 32, 32), 8, diameter=12, spacing=SPACING, rng=seed) for seed in range(3)]
    return [list(part) for part in zip(*drawn)]


@pytest.fixture(scope="module")
def trained(volumes):
    """A segmenter of each kind after a few steps: works, not well. The second knows the spacing."""
    return {
        FlowSegmenter: FlowSegmenter(**TINY).fit(*volumes),
        BoundarySegmenter: BoundarySegmenter(**TINY).fit(*volumes, spacing=SPACING),
    }


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tmp_path_factory.mktemp("training") / "checkpoint.safetensors"


@pytest.fixture(scope="module")
def spaced(volumes, checkpoint):
    return FlowSegmenter(**TINY).fit(*volumes, spacing=SPACING, checkpoint=checkpoint)


def quiet(function, *args, **options):
    """Call a function of a model that has learned next to nothing: its objects look like noise."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(probably (a )?false positive|unlike the training)")
        return function(*args, **options)


class TestForms:
    """One volume, a list, a stack; with channels."""

    @pytest.mark.parametrize("cls", CLASSES)
    def test_masks_have_the_shape_of_the_volume(self, cls, trained, volumes):
        model, (images, _) = trained[cls], volumes
        one = quiet(model.predict, images[0])
        assert (one.shape, one.dtype) == (images[0].shape, np.int32)
        several = quiet(model.predict, images[:2])
        assert isinstance(several, list)
        assert np.array_equal(several[0], one)
        with pytest.warns(UserWarning, match="2 separate volumes were segmented"):
            stack = model.predict(np.stack(images[:2]))
        assert np.array_equal(stack, np.stack(several))

    def test_flows_objects_and_classes(self, trained, volumes):
        flows, cellprob = trained[FlowSegmenter].predict_flows(volumes[0][0])
        assert (flows.shape, cellprob.shape) == ((3, 12, 32, 32), (12, 32, 32))
        masks, objects = quiet(trained[FlowSegmenter].set_params(min_size=0).predict_objects, volumes[0][0])
        trained[FlowSegmenter].set_params(min_size="auto")
        assert masks.max() == objects["label"].size > 0
        assert objects["diameter"] == pytest.approx(flowseg.diameters(masks))
        classes = trained[BoundarySegmenter].predict_classes(volumes[0][0])
        assert classes.shape == (12, 32, 32, 3)
        assert np.allclose(classes.sum(axis=-1), 1, atol=1e-5)

    @pytest.mark.parametrize("n", [1, 3])
    def test_thin_volumes(self, n, trained, volumes):
        for cls in CLASSES:
            assert quiet(trained[cls].predict, volumes[0][0][:n]).shape == (n, 32, 32)

    def test_one_thin_volume_of_two_channels_is_enough_to_train_on(self, volumes):
        (image, *_), (masks, *_) = volumes
        both = np.stack([image, image], axis=-1)[:1]
        model = FlowSegmenter(**TINY, n_channels=2).fit(both, masks[:1])
        assert quiet(model.predict, both).shape == (1, 32, 32)

    def test_constant_volumes(self, trained):
        with pytest.warns(UserWarning, match="the image is constant"):
            assert not trained[FlowSegmenter].predict(np.zeros((4, 9, 9))).any()

    @pytest.mark.parametrize("ndim", [2, 3])
    def test_what_auto_stands_for(self, ndim):
        from flowseg._segmenters.fitting.settings import check_training_settings

        model = FlowSegmenter(ndim=ndim)
        settings = check_training_settings(model)
        expected = {2: (128, 8), 3: (48, 2)}[ndim]
        assert (settings.crop_size, settings.batch_size) == expected
        assert model.get_params()["filters"] == "auto"


class TestCodecs:
    """Encoding and decoding without a network."""

    @staticmethod
    def outputs(codec, masks, **options):
        target = codec.encode(masks, workers=1)
        if isinstance(codec, FlowCodec):
            made = np.concatenate([target[..., 2:], 10 * target[..., 1:2] - 5], axis=-1)
        else:
            made = target[..., 1:]
        return Outputs(made, 1.0, **options)

    def test_flows_give_touching_cells_back(self, voronoi):
        masks = voronoi((24, 30, 36), 25).astype(np.int32)
        codec = FlowCodec(ndim=3)
        assert (codec.n_outputs, codec.vectors) == (4, slice(0, 3))
        found = codec.decode(self.outputs(codec, masks), Decoding())
        assert metrics.average_precision([masks], [found], thresholds=[0.99]) == 1

    def test_boundaries_give_cells_back(self):
        _, masks = synthetic.cells((32, 64, 64), 12, diameter=20, rng=0)
        codec = BoundaryCodec(ndim=3)
        assert (codec.n_outputs, codec.vectors) == (3, None)
        found = codec.decode(self.outputs(codec, masks), Decoding())
        assert metrics.average_precision([masks], [found], thresholds=[0.75]) > 0.9

    def test_a_boundary_is_as_wide_as_the_network_saw_it(self):
        # Scaled by 1/4 along columns only: the boundary hides four columns, and one plane.
        outputs = np.zeros((5, 5, 24, 3), np.float32)
        outputs[..., 0] = 1
        outputs[2, 2, 10:14, 1] = 2
        pixel = PixelShape((4.0, 4.0, 1.0), 1.0, (0, 0, 0))
        found = BoundaryCodec(0, 3).decode(Outputs(outputs, 0.25, None, pixel), Decoding())
        assert found[2, 2].nonzero()[0].tolist() == list(range(6, 18))
        assert found[:, 2, 12].tolist() == [0, 1, 1, 1, 0]

    @pytest.mark.parametrize("codec", [FlowCodec(ndim=3), BoundaryCodec(ndim=3)])
    def test_no_objects(self, codec):
        outputs = codec.no_objects((3, 4, 5, 1))
        assert outputs.shape == (3, 4, 5, codec.n_outputs)
        assert not codec.decode(Outputs(outputs, 1.0), Decoding()).any()

    def test_tables_are_in_pixels_of_the_finest_axis(self):
        masks = np.ones((2, 4, 4), np.int32)
        flows, cellprob = np.zeros((3, 2, 4, 4), np.float32), np.ones((2, 4, 4), np.float32)
        pixel = PixelShape((2.0, 1.0, 1.0), 3.0, (1, 0, 0))
        table = describe_objects(masks, flows, cellprob, pixel=pixel, workers=1)
        assert table["volume"] == [32]
        assert table["diameter"] == pytest.approx(2 * np.cbrt(3 * 64 / (4 * np.pi)))
        assert as_learned(table, pixel)["diameter"] == pytest.approx(3 * table["diameter"])


class TestSpacing:
    def test_the_lattice(self, trained, spaced, volumes):
        assert trained[FlowSegmenter].spacing_ is None
        assert trained[FlowSegmenter].fitted_.lattice == Lattice(None, (0, 0, 0))
        assert spaced.spacing_ == SPACING
        assert spaced.fitted_.lattice == Lattice(SPACING, (1, 0, 0))
        assert spaced.diameter_ == pytest.approx(2 ** (1 / 3) * trained[FlowSegmenter].diameter_, rel=1e-6)
        kernels = [w.shape for w in spaced.network_.weights if "kernel" in w.path]
        assert {shape[:3] for shape in kernels[:-1]} == {(3, 3, 3)}  # planes are convolved at every level ...
        assert spaced.network_.get_layer("down_1").pool_size == (1, 2, 2)  # ... and not pooled between them

    def test_by_default_that_of_the_training_images(self, spaced, volumes):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*spacing")
            expected = spaced.predict_flows(volumes[0][0])
            given = spaced.predict_flows(volumes[0][0], spacing=SPACING)
        assert all(np.array_equal(a, b) for a, b in zip(expected, given))

    def test_another_spacing_is_warned_of_and_scaled(self, spaced, volumes, monkeypatch):
        seen, run_at = [], Pipeline.run_at

        def watch(self, image, size, *name):
            seen.append((image.pixel.factors(self.scale_factor(size, *name)), size))
            return run_at(self, image, size, *name)

        monkeypatch.setattr(Pipeline, "run_at", watch)
        image = volumes[0][0]
        spaced.predict_flows(image)
        message = r"trained at spacing \(2, 1, 1\) and is used at \(2, 2, 2\): .* unless diameters are given"
        with pytest.warns(UserWarning, match=message) as caught:
            spaced.predict_flows([image[:, ::2, ::2], image[:, ::2, ::2]], spacing=(2, 2, 2))
        assert len(caught) == 1
        assert caught[0].filename == __file__
        (factors, size), (others, smaller), _ = seen
        # The same objects in pixels twice as large: they come to the network at the same size.
        assert smaller == size / 2
        assert others == pytest.approx((factors[0], 2 * factors[1], 2 * factors[2]))

    def test_validation_volumes(self, volumes):
        images, masks = volumes
        shape = {"n_channels": 1, "ndim": 3}
        assert as_validation((images[:2], masks[:2]), SPACING, **shape).spacings == [SPACING] * 2
        own = as_validation((images[:2], masks[:2], [SPACING, (3, 1, 1)]), (5, 5, 5), **shape)
        assert own.spacings == [SPACING, (3.0, 1.0, 1.0)]
        assert as_validation((images[:1], masks[:1]), None, **shape).given_spacings is None
        with pytest.raises(ValueError, match=r"must be \(images, masks, spacing\) where spacing is one per image"):
            as_validation((images[:1], masks[:1]), [SPACING] * 3, **shape)
        with pytest.raises(ValueError, match="validation spacing must be 3 numbers above 0"):
            as_validation((images[:1], masks[:1], (1, 1)), None, **shape)
        assert as_validation((images[:1], masks[:1], None, None), SPACING, **shape).spacings == [SPACING]
        with pytest.raises(TypeError, match=r"validation must be \(images, masks\), .*; got tuple of 5"):
            as_validation((images[:1], masks[:1], None, None, None), None, **shape)

    def test_a_model_without_spacing_refuses_one(self, trained, volumes):
        model = trained[FlowSegmenter]
        for call in (
            lambda: model.predict(volumes[0][0], spacing=SPACING),
            lambda: model.score(*volumes, spacing=SPACING),
            lambda: model.fit_thresholds(*volumes, spacing=SPACING),
            lambda: flowseg.FlowSegmenter.from_pretrained("nuclei").predict(np.eye(9), spacing=(1, 1)),
        ):
            with pytest.raises(ValueError, match="spacing must be None for a segmenter that was trained without"):
                call()

    @pytest.mark.parametrize("spacing", [(1, 1), (0, 1, 1), (-1, 1, 1), (np.nan, 1, 1)])
    def test_bad_ones(self, spacing, spaced, volumes):
        for call in (FlowSegmenter(**TINY).fit, spaced.score, spaced.fit_thresholds):
            with pytest.raises(ValueError, match="spacing must be 3 numbers above 0, one per axis"):
                call(*volumes, spacing=spacing)
        with pytest.raises(ValueError, match="spacing must be 3 numbers above 0, one per axis"):
            spaced.predict(volumes[0], spacing=spacing)

    def test_planes_of_pixels_that_are_not_square(self):
        image, masks = (array[::2] for array in synthetic.cells((96, 96), 10, rng=0))
        model = FlowSegmenter(**TINY | {"ndim": 2}).fit([image], [masks], spacing=(2, 1))
        assert model.fitted_.lattice == Lattice((2.0, 1.0), (1, 0))
        assert quiet(model.predict, image).shape == (48, 96)


class TestSparse:
    """Some planes are annotated."""

    @staticmethod
    def every(masks, step):
        sparse = np.full_like(masks, -1)
        sparse[1::step] = masks[1::step]
        return sparse

    def test_flows_are_those_of_whole_objects(self):
        _, masks = synthetic.cells((32, 48, 48), 8, diameter=18, rng=0)
        known = find_known_objects(self.every(masks, 4))
        (sample,) = make_samples(
            [masks[..., None].astype(float)],
            [known],
            [Lattice(None, (0, 0, 0)).pixel(None)],
            typical=18.0,
            working=18.0,
            every_size=False,
            normalize=None,
        )
        codec = FlowCodec(ndim=3)
        target = codec.encode(sample.masks, workers=1, sparse=sample.sparse)
        weight = target[..., 0] > 0
        assert np.array_equal(weight.any(axis=(1, 2)), np.arange(32) % 4 == 1)
        assert np.array_equal(target[..., 1][weight], (masks > 0)[weight])
        true = np.moveaxis(flowseg.masks_to_flows(masks), 0, -1)
        is_known = weight & (np.linalg.norm(target[..., 2:], axis=-1) > 0)
        assert np.median((target[..., 2:] * true).sum(axis=-1)[is_known]) > 0.97
        assert np.abs(target[..., 2][is_known]).mean() > 0.2  # a single plane knows of no other

    def test_cut_objects_have_no_flows(self):
        masks = np.zeros((9, 9, 9), np.int32)
        masks[1:4, 1:4, 1:4], masks[5:8, 5:8, 5:8] = 1, 2
        target = FlowCodec(ndim=3).encode(masks, workers=1, sparse=Sparse(masks < 9, 1))
        assert target[..., 0].all()
        assert target[..., 1].sum() == 54
        assert np.abs(target[..., 2:]).sum(axis=-1).astype(bool)[masks == 1].sum() == 26
        assert not target[masks == 2][:, 2:].any()
        assert np.array_equal(
            BoundaryCodec(ndim=3).encode(masks, workers=1, sparse=Sparse(masks < 9, 1)),
            BoundaryCodec(ndim=3).encode(masks, workers=1),
        )

    def test_sizes_are_those_of_whole_objects(self, volumes):
        images, masks = volumes
        sparse = make_pairs(images, [self.every(m, 3) for m in masks], None, n_channels=1, ndim=3)
        found = image_diameters([known.masks for known in sparse.known])
        assert found == pytest.approx(image_diameters(masks), rel=0.15)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_of_components([known.masks for known in sparse.known], stacklevel=1)

    def test_only_annotated_planes_are_compared(self, trained, volumes, monkeypatch):
        (images, masks), model = volumes, trained[FlowSegmenter]
        monkeypatch.setattr(FlowSegmenter, "predict", lambda *_, **__: masks)
        assert model.score(images, [self.every(m, 5) for m in masks]) == 1
        shifted = [np.where(np.arange(12)[:, None, None] % 5 == 1, m, 0) for m in masks]
        monkeypatch.setattr(FlowSegmenter, "predict", lambda *_, **__: shifted)
        assert model.score(images, [self.every(m, 5) for m in masks]) == 1

    def test_without_planes_or_a_box_nothing_is_completed(self):
        masks = np.full((9, 9, 9), -1, np.int32)
        masks[1:4, 1:4, 1:4] = 1
        masks[6:8, 6:8, 6:8] = 2
        known = find_known_objects(masks)
        assert known.annotated is None
        assert known.masks is masks


class TestFiles:
    @pytest.mark.parametrize("cls", CLASSES)
    def test_round_trip(self, cls, trained, volumes, tmp_path):
        model, path = trained[cls], tmp_path / "m.safetensors"
        model.save(path)
        again = load_segmenter(path)
        assert again.get_params() == model.get_params()
        assert (again.fitted_.lattice, again.fitted_.grid) == (model.fitted_.lattice, model.fitted_.grid)
        assert np.array_equal(quiet(again.predict, volumes[0][0]), quiet(model.predict, volumes[0][0]))

    def test_auto_is_written_as_what_it_stands_for(self, trained, tmp_path):
        path = tmp_path / "m.safetensors"
        model = FlowSegmenter(**TINY | {"filters": "auto"})
        fitted = trained[FlowSegmenter].fitted_
        model.fitted_ = replace(fitted, fixed=fitted.fixed._replace(filters=(16, 32, 64)))
        model.save(path)
        with safe_open(path, framework="numpy") as opened:
            parameters = json.loads(opened.metadata()["flowseg"])["parameters"]
        assert parameters["filters"] == [16, 32, 64]

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (
                {"lattice": {"spacing": [1, 1], "coarse_levels": [0, 0, 0]}},
                "what was learned; lattice|spacing must be 3",
            ),
            ({"lattice": {"spacing": None, "coarse_levels": [9, 0, 0]}}, "coarse_levels must be at most 1"),
            ({"lattice": 3}, "lattice must be an object"),
        ],
    )
    def test_wrong_lattices(self, change, sentence, trained, tmp_path):
        path = tmp_path / "m.safetensors"
        trained[FlowSegmenter].save(path)
        with safe_open(path, framework="numpy") as opened:
            document = json.loads(opened.metadata()["flowseg"])
        document["learned"] |= change
        save_file(load_file(path), path, metadata={"flowseg": json.dumps(document)})
        with pytest.raises(ValueError, match=sentence):
            load_segmenter(path)

    @staticmethod
    def narrow(model, path, axis):
        """Write the model with kernels of the first level that have one weight along an axis, as older files do."""
        model.save(path)
        with safe_open(path, framework="numpy") as opened:
            metadata = opened.metadata()
        weights = load_file(path)
        for name, kernel in weights.items():
            if "coder_0_conv" in name:
                weights[name] = np.ascontiguousarray(np.take(kernel, [1], axis=axis))
        save_file(weights, path, metadata=metadata)

    def test_files_whose_coarse_levels_do_not_convolve(self, spaced, volumes, tmp_path):
        model, path = deepcopy(spaced), tmp_path / "m.safetensors"
        network = model.network_
        kernels = [layer.kernel for layer in network.layers if "coder_0_conv" in layer.name]
        assert len(kernels) == 4
        for kernel in kernels:
            middle = np.zeros(kernel.shape, dtype=np.float32)
            middle[1] = np.asarray(kernel)[1]
            kernel.assign(middle)
        self.narrow(model, path, axis=0)
        again = load_segmenter(path)
        for found, expected in zip(again.network_.get_weights(), network.get_weights(), strict=True):
            assert np.array_equal(found, expected)
        again.save(tmp_path / "again.safetensors")
        assert np.array_equal(quiet(again.predict, volumes[0][0]), quiet(model.predict, volumes[0][0]))

    @pytest.mark.parametrize("axis", [1, 2])
    def test_kernels_that_are_too_small(self, axis, spaced, tmp_path):
        path = tmp_path / "m.safetensors"
        self.narrow(spaced, path, axis)
        with pytest.raises(ValueError, match=r"weight 000.* must have shape \(3, 3, 3, 1, 4\); got"):
            load_segmenter(path)

    def test_the_shipped_model_is_of_planes(self):
        model = FlowSegmenter.from_pretrained("nuclei")
        assert (model.ndim, model.spacing_, model.fitted_.lattice) == (2, None, Lattice(None, (0, 0)))


class TestTraining:
    def test_same_seed_same_weights_in_any_unit(self, spaced, volumes):
        again = FlowSegmenter(**TINY).fit(*volumes, spacing=(0.5, 0.25, 0.25))
        pairs = zip(again.network_.get_weights(), spaced.network_.get_weights())
        assert all(np.array_equal(a, b) for a, b in pairs)

    def test_a_checkpoint_is_of_one_spacing(self, spaced, checkpoint, volumes):
        again = FlowSegmenter(**TINY).fit(*volumes, spacing=SPACING, checkpoint=checkpoint)
        pairs = zip(again.network_.get_weights(), spaced.network_.get_weights())
        assert all(np.array_equal(a, b) for a, b in pairs)
        for spacing in (None, (1, 1, 1)):
            with pytest.raises(ValueError, match="checkpoint must hold this very training"):
                FlowSegmenter(**TINY).fit(*volumes, spacing=spacing, checkpoint=checkpoint)

    def test_further_at_another_spacing(self, spaced, volumes):
        images, masks = volumes
        model = deepcopy(spaced).set_params(warm_start=True)
        with pytest.warns(UserWarning, match="without validation images"):
            model.fit(images, masks, spacing=(4.0, 2.0, 2.0))
        assert model.fitted_.lattice == Lattice((4.0, 2.0, 2.0), (1, 0, 0))
        assert model.diameter_ == spaced.diameter_
        # Sizes that the start has learned in pixels half as long.
        assert model.fitted_.sizes.low == pytest.approx(spaced.fitted_.sizes.low / 2)

    def test_further_with_spacing_that_the_start_does_not_know(self, trained, volumes):
        model = deepcopy(trained[FlowSegmenter]).set_params(warm_start=True)
        with pytest.raises(ValueError, match="spacing must be None for a segmenter that was trained without"):
            model.fit(*volumes, spacing=SPACING)

    def test_what_is_learned_from_volumes(self, spaced, volumes):
        """Thresholds and scores, from outputs that know the masks."""
        images, masks = volumes
        codec = FlowCodec(ndim=3)
        pixel = spaced.fitted_.lattice.pixel(None)
        outputs = [TestCodecs.outputs(codec, m, pixel=pixel) for m in masks * 2]
        learned = codec.learn(outputs, masks * 2, Decoding(), diameter=spaced.diameter_)
        assert learned.calibration.diameter == spaced.diameter_
        found, objects = codec.decode_objects(outputs[0], learned)
        assert metrics.average_precision([masks[0]], [found], thresholds=[0.9]) == 1
        assert np.median(objects["diameter"]) == pytest.approx(spaced.diameter_, rel=0.3)
        assert objects["score"].min() > 0.9

    def test_test_time_augmentation(self, trained, volumes):
        model = trained[FlowSegmenter]
        image, size = volumes[0][0], {"diameters": model.working_diameter_}
        plain = model.predict_flows(image, **size)[1]
        augmented = model.set_params(test_time_augmentation=True).predict_flows(image, **size)[1]
        flipped = model.predict_flows(image[::-1].copy(), **size)[1][::-1]
        model.set_params(test_time_augmentation=False)
        assert not np.allclose(augmented, plain, atol=1e-4)
        assert np.allclose(augmented, flipped, atol=1e-4)

    def test_estimated_diameters(self, spaced, volumes):
        assert spaced.predict(volumes[0][0], diameters="estimate").shape == volumes[0][0].shape

    def test_custom_networks(self, volumes, tmp_path):
        import keras

        def build(n_channels, n_outputs):
            inputs = keras.Input((None, None, None, n_channels))
            x = keras.layers.Conv3D(4, 3, padding="same", activation="relu")(inputs)
            return keras.Model(inputs, keras.layers.Conv3D(n_outputs, 1)(x))

        model = FlowSegmenter(**TINY | {"network": build}).fit(*volumes, spacing=SPACING)
        assert model.fitted_.lattice == Lattice(SPACING, (0, 0, 0))  # it sees voxels of equal sides
        model.save(tmp_path / "m.safetensors")
        again = FlowSegmenter.load(tmp_path / "m.safetensors", network=build)
        assert np.array_equal(again.predict_flows(volumes[0][0])[1], model.predict_flows(volumes[0][0])[1])


class TestRefusals:
    def test_ndim(self, volumes):
        for ndim, kind in ((1, ValueError), (4, ValueError), ("3", TypeError), (2.0, TypeError), (True, TypeError)):
            with pytest.raises(kind, match="ndim must be"):
                FlowSegmenter(**TINY | {"ndim": ndim}).fit(*volumes)

    def test_it_is_fixed(self, spaced, volumes):
        model = FlowSegmenter(**TINY)
        model.fitted_ = spaced.fitted_
        with pytest.raises(ValueError, match="ndim must be what it was in fit, 3; got 2"):
            model.set_params(ndim=2).predict(volumes[0][0])

    def test_planes_for_volumes(self, trained, volumes):
        planes, masks = list(volumes[0][0]), list(volumes[1][0])
        sentence = (
            r"images\[0\] must have 1 channel, shape \(planes, rows, columns\), .* got shape .*, a plane; a .*ndim=3"
        )
        for first, labels in ((planes, masks), ([planes[0], planes[1][:9]], [masks[0], masks[1][:9]])):
            with pytest.raises(ValueError, match=sentence):
                FlowSegmenter(**TINY).fit(first, labels)
            with pytest.raises(ValueError, match=sentence):
                trained[FlowSegmenter].predict(first)
        with pytest.raises(ValueError, match="images must have 1 channel, .* a plane; a segmenter with ndim=3 takes"):
            trained[FlowSegmenter].predict(planes[0])

    def test_masks_of_planes_for_volumes(self, volumes):
        images, masks = volumes
        with pytest.raises(ValueError, match=r"masks\[0\] must be 3-D \(planes, rows, columns\); got shape \(32, 32\)"):
            FlowSegmenter(**TINY).fit(images, [m[0] for m in masks])
        with pytest.raises(
            ValueError, match=r"masks\[0\] must have the shape of images\[0\] \(planes, rows and columns"
        ):
            FlowSegmenter(**TINY).fit(images, [m[1:] for m in masks])

    def test_no_annotated_plane(self, volumes):
        images, masks = volumes
        with pytest.raises(ValueError, match="masks must hold at least one annotated plane"):
            FlowSegmenter(**TINY).fit(images, [np.full_like(m, -1) for m in masks])
        with pytest.raises(ValueError, match="masks must hold at least one object"):
            FlowSegmenter(**TINY).fit(images, [np.zeros_like(m) for m in masks])

    def test_volumes_for_planes(self, volumes):
        images, masks = volumes
        with pytest.raises(ValueError, match="a volume or a film. To train on volumes use ndim=3"):
            FlowSegmenter().fit(images[0], masks[0])
        with pytest.raises(ValueError, match=r"images\[0\] must have 1 channel.*; for volumes there is ndim=3"):
            FlowSegmenter().fit(images, masks)
        with pytest.warns(UserWarning, match="for one volume there is predict_volume"):
            FlowSegmenter.from_pretrained("nuclei").predict(images[0][:2])

    def test_channels(self, trained, volumes):
        with pytest.raises(ValueError, match="looks like one image of 3 channels"):
            trained[FlowSegmenter].predict(np.zeros((4, 8, 9, 3)))
        model = FlowSegmenter(**TINY, n_channels=2)
        with pytest.raises(ValueError, match=r"looks like channels first: move them, np.moveaxis\(image, 1, -1\)"):
            model.fit(np.zeros((5, 2, 8, 9)), volumes[1])


def test_a_real_volume(shared):
    """The network sees a real volume of coarse planes; what a few steps teach does not matter."""
    folder = shared / "data" / "ovule_nuclei3d" / "train"
    if not folder.is_dir():
        pytest.skip("no real volume")
    image, masks = (tifffile.imread(folder / kind / "ovule_1135.tif") for kind in ("images", "labels"))
    image, masks = image[20:60, :48, :48], masks[20:60, :48, :48].astype(np.int32)
    model = FlowSegmenter(**TINY | {"steps_per_epoch": 1}).fit(image, masks, spacing=(0.284, 0.127, 0.127))
    assert model.fitted_.lattice.coarse_levels == (1, 0, 0)
    assert 15 < model.diameter_ < 40
    outputs = pipeline_of(model).run(image)
    assert outputs.factors[0] == pytest.approx(outputs.factor * 0.284 / 0.127 / 2)
    assert np.isfinite(outputs.array).all()
    assert quiet(model.predict, image).shape == masks.shape
