"""What both segmenters share: parameters in, fit, predict, score, save and load."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from tqdm import tqdm

from flowseg import _checks, metrics
from flowseg._labels.overlaps import count_objects
from flowseg._segmenters import inputs
from flowseg._segmenters.choices import warn_of_no_comparison
from flowseg._segmenters.codecs import Masks, Outputs
from flowseg._segmenters.decoding import Decoding
from flowseg._segmenters.fitted import Fitted, FixedParameters, History, Precision, check_fitted, get_fitted
from flowseg._segmenters.inputs import ArrayLike, Auto, Diameter, Diameters, Network
from flowseg._segmenters.pipeline import PredictionSettings, map_images, pipeline_of
from flowseg._segmenters.summary import describe_fit
from flowseg._segmenters.training import Plan, check_training_settings, find_seeds, train


class Segmenter(BaseEstimator):
    """Base of `FlowSegmenter` and `BoundarySegmenter`, which add a codec and the parameters that it needs."""

    _kind: str  # in model files, also of subclasses
    fitted_: Fitted  # set by `fit`, `load` and `fit_thresholds`, as their last step

    # Parameters, stored by the __init__ of both classes and checked by `fit` and `predict`.
    network: Network
    filters: Sequence[int]
    n_channels: int
    normalize: tuple[Any, ...] | None
    diameter: float | Auto
    estimate_diameters: bool | Auto
    crop_size: int
    batch_size: int
    epochs: int
    steps_per_epoch: int
    learning_rate: float | Auto
    augment: bool
    validation_fraction: float
    patience: int | None
    warm_start: bool
    random_state: int | np.random.RandomState | None
    workers: int | None
    verbose: int

    def _prediction_settings(self) -> PredictionSettings:
        """Check every parameter that prediction needs."""
        raise NotImplementedError

    def __sklearn_is_fitted__(self) -> bool:
        """For `sklearn.utils.validation.check_is_fitted`."""
        return "fitted_" in vars(self)

    @property
    def network_(self) -> Any:
        """The trained network, a keras.Model."""
        return get_fitted(self).network

    @property
    def diameter_(self) -> float:
        """Typical diameter in pixels of the objects in the training images."""
        return get_fitted(self).diameter

    @property
    def history_(self) -> History:
        """Losses by epoch, and after a training further both its ends."""
        return get_fitted(self).history

    @property
    def validation_ap_(self) -> Precision | None:
        """Average precision on the validation images at IoU 0.5 and 0.75, at the end of `fit`."""
        return get_fitted(self).validation_ap

    @property
    def working_diameter_(self) -> float:
        """Diameter in pixels that typical objects are scaled to."""
        return check_fitted(self).sizes.working

    @property
    def estimate_diameters_(self) -> bool:
        """Whether `predict` estimates diameters that are not given: the parameter, or what `fit` chose for "auto"."""
        fitted, given = check_fitted(self), self.estimate_diameters
        return fitted.sizes.estimate if isinstance(given, str) else bool(given)

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
        goes_on = self.warm_start and self.__sklearn_is_fitted__()
        start = check_fitted(self, "Set warm_start to False to begin anew.") if goes_on else None
        began = time.monotonic()
        settings = check_training_settings(self, goes_on=goes_on)
        pairs = inputs.as_pairs(images, masks, n_channels=self.n_channels)
        inputs.check_to_learn_from(*pairs, masks)
        inputs.warn_of_pieces(pairs[1], stacklevel=3)
        inputs.check_callbacks(callbacks)
        seeds, file = find_seeds(self.random_state, checkpoint)
        if validation is None:
            pairs, held_out = inputs.hold_out(*pairs, fraction=self.validation_fraction, seed=seeds[0])
        else:
            held_out = inputs.as_validation(validation, self.n_channels)
        inputs.warn_of_patience(self.patience, len(held_out[0]))
        warn_of_no_comparison(goes_on, len(held_out[0]))
        prediction = self._prediction_settings()
        known = Decoding() if start is None else start.decoding
        prediction.codec.check_can_learn(sum(count_objects(m) for m in held_out[1]), known)
        plan = Plan(FixedParameters.of(self), prediction, settings, seeds, callbacks, file)
        self.fitted_ = train(plan, pairs, held_out, start)
        if settings.verbose:
            tqdm.write("\n".join(describe_fit(self, time.monotonic() - began)))
        return self

    @overload
    def predict(self, images: NDArray[Any], *, diameters: Diameters = None) -> Masks: ...
    @overload
    def predict(self, images: Sequence[Any], *, diameters: Diameters = None) -> list[Masks]: ...
    @overload
    def predict(self, images: ArrayLike, *, diameters: Diameters = None) -> Masks | list[Masks]: ...
    def predict(self, images: Any, *, diameters: Any = None) -> Any:
        """Segment images.

        Parameters
        ----------
        images : array_like or list of array_like
            One image of shape (rows, columns) or (rows, columns, n_channels), a list of them, or a stack.
        diameters : float, "estimate", or sequence of them, optional
            Typical diameter in pixels of the objects in each image, or one for all. "estimate": the median diameter
            of what a first pass finds. None (also for a single image) is the one of the training images, `diameter_`,
            or with `estimate_diameters` an estimate, kept within the sizes that the training images had. An estimate
            costs a second pass where it is not within a tenth of `diameter_`, and further ones, each at a coarser
            scale, as long as the objects turn out larger.

        Returns
        -------
        masks : ndarray of int32, shape (rows, columns), or list of them
            As large as the image; 0 = background, objects 1..n. A list for a list, one array for one image, a stack
            for a stack. In a constant image there are none.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the segmenter is neither trained nor loaded.
        TypeError, ValueError
            If images, diameters or a parameter cannot be used; the sentence names the argument, what was expected and
            what came.

        Warns
        -----
        UserWarning
            Once, with their number, if images are constant. If images are given as one array (n, rows, columns) and
            not as a list: it is n separate images, as in scikit-learn, not a volume, a film or n channels.
            If what is found is probably false, as in noise: the outlines of an image's objects are no sharper than its
            background. The masks stay as they are.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> image, masks = synthetic.cells((96, 96), 8, rng=0)
        >>> found = FlowSegmenter.from_pretrained("nuclei").predict(image)
        >>> found.shape, found.dtype
        ((96, 96), dtype('int32'))
        """
        pipeline = pipeline_of(self)
        pipeline.check_learned()
        noise = pipeline.noise_check()

        def finish(image: NDArray[Any], outputs: Outputs) -> Masks:
            masks = pipeline.decode(outputs)
            noise.look(image, masks)
            return masks

        masks = map_images(pipeline, images, diameters, finish)
        noise.warn(stacklevel=2)
        return masks

    def check_prediction(self, diameter: Diameter) -> None:
        """Raise when `predict` would for any image: wrong parameters, or an impossible diameter.

        Parameters
        ----------
        diameter : float, "estimate" or None
            As for one image of `predict`.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict`.

        Examples
        --------
        >>> from flowseg import FlowSegmenter
        >>> FlowSegmenter.from_pretrained("nuclei").check_prediction(0)
        Traceback (most recent call last):
        ValueError: diameters must be a number above 0 or None (the typical diameter); got 0.
        """
        pipeline_of(self).check(diameter)

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
        NotFittedError, TypeError, ValueError
            As `predict`, and if images and masks do not fit each other.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> image, masks = synthetic.cells((96, 96), 8, rng=0)
        >>> 0.5 < FlowSegmenter.from_pretrained("nuclei").score([image], [masks]) <= 1
        True
        """
        check_fitted(self)
        image_list, mask_list = inputs.as_pairs(images, masks, n_channels=self.n_channels)
        inputs.check_not_binary(mask_list, "masks")
        found = self.predict(image_list)
        return float(metrics.average_precision_per_image(mask_list, found, thresholds=(0.5,)).mean())

    def save(self, path: str | os.PathLike[str], *, card: Mapping[str, Any] | None = None) -> None:
        """Save the trained segmenter to one ``.safetensors`` file.

        Parameters
        ----------
        path : path
            File to write. It is written beside and then renamed, so that an interruption leaves an old file as it
            was.
        card : dict, optional
            Model card: what others should know (data, licence, scores, known failures), as plain JSON values.
            ``flowseg info`` shows it.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict`, and if the card holds text that is no JSON, or a parameter cannot be kept in a file.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> from flowseg import FlowSegmenter
        >>> FlowSegmenter.from_pretrained("nuclei").save("copy.safetensors")
        """
        from flowseg._segmenters.model_file import write_model

        fitted = check_fitted(self)
        check_training_settings(self)  # or it could not be loaded again
        decoding = self._prediction_settings().codec.as_document(fitted.decoding)
        write_model(path, self._kind, self.get_params(deep=False), fitted, decoding, card)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, network: Any = None) -> Self:
        """Load a segmenter from a file that `save` wrote.

        Parameters
        ----------
        path : path
            Model file. Nothing in it is executed.
        network : callable or keras.Model, optional
            The network, for a segmenter that was trained with one of your own: the file holds its weights only.

        Returns
        -------
        segmenter : FlowSegmenter or BoundarySegmenter
            Of the class it is called on.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, or it is damaged, of another format, class or version, or does not fit the
            network.

        Examples
        --------
        >>> from flowseg import FlowSegmenter
        >>> FlowSegmenter.from_pretrained("nuclei").save("copy.safetensors", card={"licence": "CC0"})
        >>> FlowSegmenter.load("copy.safetensors").network
        'unet'
        """
        from flowseg._segmenters import model_file

        document = model_file.read_document(path)
        segmenter = cls(**model_file.read_parameters(document, path, cls, cls._kind, network))
        with model_file.naming(path, "valid parameters"):
            settings = check_training_settings(segmenter)
        fixed, prediction = FixedParameters.of(segmenter), segmenter._prediction_settings()
        segmenter.fitted_ = model_file.read_fitted(document, path, fixed, prediction, settings.crop_size)
        return segmenter
