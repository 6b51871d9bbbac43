"""Training a trained model further: what it starts from is kept unless it is beaten on the validation images."""

import warnings
from filecmp import cmp

import keras
import numpy as np
import pytest

from flowseg import BoundarySegmenter, FlowSegmenter, metrics
from flowseg._nets.training.learning_rate import RATE_FROM_SCRATCH, RATE_FROM_TRAINED
from flowseg._segmenters.fitted import check_fitted
from flowseg._segmenters.fitting.settings import check_training_settings

KEYS = {"loss", "val_loss", "val_loss_before", "val_loss_after", "val_ap_before", "val_ap_after"}


@pytest.fixture(scope="module")
def start(pairs, small, tmp_path_factory):
    """Model files of both kinds, trained enough to find something."""
    images, masks = zip(*pairs)
    folder = tmp_path_factory.mktemp("start")
    files = {}
    for cls in (FlowSegmenter, BoundarySegmenter):
        files[cls] = folder / f"{cls.__name__}.safetensors"
        cls(**(small | {"epochs": 6, "steps_per_epoch": 12})).fit(images[:4], masks[:4]).save(files[cls])
    return files


def load(cls, start, small, **parameters):
    return cls.load(start[cls]).set_params(warm_start=True, **(small | parameters))


def precision(segmenter, images, masks):
    return list(metrics.average_precision(masks, segmenter.predict(list(images)), thresholds=(0.5, 0.75)))


def state(segmenter):
    """All that a model file holds, but for the history."""
    known = check_fitted(segmenter)
    return segmenter.network_.get_weights(), segmenter.diameter_, (known.sizes, known.least_sharpness, known.decoding)


@pytest.mark.parametrize("cls", [FlowSegmenter, BoundarySegmenter])
def test_a_start_that_nothing_beats_is_kept_whole(cls, start, small, pairs, tmp_path):
    images, masks = zip(*pairs)
    model = load(cls, start, small, learning_rate=5.0)  # ruins every weight
    before, learned, diameter = state(model)[0], state(model)[2], model.diameter_
    known = precision(model, images[4:], masks[4:])
    assert known[0] > 0
    model.fit(images[:4], masks[:4], validation=(images[4:], masks[4:]))
    history = model.history_
    assert set(history) == KEYS
    assert min(history["val_loss"]) > history["val_loss_before"][0]
    assert history["val_loss_before"] == history["val_loss_after"]
    if history["val_ap_before"] == history["val_ap_after"]:  # else thresholds were chosen better
        assert state(model)[2] == learned
        assert model.diameter_ == diameter
    assert all(np.array_equal(a, b) for a, b in zip(before, state(model)[0], strict=True))
    assert history["val_ap_before"] == pytest.approx(known)
    assert history["val_ap_after"] == pytest.approx(precision(model, images[4:], masks[4:]))
    assert np.mean(history["val_ap_after"]) >= np.mean(known)
    model.save(tmp_path / "kept.safetensors")
    again = cls.load(tmp_path / "kept.safetensors")
    assert again.history_ == history
    assert again.validation_ap_ is None


def test_a_better_model_takes_the_place_of_the_start(start, small, pairs):
    images, masks = zip(*pairs)
    model = load(FlowSegmenter, start, small, epochs=6, steps_per_epoch=12, learning_rate=3e-3)
    before = model.network_.get_weights()
    model.fit(images[:4], masks[:4], validation=(images[4:], masks[4:]))
    history = model.history_
    assert history["val_loss_after"] == [min(history["val_loss"])] < history["val_loss_before"]
    assert np.mean(history["val_ap_after"]) > np.mean(history["val_ap_before"])
    assert model.validation_ap_ == tuple(history["val_ap_after"])
    assert not np.array_equal(before[0], model.network_.get_weights()[0])


