"""The segmenter of flows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self, overload

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._checks import AUTO
from flowseg._intensities import DEFAULT
from flowseg._segmenters import inputs
from flowseg._segmenters.base import Segmenter
from flowseg._segmenters.calibration import Table
from flowseg._segmenters.choices import learn_from
from flowseg._segmenters.codecs import FlowCodec, Outputs
from flowseg._segmenters.fitted import check_fitted
from flowseg._segmenters.inputs import ArrayLike, Auto, Diameters, Network
from flowseg._segmenters.pipeline import PredictionSettings, check_common_settings, map_images, pipeline_of
from flowseg._segmenters.pretrained import pretrained_file
from flowseg._segmenters.thresholds import Thresholds, check_thresholds, plain_thresholds

Flows = tuple[NDArray[np.float32], NDArray[np.float32]]  # flows and cellprob of an image
Objects = tuple[NDArray[np.int32], Table]  # masks of an image and the table of their objects


class FlowSegmenter(Segmenter):
    """Segment touching objects with learned flows.

    Parameters
    ----------
    network : {"unet", "resunet"}, callable or keras.Model
        Network to train: one of ours (see `build_unet`, `build_resunet`), a function of ``(n_channels, n_outputs)``
        that builds one, or a model of your own, of which a copy is trained further. It must end in a linear layer
        of 3 outputs (row flow, column flow, cellprob).
    filters : tuple of int
        Filters per level of "unet" and "resunet", finest first.
    n_channels : int
        Channels of the images.
    normalize : tuple or None
        Which intensities the network sees as 0 and 1: ``("percentiles", low, high)`` of each channel of each image,
        less what is padded or saturated; ``("limits", low, high)``, the same values in all images, or one
        ``("limits", (low, high), ...)`` per channel; None for values as they are. It is kept in the model file, and
        can be set after `fit` as well.
    diameter : float or "auto"
        Working diameter in pixels: images are scaled so that typical objects have it when the network sees them.
        "auto": their own, but at least 24 and at most 40.
    estimate_diameters : bool or "auto"
        Whether `predict` estimates the diameter of the objects in each image that none is given for, in a first pass,
        instead of taking the one of the training images. "auto": `fit` tries it on the validation images and does it
        where the masks are better by more than a standard error.
    crop_size : int
        Side in pixels of the square crops that the network is trained on.
    batch_size : int
        Crops per training step.
    epochs : int
        Training length, in epochs of `steps_per_epoch` steps, however many images there are.
    steps_per_epoch : int
        Training steps between two looks at the validation loss.
    learning_rate : float or "auto"
        Peak learning rate of AdamW; it rises over the first steps and falls along a cosine. "auto": 0.001, from scratch
        and from a trained model.
    augment : bool
        Turn, flip, scale and light the crops at random, and show images whose objects are of another size than the
        rest at their own size, too. Without, every epoch has the same upright crops.
    validation_fraction : float
        Share of the images to hold out, for all that `fit` chooses, when it is given no validation pairs, rounded
        to whole images: 0.1 of five is none, and then the last weights stay.
    patience : int, optional
        Stop after this many epochs without a better validation loss; None, or where none is held out, trains all.
    cellprob_threshold : float or "auto"
        Pixels with a larger logit are foreground. "auto" has `fit` choose it on the validation images; without
        enough of them it is 0.0.
    flow_threshold : float, None or "auto"
        Objects with a larger flow error are dropped, unless they touch the image's border; None switches the check
        off. "auto": chosen by `fit`, else 0.4.
    min_size : int or "auto"
        Objects of fewer pixels are dropped. "auto": chosen by `fit`, else 15.
    score_threshold : float, None or "auto"
        Objects whose score, the probability that they match a real one at IoU 0.5 (see `predict_objects`), is lower
        are dropped; None keeps all. "auto": chosen by `fit`, else None.
    n_iter : int, optional
        Steps to follow the flows; by default until all points have settled.
    test_time_augmentation : bool
        Whether `predict` takes the mean of the outputs for the image turned and flipped in all eight ways: somewhat
        better, eight times slower.
    warm_start : bool
        Whether `fit` goes on from the weights that the segmenter has, if it is fitted, instead of new ones. What it had
        is kept unless the result is better on the validation images.
    random_state : int, numpy.random.RandomState, optional
        Seed of the split, the first weights and the crops, and of layers of a network of your own that have none. The
        same seed on the same machine gives the same weights, bit for bit, with the same versions, number of cores and
        setting of oneDNN; the model file says with which.
    workers : int, optional
        Threads for flows and masks; by default all cores.
    verbose : int
        0 is silent; 1 shows Keras' progress bar, 2 one line per epoch; both say in the end what the training came to.

    Attributes
    ----------
    network_ : keras.Model
        The trained network.
    diameter_, working_diameter_ : float
        Typical diameter, in pixels, of the objects in the training images, and the one that they are scaled to.
    cellprob_threshold_, flow_threshold_, min_size_, score_threshold_ : float, float or None, int, float or None
        What `predict` uses: the parameters, or what `fit` chose where they are "auto".
    estimate_diameters_ : bool
        The same of `estimate_diameters`.
    history_ : dict of list of float
        Losses by epoch, as Keras gives them: "loss", "val_loss". After a training further also what it started from and
        what it came to: "val_loss_before", "val_loss_after", one number each; "val_ap_before", "val_ap_after", the
        average precision on the validation images at IoU 0.5 and 0.75.
    validation_ap_ : tuple of float, or None
        Average precision on the validation images at IoU 0.5 and 0.75, at the end of `fit`; report that of other
        images. None without validation images and after `load`.
    fitted_ : Fitted
        All of this as one value, whose parts are not promised.

    See Also
    --------
    BoundarySegmenter : the same network trained on background, interior and boundary.

    Examples
    --------
    >>> from flowseg import FlowSegmenter, synthetic
    >>> pairs = [synthetic.cells((96, 96), 8, rng=seed) for seed in range(4)]
    >>> images, masks = zip(*pairs)
    >>> segmenter = FlowSegmenter(filters=(8, 16), epochs=1, steps_per_epoch=2, random_state=0)
    >>> predicted = segmenter.fit(images, masks).predict(images[0])
    >>> predicted.shape, predicted.dtype
    ((96, 96), dtype('int32'))
    """

    _kind = "FlowSegmenter"

    def __init__(
        self,
        *,
        network: Network = "unet",
        filters: Sequence[int] = (16, 32, 64, 128, 256),
        n_channels: int = 1,
        normalize: tuple[Any, ...] | None = DEFAULT,
        diameter: float | Auto = "auto",
        estimate_diameters: bool | Auto = "auto",
        crop_size: int = 128,
        batch_size: int = 8,
        epochs: int = 40,
        steps_per_epoch: int = 50,
        learning_rate: float | Auto = "auto",
        augment: bool = True,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        cellprob_threshold: float | Auto = "auto",
        flow_threshold: float | Auto | None = "auto",
        min_size: int | Auto = "auto",
        score_threshold: float | Auto | None = "auto",
        n_iter: int | None = None,
        test_time_augmentation: bool = False,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        workers: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.filters = filters
        self.n_channels = n_channels
        self.normalize = normalize
        self.diameter = diameter
        self.estimate_diameters = estimate_diameters
        self.crop_size = crop_size
        self.batch_size = batch_size
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.learning_rate = learning_rate
        self.augment = augment
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.random_state = random_state
        self.workers = workers
        self.verbose = verbose
        self.cellprob_threshold = cellprob_threshold
        self.flow_threshold = flow_threshold
        self.min_size = min_size
        self.score_threshold = score_threshold
        self.n_iter = n_iter
        self.test_time_augmentation = test_time_augmentation

    @property
    def cellprob_threshold_(self) -> float:
        """The parameter, or what `fit` chose where that is "auto"."""
        return self._thresholds_in_effect().cellprob_threshold

    @property
    def flow_threshold_(self) -> float | None:
        """The parameter, or what `fit` chose where that is "auto"."""
        return self._thresholds_in_effect().flow_threshold

    @property
    def min_size_(self) -> int:
        """The parameter, or what `fit` chose where that is "auto"."""
        return self._thresholds_in_effect().min_size

    @property
    def score_threshold_(self) -> float | None:
        """The parameter, or what `fit` chose where that is "auto"."""
        return self._thresholds_in_effect().score_threshold

    def _thresholds_in_effect(self) -> Thresholds:
        return FlowCodec.of(self).thresholds(check_fitted(self).decoding)

    @classmethod
    def from_pretrained(cls, name: Literal["nuclei"]) -> Self:
        """A trained segmenter that ships with the package; nothing is downloaded.

        Parameters
        ----------
        name : {"nuclei"}
            "nuclei": nuclei in fluorescence images of one channel (see the model card in the documentation).

        Returns
        -------
        segmenter : FlowSegmenter
            Ready to predict. ``warm_start`` is set, so that `fit` trains it further, on your own images. A clone of it
            (`sklearn.base.clone`, `cross_val_score`) has the parameters but, as of any estimator, not what was learned:
            it trains from scratch.

        Raises
        ------
        ValueError
            If there is no such model; the sentence names those there are.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> image, _ = synthetic.cells((96, 96), 8, rng=0)
        >>> bool(FlowSegmenter.from_pretrained("nuclei").predict(image).max() > 3)
        True
        """
        segmenter = cls.load(pretrained_file(name))
        segmenter.set_params(warm_start=True, learning_rate=AUTO)
        return segmenter

    @overload
    def predict_flows(self, images: NDArray[Any], *, diameters: Diameters = None) -> Flows: ...
    @overload
    def predict_flows(self, images: Sequence[Any], *, diameters: Diameters = None) -> list[Flows]: ...
    @overload
    def predict_flows(self, images: ArrayLike, *, diameters: Diameters = None) -> Flows | list[Flows]: ...
    def predict_flows(self, images: Any, *, diameters: Any = None) -> Any:
        """Flows and foreground, before they become masks.

        Parameters
        ----------
        images, diameters
            As for `predict`.

        Returns
        -------
        flows : ndarray of float32, shape (2, rows, columns)
            In unit length, row before column: ready for `flows_to_masks`.
        cellprob : ndarray of float32, shape (rows, columns)
            Logit of "this pixel is in an object". For a list or a stack of images it is a list of such pairs.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict`.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> image, masks = synthetic.cells((96, 96), 8, rng=0)
        >>> flows, cellprob = FlowSegmenter.from_pretrained("nuclei").predict_flows(image)
        >>> flows.shape, cellprob.shape
        ((2, 96, 96), (96, 96))
        """
        pipeline = pipeline_of(self)
        return map_images(pipeline, images, diameters, lambda _, outputs: pipeline.flows(outputs))

    @overload
    def predict_objects(self, images: NDArray[Any], *, diameters: Diameters = None) -> Objects: ...
    @overload
    def predict_objects(self, images: Sequence[Any], *, diameters: Diameters = None) -> list[Objects]: ...
    @overload
    def predict_objects(self, images: ArrayLike, *, diameters: Diameters = None) -> Objects | list[Objects]: ...
    def predict_objects(self, images: Any, *, diameters: Any = None) -> Any:
        """Segment images and say of every object how good it is.

        Parameters
        ----------
        images, diameters
            As for `predict`.

        Returns
        -------
        masks : ndarray of int32, shape (rows, columns)
            As from `predict`.
        objects : dict of ndarray, shape (n_objects,)
            One column per name, ready for ``pandas.DataFrame``: ``label``; ``area`` in pixels; ``diameter`` of the disk
            of this area; ``flow_error``, see `flow_errors`; ``cellprob``, mean logit; ``touches_border``; ``score``,
            the probability that the object matches a real one at IoU 0.5, NaN where `fit` had fewer than fifty
            validation objects to learn it from. For a list or a stack of images it is a list of such pairs.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict`.

        Warns
        -----
        UserWarning
            As `predict`.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> image, masks = synthetic.cells((96, 96), 8, rng=0)
        >>> found, objects = FlowSegmenter.from_pretrained("nuclei").predict_objects(image)
        >>> sorted(objects)
        ['area', 'cellprob', 'diameter', 'flow_error', 'label', 'score', 'touches_border']
        >>> doubtful = objects["label"][objects["score"] < 0.5]
        """
        pipeline = pipeline_of(self)
        pipeline.check_learned()
        noise = pipeline.noise_check()

        def finish(image: NDArray[Any], outputs: Outputs) -> tuple[NDArray[np.int32], Table | None]:
            found = pipeline.decode_objects(outputs)
            noise.look(image, found[0])
            return found

        found = map_images(pipeline, images, diameters, finish)
        noise.warn(stacklevel=2)
        return found

    def fit_thresholds(self, images: Any, masks: Any) -> Self:
        """Choose the thresholds that are "auto" and learn the score of objects, on images the network has not seen.

        The network runs once per image, more often where diameters are estimated. The thresholds are the ones nearest
        to the usual ones (0.0, 0.4, 15, no score) of all whose average precision over all objects, mean of that at IoU
        0.5, 0.75 and 0.9, is the largest or less than a standard error below it; of one image there is none, so it
        takes two (and five for ``score_threshold``, which else stays as it was). `fit` does the same with its
        validation images if these hold fifty objects.

        Parameters
        ----------
        images, masks : list of array_like
            As for `fit`.

        Returns
        -------
        self

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `score`, and if the masks hold no object.

        Warns
        -----
        UserWarning
            If no object is found: then nothing changes. If there is one image only: it teaches the score, but the
            thresholds are the usual ones.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> images, masks = zip(*[synthetic.cells((96, 96), 12, rng=seed) for seed in range(5)])
        >>> segmenter = FlowSegmenter.from_pretrained("nuclei").fit_thresholds(images, masks)
        >>> chosen = segmenter.cellprob_threshold_, segmenter.flow_threshold_, segmenter.min_size_
        """
        pipeline = pipeline_of(self)
        image_list, mask_list = inputs.as_pairs(images, masks, n_channels=self.n_channels)
        inputs.check_has_objects(mask_list, "masks")
        inputs.check_not_binary(mask_list, "masks")
        learned = learn_from(pipeline, image_list, mask_list)
        inputs.warn_of_constant(sum(map(inputs.is_constant, image_list)), len(image_list), stacklevel=2)
        if learned.calibration is None:
            warnings.warn("the segmenter finds no object in the images: it learns nothing of them.", stacklevel=2)
            return self
        if len(image_list) == 1:
            warnings.warn("one image teaches scores, but not which thresholds others need: give more.", stacklevel=2)
        self.fitted_ = replace(pipeline.fitted, decoding=learned)
        return self

    def _prediction_settings(self) -> PredictionSettings:
        check_common_settings(self)
        check_thresholds(**plain_thresholds(self))
        _checks.as_integer(self.n_iter, "n_iter", minimum=0, none="until all points have settled")
        _checks.check_flag(self.test_time_augmentation, "test_time_augmentation")
        augments = bool(self.test_time_augmentation)
        return PredictionSettings(FlowCodec.of(self), self.normalize, self.estimate_diameters, augments)
