import pickle
import random
from copy import deepcopy
from decimal import Decimal

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

import flowseg
from flowseg import BoundarySegmenter, FlowSegmenter
from flowseg._segmenters.inputs import hold_out

BOTH = [FlowSegmenter, BoundarySegmenter]


def weights(segmenter):
    return segmenter.network_.get_weights()


@pytest.fixture(params=BOTH, ids=lambda cls: cls.__name__)
def segmenter(request, fitted):
    return fitted[request.param.__name__]


def test_it_learns(pairs):
    # Half a minute of training must tell touching cells apart on images that it has not seen.
    images, masks = zip(*[flowseg.synthetic.cells((128, 128), 18, rng=seed) for seed in range(12)])
    model = FlowSegmenter(filters=(16, 32, 64), crop_size=64, epochs=5, steps_per_epoch=30, random_state=0)
    model.fit(images, masks)
    unseen = [flowseg.synthetic.cells((128, 128), 18, rng=seed) for seed in (100, 101)]
    assert model.score(*zip(*unseen)) > 0.7
    assert model.history_["loss"][-1] < 0.5 * model.history_["loss"][0]


def test_forms_of_input_and_output(segmenter, pairs):
    images = [image for image, _ in pairs]
    one = segmenter.predict(images[0])
    assert isinstance(one, np.ndarray)
    assert (one.shape, one.dtype) == (images[0].shape, np.int32)
    several = segmenter.predict([images[0], images[1][:50, :33]])
    assert isinstance(several, list)
    assert [m.shape for m in several] == [(96, 96), (50, 33)]
    assert np.array_equal(several[0], one)
    stack = segmenter.predict(np.stack(images[:2]))
    assert stack.shape == (2, 96, 96)
    assert np.array_equal(stack[0], one)
    assert np.array_equal(segmenter.predict(images[0][..., None]), one)
    before = images[0].copy()
    segmenter.predict(images[0])
    assert np.array_equal(images[0], before)


def test_what_comes_before_masks(fitted, pairs):
    image = pairs[0][0]
    model = fitted["FlowSegmenter"]
    flows, cellprob = model.predict_flows(image)
    assert (flows.shape, cellprob.shape) == ((2, 96, 96), (96, 96))
    assert flows.dtype == cellprob.dtype == np.float32
    assert np.array_equal(flowseg.flows_to_masks(flows, cellprob), model.predict(image))
    assert len(model.predict_flows([image, image])) == 2
    classes = fitted["BoundarySegmenter"].predict_classes(image)
    assert classes.shape == (96, 96, 3)
    assert classes.sum(axis=-1) == pytest.approx(np.ones((96, 96)), abs=1e-5)


def test_same_seed_same_weights(segmenter, pairs):
    images, masks = zip(*pairs)
    again = clone(segmenter).fit(images, masks)
    assert all(np.array_equal(a, b) for a, b in zip(weights(segmenter), weights(again)))
    other = clone(segmenter).set_params(random_state=4).fit(images, masks)
    assert any(not np.array_equal(a, b) for a, b in zip(weights(segmenter), weights(other)))


def test_learned_attributes(segmenter, pairs):
    assert segmenter.diameter_ == pytest.approx(np.median([np.median(flowseg.diameters(m)) for _, m in pairs]), rel=0.1)
    assert len(segmenter.history_["loss"]) == len(segmenter.history_["val_loss"]) == 2
    assert isinstance(segmenter.network_, keras.Model)


def test_best_validation_weights_are_kept(pairs, small):
    images, masks = zip(*pairs)

    class Spoil(keras.callbacks.Callback):
        """After the second epoch make the weights useless; the third then is the worst."""

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.kept = self.model.get_weights()
                self.model.set_weights([np.full_like(w, 0.5) for w in self.kept])

    spoil = Spoil()
    model = FlowSegmenter(**small | {"epochs": 3, "learning_rate": 1e-4})
    model.fit(images, masks, callbacks=[spoil])
    best = int(np.argmin(model.history_["val_loss"]))
    assert best < 2
    if best == 1:
        assert all(np.array_equal(a, b) for a, b in zip(weights(model), spoil.kept))


