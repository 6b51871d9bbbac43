"""Networks of the user's own."""

import random

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.base import clone

from flowseg import FlowSegmenter


class TestCustomNetwork:
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
        with pytest.raises(ValueError, match="was trained with a custom network"):
            FlowSegmenter.load(tmp_path / "own.safetensors")

    def test_a_network_that_does_not_fit_is_refused_before_it_is_trained(self, pairs, small):
        def global_network(n_channels, n_outputs):
            inputs = keras.Input((None, None, n_channels))
            x = layers.Conv2D(4, 3, padding="same")(inputs)
            x = x + layers.GlobalAveragePooling2D(keepdims=True)(x)
            return keras.Model(inputs, layers.Conv2D(n_outputs, 1)(x))

        seen = []
        callback = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: seen.append(1))
        with pytest.raises(ValueError, match="depend on a bounded neighborhood"):
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

        with pytest.raises(ValueError, match="depend on a bounded neighborhood"):
            FlowSegmenter(network=lambda *n: build(*n, everywhere=True), **small).fit(*zip(*pairs))
        model = FlowSegmenter(network=build, **small).fit(*zip(*pairs))
        model.save(tmp_path / "own.safetensors")
        assert FlowSegmenter.load(tmp_path / "own.safetensors", network=build).fitted_.grid == model.fitted_.grid

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
