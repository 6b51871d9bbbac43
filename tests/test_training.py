"""What `fit` does: seeds, the best weights, losses, callbacks, interruptions."""

import keras
import numpy as np
import pytest
from sklearn.base import clone

import flowseg
from flowseg import BoundarySegmenter, FlowSegmenter
from flowseg._nets.training.known_objects import KnownObjects
from flowseg._segmenters.fitting.pairs import Pairs, hold_out

BOTH = [FlowSegmenter, BoundarySegmenter]


def weights(segmenter):
    return segmenter.network_.get_weights()


@pytest.fixture(params=BOTH, ids=lambda cls: cls.__name__)
def segmenter(request, fitted):
    return fitted[request.param.__name__]


def test_it_learns(pairs):
    # Some seconds of training must tell touching cells apart on images that it has not seen.
    images, masks = zip(*[flowseg.synthetic.cells((128, 128), 18, rng=seed) for seed in range(12)])
    model = FlowSegmenter(
        filters=(16, 32, 64), crop_size=64, batch_size=4, epochs=4, steps_per_epoch=25, random_state=0
    )
    model.fit(images, masks)
    unseen = [flowseg.synthetic.cells((128, 128), 18, rng=seed) for seed in (100, 101)]
    assert model.score(*zip(*unseen)) > 0.7
    assert model.history_["loss"][-1] < 0.5 * model.history_["loss"][0]


def test_same_seed_same_weights(segmenter, pairs):
    images, masks = zip(*pairs)
    again = clone(segmenter).fit(images, masks)
    assert all(np.array_equal(a, b) for a, b in zip(weights(segmenter), weights(again)))
    other = clone(segmenter).set_params(random_state=4).fit(images, masks)
    assert any(not np.array_equal(a, b) for a, b in zip(weights(segmenter), weights(other)))


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

    from flowseg._nets.training.batches import CropBatches

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


def test_ignored_pixels_and_images_without_objects(pairs, small):
    images, masks = zip(*pairs)
    masks = [np.where(m == 1, -1, m) for m in masks[:3]] + [np.zeros_like(masks[3])]
    FlowSegmenter(**small).fit(images[:4], masks)


def test_training_that_diverges(pairs, small):
    images, masks = zip(*pairs)
    model = FlowSegmenter(**small | {"learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"learning_rate must be small enough .* with 1e\+30"):
        model.fit(images, masks)
    assert not hasattr(model, "network_")


def test_a_stray_pixel_does_not_blow_the_image_up(pairs):
    from flowseg._nets.lattice import Lattice
    from flowseg._nets.training.samples import make_samples

    stray = np.zeros((96, 96), int)
    stray[5, 5] = 1
    samples = make_samples(
        [pairs[0][0][..., None]] * 2,
        [KnownObjects(pairs[0][1]), KnownObjects(stray)],
        [Lattice(None, (0, 0)).pixel(None)] * 2,
        typical=24.0,
        working=24.0,
        every_size=True,
        normalize=None,
    )
    assert max(s.image.shape[0] for s in samples) < 200
    with pytest.raises(ValueError, match="^the typical diameter of objects in masks must be from 4 to"):
        FlowSegmenter(diameter=48.0).fit([pairs[0][0]], [stray])


class Tested(keras.callbacks.Callback):
    """Keeps what it hears of the validation."""

    def on_test_begin(self, logs=None):
        self.losses = getattr(self, "losses", [])
        self.n_batches = 0

    def on_test_batch_end(self, batch, logs=None):
        self.n_batches += 1

    def on_test_end(self, logs=None):
        self.losses.append(logs["loss"])


def test_patience_without_validation_images_is_warned_of(pairs, small):
    images, masks = zip(*pairs[:2])
    with pytest.warns(UserWarning, match="patience=1 has no effect: no images are held out") as warned:
        FlowSegmenter(**small | {"patience": 1, "epochs": 1}).fit(images, masks)
    assert warned[0].filename == __file__


def test_held_out_images_without_annotations(pairs, small):
    images, masks = zip(*pairs)
    blank = [np.full_like(m, -1) for m in masks]
    # They are the last to be held out ...
    known = [*blank[:4], *masks[4:]]
    every = Pairs(list(images), known, list(map(KnownObjects, known)), [None] * len(known))
    _, held_out = hold_out(every, fraction=0.25, seed=0)
    assert len(held_out) == 2
    assert all((m >= 0).any() for m in held_out.masks)
    # ... and where nothing else is, no weights are preferred for a loss of nothing.
    corner = blank[0].copy()
    corner[:3, :3] = masks[0].max() + 1
    large = np.pad(images[0], ((0, 400), (0, 400)), mode="symmetric")
    sparse = np.pad(corner, ((0, 400), (0, 400)), constant_values=-1)
    with pytest.warns(
        UserWarning, match="hold no annotated pixel where crops were drawn: the last weights are kept"
    ) as warned:
        model = FlowSegmenter(**small).fit(images[:4], masks[:4], validation=([large], [sparse]))
    assert set(model.history_) == {"loss"}
    assert warned[0].filename == __file__


class TestCallbacks:
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


def test_an_interruption_after_the_training_changes_nothing(pairs, small, monkeypatch):
    images, masks = zip(*pairs)
    model = FlowSegmenter(**small, warm_start=True).fit(images, masks, validation=(images, masks))
    before = dict(model.__dict__)
    found = model.predict(images[0])

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("flowseg._segmenters.codecs.flow_codec.learn_decoding", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(images, masks, validation=(images, masks))
    assert model.__dict__ == before
    assert np.array_equal(model.predict(images[0]), found)
