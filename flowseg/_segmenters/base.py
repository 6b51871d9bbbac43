"""What both segmenters share: parameters in, fit, predict, score, save and load."""

from __future__ import annotations

import numbers
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from tqdm import tqdm

from flowseg import _checks, metrics
from flowseg._intensities import as_rule
from flowseg._labels.overlaps import count_objects
from flowseg._nets.sizes import (
    Sizes,
    bounds_of,
    check_sizes,
    choose_working,
    image_diameters,
    read_sizes,
    scale_factor,
)
from flowseg._segmenters import inputs
from flowseg._segmenters.choices import Choosing, History, warn_of_no_comparison
from flowseg._segmenters.noise import learn_least_sharpness, read_least_sharpness
from flowseg._segmenters.predictor import Predictor
from flowseg._segmenters.stored import Stored
from flowseg._segmenters.summary import describe_fit
from flowseg._system import files

if TYPE_CHECKING:
    from flowseg._nets.training import TrainingSettings

# Types of parameters that are the same if they are equal; a network is the same if it is the very one.
PLAIN = (str, int, float, list, tuple, np.ndarray, np.generic)

# Parameters that the trained network depends on: changed after fit they would no longer describe it.
FIXED_BY_FIT = ("network", "n_channels", "filters", "diameter")


def _as_it_is(value: Any) -> Any:
    """What a list holds now, whatever becomes of it."""
    return tuple(value) if isinstance(value, list) else value


