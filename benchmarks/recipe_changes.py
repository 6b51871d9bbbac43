"""What `recipe.py` tries: parameters, constants of flowseg, and code in the place of flowseg's for one training."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest.mock import patch

import numpy as np

LIGHT_AS_IT_IS = {
    "training.augmentation.GAIN": (1.0, 1.0),
    "training.augmentation.OFFSET": (0.0, 0.0),
    "training.augmentation.GAMMA": (1.0, 1.0),
    "training.augmentation.NOISE": (0.0, 0.0),
}
NOISE_ONLY = {name: value for name, value in LIGHT_AS_IT_IS.items() if name != "training.augmentation.NOISE"}
# What each training changes: parameters of FlowSegmenter, names "module.CONSTANT" of flowseg._nets, names of this file.
CHANGES: dict[str, dict[str, Any]] = {
    "base": {},
    "own size once": {"training.samples.OWN_SIZE_SHOWN": 1},
    "own size once: crowded images more often": {"training.samples.OWN_SIZE_SHOWN": 1, "crowded": 0.5},
    "own size once: intensities of other images, blurred": {"training.samples.OWN_SIZE_SHOWN": 1, "haze": (0.1, 0.5)},
    "crowded images more often": {"crowded": 0.5},
    "uneven illumination": {"uneven": 0.4},
    "stretched up to 1.25": {"stretched": 1.25},
    "blur": {"blur": 1.5},
    "blur, stretched": {"blur": 1.5, "stretched": 1.25},
    "blur, stretched, uneven illumination": {"blur": 1.5, "stretched": 1.25, "uneven": 0.4},
    "scales up to 1.6": {"training.loop.SCALE_JITTER": 1.6},
    "quarter turns and flips only": {"quarters": True},
    "cubic interpolation": {"order": 3},
    "flows rotated with the crop": {"turned": True},
    "filters 32, 64, 128, 256": {"filters": (32, 64, 128, 256)},
    "filters 24, 48, 96, 192": {"filters": (24, 48, 96, 192)},
    "diameter 32": {"diameter": 32.0},
    "diameter 18": {"diameter": 18.0},
    "every image at one size": {"training.samples.OTHER_SIZE": 100.0},
    "percentiles 0.1 and 99.9": {"percentiles": (0.1, 99.9)},
    "learning rate 3e-3": {"learning_rate": 3e-3},
    "learning rate 3e-4": {"learning_rate": 3e-4},
    "constant learning rate": {"training.learning_rate.FINAL_RATE": 1.0},
    "no warm-up": {"training.learning_rate.WARM_UP": 0.0},
    "crops of 192, batches of 4": {"crop_size": 192, "batch_size": 4},
    "crops of 96, batches of 14": {"crop_size": 96, "batch_size": 14},
    "mean of weights (EMA)": {"averaged": 0.99},
    "resunet": {"network": "resunet"},
    "foreground weighted by 3": {"foreground": 3.0},
    "no augmentation": {"augment": False},
    "no intensity augmentation": LIGHT_AS_IT_IS,
    "noise as the only intensity augmentation": NOISE_ONLY,
    "filters 16, 32, 64, 128": {"filters": (16, 32, 64, 128)},
    "batches of 4": {"batch_size": 4},
    "batches of 16": {"batch_size": 16},
    "weight decay 1e-2": {"training.loop.WEIGHT_DECAY": 1e-2},
    "no weight decay": {"training.loop.WEIGHT_DECAY": 0.0},
    "1800 steps": {"steps": 1800},
    "10 images": {"images": 10},
    "10 images: 2000 steps": {"images": 10, "steps": 2000},
    "1800 steps: quarter turns and flips only": {"steps": 1800, "quarters": True},
    "1800 steps: no augmentation": {"steps": 1800, "augment": False},
    "1800 steps: crops of 96, batches of 14": {"steps": 1800, "crop_size": 96, "batch_size": 14},
    "1800 steps: no intensity augmentation": {"steps": 1800, **LIGHT_AS_IT_IS},
    "1800 steps: blur, stretched, uneven illumination": {"steps": 1800, "blur": 1.5, "stretched": 1.25, "uneven": 0.4},
}
# The same on other sets, where objects are larger.
CELLS, LARGE_NUCLEI = "aitslab/cells", "aitslab/nuclei"
CHANGES |= {
    "cells": {"data": CELLS, "diameter": 24.0},
    "cells: quarter turns and flips only": {"data": CELLS, "diameter": 24.0, "quarters": True},
    "cells: no intensity augmentation": {"data": CELLS, "diameter": 24.0, **LIGHT_AS_IT_IS},
    "cells: noise as the only intensity augmentation": {"data": CELLS, "diameter": 24.0, **NOISE_ONLY},
    "cells: diameter 36": {"data": CELLS, "diameter": 36.0},
    "cells, own size once": {"data": CELLS, "diameter": 24.0, "training.samples.OWN_SIZE_SHOWN": 1},
    "cells, own size once: diameter 36": {"data": CELLS, "diameter": 36.0, "training.samples.OWN_SIZE_SHOWN": 1},
    "large nuclei": {"data": LARGE_NUCLEI, "diameter": 24.0},
    "large nuclei: no intensity augmentation": {"data": LARGE_NUCLEI, "diameter": 24.0, **LIGHT_AS_IT_IS},
    "large nuclei: noise as the only intensity augmentation": {"data": LARGE_NUCLEI, "diameter": 24.0, **NOISE_ONLY},
    "large nuclei: diameter 40": {"data": LARGE_NUCLEI, "diameter": 40.0},
    "large nuclei, 1800 steps": {"data": LARGE_NUCLEI, "diameter": 24.0, "steps": 1800},
    "large nuclei, 1800 steps: diameter 40": {"data": LARGE_NUCLEI, "diameter": 40.0, "steps": 1800},
}
# What the changes on each set are compared with, unless their names say otherwise.
BASES = {"dsb2018": "base", CELLS: "cells", LARGE_NUCLEI: "large nuclei"}


def turned_flows() -> AbstractContextManager[Any]:
    """Flows made once per image and turned with the crop, instead of made of the crop's masks."""
    from scipy import ndimage

    from flowseg._nets.training import batches as crop_batches

    made: dict[Any, np.ndarray] = {}  # the samples live as long as this: they are its keys

    def crop(self: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        sample = self.samples[rng.integers(len(self.samples))]
        if sample not in made:
            made[sample] = self.codec.encode(sample.masks, workers=1)[..., 2:]
        scale = self.jitter ** rng.uniform(-1, 1)
        turn = crop_batches.random_rotation(rng) if self.augment else np.eye(2)
        state = rng.bit_generator.state
        cut_out = crop_batches.cut_crop(sample, turn, scale, self.crop_shape, rng)
        image, masks = cut_out.image, cut_out.masks
        rng.bit_generator.state = state  # draw the same center again
        shape, size = np.array(sample.image.shape[:2]), self.crop_shape[0]
        half = np.minimum(0.5 * size / scale, 0.5 * shape)
        center = rng.uniform(half, shape - half) - 0.5
        matrix = turn / scale
        offset = center - matrix @ np.full(2, 0.5 * (size - 1))
        place = {"matrix": matrix, "offset": offset, "output_shape": (size, size)}
        cut = [ndimage.affine_transform(made[sample][..., c], order=0, output=np.float32, **place) for c in (0, 1)]
        flows = np.stack(cut, axis=-1) @ turn
        if self.augment:
            image = crop_batches.change_intensities(image, rng)
        inside = (masks > 0)[..., np.newaxis]
        target = np.concatenate([(masks >= 0)[..., np.newaxis], inside, flows * inside], axis=-1)
        return image, target.astype(np.float32)

    return patch.object(crop_batches.CropBatches, "_crop", crop)


def crowded_more_often(power: float) -> AbstractContextManager[Any]:
    """Images drawn as often as the number of their objects to this power says."""
    from flowseg._nets.training import samples as training_samples

    make = training_samples.make_samples

    def make_weighted(*arguments: Any, **options: Any) -> list[Any]:
        samples = make(*arguments, **options)
        weights = [max(int(s.masks.max()), 1) ** power for s in samples]
        return [s for s, w in zip(samples, weights, strict=True) for _ in range(max(1, round(2 * w)))]

    return patch.object(training_samples, "make_samples", make_weighted)


def hazed(strengths: tuple[float, float]) -> AbstractContextManager[Any]:
    """Half of the crops get the light of another crop, blurred: what lies out of focus is background."""
    from scipy import ndimage

    from flowseg._nets.training import batches as crop_batches

    crop = crop_batches.CropBatches._crop

    def crop_hazed(self: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        image, target = crop(self, rng)
        if self.augment and rng.random() < 0.5:
            other = np.clip(crop(self, rng)[0], 0, 2)
            blurred = ndimage.gaussian_filter(other, (*[rng.uniform(4, 16)] * 2, 0))
            image = image + np.float32(rng.uniform(*strengths)) * blurred
        return image, target

    return patch.object(crop_batches.CropBatches, "_crop", crop_hazed)


def unevenly_lit(strength: float) -> AbstractContextManager[Any]:
    """Light that changes across the crop, by up to this share."""
    from flowseg._nets.training import batches as crop_batches

    relight = crop_batches.change_intensities

    def relight_unevenly(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        x, y = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in image.shape[:2]], indexing="ij")
        a, b, c = (np.float32(v) for v in rng.uniform(-strength, strength, 3))
        return relight(image * (1 + a * x + b * y)[..., np.newaxis], rng) + (0.5 * c * x * y)[..., np.newaxis]

    return patch.object(crop_batches, "change_intensities", relight_unevenly)


def stretched(largest: float) -> AbstractContextManager[Any]:
    """Crops stretched along a random direction by up to this factor, and shrunk as much across it."""
    from flowseg._nets.training import batches as crop_batches

    turn = crop_batches.random_rotation

    def turn_stretched(rng: np.random.Generator, _turns: tuple[int, ...]) -> np.ndarray:
        factor = largest ** rng.uniform(-0.5, 0.5)
        return turn(rng) @ np.diag([factor, 1 / factor]) @ turn(rng)

    return patch.object(crop_batches, "random_rotation", turn_stretched)


def turned_by_quarters() -> AbstractContextManager[Any]:
    """Crops turned by multiples of 90 degrees and flipped."""
    from flowseg._nets.training import batches as crop_batches

    def turn(rng: np.random.Generator, _turns: tuple[int, ...]) -> np.ndarray:
        quarter = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), int(rng.integers(4)))
        return quarter @ np.diag([1.0, rng.choice([-1.0, 1.0])])

    return patch.object(crop_batches, "random_rotation", turn)