def test_losses_are_means_over_all_batches(pairs, small):
    # Without learning, the loss of an epoch is that of its batches together.
    import keras

    from flowseg._nets.batches import CropBatches

    images, masks = zip(*pairs)
    seen = []
    remember = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    options = small | {"epochs": 1, "steps_per_epoch": 3, "learning_rate": 1e-12}
    made, make = [], CropBatches.make

    def note(self, epoch, index):
        made.append((self.augment, make(self, epoch, index)))
        return made[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CropBatches, "make", note)
        model = FlowSegmenter(**options).fit(images, masks, validation=(images[:2], masks[:2]), callbacks=[remember])
    held_out = [batch for augment, batch in made if not augment]
    assert len(held_out) == 2
    expected = [
        float(flowseg.flow_loss(targets, model.network_(images, training=False))) for images, targets in held_out
    ]
    assert model.history_["val_loss"] == [pytest.approx(np.mean(expected), rel=1e-3)]
    assert model.history_["loss"] == [seen[-1]]
    single = [seen[0], 2 * seen[1] - seen[0], 3 * seen[2] - 2 * seen[1]]
    assert np.std(single) > 0
    assert min(single) > 0


def test_validation_pairs_and_none(pairs, small):
    images, masks = zip(*pairs)
    model = FlowSegmenter(**small).fit(images[:6], masks[:6], validation=(images[6:], masks[6:]))
    assert "val_loss" in model.history_
    model = FlowSegmenter(**small, validation_fraction=0.0).fit(images, masks)
    assert "val_loss" not in model.history_
    model = FlowSegmenter(**small).fit(images[:1], masks[:1])  # a single image is not split
    assert "val_loss" not in model.history_


def test_images_of_many_sizes_and_dtypes(small):
    pairs = [flowseg.synthetic.cells(shape, 3, rng=1) for shape in ((40, 70), (97, 31), (64, 64))]
    images = [(1000 * i).clip(0).astype(t) for (i, _), t in zip(pairs, (np.uint16, np.float64, np.int32))]
    masks = [m.astype(t) for (_, m), t in zip(pairs, (np.uint8, np.int64, np.uint16))]
    model = FlowSegmenter(**small).fit(images, masks)
    assert [m.shape for m in model.predict(images)] == [(40, 70), (97, 31), (64, 64)]


def test_colour_images(pairs, small):
    images = [np.stack([image, image**2, 1 - image], axis=-1) for image, _ in pairs]
    model = FlowSegmenter(n_channels=3, **small).fit(images, [m for _, m in pairs])
    assert model.predict(images[0]).shape == (96, 96)
    assert model.predict(np.stack(images[:3])).shape == (3, 96, 96)
    with pytest.raises(ValueError, match=r"images must have 3 channels, .* got shape \(96, 96\)"):
        model.predict(images[0][..., 0])


def test_small_and_odd_images(segmenter):
    rng = np.random.default_rng(0)
    for shape in ((1, 40), (40, 1), (1, 2), (3, 3), (65, 127)):
        assert segmenter.predict(rng.random(shape)).shape == shape


def test_known_diameters_change_the_scale(fitted, pairs):
    model, image = fitted["FlowSegmenter"], pairs[0][0]
    assert np.array_equal(model.predict(image, diameters=model.diameter_), model.predict(image))
    twice = model.predict_flows(image, diameters=2 * model.diameter_)[1]
    assert not np.array_equal(twice, model.predict_flows(image)[1])
    assert len(model.predict([image, image], diameters=[None, 20.0])) == 2


def test_ignored_pixels_and_images_without_objects(pairs, small):
    images, masks = zip(*pairs)
    masks = [np.where(m == 1, -1, m) for m in masks[:3]] + [np.zeros_like(masks[3])]
    FlowSegmenter(**small).fit(images[:4], masks)


@pytest.mark.parametrize("copy", [lambda m: pickle.loads(pickle.dumps(m)), deepcopy], ids=["pickle", "deepcopy"])
def test_copies_of_a_fitted_segmenter(segmenter, copy, pairs):
    assert np.array_equal(copy(segmenter).predict(pairs[0][0]), segmenter.predict(pairs[0][0]))


