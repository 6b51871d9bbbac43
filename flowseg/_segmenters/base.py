"""The methods that both segmenters share: fit, predict, score, save and load."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self, overload

from numpy.typing import NDArray

from flowseg import _checks, metrics
from flowseg._nets import backends
from flowseg._segmenters.attributes import SegmenterAttributes
from flowseg._segmenters.codecs.codec import Masks, Outputs
from flowseg._segmenters.fitted import FixedParameters, check_fitted
from flowseg._segmenters.fitting.annotation_checks import check_not_binary, check_to_learn_from, warn_of_components
from flowseg._segmenters.fitting.choose_classes import choose_class_names
from flowseg._segmenters.fitting.compare_models import warn_of_no_comparison
from flowseg._segmenters.fitting.fit_summary import describe_fit
from flowseg._segmenters.fitting.pairs import as_validation, hold_out, make_pairs
from flowseg._segmenters.fitting.settings import check_callbacks, check_training_settings, find_seeds, warn_of_patience
from flowseg._segmenters.fitting.train_and_choose import Plan, train
from flowseg._segmenters.inputs import ArrayLike, Diameter, Diameters, Spacings
from flowseg._segmenters.pipeline import (
    PredictionSettings,
    check_can_take_spacing,
    map_images,
    pipeline_of,
    prediction_settings,
)
from flowseg._system.messages import LOG, say


class Segmenter(SegmenterAttributes):
    """Base class of `FlowSegmenter` and `BoundarySegmenter`, which add a codec and its parameters."""

    _kind: str  # in model files, also of subclasses

    def _prediction_settings(self) -> PredictionSettings:
        """Check every parameter that prediction needs."""
        raise NotImplementedError

    def fit(
        self,
        images: Any,
        masks: Any,
        *,
        classes: Sequence[Any] | None = None,
        spacing: Spacings = None,
        validation: tuple[Any, ...] | None = None,
        callbacks: Sequence[Any] = (),
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train the network on images and their masks.

        Parameters
        ----------
        images : list of array_like, shape (rows, columns) or (rows, columns, n_channels)
            Images of any numeric dtype and of any sizes. A constant one is allowed if its masks are empty. An array
            (n, rows, columns) is n images; a volume, whose objects extend over planes, raises an error. With ``ndim=3``
            they are volumes, (planes, rows, columns) or (planes, rows, columns, n_channels), or one volume.
        masks : list of array_like of int, shape (rows, columns)
            One label image per image: 0 = background, k = object k, negative = pixel to ignore, in training and where
            thresholds and scores are learned. Of a volume only some planes may be annotated, along any axis, or a box.
        classes : list, optional
            Class of each object, for the columns of classes of `predict_objects`: for each image a dict of labels and
            class names, or a table with columns ``label`` and ``class``, such as a pandas.DataFrame. An object of
            unknown class has None (or NaN), and so can a whole image; it counts for masks only. Classes are learned
            after the training, and change nothing about masks. A segmenter that was trained without classes can learn
            them in a further training. Not with a custom network.
        spacing : sequence of float, optional
            Distance between pixels along each axis, in any unit; or a sequence of one per image. It is kept as
            ``spacing_``. Images are scaled so that pixels are about as long along every axis when the network sees
            them. By default pixels count as equally long, and crops of volumes are not turned out of their planes.
        validation : (images, masks[, spacing[, classes]]), optional
            Validation set, on which `fit` chooses the best weights, thresholds and all else. By default a share of the
            images (`validation_fraction`) is held out for it. Report results on a separate test set. Without a spacing
            of its own, or with None before classes, it has that of the training images.
        callbacks : sequence of keras.callbacks.Callback
            Passed to Keras. A checkpoint does not hold their state: a training that one of them stopped is resumed
            where it was stopped.
        checkpoint : path, optional
            File for the state of the training, written after every epoch. If it exists, the training in it is resumed
            and comes to the same weights as without the interruption. It must be the same training: images,
            parameters, network, and with ``warm_start`` the weights to start from.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If an argument or a parameter is invalid; the message names it, what was expected and what came.

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
        warm_start = self.warm_start and self.__sklearn_is_fitted__()
        start = check_fitted(self, "Set warm_start to False to train from scratch.") if warm_start else None
        if start is not None and spacing is not None:
            check_can_take_spacing(start.lattice)
        began = time.monotonic()
        settings = check_training_settings(self, warm_start=warm_start)
        pairs = make_pairs(images, masks, spacing, n_channels=self.n_channels, ndim=self.ndim).with_classes(classes)
        check_to_learn_from(pairs.images, pairs.masks, masks)
        warn_of_components([known.masks for known in pairs.known], stacklevel=3)
        check_callbacks(callbacks)
        seeds, file = find_seeds(self.random_state, checkpoint)
        if validation is None:
            pairs, held_out = hold_out(pairs, fraction=self.validation_fraction, seed=seeds[0])
        else:
            held_out = as_validation(validation, spacing, n_channels=self.n_channels, ndim=self.ndim)
        warn_of_patience(self.patience, len(held_out))
        warn_of_no_comparison(warm_start, len(held_out))
        prediction = prediction_settings(self)
        fixed = FixedParameters.of(self)
        class_names = choose_class_names(prediction.codec, fixed, pairs, held_out, start)
        known = prediction.codec.default_decoding() if start is None else start.decoding
        prediction.codec.check_can_learn(held_out.n_objects, known)
        fills_crops = isinstance(self.crop_size, str)
        plan = Plan(fixed, prediction, settings, seeds, callbacks, file, fills_crops, class_names)
        self.fitted_ = train(plan, pairs, held_out, start)
        for line in describe_fit(self, time.monotonic() - began):
            say(line, aloud=settings.verbose > 0)
        return self

    @overload
    def predict(self, images: NDArray[Any], *, diameters: Diameters = None, spacing: Spacings = None) -> Masks: ...
    @overload
    def predict(
        self, images: Sequence[Any], *, diameters: Diameters = None, spacing: Spacings = None
    ) -> list[Masks]: ...
    @overload
    def predict(
        self, images: ArrayLike, *, diameters: Diameters = None, spacing: Spacings = None
    ) -> Masks | list[Masks]: ...
    def predict(self, images: Any, *, diameters: Any = None, spacing: Any = None) -> Any:
        """Segment images.

        Parameters
        ----------
        images : array_like or list of array_like
            One image of shape (rows, columns) or (rows, columns, n_channels), a list of them, or a stack. With
            ``ndim=3`` a volume of shape (planes, rows, columns) or (planes, rows, columns, n_channels), a list, or a
            stack of them.
        diameters : float, "estimate", or sequence of them, optional
            Typical diameter in pixels of the objects in each image, or one for all. "estimate" is the median diameter
            of the objects that a first pass finds. None (also for a single image) is `diameter_`, the typical one of
            the training images, or with `estimate_diameters` an estimate within their diameters. An estimate costs a
            first pass, coarse except in volumes, and further ones as long as objects turn out larger. In volumes, and
            with a spacing, it is in pixels of the finest axis.
        spacing : sequence of float, optional
            Distance between pixels along each axis, in the unit of `fit`; or a sequence of one per image. By default it
            is that of the training images. With another one the image is scaled to the proportions of the training
            pixels, and ``diameter_`` stands for the same length. It must be None if `fit` was given none.

        Returns
        -------
        masks : ndarray of int32, shape (rows, columns), or list of them
            Label image of the image's shape; 0 = background, objects 1..n. A list for a list, one array for one image,
            a stack for a stack. A constant image has no objects.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the segmenter is neither trained nor loaded.
        TypeError, ValueError
            If images, diameters or a parameter are invalid; the message names the argument, what was expected and what
            came.

        Warns
        -----
        UserWarning
            If images are constant: once, with their number. If images are one array (n, rows, columns) and not a list:
            it is taken as n images, as in scikit-learn, not as a volume, a film or n channels. If objects are probably
            false positives, as in noise: their outlines are no sharper than the background. If images are unlike those
            of training, in intensities, objects or outputs of the network. Masks are not changed. If the spacing is
            another one than in training.

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
        check = pipeline.image_check()

        def finish(image: NDArray[Any], outputs: Outputs) -> Masks:
            masks = pipeline.decode(outputs)
            check.look(image, outputs, masks)
            LOG.debug("%d objects in an image of shape %s", masks.max(initial=0), masks.shape)
            return masks

        masks = map_images(pipeline, images, diameters, spacing, finish)
        check.warn(stacklevel=2)
        return masks

    def check_prediction(self, diameter: Diameter) -> None:
        """Raise if `predict` would for any image: invalid parameters, or an impossible diameter.

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

    def score(self, images: Any, masks: Any, *, spacing: Spacings = None) -> float:
        """Return the mean over the images of the average precision at IoU 0.5.

        Parameters
        ----------
        images, masks : list of array_like
            As for `fit`. Objects on pixels to ignore do not count, as in `flowseg.metrics`. Of a volume of which only
            planes or a box are annotated, only what lies there is compared.
        spacing : sequence of float, optional
            As for `predict`.

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
        pairs = make_pairs(images, masks, spacing, n_channels=self.n_channels, ndim=self.ndim)
        check_not_binary(pairs.masks, "masks")
        found = self.predict(pairs.images, spacing=pairs.given_spacings)
        return float(metrics.average_precision_per_image(pairs.masks, found, thresholds=(0.5,)).mean())

    def save(self, path: str | os.PathLike[str], *, card: Mapping[str, Any] | None = None) -> None:
        """Save the trained segmenter to one ``.safetensors`` file.

        Parameters
        ----------
        path : path
            File to write, atomically: an interruption leaves an old file as it was.
        card : dict, optional
            Model card, as plain JSON values: data, license, scores, known failures. ``flowseg info`` prints it.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict`, and if the card holds values that are not JSON, or a parameter cannot be kept in a file.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> from flowseg import FlowSegmenter
        >>> FlowSegmenter.from_pretrained("nuclei").save("copy.safetensors")
        """
        from flowseg._segmenters.model_files.writing import write_model

        fitted = check_fitted(self)
        check_training_settings(self)  # invalid ones could not be loaded
        decoding = prediction_settings(self).codec.as_document(fitted.decoding)
        write_model(path, self._kind, self.get_params(deep=False), fitted, decoding, card)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, network: Any = None) -> Self:
        """Load a segmenter from a file that `save` wrote.

        Parameters
        ----------
        path : path
            Model file. Nothing in it is executed.
        network : callable or keras.Model, optional
            The network of a segmenter that was trained with a custom one: the file holds only its weights.

        Returns
        -------
        segmenter : FlowSegmenter or BoundarySegmenter
            Of the class that the method is called on.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, or it is damaged, of another format, class or version, or of another network.

        Examples
        --------
        >>> from flowseg import FlowSegmenter
        >>> FlowSegmenter.from_pretrained("nuclei").save("copy.safetensors", card={"license": "CC0"})
        >>> FlowSegmenter.load("copy.safetensors").network
        'unet'
        """
        from flowseg._segmenters.model_files import document_checks, reading

        document = reading.read_document(path)
        segmenter = cls(**reading.read_parameters(document, path, cls, cls._kind, network))
        backends.prepare()  # not below, where its errors would be taken for those of the file
        with document_checks.naming(path, "valid parameters"):
            settings = check_training_settings(segmenter)
        fixed, prediction = FixedParameters.of(segmenter), prediction_settings(segmenter)
        segmenter.fitted_ = reading.read_fitted(document, path, fixed, prediction, settings.crop_size)
        return segmenter
