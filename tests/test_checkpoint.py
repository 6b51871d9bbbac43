import keras
import numpy as np
import pytest

from flowseg import FlowSegmenter


class Killed(Exception):
    pass


class KillIn(keras.callbacks.Callback):
    """Die in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch
        self.now = False

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch == self.epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now and batch == 1:
            raise Killed


@pytest.fixture
def options(small):
    return small | {"epochs": 4}


@pytest.mark.parametrize("validate", [True, False])
def test_a_killed_training_goes_on_to_the_same_weights(validate, options, pairs, tmp_path):
    images, masks = zip(*pairs)
    known = {"validation": (images[:1], masks[:1])} if validate else {}
    whole = FlowSegmenter(**options, validation_fraction=0.0).fit(images, masks, **known)
    file = tmp_path / "training.safetensors"
    for epoch in (1, 3):
        model = FlowSegmenter(**options, validation_fraction=0.0)
        with pytest.raises(Killed):
            model.fit(images, masks, **known, callbacks=[KillIn(epoch)], checkpoint=file)
        assert not hasattr(model, "network_")
    model.fit(images, masks, **known, checkpoint=file)
    assert all(np.array_equal(a, b) for a, b in zip(whole.network_.get_weights(), model.network_.get_weights()))
    assert model.history_ == whole.history_
    seen = []
    remember = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: seen.append(logs))
    again = FlowSegmenter(**options, validation_fraction=0.0)
    again.fit(images, masks, **known, callbacks=[remember], checkpoint=file)  # nothing is left to do
    assert not seen
    assert all(np.array_equal(a, b) for a, b in zip(whole.network_.get_weights(), again.network_.get_weights()))


def test_chance_is_kept_when_nobody_gave_a_seed(options, pairs, tmp_path):
    images, masks = zip(*pairs)
    file = tmp_path / "training.safetensors"
    model = FlowSegmenter(**(options | {"random_state": None}))
    with pytest.raises(Killed):
        model.fit(images, masks, callbacks=[KillIn(2)], checkpoint=file)
    model.fit(images, masks, checkpoint=file)
    again = FlowSegmenter(**(options | {"random_state": None})).fit(images, masks, checkpoint=file)
    assert all(np.array_equal(a, b) for a, b in zip(model.network_.get_weights(), again.network_.get_weights()))


def test_patience_is_remembered(options, pairs, tmp_path):
    images, masks = zip(*pairs)
    options |= {"epochs": 9, "patience": 1, "learning_rate": 1e-9}  # it soon gets no better
    known = {"validation": (images[:1], masks[:1])}
    whole = FlowSegmenter(**options).fit(images, masks, **known)
    file = tmp_path / "training.safetensors"
    model = FlowSegmenter(**options).fit(images, masks, **known, checkpoint=file)
    again = FlowSegmenter(**options).fit(images, masks, **known, checkpoint=file)
    assert whole.history_ == model.history_ == again.history_
    assert len(whole.history_["loss"]) < 9


def test_another_training_or_another_file(options, pairs, tmp_path):
    images, masks = zip(*pairs)
    file = tmp_path / "training.safetensors"
    FlowSegmenter(**(options | {"epochs": 1})).fit(images, masks, checkpoint=file)
    before = file.read_bytes()
    for changed in ({"learning_rate": 1e-4}, {"epochs": 2}, {"random_state": 4}, {"filters": (8, 12)}):
        with pytest.raises(ValueError, match="checkpoint must hold this very training"):
            FlowSegmenter(**(options | {"epochs": 1} | changed)).fit(images, masks, checkpoint=file)
    with pytest.raises(ValueError, match="checkpoint must hold this very training"):
        FlowSegmenter(**(options | {"epochs": 1})).fit(images[:-1], masks[:-1], checkpoint=file)
    assert file.read_bytes() == before
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"notes")
    with pytest.raises(ValueError, match=r"checkpoint must be a file that fit wrote, or a new one; got .*other"):
        FlowSegmenter(**options).fit(images, masks, checkpoint=other)
    with pytest.raises(FileNotFoundError, match="must lie in a folder that exists"):
        FlowSegmenter(**options).fit(images, masks, checkpoint=tmp_path / "no" / "file")
    assert other.read_bytes() == b"notes"


class TestWarmStart:
    def test_fit_goes_on_from_the_weights(self, small, pairs):
        images, masks = zip(*pairs)
        model = FlowSegmenter(**small, warm_start=True).fit(images, masks)
        before = model.network_
        weights = before.get_weights()
        model.set_params(epochs=1, steps_per_epoch=1, learning_rate=1e-9).fit(images, masks)
        assert model.network_ is not before
        kernels = [i for i, w in enumerate(weights) if w.ndim == 4]
        now = model.network_.get_weights()
        assert all(np.allclose(weights[i], now[i], atol=1e-6) for i in kernels)
        model.set_params(warm_start=False, random_state=4).fit(images, masks)
        assert not all(np.allclose(weights[i], model.network_.get_weights()[i], atol=1e-2) for i in kernels)

    def test_another_number_of_channels(self, small, pairs):
        images, masks = zip(*pairs)
        model = FlowSegmenter(**small, warm_start=True).fit(images, masks)
        colour = [np.stack([image] * 3, axis=-1) for image in images]
        with pytest.raises(ValueError, match=r"images\[0\] must have 1 channel"):
            model.fit(colour, masks)
        with pytest.raises(ValueError, match="n_channels must be what it was in fit, 1; got 3"):
            model.set_params(n_channels=3).fit(colour, masks)