@pytest.mark.parametrize(
    ("name", "value"), [("n_channels", 3), ("filters", (4, 8)), ("filters", (8, 16, 32)), ("diameter", 50.0)]
)
def test_what_fit_has_fixed_cannot_be_changed_after_it(segmenter, name, value, pairs, tmp_path):
    changed = deepcopy(segmenter).set_params(**{name: value})
    for call in (lambda: changed.predict(pairs[0][0]), lambda: changed.save(tmp_path / "m")):
        with pytest.raises(ValueError, match=f"{name} must be what it was in fit"):
            call()


def test_training_that_diverges(pairs, small):
    images, masks = zip(*pairs)
    model = FlowSegmenter(**small | {"learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"learning_rate must be small enough .* with 1e\+30"):
        model.fit(images, masks)
    assert not hasattr(model, "network_")


def test_binary_masks_of_several_objects(pairs, small):
    images, masks = zip(*pairs)
    apart = [np.where(np.isin(m, (1, 4, 7)), 1, 0).astype(np.uint8) for m in masks]
    apart[0][:] = 0
    apart[0][[5, 30, 60, 90], [5, 40, 70, 20]] = 1
    with pytest.raises(
        ValueError, match="got one label only in each of them, in up to . separate pieces: binary masks"
    ):
        FlowSegmenter(**small).fit(images, apart)


def test_a_stray_pixel_does_not_blow_the_image_up(pairs):
    from flowseg._nets.training import make_samples

    stray = np.zeros((96, 96), int)
    stray[5, 5] = 1
    samples = make_samples(
        [pairs[0][0][..., None]] * 2,
        [pairs[0][1], stray],
        typical=24.0,
        working=24.0,
        every_size=True,
        normalize=None,
    )
    assert max(s.image.shape[0] for s in samples) < 200
    with pytest.raises(ValueError, match="masks must have objects whose typical diameter is from 4 to"):
        FlowSegmenter(diameter=48.0).fit([pairs[0][0]], [stray])


class TestOwnNetwork:
    def build(self, n_channels=1, n_outputs=3):
        inputs = keras.Input((None, None, n_channels))
        x = layers.Conv2D(8, 5, padding="same", activation="relu")(inputs)
        return keras.Model(inputs, layers.Conv2D(n_outputs, 3, padding="same")(x))

    @pytest.mark.parametrize("form", ["function", "model"])
    def test_fit_save_load(self, form, pairs, small, tmp_path):
        images, masks = zip(*pairs)
        network = self.build if form == "function" else self.build()
        before = None if form == "function" else network.get_weights()
        model = FlowSegmenter(network=network, **small).fit(images, masks)
        if before:
            assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights()))  # a copy was trained
        model.save(tmp_path / "own.safetensors")
        again = FlowSegmenter.load(tmp_path / "own.safetensors", network=network)
        assert np.array_equal(again.predict(images[0]), model.predict(images[0]))
        with pytest.raises(ValueError, match="was trained with a network of your own"):
            FlowSegmenter.load(tmp_path / "own.safetensors")

    def test_a_network_that_does_not_fit_is_refused_before_it_is_trained(self, pairs, small):
        def global_network(n_channels, n_outputs):
            inputs = keras.Input((None, None, n_channels))
            x = layers.Conv2D(4, 3, padding="same")(inputs)
            x = x + layers.GlobalAveragePooling2D(keepdims=True)(x)
            return keras.Model(inputs, layers.Conv2D(n_outputs, 1)(x))

        seen = []
        callback = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: seen.append(1))
        with pytest.raises(ValueError, match="depend on a bounded neighbourhood"):
            FlowSegmenter(network=global_network, **small).fit(*zip(*pairs), callbacks=[callback])
        assert not seen

    def test_what_begins_at_zero_counts_too(self, pairs, small, tmp_path):
        def build(n_channels, n_outputs, *, everywhere=False):
            inputs = keras.Input((None, None, n_channels))
            x = layers.Conv2D(4, 3, padding="same")(inputs)
            if everywhere:
                branch = layers.Conv2D(4, 1, kernel_initializer="zeros")
                x = x + branch(layers.GlobalAveragePooling2D(keepdims=True)(x))
            else:
                x = layers.UpSampling2D(64)(layers.MaxPooling2D(64)(x)) + x
            return keras.Model(inputs, layers.Conv2D(n_outputs, 1, kernel_initializer="zeros")(x))

        with pytest.raises(ValueError, match="depend on a bounded neighbourhood"):
            FlowSegmenter(network=lambda *n: build(*n, everywhere=True), **small).fit(*zip(*pairs))
        model = FlowSegmenter(network=build, **small).fit(*zip(*pairs))
        model.save(tmp_path / "own.safetensors")
        assert FlowSegmenter.load(tmp_path / "own.safetensors", network=build)._grid == model._grid

    def test_more_poolings_than_tiles_allow(self, pairs, small):
        def build(n_channels, n_outputs):
            inputs = keras.Input((None, None, n_channels))
            x = inputs
            for _ in range(7):
                x = layers.MaxPooling2D(2)(x)
            x = layers.Concatenate()([layers.UpSampling2D(2**7)(x), inputs])
            return keras.Model(inputs, layers.Conv2D(n_outputs, 1)(x))

        sentence = "network must run on any multiple of 64 rows and columns; it failed with"
        with pytest.raises(ValueError, match=sentence):
            FlowSegmenter(**small | {"network": build, "crop_size": 128}).fit(*zip(*pairs))

    def test_what_a_function_returns_is_not_trained_itself(self, pairs, small):
        mine = self.build()
        before = mine.get_weights()
        FlowSegmenter(network=lambda *_: mine, **small).fit(*zip(*pairs))
        assert all(np.array_equal(a, b) for a, b in zip(before, mine.get_weights()))

    @pytest.mark.parametrize("form", ["function", "model"])
    def test_random_state_seeds_layers_without_a_seed(self, form, pairs, small):
        def build(n_channels, n_outputs):
            inputs = keras.Input((None, None, n_channels))
            x = layers.Dropout(0.5)(layers.Conv2D(4, 3, padding="same")(inputs))
            return keras.Model(inputs, layers.Conv2D(n_outputs, 1)(x))

        network = build if form == "function" else build(1, 3)
        parameters = {**small, "network": network, "epochs": 1, "steps_per_epoch": 2}
        random.seed(7)
        expected, fitted = random.Random(7).random(), []
        for seed in (3, 3, 4):
            model = FlowSegmenter(**parameters | {"random_state": seed}).fit(*zip(*pairs))
            fitted.append(model.network_.get_weights())
        assert all(np.array_equal(a, b) for a, b in zip(fitted[0], fitted[1]))
        assert not all(np.array_equal(a, b) for a, b in zip(fitted[0], fitted[2]))
        assert random.random() == expected  # chance outside is left as it was

    def test_clone(self):
        assert isinstance(clone(FlowSegmenter(network=self.build())).network, keras.Model)


