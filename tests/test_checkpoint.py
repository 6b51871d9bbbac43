import json

import keras
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from flowseg import BoundarySegmenter, FlowSegmenter
from flowseg._nets.training import learning_rate, loop
from flowseg._nets.training.checkpoint import METADATA_KEY, read_state


def test_a_folder_that_cannot_be_written_to_raises_before_training(pairs, small, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(tmp_path))  # tests may run as root
    with pytest.raises(PermissionError, match="must lie in a folder that can be written to"):
        FlowSegmenter(**small).fit(*zip(*pairs), checkpoint=tmp_path / "c.safetensors")


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


@pytest.mark.parametrize("validate", [pytest.param(True, marks=pytest.mark.backends), False])
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


def test_what_callbacks_change_is_kept(options, pairs, tmp_path):
    images, masks = zip(*pairs)

    class Halve(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.set_weights([0.5 * w for w in self.model.get_weights()])

    file = tmp_path / "training.safetensors"
    whole = FlowSegmenter(**options).fit(images, masks, callbacks=[Halve()])
    model = FlowSegmenter(**options)
    with pytest.raises(Killed):
        model.fit(images, masks, callbacks=[KillIn(2), Halve()], checkpoint=file)
    model.fit(images, masks, callbacks=[Halve()], checkpoint=file)
    assert all(np.array_equal(a, b) for a, b in zip(whole.network_.get_weights(), model.network_.get_weights()))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("chance", [None, np.random.RandomState(3)], ids=["none", "generator"])
def test_a_random_seed_is_kept_in_the_checkpoint(chance, options, pairs, tmp_path):
    images, masks = zip(*pairs)
    file = tmp_path / "training.safetensors"
    model = FlowSegmenter(**(options | {"random_state": chance}))
    with pytest.raises(Killed):
        model.fit(images, masks, callbacks=[KillIn(2)], checkpoint=file)
    model.fit(images, masks, checkpoint=file)
    again = FlowSegmenter(**(options | {"random_state": chance})).fit(images, masks, checkpoint=file)
    assert all(np.array_equal(a, b) for a, b in zip(model.network_.get_weights(), again.network_.get_weights()))


def test_layers_in_layers_are_the_same_whatever_keras_calls_them(options, pairs, tmp_path):
    def build(n_channels, n_outputs):
        inputs = keras.Input((None, None, n_channels))
        x = keras.layers.SpectralNormalization(keras.layers.Conv2D(4, 3, padding="same"))(inputs)
        return keras.Model(inputs, keras.layers.Conv2D(n_outputs, 1)(x))

    images, masks = zip(*pairs)
    file = tmp_path / "training.safetensors"
    model = FlowSegmenter(**(options | {"network": build}))
    with pytest.raises(Killed):
        model.fit(images, masks, callbacks=[KillIn(1)], checkpoint=file)
    model.fit(images, masks, checkpoint=file)
    assert len(model.history_["loss"]) == options["epochs"]


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


def test_patience_is_not_forgotten_over_a_kill(options, pairs, tmp_path, monkeypatch):
    """Epochs without a lower loss count from before the kill, and so does the lowest loss with its weights."""
    images, masks = zip(*pairs)
    options |= {"epochs": 8, "patience": 3}
    known = {"validation": (images[:1], masks[:1])}
    losses = [2.0, 1.0, 1.5, 1.4, 1.3, 0.1, 0.1, 0.1]  # stops after the fifth
    done = []

    def validate(network, batches, hooks):
        done.append(losses[len(done)])
        return done[-1]

    monkeypatch.setattr(loop, "_validate", validate)
    whole = FlowSegmenter(**options).fit(images, masks, **known)
    assert whole.history_["val_loss"] == losses[:5]
    for epoch in (2, 4):
        done.clear()
        file = tmp_path / f"{epoch}.safetensors"
        model = FlowSegmenter(**options)
        with pytest.raises(Killed):
            model.fit(images, masks, **known, callbacks=[KillIn(epoch)], checkpoint=file)
        state = read_state(file)
        assert (state.best, state.wait) == (1.0, epoch - 2)
        model.fit(images, masks, **known, checkpoint=file)
        assert model.history_ == whole.history_
        assert all(np.array_equal(a, b) for a, b in zip(whole.network_.get_weights(), model.network_.get_weights()))


def test_the_learning_rate_rises_and_falls_to_a_hundredth(options, pairs, tmp_path):
    """In every step, also over a kill, as written: a rise over a twentieth of the steps, then half a cosine."""
    assert learning_rate.learning_rate_at(0, 400, 2.0) == pytest.approx(2.0 / 21)
    assert learning_rate.learning_rate_at(19, 400, 2.0) == pytest.approx(2.0 * 20 / 21)
    assert learning_rate.learning_rate_at(20, 400, 2.0) == 2.0
    assert learning_rate.learning_rate_at(210, 400, 2.0) == pytest.approx(2.0 * (1 + 0.01) / 2)
    assert learning_rate.learning_rate_at(399, 400, 2.0) == pytest.approx(0.02, rel=2e-3)
    assert learning_rate.learning_rate_at(400, 400, 2.0) == pytest.approx(0.02)
    images, masks = zip(*pairs)
    file, rates = tmp_path / "training.safetensors", {}

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            rates[self.epoch, batch] = float(self.model.optimizer.learning_rate)

    options |= {"learning_rate": 1e-3}
    with pytest.raises(Killed):
        FlowSegmenter(**options).fit(images, masks, callbacks=[Watch(), KillIn(2)], checkpoint=file)
    FlowSegmenter(**options).fit(images, masks, callbacks=[Watch()], checkpoint=file)
    n_steps = options["epochs"] * options["steps_per_epoch"]
    rise = 1  # step, of which there is one at least
    progress = (np.arange(1, n_steps) - rise) / (n_steps - rise)
    expected = [5e-4, *(1e-3 * (0.01 + 0.99 * (1 + np.cos(np.pi * progress)) / 2))]
    assert [rates[key] for key in sorted(rates)] == pytest.approx(expected, rel=1e-5)


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
    with pytest.raises(ValueError, match=r"^checkpoint \. must be a file or not exist; it is a folder\.$"):
        FlowSegmenter(**options).fit(images, masks, checkpoint="")
    assert other.read_bytes() == b"notes"


@pytest.mark.parametrize(
    "change", [{"history": []}, {"seeds": 5}, {"seeds": [1, 2]}, {"epochs_done": "2"}, {"best": None}]
)
def test_a_state_that_is_none(change, tmp_path):
    state = {"fingerprint": "", "seeds": [1, 2, 3]}
    file = tmp_path / "training.safetensors"
    save_file({}, str(file), metadata={METADATA_KEY: json.dumps(state)})
    assert read_state(file).seeds == [1, 2, 3]
    save_file({}, str(file), metadata={METADATA_KEY: json.dumps(state | change)})
    with pytest.raises(ValueError, match="checkpoint must be a file that fit wrote"):
        read_state(file)


def test_a_checkpoint_that_lacks_a_part(options, pairs, tmp_path):
    images, masks = zip(*pairs)
    file = tmp_path / "training.safetensors"
    FlowSegmenter(**options).fit(images, masks, checkpoint=file)
    with safe_open(file, framework="numpy") as opened:
        metadata, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    del tensors["optimizer/0002"]
    save_file(tensors, str(file), metadata=metadata)
    with pytest.raises(ValueError, match="checkpoint must hold the whole training; .* does not: .*optimizer/0002"):
        FlowSegmenter(**options).fit(images, masks, checkpoint=file)


class TestWarmStart:
    def test_fit_goes_on_from_the_weights(self, small, pairs):
        images, masks = zip(*pairs)
        model = FlowSegmenter(**small, warm_start=True, validation_fraction=0.0).fit(images, masks)
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
        color = [np.stack([image] * 3, axis=-1) for image in images]
        with pytest.raises(ValueError, match=r"images\[0\] must have 1 channel"):
            model.fit(color, masks)
        with pytest.raises(ValueError, match="n_channels must be what it was in fit, 1; got 3"):
            model.set_params(n_channels=3).fit(color, masks)


def same_weights(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.network_.get_weights(), b.network_.get_weights(), strict=True))