def test_lower_loss_but_fewer_objects_found(start, small, pairs, monkeypatch):
    images, masks = zip(*pairs)
    model = load(FlowSegmenter, start, small, epochs=6, steps_per_epoch=12, learning_rate=3e-3)
    whole = state(model)
    measured = iter([(0.5, 0.3), (0.6, 0.1)])  # of the start, of the end
    monkeypatch.setattr("flowseg._segmenters.fitting.train_and_choose.measure_precision", lambda *_: next(measured))
    model.fit(images[:4], masks[:4], validation=(images[4:], masks[4:]))
    assert min(model.history_["val_loss"]) < model.history_["val_loss_before"][0]
    assert model.history_["val_loss_after"] == model.history_["val_loss_before"]
    assert model.history_["val_ap_after"] == model.history_["val_ap_before"] == [0.5, 0.3]
    assert all(np.array_equal(a, b) for a, b in zip(whole[0], state(model)[0], strict=True))
    assert state(model)[1:] == whole[1:]


class Killed(Exception):
    pass


class KillIn(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Killed


@pytest.mark.parametrize("rate", [5.0, 3e-3], ids=["start kept", "start beaten"])
def test_killed_and_gone_on_with_it_is_the_same_file(rate, start, small, pairs, tmp_path):
    images, masks = zip(*pairs)
    known = {"validation": (images[4:], masks[4:])}
    options = {"epochs": 3, "learning_rate": rate}
    load(FlowSegmenter, start, small, **options).fit(images[:4], masks[:4], **known).save(
        tmp_path / "whole.safetensors"
    )
    checkpoint = tmp_path / "training.safetensors"
    for epoch in (0, 2):
        with pytest.raises(Killed):
            load(FlowSegmenter, start, small, **options).fit(
                images[:4], masks[:4], **known, checkpoint=checkpoint, callbacks=[KillIn(epoch)]
            )
    model = load(FlowSegmenter, start, small, **options).fit(images[:4], masks[:4], **known, checkpoint=checkpoint)
    model.save(tmp_path / "again.safetensors")
    assert cmp(tmp_path / "again.safetensors", tmp_path / "whole.safetensors", shallow=False)


def test_without_validation_images_a_warning_says_that_nothing_is_compared(start, small, pairs):
    images, masks = zip(*pairs)
    model = load(FlowSegmenter, start, small, epochs=1)
    with pytest.warns(UserWarning, match="without validation images it stays unknown whether training further"):
        model.fit(images[:4], masks[:4])
    assert set(model.history_) == {"loss"}
    assert model.validation_ap_ is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(warm_start=False).fit(images[:4], masks[:4])


def test_a_training_that_diverges_leaves_the_start(start, small, pairs):
    images, masks = zip(*pairs)
    model = load(FlowSegmenter, start, small, epochs=9, learning_rate=1e30)
    before = model.network_.get_weights()
    with pytest.warns(
        UserWarning, match=r"^learning_rate must be small enough .* 1e\+30 the loss became infinite in ep"
    ) as warned:
        model.fit(images[:4], masks[:4], validation=(images[4:], masks[4:]))
    assert __file__ in [w.filename for w in warned]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.network_.get_weights(), strict=True))
    assert len(model.history_["loss"]) < 9  # no time is lost on it
    with pytest.raises(ValueError, match="learning_rate must be small enough .* the weights became infinite"):
        model.fit(images[:4], masks[:4])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.network_.get_weights(), strict=True))


def test_the_default_rate(start, small):
    scratch = FlowSegmenter(**small)
    assert check_training_settings(scratch).learning_rate == RATE_FROM_SCRATCH == 1e-3
    assert check_training_settings(scratch, warm_start=True).learning_rate == RATE_FROM_TRAINED == 1e-3
    assert FlowSegmenter.from_pretrained("nuclei").learning_rate == "auto"
    assert check_training_settings(FlowSegmenter(learning_rate=0.5), warm_start=True).learning_rate == 0.5
    for wrong in (0, -1e-3, float("nan"), float("inf"), "fast", None, [1e-3]):
        with pytest.raises((TypeError, ValueError), match="learning_rate must be a number"):
            check_training_settings(FlowSegmenter(learning_rate=wrong))


def test_closing_lines(start, small, pairs, capsys):
    images, masks = zip(*pairs)
    model = load(FlowSegmenter, start, small, epochs=1, learning_rate=5.0, verbose=2)
    model.fit(images[:4], masks[:4], validation=(images[4:], masks[4:]))
    said = capsys.readouterr().err
    assert f"validation images, before: loss {model.history_['val_loss_before'][0]:.3f}, average precision" in said
    assert "average precision" in said.split("after: ")[1]
    assert "cellprob_threshold " in said
    assert " pixels, trained in " in said