class Segmenter(Choosing, Predictor, Stored, BaseEstimator):
    """Base of `FlowSegmenter` and `BoundarySegmenter`; they add parameters, a codec and how outputs are decoded."""

    _kind: str  # in model files, also of subclasses
    _codec: Any  # a flowseg._nets.codecs.Codec

    _trained_with: dict[str, Any] | None = None  # machine and versions; None in files of before they were kept

    # Parameters, stored by the subclasses' __init__ and checked by fit and predict.
    network: Any
    filters: Any
    n_channels: Any
    normalize: Any
    diameter: Any
    estimate_diameters: Any
    crop_size: Any
    batch_size: Any
    epochs: Any
    steps_per_epoch: Any
    learning_rate: Any
    augment: Any
    validation_fraction: Any
    patience: Any
    min_size: Any
    warm_start: Any
    random_state: Any
    workers: Any
    verbose: Any

    def fit(
        self,
        images: Any,
        masks: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        callbacks: Sequence[Any] = (),
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train the network on images and their masks.

        Parameters
        ----------
        images : list of array_like, shape (rows, columns) or (rows, columns, n_channels)
            Images of any numeric dtype and of any sizes. A constant one is allowed if its masks are empty. An array
            (n, rows, columns) is n images; a volume, whose objects go on from plane to plane, is refused.
        masks : list of array_like of int, shape (rows, columns)
            One label image per image: 0 = background, k = object k, negative = ignore this pixel, in training and where
            thresholds and scores are learned.
        validation : (images, masks), optional
            Pairs to choose on: the best weights, and all else that `fit` chooses, such as thresholds. By default a
            share of the given images (`validation_fraction`) is held out for it. Report on other images.
        callbacks : sequence of keras.callbacks.Callback
            Passed on to Keras. A checkpoint does not hold what they remember: a training that one of them stopped
            goes on where it was stopped.
        checkpoint : path, optional
            File to write the state of the training to after every epoch. If it exists the training that it holds
            goes on, to the same weights as without the interruption; it must be the same training: images,
            parameters, network, and with ``warm_start`` the weights to start from.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If anything does not fit; the sentence names the argument, what was expected and what came.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> images, masks = zip(*[synthetic.cells((96, 96), 8, rng=seed) for seed in range(4)])
        >>> segmenter = FlowSegmenter(filters=(8, 16), epochs=2, steps_per_epoch=2, random_state=0)
        >>> segmenter = segmenter.fit(images[:3], masks[:3], validation=(images[3:], masks[3:]))
        >>> sorted(segmenter.history_), len(segmenter.history_["loss"])
        (['loss', 'val_loss'], 2)
        """
        _checks.check_flag(self.warm_start, "warm_start")
        goes_on = bool(self.warm_start) and hasattr(self, "network_")
        if goes_on:
            self._check_fitted("Set warm_start to False to begin anew.")
        began = time.monotonic()
        settings = self._check_settings(goes_on=goes_on)
        image_list, mask_list = inputs.as_pairs(images, masks, n_channels=self.n_channels)
        inputs.check_to_learn_from(image_list, mask_list, masks)
        inputs.warn_of_pieces(mask_list, stacklevel=3)
        inputs.check_callbacks(callbacks)
        seeds, file = self._find_seeds(checkpoint)
        if validation is None:
            train, held_out = inputs.hold_out(image_list, mask_list, fraction=self.validation_fraction, seed=seeds[0])
        else:
            train, held_out = (image_list, mask_list), self._check_validation(validation)
        inputs.warn_of_patience(self.patience, len(held_out[0]))
        warn_of_no_comparison(goes_on, len(held_out[0]))
        n_validation = sum(count_objects(m) for m in held_out[1])
        self._check_can_learn(n_validation, keep=goes_on)

        from flowseg._nets import checkpoint as checkpoints
        from flowseg._nets import training

        sizes = image_diameters(train[1])
        typical = float(np.median(sizes))
        working = self._sizes.working if goes_on else choose_working(self.diameter, typical)
        scale_factor(working, typical, "masks must have objects whose typical diameter is")
        network = self._make_start(seeds[1], settings.crop_size, goes_on=goes_on)
        samples, validation_samples = (
            training.make_samples(
                *pairs, typical=typical, working=working, every_size=every_size, normalize=self.normalize
            )
            for pairs, every_size in ((train, settings.augment), (held_out, False))
        )
        with checkpoints.holding(file):
            history = training.train(
                network,
                samples,
                validation_samples,
                self._codec,
                settings,
                callbacks=callbacks,
                seeds=seeds,
                checkpoint=file,
                same_start=goes_on or isinstance(self.network, str) or hasattr(self.network, "get_weights"),
            )
        new_sizes = Sizes(working, False, *bounds_of(sizes, working))
        self._take(network, typical, history, new_sizes, learn_least_sharpness(*train), held_out, goes_on=goes_on)
        if settings.verbose:
            tqdm.write("\n".join(describe_fit(self, time.monotonic() - began)))
        return self

    def _learned_decoding(self) -> dict[str, Any]:
        """What `_fit_decoding` has learned, for the model file."""
        return {"sizes": asdict(self._sizes), "least_sharpness": self._least_sharpness}

    def _restore_decoding(self, learned: dict[str, Any]) -> None:
        """Take what a model file holds of it; raise ValueError where that is wrong."""
        self._sizes = read_sizes(learned.get("sizes"))
        self._least_sharpness = read_least_sharpness(learned)

    def _check_sizes(self) -> None:
        """Raise where what a model file says of sizes does not fit together."""
        working = self._sizes.working
        scale_factor(working, self.diameter_, "diameter must be")
        if not isinstance(self.diameter, str) and self.diameter != working:
            raise ValueError(f"sizes' working must be the parameter diameter, {self.diameter:g}; got {working:g}.")

    def _make_start(self, seed: int, crop_size: int, *, goes_on: bool) -> Any:
        """The network to train: a new one, or a copy of the one that a training goes on from."""
        from flowseg._nets import training

        network = training.copy_network(self.network_, seed=seed) if goes_on else self._make_network(seed, crop_size)
        if not isinstance(self.network, str):
            self._find_grid(training.redrawn(network))  # refuses one that looks too far before it is trained
        return network

    def _make_network(self, seed: int | None, crop_size: int) -> Any:
        from flowseg._nets import training

        return training.make_network(
            self.network,
            n_channels=self.n_channels,
            n_outputs=self._codec.n_outputs,
            filters=self.filters,
            seed=seed,
            crop_size=crop_size,
        )

    def _find_grid(self, network: Any) -> Any:
        from flowseg._nets.inference import network_grid

        is_own = not isinstance(self.network, str)
        return network_grid(network, is_own=is_own, n_levels=len(self.filters), n_channels=self.n_channels)

    def _set_fitted(self, network: Any, grid: Any, diameter: float, history: History) -> None:
        """Set what fit learns, all of it or nothing."""
        from flowseg._nets.training import forget_training

        forget_training(network)
        self._grid = grid
        self._fitted_with = {name: _as_it_is(getattr(self, name)) for name in FIXED_BY_FIT}
        self.network_ = network
        self.diameter_ = diameter
        self.history_ = history
        self.validation_ap_ = None
        self._trained_with = None

    def _check_settings(self, *, goes_on: bool = False) -> TrainingSettings:
        """Check every parameter that training needs; ``goes_on`` is whether it starts from a trained model."""
        self._check_prediction_settings()
        n_levels = len(_checks.as_filters(self.filters))
        inputs.check_network_choice(self.network)
        batch_size = _checks.as_integer(self.batch_size, "batch_size", minimum=1)
        step = 2 ** (n_levels - 1) if isinstance(self.network, str) else 1
        crop_size = inputs.as_crop_size(self.crop_size, step)
        _checks.as_number(self.validation_fraction, "validation_fraction", low=0.0, high=0.9)
        _checks.check_flag(self.augment, "augment")

        from flowseg._nets.training import TrainingSettings, choose_rate

        return TrainingSettings(
            goes_on=goes_on,
            crop_size=crop_size,
            batch_size=batch_size,
            epochs=_checks.as_integer(self.epochs, "epochs", minimum=1),
            steps_per_epoch=_checks.as_integer(self.steps_per_epoch, "steps_per_epoch", minimum=1),
            learning_rate=choose_rate(self.learning_rate, goes_on=goes_on),
            augment=bool(self.augment),
            patience=_checks.as_integer(self.patience, "patience", minimum=1, none="train all epochs"),
            workers=self.workers,
            verbose=_checks.as_integer(self.verbose, "verbose", minimum=0),
        )

    def _check_prediction_settings(self) -> None:
        """Check every parameter that prediction needs."""
        as_rule(self.normalize, _checks.as_integer(self.n_channels, "n_channels", minimum=1))
        check_sizes(self.diameter, self.estimate_diameters)
        _checks.as_workers(self.workers)

    def _find_seeds(self, checkpoint: str | os.PathLike[str] | None) -> tuple[list[int], Path | None]:
        """Seeds of the split, the weights and the batches: new ones, or those of a training that goes on."""
        seeds = self._draw_seeds()
        if checkpoint is None:
            return seeds, None
        from flowseg._nets.checkpoint import read_state

        file = _checks.as_path(checkpoint, "checkpoint")
        files.check_target(file, f"checkpoint {file}")
        state = read_state(file)
        is_seed = isinstance(self.random_state, numbers.Integral)  # else it gives others every time
        return (state.seeds if state and not is_seed else seeds), file

    def _draw_seeds(self) -> list[int]:
        return [int(s) for s in _checks.as_random_state(self.random_state).randint(0, 2**31 - 1000, size=3)]

    def _check_validation(self, validation: Any) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        if not isinstance(validation, tuple | list) or len(validation) != 2:
            raise TypeError("validation must be a pair (images, masks); got " + type(validation).__name__ + ".")
        images, masks = validation
        names = ("validation images", "validation masks")
        pairs = inputs.as_pairs(images, masks, n_channels=self.n_channels, names=names)
        inputs.check_to_learn_from(*pairs, masks, names)
        return pairs

    def score(self, images: Any, masks: Any) -> float:
        """Mean over the images of the average precision at IoU 0.5.

        Parameters
        ----------
        images, masks : list of array_like
            As for `fit`. What is found on pixels to ignore does not count, as in `flowseg.metrics`.

        Returns
        -------
        score : float
            Mean of ``TP / (TP + FP + FN)``, from 0 to 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the segmenter is neither trained nor loaded.
        TypeError, ValueError
            If images and masks do not fit each other or a parameter cannot be used.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> image, masks = synthetic.cells((96, 96), 8, rng=0)
        >>> 0.5 < FlowSegmenter.from_pretrained("nuclei").score([image], [masks]) <= 1
        True
        """
        self._check_fitted()
        image_list, mask_list = inputs.as_pairs(images, masks, n_channels=self.n_channels)
        inputs.check_not_binary(mask_list, "masks")
        found = self.predict(image_list)
        return float(metrics.average_precision_per_image(mask_list, found, thresholds=(0.5,)).mean())

    def _check_fitted(self, advice: str = "Fit again.") -> None:
        if not hasattr(self, "network_"):
            raise NotFittedError(
                f"This {type(self).__name__} is not trained yet: call fit with images and masks, or load a model file."
            )
        from flowseg._nets.networks import check_process

        check_process()
        for name, value in self._fitted_with.items():
            now = getattr(self, name)
            if now is not value and not (isinstance(now, PLAIN) and np.array_equal(now, value)):
                raise ValueError(f"{name} must be what it was in fit, {value!r}; got {now!r}. {advice}")