def interpolated(order: int) -> AbstractContextManager[Any]:
    """Crops of images interpolated with splines of this order; masks stay nearest."""
    from scipy import ndimage

    from flowseg._nets.training import augmentation

    class Interpolation:
        @staticmethod
        def affine_transform(image: np.ndarray, **options: Any) -> np.ndarray:
            return ndimage.affine_transform(image, **{**options, "order": options["order"] and order})

    return patch.object(augmentation, "ndimage", Interpolation)


def blurred(largest: float) -> AbstractContextManager[Any]:
    """Half of the crops blurred by up to ``largest`` pixels."""
    from scipy import ndimage

    from flowseg._nets.training import batches as crop_batches

    relight = crop_batches.change_intensities

    def relight_blurred(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sigma = rng.uniform(0, largest) if rng.random() < 0.5 else 0.0
        return relight(ndimage.gaussian_filter(image, (sigma, sigma, 0)), rng)

    return patch.object(crop_batches, "change_intensities", relight_blurred)


def foreground_weight(weight: float) -> AbstractContextManager[Any]:
    """Cross-entropy times ``weight``."""
    from keras import ops

    from flowseg._nets import losses

    def loss(y_true: Any, y_pred: Any) -> Any:
        logit, foreground = y_pred[..., -1], y_true[..., 1]
        entropy = ops.relu(logit) - logit * foreground + ops.log1p(ops.exp(-ops.abs(logit)))
        squared = 0.5 * ops.mean(ops.square(5.0 * y_true[..., 2:] - y_pred[..., :-1]), axis=-1)
        return losses._weighted_mean(squared + weight * entropy, y_true[..., 0])

    return patch.object(losses, "flow_loss", loss)


def percentile_range(low: float, high: float) -> AbstractContextManager[Any]:
    """Other percentiles become 0 and 1."""
    from flowseg._intensities import PERCENTILES, find_limits, find_limits_and_unpadded
    from flowseg._nets.training import samples
    from flowseg._segmenters import pipeline

    rule = (PERCENTILES, low, high)
    stack = ExitStack()
    stack.enter_context(patch.object(samples, "find_limits", lambda image, _: find_limits(image, rule)))
    stack.enter_context(
        patch.object(pipeline, "find_limits_and_unpadded", lambda image, _: find_limits_and_unpadded(image, rule))
    )
    return stack


def averaging(keep: float) -> Any:
    """Callback that leaves the running mean of the weights."""
    import keras

    class Average(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
            self.mean = self.model.get_weights()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.mean = [keep * m + (1 - keep) * w for m, w in zip(self.mean, self.model.get_weights(), strict=True)]

        def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
            self.model.set_weights(self.mean)

    return Average()


PATCHES: dict[str, Callable[[Any], AbstractContextManager[Any]]] = {
    "turned": lambda _: turned_flows(),
    "quarters": lambda _: turned_by_quarters(),
    "order": interpolated,
    "crowded": crowded_more_often,
    "haze": hazed,
    "uneven": unevenly_lit,
    "stretched": stretched,
    "blur": blurred,
    "foreground": foreground_weight,
    "percentiles": lambda pair: percentile_range(*pair),
}