class Tested(keras.callbacks.Callback):
    """Keeps what it hears of the validation."""

    def on_test_begin(self, logs=None):
        self.losses = getattr(self, "losses", [])
        self.n_batches = 0

    def on_test_batch_end(self, batch, logs=None):
        self.n_batches += 1

    def on_test_end(self, logs=None):
        self.losses.append(logs["loss"])


class LikeAnArray:
    """As dask's and zarr's arrays are: an array if asked, no ndarray."""

    def __init__(self, array):
        self.array, self.shape, self.ndim = array, array.shape, array.ndim

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype)


def test_arrays_of_other_libraries(fitted, pairs):
    pandas = pytest.importorskip("pandas")
    model, image = fitted["FlowSegmenter"], pairs[0][0]
    expected = model.predict(image)
    assert np.array_equal(model.predict(LikeAnArray(image)), expected)
    assert np.array_equal(model.predict(pandas.DataFrame(image)), expected)
    assert np.array_equal(model.predict([LikeAnArray(image)])[0], expected)
    assert np.array_equal(model.predict(LikeAnArray(np.stack([image, image])))[1], expected)
    series = pandas.Series([image, image])
    assert np.array_equal(model.predict(series)[1], expected)
    assert model.score(series, pandas.Series([pairs[0][1]] * 2)) == model.score([image] * 2, [pairs[0][1]] * 2)


def test_masked_pixels_are_not_taken_for_values(fitted, pairs):
    image, masks = pairs[0]
    hidden = np.ma.masked_array(image, mask=masks == 1)
    with pytest.raises(ValueError, match="images must have a value everywhere .* got a masked array with"):
        fitted["FlowSegmenter"].predict(hidden)
    assert fitted["FlowSegmenter"].predict(np.ma.masked_array(image)).max() >= 0


