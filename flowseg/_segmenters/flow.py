"""The segmenter that learns flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from flowseg import _checks
from flowseg._intensities import DEFAULT
from flowseg._nets.prediction_network import NumberFormat
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg._segmenters.fitted import check_fitted
from flowseg._segmenters.fitting import fit_thresholds
from flowseg._segmenters.flow_predictions import FlowPredictions
from flowseg._segmenters.inputs import Auto, Network, Spacings
from flowseg._segmenters.learned_decoding.thresholds import Thresholds
from flowseg._segmenters.pipeline import PredictionSettings, check_common_settings, pipeline_of
from flowseg._segmenters.pretrained import PretrainedName, pretrained_file
from flowseg._segmenters.threshold_attributes import ThresholdAttributes


class FlowSegmenter(ThresholdAttributes, FlowPredictions):
    """Segment touching objects with learned flows.

    Parameters
    ----------
    network : {"unet", "resunet"}, callable or keras.Model
        Network to train: by name (see `build_unet`, `build_resunet`), a function of ``(n_channels, n_outputs)`` that
        builds a custom one, or a model, of which a copy is trained further. It must end in a linear layer of
        3 outputs (row flow, column flow, cellprob), for volumes of 4 (plane flow first); and one more for each class of
        objects that `fit` is given.
    ndim : {2, 3}
        Axes of the images: 2 for planes, 3 for volumes.
    filters : tuple of int or "auto"
        Filters per level of "unet" and "resunet", finest first. "auto": (16, 32, 64, 128, 256), for volumes
        (16, 32, 64).
    n_channels : int
        Channels of the images.
    normalize : tuple or None
        Intensities that the network sees as 0 and 1: ``("percentiles", low, high)`` of each channel of each image,
        without padding and saturation; ``("limits", low, high)``, the same values in all images, or one
        ``("limits", (low, high), ...)`` per channel; None for unchanged values. It is kept in the model file, and
        can be set after `fit`, too.
    diameter : float or "auto"
        Working diameter in pixels: images are scaled so that typical objects have it when the network sees them.
        "auto": the typical diameter itself, but at least 24 and at most 40; in volumes 12 and 16.
    estimate_diameters : bool or "auto"
        Whether `predict` estimates diameters that are not given from a first pass over each image. "auto": if that
        makes the masks of the validation set better by more than a standard error.
    crop_size, batch_size : int or "auto"
        Side in pixels of the training crops, and crops per training step. "auto": 128 and 8, for volumes 48 and 2.
    epochs, steps_per_epoch : int
        Epochs, and training steps in each, however many images there are.
    learning_rate : float or "auto"
        Peak learning rate of AdamW; it rises over the first steps and falls along a cosine. "auto": 0.001.
    augment : bool
        Rotate, flip and scale crops and change their intensities at random, and also show images with objects of
        another size than the rest at their own size. If False, every epoch has the same upright crops.
    validation_fraction : float
        Share of the images that is held out as validation set when `fit` is given none, rounded to whole images: 0.1
        of five is none, and then the last weights are kept.
    patience : int, optional
        Stop after this many epochs without a lower validation loss; None never stops early.
    cellprob_threshold : float or "auto"
        Pixels with a larger logit are foreground. "auto": chosen by `fit` on the validation set, or else 0.0.
    flow_threshold : float, None or "auto"
        Objects with a larger flow error are dropped, unless they touch the image's border; None: no check. "auto":
        chosen by `fit`, or else 0.4, for volumes 0.8.
    min_size : int or "auto"
        Objects of fewer pixels are dropped. "auto": chosen by `fit`, or else 15.
    score_threshold : float, None or "auto"
        Objects with a lower score, the probability that they match a true one at IoU 0.5 (see `predict_objects`), are
        dropped; None keeps all. "auto": chosen by `fit`, or else None.
    n_iter : int, optional
        Steps along the flows; by default until all points have settled.
    test_time_augmentation : bool
        Whether outputs are means over the eight rotations and flips of the image, or the eight flips of a volume:
        better, but eight times slower.
    precision : {"float32", "bfloat16"}
        Numbers that the network computes with in prediction. "bfloat16" takes about two thirds of the time on
        processors with instructions for it, and changes a few pixels of masks; elsewhere it can take longer. Training
        is in "float32". A custom network cannot change.
    warm_start : bool
        Whether `fit` starts from the weights of a fitted segmenter instead of new ones. They are kept unless the result
        is better on the validation set.
    random_state : int, numpy.random.RandomState, optional
        Seed of the split, the initial weights and the crops, and of layers of a custom network that have none. The
        same seed gives the same weights, bit for bit, on the same machine with the same versions, number of cores and
        setting of oneDNN, which are kept in the model file.
    workers : int, optional
        Threads for flows and masks; by default all cores.
    verbose : int
        0 is silent. 1 shows a progress bar on a terminal, otherwise a line per epoch; 2 always a line per epoch. Both
        end with a summary. All goes to standard error, and whatever the value, to the log ``flowseg``.

    Attributes
    ----------
    network_ : keras.Model
        The trained network.
    diameter_, working_diameter_ : float
        Typical diameter, in pixels, of the objects in the training images, and the diameter that they are scaled to.
    spacing_ : tuple of float, or None
        Spacing of the training images (the median of several), if `fit` was given one.
    cellprob_threshold_, flow_threshold_, min_size_, score_threshold_ : float, float or None, int, float or None
    estimate_diameters_ : bool
        Values that `predict` uses: the parameters, or those that `fit` chose for "auto".
    classes_ : tuple of str, or None
        Names of the classes of objects, if `fit` was given classes.
    history_ : dict of list of float
        Losses by epoch: "loss", "val_loss". A further training adds "val_loss_before", "val_loss_after", one number
        each, and "val_ap_before", "val_ap_after", average precision on the validation images at IoU 0.5 and 0.75.
    validation_ap_ : tuple of float, or None
        Average precision on the validation images at IoU 0.5 and 0.75, at the end of `fit`; None without validation
        images and after `load`. Report the value of a separate test set.
    fitted_ : Fitted
        All that `fit` learned, in one object; later versions may change its fields.

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
        ndim: int = 2,
        filters: Sequence[int] | Auto = "auto",
        n_channels: int = 1,
        normalize: tuple[Any, ...] | None = DEFAULT,
        diameter: float | Auto = "auto",
        estimate_diameters: bool | Auto = "auto",
        crop_size: int | Auto = "auto",
        batch_size: int | Auto = "auto",
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
        precision: NumberFormat = "float32",
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        workers: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.ndim = ndim
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
        self.precision = precision

    def _thresholds_in_effect(self) -> Thresholds:
        return FlowCodec.of(self).thresholds(check_fitted(self).decoding)

    @classmethod
    def from_pretrained(cls, name: PretrainedName) -> Self:
        """Return a trained segmenter that ships with the package; nothing is downloaded.

        Parameters
        ----------
        name : {"nuclei", "tissue"}
            "nuclei": nuclei in fluorescence images of one channel. "tissue": nuclei in RGB images of stained tissue.
            ``flowseg info NAME`` prints what a model was trained on, its scores and its limits.

        Returns
        -------
        segmenter : FlowSegmenter
            Ready to predict. ``warm_start`` is set, so that `fit` trains it further. A clone (`sklearn.base.clone`) has
            no weights, like that of any estimator, and is trained from scratch.

        Raises
        ------
        ValueError
            If there is no such model; the message lists the models.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> image, _ = synthetic.cells((96, 96), 8, rng=0)
        >>> bool(FlowSegmenter.from_pretrained("nuclei").predict(image).max() > 3)
        True
        """
        segmenter = cls.load(pretrained_file(name))
        segmenter.set_params(warm_start=True, learning_rate=_checks.AUTO)
        return segmenter

    def fit_thresholds(self, images: Any, masks: Any, *, spacing: Spacings = None) -> Self:
        """Choose the thresholds that are "auto" and learn the score of objects, on images that `fit` has not seen.

        The criterion is the average precision over all objects, mean over IoU 0.5, 0.75 and 0.9. Of all thresholds
        within one standard error of the best, those nearest to the defaults are taken. At least two images are needed,
        and five for ``score_threshold``; with fewer it stays as it is. `fit` does the same on its validation set if
        that holds fifty objects.

        Parameters
        ----------
        images, masks : list of array_like
            As for `fit`.
        spacing : sequence of float, optional
            As for `predict`.

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
            If no object is found: then nothing changes. If there is one image only: it is enough for the score, but
            the thresholds are the default ones.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> images, masks = zip(*[synthetic.cells((96, 96), 12, rng=seed) for seed in range(5)])
        >>> segmenter = FlowSegmenter.from_pretrained("nuclei").fit_thresholds(images, masks)
        >>> chosen = segmenter.cellprob_threshold_, segmenter.flow_threshold_, segmenter.min_size_
        """
        self.fitted_ = fit_thresholds.fit_thresholds(pipeline_of(self), images, masks, spacing, stacklevel=2)
        return self

    def _prediction_settings(self) -> PredictionSettings:
        check_common_settings(self)
        codec = FlowCodec.of(self)
        _checks.check_flag(self.test_time_augmentation, "test_time_augmentation")
        tta = bool(self.test_time_augmentation)
        return PredictionSettings(codec, self.normalize, self.estimate_diameters, tta, self.precision)
