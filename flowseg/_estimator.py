"""What both segmenters share: parameters in, fit, predict, score, save and load."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state

from flowseg import _checks, _files, _inputs, metrics
from flowseg._flows import diameters
from flowseg._stored import Stored

if TYPE_CHECKING:
    from flowseg._training import TrainingSettings

# Below this factor between the working and an image's diameter, or above its inverse, an image would hardly be an
# image any more, or not fit into memory.
EXTREME_SCALE = 1 / 32

# Parameters that the trained network depends on: changed after fit they would no longer describe it.
FIXED_BY_FIT = ("n_channels", "filters", "diameter")


class Segmenter(Stored, BaseEstimator):
    """Base of `FlowSegmenter` and `BoundarySegmenter`; they add parameters, a codec and how outputs are decoded."""

    _codec: Any  # a flowseg._codecs.Codec

    # Parameters, stored by the subclasses' __init__ and checked by fit and predict.
    network: Any
    filters: Any
    n_channels: Any
    diameter: Any
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
            Images of any numeric dtype and of any sizes.
        masks : list of array_like of int, shape (rows, columns)
            One label image per image: 0 = background, k = object k, negative = ignore this pixel.
        validation : (images, masks), optional
            Pairs to choose the best weights on. By default a share of the given images
            (`validation_fraction`) is held out for it.
        callbacks : sequence of keras.callbacks.Callback
            Passed on to Keras.
        checkpoint : path, optional
            File to write the state of the training to after every epoch. If it exists the training that it holds
            goes on, to the same weights as without the interruption; it must be the same training: images,
            parameters, network.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If anything does not fit; the sentence names the argument, what was expected and what came.
        """
        settings = self._check_settings()
        image_list, mask_list = _inputs.as_pairs(images, masks, n_channels=self.n_channels)
        _inputs.check_has_objects(mask_list, "masks")
        _inputs.check_not_binary(mask_list)
        _inputs.warn_of_pieces(mask_list, stacklevel=3)
        _inputs.check_callbacks(callbacks)
        seeds, file = self._find_seeds(checkpoint)
        seed_split, seed_weights, _ = seeds
        if validation is None:
            train, held_out = _inputs.hold_out(
                image_list, mask_list, fraction=self.validation_fraction, seed=seed_split
            )
        else:
            train, held_out = (image_list, mask_list), self._check_validation(validation)

        from flowseg import _training

        typical = _training.typical_diameter(train[1])
        self._scale(typical, "masks must have objects whose typical diameter is")
        network = self._start_network(seed_weights, settings.crop_size)
        margin = self._find_margin(network)  # refuses a network that does not fit before it is trained
        samples, validation_samples = (
            _training.make_samples(*pairs, typical=typical, settings=settings, every_size=every_size)
            for pairs, every_size in ((train, settings.augment), (held_out, False))
        )
        history = _training.train(
            network,
            samples,
            validation_samples,
            self._codec,
            settings,
            callbacks=callbacks,
            seeds=seeds,
            checkpoint=file,
        )
        self._set_fitted(network, margin, typical, history)
        self._fit_decoding(*held_out)
        return self

    def _fit_decoding(self, images: list[NDArray[Any]], masks: list[NDArray[Any]]) -> None:
        """Learn from validation images what comes after the network."""

    def _learned_decoding(self) -> dict[str, Any]:
        """What `_fit_decoding` has learned, for the model file."""
        return {}

    def _restore_decoding(self, learned: dict[str, Any]) -> None:
        """Take what a model file holds of it; raise ValueError where that is wrong."""

    def _all_ways(self) -> bool:
        """Whether outputs are means over turned and flipped images."""
        return False

    def _start_network(self, seed: int, crop_size: int) -> Any:
        from flowseg import _training

        if self.warm_start and hasattr(self, "network_"):
            self._check_fitted()
            return _training.copy_network(self.network_)
        return self._make_network(seed, crop_size)

    def _make_network(self, seed: int | None, crop_size: int) -> Any:
        from flowseg import _training

        return _training.make_network(
            self.network,
            n_channels=self.n_channels,
            n_outputs=self._codec.n_outputs,
            filters=self.filters,
            seed=seed,
            crop_size=crop_size,
        )

    def _find_margin(self, network: Any) -> int:
        from flowseg._prediction import network_margin

        is_own = not isinstance(self.network, str)
        return network_margin(network, is_own=is_own, n_levels=len(self.filters), n_channels=self.n_channels)

    def _set_fitted(self, network: Any, margin: int, diameter: float, history: dict[str, list[float]]) -> None:
        """Set what fit learns, all of it or nothing."""
        network.compile("sgd", jit_compile=False)  # forget optimizer and loss: then it can be copied and pickled
        self._margin = margin
        self._fitted_with = {name: getattr(self, name) for name in FIXED_BY_FIT}
        self.network_ = network
        self.diameter_ = diameter
        self.history_ = history

    def _check_settings(self) -> TrainingSettings:
        """Check every parameter that training needs."""
        self._check_prediction_settings()
        n_levels = len(_checks.as_filters(self.filters))
        _inputs.check_network_choice(self.network)
        batch_size = _checks.as_integer(self.batch_size, "batch_size", minimum=1)
        step = 2 ** (n_levels - 1) if isinstance(self.network, str) else 1
        crop_size = _inputs.as_crop_size(self.crop_size, step)
        rate = _checks.as_number(self.learning_rate, "learning_rate", low=0.0, open_low=True)
        _checks.as_number(self.validation_fraction, "validation_fraction", low=0.0, high=0.9)
        _checks.check_flag(self.augment, "augment")
        _checks.check_flag(self.warm_start, "warm_start")

        from flowseg._training import TrainingSettings

        return TrainingSettings(
            diameter=self.diameter,
            crop_size=crop_size,
            batch_size=batch_size,
            epochs=_checks.as_integer(self.epochs, "epochs", minimum=1),
            steps_per_epoch=_checks.as_integer(self.steps_per_epoch, "steps_per_epoch", minimum=1),
            learning_rate=rate,
            augment=bool(self.augment),
            patience=_checks.as_integer(self.patience, "patience", minimum=1, none="train all epochs"),
            workers=self.workers,
            verbose=_checks.as_integer(self.verbose, "verbose", minimum=0),
        )

    def _check_prediction_settings(self) -> None:
        """Check every parameter that prediction needs."""
        _checks.as_integer(self.n_channels, "n_channels", minimum=1)
        _checks.as_number(self.diameter, "diameter", low=4.0)
        _checks.as_workers(self.workers)

    def _find_seeds(self, checkpoint: str | os.PathLike[str] | None) -> tuple[list[int], Path | None]:
        """Seeds of the split, the weights and the batches: new ones, or those of a training that goes on."""
        seeds = self._draw_seeds()
        if checkpoint is None:
            return seeds, None
        from flowseg._checkpoint import read_state

        file = Path(checkpoint)
        _files.check_target(file)
        state = read_state(file)
        return (state.seeds if state and self.random_state is None else seeds), file

    def _draw_seeds(self) -> list[int]:
        return [int(s) for s in check_random_state(self.random_state).randint(0, 2**31 - 1000, size=3)]

    def _check_validation(self, validation: Any) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        if not isinstance(validation, tuple | list) or len(validation) != 2:
            raise TypeError("validation must be a pair (images, masks); got " + type(validation).__name__ + ".")
        images, masks = validation
        names = ("validation images", "validation masks")
        pairs = _inputs.as_pairs(images, masks, n_channels=self.n_channels, names=names)
        _inputs.check_has_objects(pairs[1], "validation masks")
        return pairs

    def predict(self, images: Any, *, diameters: Any = None) -> Any:
        """Segment images.

        Parameters
        ----------
        images : array_like or list of array_like
            One image of shape (rows, columns) or (rows, columns, n_channels), a list of them, or a stack.
        diameters : float, "estimate", or sequence of them, optional
            Typical diameter in pixels of the objects in each image, or one for all; None (also for a single image)
            is that of the training images, `diameter_`. "estimate": the median diameter of what a first pass
            finds; the second pass takes as long again.

        Returns
        -------
        masks : ndarray of int32, shape (rows, columns), or list of them
            As large as the image; 0 = background, objects 1..n. A list for a list, one array for one image, a stack
            for a stack.
        """
        return self._map(images, diameters, self._decode)

    def _decode(self, outputs: NDArray[np.float32], factor: float) -> NDArray[np.int32]:
        raise NotImplementedError

    def _map(self, images: Any, diameters: Any, finish: Callable[[NDArray[np.float32], float], Any]) -> Any:
        """Apply network and ``finish(outputs, factor)`` to one image, a list or a stack of them."""
        self._check_fitted()
        self._check_prediction_settings()
        if _inputs.is_one_image(images, self.n_channels):
            image = _inputs.as_channels_last(images, self.n_channels, "images")
            (diameter,) = _inputs.as_diameters(diameters, 1)
            return self._run(image, diameter, finish)
        items = _inputs.as_image_list(images, self.n_channels)
        sizes = _inputs.as_diameters(diameters, len(items))
        results = [self._run(image, size, finish) for image, size in zip(items, sizes, strict=True)]
        if isinstance(images, np.ndarray) and images.dtype != object and isinstance(results[0], np.ndarray):
            return np.stack(results)
        return results

    def _run(
        self,
        image: NDArray[Any],
        diameter: float | str | None,
        finish: Callable[[NDArray[np.float32], float], Any],
    ) -> Any:
        if isinstance(diameter, str):
            factor = self._scale(self._estimate_diameter(image), "the estimated diameter of an image must be")
        else:
            factor = self._scale(self.diameter_ if diameter is None else diameter, "diameters must be")
        return finish(self._run_network(image, factor), factor)

    def _estimate_diameter(self, image: NDArray[Any]) -> float:
        """Median diameter of the objects that a first pass finds; where it finds none, that of the training images."""
        factor = self._scale(self.diameter_, "diameters must be")
        found = diameters(self._decode(self._run_network(image, factor), factor))
        return float(np.median(found)) if found.size else self.diameter_

    def _run_network(self, image: NDArray[Any], factor: float) -> NDArray[np.float32]:
        from flowseg._prediction import predict_outputs

        outputs = predict_outputs(
            self.network_, image, self._codec, factor=factor, margin=self._margin, all_ways=self._all_ways()
        )
        if not np.isfinite(outputs).all():
            raise ValueError(
                "images must have values that a network can take; got outputs that are not finite for an image with "
                f"values from {image.min():g} to {image.max():g}."
            )
        return outputs

    def _scale(self, size: float, subject: str) -> float:
        """Factor that gives objects of diameter ``size`` the working diameter."""
        factor = self.diameter / size
        if not EXTREME_SCALE <= factor <= 1 / EXTREME_SCALE:
            raise ValueError(
                f"{subject} within a factor of {1 / EXTREME_SCALE:g} of the working diameter, {self.diameter:g} "
                f"pixels; got {size:g}."
            )
        return float(factor)

    def score(self, images: Any, masks: Any) -> float:
        """Mean over the images of the average precision at IoU 0.5.

        Parameters
        ----------
        images, masks : list of array_like
            As for `fit`.

        Returns
        -------
        score : float
            Mean of ``TP / (TP + FP + FN)``, from 0 to 1.
        """
        self._check_fitted()
        image_list, mask_list = _inputs.as_pairs(images, masks, n_channels=self.n_channels)
        predicted = self.predict(image_list)
        return float(metrics.average_precision_per_image(mask_list, predicted, thresholds=(0.5,)).mean())

    def check_prediction(self, diameter: float | str | None) -> None:
        """Raise when `predict` would for any image: wrong parameters, or an impossible diameter.

        Parameters
        ----------
        diameter : float, optional
            As for `predict`.
        """
        self._check_prediction_settings()
        (size,) = _inputs.as_diameters(diameter, 1)
        self._scale(self.diameter_ if size is None or isinstance(size, str) else size, "diameters must be")

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise NotFittedError(
                f"This {type(self).__name__} is not trained yet: call fit with images and masks, or load a model file."
            )
        for name, value in self._fitted_with.items():
            if not np.array_equal(getattr(self, name), value):
                raise ValueError(
                    f"{name} must be what it was in fit, {value!r}; got {getattr(self, name)!r}. Fit again."
                )