def test_a_subclass_loads_what_its_parent_saved(fitted, tmp_path):
    class Mine(FlowSegmenter):
        pass

    assert isinstance(Mine.from_pretrained("nuclei"), Mine)
    fitted["FlowSegmenter"].save(tmp_path / "a.safetensors")
    Mine.load(tmp_path / "a.safetensors").save(tmp_path / "b.safetensors")
    assert type(flowseg.load_segmenter(tmp_path / "b.safetensors")) is FlowSegmenter
    with pytest.raises(ValueError, match="must hold a BoundarySegmenter; got a FlowSegmenter"):
        BoundarySegmenter.load(tmp_path / "b.safetensors")


def test_patience_without_validation_images_is_warned_of(pairs, small):
    images, masks = zip(*pairs[:2])
    with pytest.warns(UserWarning, match="patience=1 has no effect: no images are held out") as warned:
        FlowSegmenter(**small | {"patience": 1, "epochs": 1}).fit(images, masks)
    assert warned[0].filename == __file__


class TestScikitLearn:
    def test_parameters(self):
        for cls in BOTH:
            model = cls(epochs=3, filters=(4, 8))
            assert model.get_params()["epochs"] == 3
            assert clone(model.set_params(diameter=30.0)).diameter == 30.0
            assert repr(model).startswith(cls.__name__ + "(")

    def test_making_one_is_cheap(self):
        nonsense = FlowSegmenter(epochs="many")  # __init__ stores, fit checks
        assert nonsense.epochs == "many"

    def test_grid_search_and_cross_validation_on_lists_of_many_sizes(self, small):
        pairs = [flowseg.synthetic.cells((64 + 9 * k, 70), 4, rng=k) for k in range(6)]
        images, masks = (list(part) for part in zip(*pairs))
        model = FlowSegmenter(**small | {"epochs": 1, "steps_per_epoch": 2})
        scores = cross_val_score(model, images, masks, cv=2, error_score="raise")
        assert scores.shape == (2,)
        search = GridSearchCV(model, {"flow_threshold": [0.4, None]}, cv=2, error_score="raise").fit(images, masks)
        assert search.predict(images[:1])[0].shape == (64, 70)

    def test_callbacks(self, pairs, small):
        images, masks = zip(*pairs)
        seen = []
        stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))
        tested = Tested()
        plateau = keras.callbacks.ReduceLROnPlateau()
        model = FlowSegmenter(**small).fit(images, masks, callbacks=[stop, plateau, tested])
        assert model.history_["loss"] == pytest.approx(seen)
        assert model.history_["val_loss"] == pytest.approx(tested.losses)
        assert tested.n_batches > 0

    def test_callbacks_that_stop_and_note(self, pairs, small):
        images, masks = zip(*pairs)
        steps = []

        class Stop(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                steps.append(batch)
                self.model.stop_training = len(steps) == 2

            def on_epoch_end(self, epoch, logs=None):
                logs |= {"remark": "soon enough", "n": 2}

        model = FlowSegmenter(**small).fit(images, masks, callbacks=[Stop()])
        assert steps == [0, 1]
        assert set(model.history_) == {"loss", "val_loss", "n"}

    def test_losses_are_of_each_batch_whatever_keras_sums_up(self, pairs, small, monkeypatch):
        # Until Keras 3.15 train_on_batch and test_on_batch give means over all batches since the metrics were reset.
        images, masks = zip(*pairs)
        expected = FlowSegmenter(**small).fit(images, masks).history_
        for name in ("train_on_batch", "test_on_batch"):
            whole = getattr(keras.Model, name)

            def summed_up(network, *batch, whole=whole):
                since = getattr(network, "since", [])
                network.since = [*since, whole(network, *batch)]
                return np.mean(network.since)

            monkeypatch.setattr(keras.Model, name, summed_up)
        whole_reset = keras.Model.reset_metrics

        def reset(network):
            network.since = []
            whole_reset(network)

        monkeypatch.setattr(keras.Model, "reset_metrics", reset)
        assert FlowSegmenter(**small).fit(images, masks).history_ == expected


def test_held_out_images_without_annotations(pairs, small):
    images, masks = zip(*pairs)
    blank = [np.full_like(m, -1) for m in masks]
    # They are the last to be held out ...
    _, (_, held_out) = hold_out(list(images), [*blank[:4], *masks[4:]], fraction=0.25, seed=0)
    assert len(held_out) == 2
    assert all((m >= 0).any() for m in held_out)
    # ... and where nothing else is, no weights are preferred for a loss of nothing.
    corner = blank[0].copy()
    corner[:3, :3] = masks[0].max() + 1
    large = np.pad(images[0], ((0, 400), (0, 400)), mode="symmetric")
    sparse = np.pad(corner, ((0, 400), (0, 400)), constant_values=-1)
    with pytest.warns(UserWarning, match="hold no annotated pixel where crops were drawn: the last weights are kept"):
        model = FlowSegmenter(**small).fit(images[:4], masks[:4], validation=([large], [sparse]))
    assert set(model.history_) == {"loss"}


BAD_DATA = [
    (
        lambda i, m: (i[:2], m),
        ValueError,
        "images and masks must be lists of the same length; got 2 images and 8 masks",
    ),
    (
        lambda i, m: (i, [x[:-1] for x in m]),
        ValueError,
        r"masks\[0\] must have the shape of images\[0\] \(rows and columns\)",
    ),
    (
        lambda i, m: (i, [x.astype(float) for x in m]),
        TypeError,
        r"masks\[0\] must be an integer label image .* float64",
    ),
    (lambda i, m: (i, [x > 0 for x in m]), TypeError, r"masks\[0\] .* got a boolean mask"),
    (
        lambda i, m: (i, [np.kron(np.eye(2), np.pad(np.ones((46, 46)), 1)).astype(np.uint8) * 255 for _ in m]),
        ValueError,
        r"masks\[0\] must be a label image .* got a binary 0/255 mask",
    ),
    (
        lambda i, m: (i, [x * 0 for x in m]),
        ValueError,
        "masks must hold at least one object; got 8 label images without any",
    ),
    (lambda i, m: ([x + np.nan for x in i], m), ValueError, r"images\[0\] must be finite; got 9216 NaN"),
    (lambda i, m: ([x * 0 + np.inf for x in i], m), ValueError, r"images\[0\] must be finite"),
    (
        lambda i, m: ([x * 0 for x in i], m),
        ValueError,
        r"images\[0\] must not be constant where masks\[0\] holds objects; got 0.0 in all of its pixels",
    ),
    (
        lambda i, m: ([x[:1, :1] for x in i], [x[:1, :1] for x in m]),
        ValueError,
        "at least one object|must not be constant",
    ),
    (
        lambda i, m: ([np.stack([x] * 3, -1) for x in i], m),
        ValueError,
        r"images\[0\] must have 1 channel, shape \(rows, columns\)",
    ),
    (lambda i, m: ([], []), ValueError, "images must hold at least one array; got an empty list"),
    (lambda i, m: (i[0], m[0]), TypeError, "images must be a list of arrays; got one array"),
    (lambda i, m: ("images", m), TypeError, "images must be a list of arrays; got str"),
    (lambda i, m: ([x.astype(str) for x in i], m), TypeError, r"images\[0\] must be an array of numbers"),
]


@pytest.mark.parametrize(("change", "error", "sentence"), BAD_DATA)
def test_bad_data(change, error, sentence, pairs, small):
    images, masks = (list(part) for part in zip(*pairs))
    model = FlowSegmenter(**small)
    with pytest.raises(error, match=sentence):
        model.fit(*change(images, masks))
    assert not hasattr(model, "network_")


@pytest.mark.parametrize(
    ("parameters", "error", "sentence"),
    [
        ({"epochs": 0}, ValueError, "epochs must be an integer of at least 1; got 0"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer of at least 1; got 1.5"),
        ({"crop_size": 63}, ValueError, "crop_size must be divisible by 2 for a network of this depth; got 63"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be a number above 0; got 0"),
        ({"network": "vnet"}, ValueError, "network must be one of 'unet', 'resunet'; got 'vnet'"),
        ({"network": 3}, TypeError, "network must be 'unet', 'resunet', a keras.Model, or a function"),
        ({"diameter": 1}, ValueError, "diameter must be a number of at least 4; got 1"),
        (
            {"validation_fraction": 1.0},
            ValueError,
            "validation_fraction must be a number of at least 0 and at most 0.9",
        ),
        ({"augment": 1}, TypeError, "augment must be True or False; got 1"),
        ({"patience": 0}, ValueError, "patience must be an integer of at least 1 or None"),
        ({"flow_threshold": -1}, ValueError, "flow_threshold must be"),
        ({"filters": (4,) * 8, "crop_size": 128}, ValueError, "filters must be for at most 7 levels; got 8"),
        ({"n_iter": 10**20}, ValueError, "n_iter must be at most"),
        ({"flow_threshold": 10**400}, ValueError, "got a number too large for one"),
        ({"filters": "32"}, TypeError, "filters must be a sequence of integers"),
        ({"filters": {16, 32}}, TypeError, "filters must be a sequence of integers"),
    ],
)
def test_bad_parameters(parameters, error, sentence, pairs, small):
    images, masks = zip(*pairs)
    with pytest.raises(error, match=sentence):
        FlowSegmenter(**small | parameters).fit(images, masks)


def test_one_colour_image_is_no_stack_of_grey_ones(fitted, small):
    rgb = np.random.default_rng(0).random((40, 30, 3))
    with pytest.raises(
        ValueError, match=r"images must have 1 channel, .* got shape \(40, 30, 3\), which looks like one image"
    ):
        fitted["FlowSegmenter"].predict(rgb)
    with pytest.raises(ValueError, match="images must have 1 channel"):
        FlowSegmenter(**small).fit(rgb, np.ones((40, 30, 3), int))


def test_other_forms_of_lists(pairs, small, fitted):
    images, masks = zip(*pairs)
    ragged = np.empty(2, dtype=object)
    ragged[:] = [images[0], images[1][:50]]
    assert len(fitted["FlowSegmenter"].predict(ragged)) == 2
    with pytest.raises(TypeError, match="images must be a list of arrays; got dict"):
        FlowSegmenter(**small).fit({"a": images[0]}, {"a": masks[0]})
    for callbacks in (5, keras.callbacks.TerminateOnNaN(), [1], [keras.callbacks.TerminateOnNaN]):
        with pytest.raises(TypeError, match="callbacks must be a sequence of keras.callbacks.Callback"):
            FlowSegmenter(**small).fit(images, masks, callbacks=callbacks)


def test_bad_validation(pairs, small):
    images, masks = zip(*pairs)
    with pytest.raises(TypeError, match=r"validation must be a pair \(images, masks\); got str"):
        FlowSegmenter(**small).fit(images, masks, validation="some")
    with pytest.raises(ValueError, match="validation masks must hold at least one object"):
        FlowSegmenter(**small).fit(images, masks, validation=(images[:1], [masks[0] * 0]))


def test_unfitted():
    for cls in BOTH:
        for call in (lambda m: m.predict(np.eye(9)), lambda m: m.save("x"), lambda m: m.score([], [])):
            with pytest.raises(NotFittedError, match=f"This {cls.__name__} is not trained yet: call fit"):
                call(cls())


@pytest.mark.parametrize(
    ("images", "diameters", "error", "sentence"),
    [
        (np.where(np.eye(9), np.nan, 0.0), None, ValueError, "images must be finite; got 9 NaN"),
        (np.array([[np.nan, 1.0]]), None, ValueError, "images must be finite"),
        ([np.eye(9), np.eye(9)[..., None, None]], None, ValueError, r"images\[1\] must have 1 channel"),
        (np.eye(9), 0, ValueError, "diameters must be a number above 0"),
        (np.eye(9), 1e-3, ValueError, "diameters must be from 2 to .*; got 0.001, which would enlarge the image"),
        ([np.eye(9)], [1, 2], ValueError, "got 2 for 1 images"),
        (np.eye(9) > 0, None, TypeError, "images must be an array of numbers; got dtype bool"),
        (np.array(3.0), None, ValueError, "images must have 1 channel"),
        (3.0, None, TypeError, "images must be a list of arrays; got float"),
    ],
)
def test_bad_predict(fitted, images, diameters, error, sentence):
    with pytest.raises(error, match=sentence):
        fitted["FlowSegmenter"].predict(images, diameters=diameters)


class TestAllOrNothing:
    def test_an_interruption_after_the_training_changes_nothing(self, pairs, small, monkeypatch):
        images, masks = zip(*pairs)
        model = FlowSegmenter(**small, warm_start=True).fit(images, masks, validation=(images, masks))
        before = dict(model.__dict__)
        found = model.predict(images[0])

        def interrupt(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(flowseg._segmenters.decoding_parameters, "learn_decoding", interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.fit(images, masks, validation=(images, masks))
        assert model.__dict__ == before
        assert np.array_equal(model.predict(images[0]), found)

    def test_labels_that_cannot_be_scored_are_refused_at_the_door(self, pairs, small):
        images, masks = zip(*pairs)
        huge = [np.where(m > 0, m.astype(np.uint64) + np.uint64(2**63), np.uint64(0)) for m in masks]
        model = FlowSegmenter(**small)
        with pytest.raises(ValueError, match=r"validation masks\[0\] must have labels below 2\*\*63"):
            model.fit(images, masks, validation=(images, huge))
        with pytest.raises(ValueError, match=r"masks\[0\] must have labels below 2\*\*63"):
            model.fit(images, huge)

    def test_binary_masks_are_refused_everywhere(self, segmenter, pairs, small):
        images = [image for image, _ in pairs]
        binary = [np.zeros((96, 96), np.uint8) for _ in pairs]
        for m in binary:
            m[5:20, 5:20] = m[40:60, 40:60] = m[70:80, 10:30] = 1
        with pytest.raises(ValueError, match="validation masks must number the objects .* binary masks"):
            type(segmenter)(**small).fit(images, [m for _, m in pairs], validation=(images, binary))
        with pytest.raises(ValueError, match="^masks must number the objects .* binary masks"):
            segmenter.score(images, binary)
        if isinstance(segmenter, FlowSegmenter):
            with pytest.raises(ValueError, match="^masks must number the objects .* binary masks"):
                segmenter.fit_thresholds(images, binary)

    def test_pixels_far_beyond_all_others_are_blamed_on_the_image(self, pairs, small):
        images, masks = zip(*pairs)
        hot = [image.astype(np.float32).copy() for image in images]
        for image in hot:
            image[40:42, 40:42] = 1e30
        with pytest.raises(
            ValueError, match="images must not hold pixels far beyond all others .* got one that is 1.1.*e.30 where"
        ):
            FlowSegmenter(**small).fit(hot, masks)


@pytest.mark.parametrize("n_channels", [2, 4, 5, 10])
def test_an_image_of_several_channels_is_no_stack(n_channels, segmenter, pairs):
    with pytest.raises(ValueError, match=f"looks like one image of {n_channels} channels"):
        segmenter.predict(np.stack([pairs[0][0]] * n_channels, axis=-1))


@pytest.mark.parametrize("diameters", [np.complex128(30 + 4j), b"x", {30: 1}, list, np.array([[30.0]])])
def test_no_number_is_made_of_what_is_none(diameters, segmenter, pairs):
    with pytest.raises(TypeError, match="diameters must be a number above 0"):
        segmenter.predict(pairs[0][0], diameters=diameters)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a", True, np.random.default_rng(0)])
def test_bad_random_state(seed, pairs, small):
    images, masks = zip(*pairs)
    with pytest.raises((TypeError, ValueError), match="random_state must be None, an integer from 0 to"):
        FlowSegmenter(**(small | {"random_state": seed})).fit(images, masks)


def test_learned_sizes_of_nobody():
    for name in ("working_diameter_", "estimate_diameters_"):
        with pytest.raises(NotFittedError):
            getattr(FlowSegmenter(), name)


def test_numbers_of_every_kind_are_saved(pairs, small, tmp_path):
    images, masks = zip(*pairs)
    odd = {"learning_rate": np.array(1e-3), "min_size": np.array(15), "epochs": np.array(1), "diameter": Decimal(30)}
    model = FlowSegmenter(**(small | odd | {"filters": [8, 16]})).fit(images, masks)
    model.save(tmp_path / "m.safetensors")
    again = FlowSegmenter.load(tmp_path / "m.safetensors")
    assert {name: again.get_params()[name] for name in odd} == {n: float(v) for n, v in odd.items()}
    model.filters[0] = 4  # the list that the segmenter was given
    with pytest.raises(ValueError, match="filters must be what it was in fit"):
        model.save(tmp_path / "m.safetensors")
    model.set_params(filters=(8, 16))
    for call in (model.save, FlowSegmenter.load):
        with pytest.raises(TypeError, match="path must be a path; got 5"):
            call(5)
