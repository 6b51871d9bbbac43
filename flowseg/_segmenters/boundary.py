"""The segmenter of three classes, the baseline: background, interior and boundary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from flowseg._intensities import DEFAULT
from flowseg._nets.prediction_network import NumberFormat
from flowseg._segmenters.codecs.boundary_codec import BoundaryCodec
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.inputs import ArrayLike, Auto, Diameters, Network, Spacings
from flowseg._segmenters.pipeline import PredictionSettings, check_common_settings, map_images, pipeline_of
from flowseg._segmenters.volumes.prediction import VolumePrediction


class BoundarySegmenter(VolumePrediction):
    """Segment objects with three learned classes: background, interior and boundary.

    The baseline that flows are compared with: network, crops and training are the same; target, loss and decoding
    differ. Masks are the connected components of the interior, expanded by the width of the boundary.

    Parameters
    ----------
    network : {"unet", "resunet"}, callable or keras.Model
        Network to train, with 3 outputs (logits of background, interior, boundary); see `FlowSegmenter`.
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
        Working diameter in pixels; "auto": that of typical objects, but at least 24 and at most 40; in volumes
        12 and 16.
    estimate_diameters : bool or "auto"
        Whether `predict` estimates diameters that are not given; "auto": `fit` chooses on the validation set.
    crop_size, batch_size : int or "auto"
        Side of a crop in pixels, and crops per step; see `FlowSegmenter`.
    epochs, steps_per_epoch : int
        Epochs, and training steps in each.
    learning_rate : float or "auto"
        Peak learning rate of AdamW. "auto": 0.001, from scratch and from a trained model.
    augment : bool
        Rotate, flip and scale crops and change their intensities at random, as in `FlowSegmenter`.
    validation_fraction : float
        Share of the images that is held out as validation set when `fit` is given none.
    patience : int, optional
        Stop after this many epochs without a lower validation loss; None never stops early.
    min_size : int
        Objects of fewer pixels are dropped.
    precision : {"float32", "bfloat16"}
        Numbers that the network computes with in prediction; see `FlowSegmenter`.
    warm_start : bool
        Whether `fit` starts from the weights of a fitted segmenter instead of new ones. They are kept unless the result
        is better on the validation set.
    random_state : int, numpy.random.RandomState, optional
        Seed of the split, the initial weights and the crops, and of layers of a custom network that have none.
    workers : int, optional
        Threads; by default all cores.
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
    estimate_diameters_ : bool
        Whether `predict` estimates diameters: the parameter, or what `fit` chose where that is "auto".
    history_ : dict of list of float
        Losses by epoch; after a further training also those before and after it; see `FlowSegmenter`.
    validation_ap_ : tuple of float, or None
        Average precision on the validation images at IoU 0.5 and 0.75, at the end of `fit`.
    fitted_ : Fitted
        All that `fit` learned, in one object; later versions may change its fields.

    See Also
    --------
    FlowSegmenter : the same network trained on flows.

    Examples
    --------
    >>> from flowseg import BoundarySegmenter, synthetic
    >>> pairs = [synthetic.cells((96, 96), 8, rng=seed) for seed in range(4)]
    >>> images, masks = zip(*pairs)
    >>> segmenter = BoundarySegmenter(filters=(8, 16), epochs=1, steps_per_epoch=2, random_state=0)
    >>> segmenter.fit(images, masks).predict_classes(images[0]).shape
    (96, 96, 3)
    """

    _kind = "BoundarySegmenter"

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
        min_size: int = 15,
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
        self.min_size = min_size
        self.precision = precision

    @overload
    def predict_classes(
        self, images: NDArray[Any], *, diameters: Diameters = None, spacing: Spacings = None
    ) -> NDArray[np.float32]: ...
    @overload
    def predict_classes(
        self, images: Sequence[Any], *, diameters: Diameters = None, spacing: Spacings = None
    ) -> list[NDArray[np.float32]]: ...
    @overload
    def predict_classes(
        self, images: ArrayLike, *, diameters: Diameters = None, spacing: Spacings = None
    ) -> NDArray[np.float32] | list[NDArray[np.float32]]: ...
    def predict_classes(self, images: Any, *, diameters: Any = None, spacing: Any = None) -> Any:
        """Return the probabilities of background, interior and boundary.

        Parameters
        ----------
        images, diameters, spacing
            As for `predict`.

        Returns
        -------
        probabilities : ndarray of float32, shape (rows, columns, 3), or list of them
            They add up to 1 in every pixel. Of a volume the shape is (planes, rows, columns, 3).

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict`.

        Examples
        --------
        >>> from flowseg import BoundarySegmenter, synthetic
        >>> image, masks = synthetic.cells((96, 96), 8, rng=0)
        >>> segmenter = BoundarySegmenter(filters=(8, 16), epochs=1, steps_per_epoch=2, random_state=0)
        >>> probabilities = segmenter.fit([image], [masks]).predict_classes(image)
        >>> probabilities.shape, round(float(probabilities[0, 0].sum()), 3)
        ((96, 96, 3), 1.0)
        """
        codec = BoundaryCodec()

        def finish(_: NDArray[Any], outputs: Outputs) -> NDArray[np.float32]:
            return codec.probabilities(outputs.array)

        return map_images(pipeline_of(self), images, diameters, spacing, finish)

    def _prediction_settings(self) -> PredictionSettings:
        check_common_settings(self)
        return PredictionSettings(
            BoundaryCodec.of(self),
            self.normalize,
            self.estimate_diameters,
            test_time_augmentation=False,
            precision=self.precision,
        )