class TestAnotherTraining:
    """A checkpoint of a training that differs in more than images and parameters is not taken for this one."""

    REFUSED = "checkpoint must hold this very training"

    def test_of_another_segmenter(self, small, pairs, tmp_path):
        images, masks = zip(*pairs)
        BoundarySegmenter(**small).fit(images, masks, checkpoint=tmp_path / "c.safetensors")
        with pytest.raises(ValueError, match=self.REFUSED):
            FlowSegmenter(**small).fit(images, masks, checkpoint=tmp_path / "c.safetensors")

    def test_that_began_with_other_weights(self, small, pairs, tmp_path):
        images, masks = zip(*pairs)
        cold, warm = tmp_path / "cold.safetensors", tmp_path / "warm.safetensors"
        model = FlowSegmenter(**small).fit(images, masks, checkpoint=cold)
        model.set_params(warm_start=True).save(tmp_path / "m.safetensors")
        with pytest.raises(ValueError, match=self.REFUSED):
            model.fit(images, masks, checkpoint=cold)
        model.fit(images, masks, checkpoint=warm)
        again = FlowSegmenter.load(tmp_path / "m.safetensors").fit(images, masks, checkpoint=warm)  # the same start
        assert same_weights(model, again)

    def test_of_another_network_of_the_same_shapes(self, small, pairs, tmp_path):
        images, masks = zip(*pairs)

        def build(activation):
            inputs = keras.Input((None, None, 1))
            x = keras.layers.Conv2D(4, 3, padding="same", activation=activation)(inputs)
            return keras.Model(inputs, keras.layers.Conv2D(3, 1)(x))

        file = tmp_path / "c.safetensors"
        relu, tanh = ((lambda *_, a=a: build(a)) for a in ("relu", "tanh"))
        first = FlowSegmenter(**small, network=relu).fit(images, masks, checkpoint=file)
        with pytest.raises(ValueError, match=self.REFUSED):
            FlowSegmenter(**small, network=tanh).fit(images, masks, checkpoint=file)
        # its first weights are chance, and its layers have other names now
        assert same_weights(first, FlowSegmenter(**small, network=relu).fit(images, masks, checkpoint=file))


def test_what_diverged_is_refused_again(small, pairs, tmp_path):
    images, masks = zip(*pairs)
    for _ in range(2):
        model = FlowSegmenter(**(small | {"learning_rate": 1e30}))
        with pytest.raises(
            ValueError, match=r"learning_rate must be small enough .* 1e\+30 the weights became infinite"
        ):
            model.fit(images, masks, checkpoint=tmp_path / "c.safetensors")
        assert not hasattr(model, "network_")
    with pytest.raises(TypeError, match="checkpoint must be a path; got 5"):
        model.fit(images, masks, checkpoint=5)
