"""The two segmenters: parameters, codec, and how outputs become masks."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._codecs import BoundaryCodec, FlowCodec
from flowseg._estimator import Segmenter


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
    diameter : float
        Working diameter in pixels: images are scaled so that typical objects have it when the network sees them.
    crop_size : int
        Side in pixels of the square crops that the network is trained on.
    batch_size : int
        Crops per training step.
    epochs : int
        Training length, in epochs of `steps_per_epoch` steps, however many images there are.
    steps_per_epoch : int
        Training steps between two looks at the validation loss.
    learning_rate : float
        Peak learning rate of AdamW; it rises over the first steps and falls along a cosine.
    augment : bool
        Turn, flip, scale and light the crops at random.
    validation_fraction : float
        Share of the images to hold out for choosing the best weights when `fit` is given no validation pairs, rounded
        to whole images: 0.1 of five is none, and then the last weights stay.
    patience : int, optional
        Stop after this many epochs without a better validation loss; None trains all epochs.
    cellprob_threshold : float
        Pixels with a larger logit are foreground.
    flow_threshold : float, optional
        Objects with a larger flow error are dropped, unless they touch the image's border; None switches the check
        off.
    min_size : int
        Objects of fewer pixels are dropped.
    n_iter : int, optional
        Steps to follow the flows; by default until all points have settled.
    random_state : int, numpy.random.RandomState, optional
        Seed of the split, the first weights and the crops. The same seed on the same machine gives the same weights,
        bit for bit.
    workers : int, optional
        Threads for flows and masks; by default all cores.
    verbose : int
        0 is silent; 1 shows Keras' progress bar, 2 one line per epoch.

    Attributes
    ----------
    network_ : keras.Model
        The trained network.
    diameter_ : float
        Typical diameter, in pixels, of the objects in the training images.
    history_ : dict of list of float
        Losses by epoch, as Keras gives them.

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

    _codec = FlowCodec()

    def __init__(
        self,
        *,
        network: Any = "unet",
        filters: Any = (32, 64, 128, 256),
        n_channels: int = 1,
        diameter: float = 24.0,
        crop_size: int = 128,
        batch_size: int = 8,
        epochs: int = 40,
        steps_per_epoch: int = 50,
        learning_rate: float = 1e-3,
        augment: bool = True,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        cellprob_threshold: float = 0.0,
        flow_threshold: float | None = 0.4,
        min_size: int = 15,
        n_iter: int | None = None,
        random_state: Any = None,
        workers: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.filters = filters
        self.n_channels = n_channels
        self.diameter = diameter
        self.crop_size = crop_size
        self.batch_size = batch_size
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.learning_rate = learning_rate
        self.augment = augment
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.cellprob_threshold = cellprob_threshold
        self.flow_threshold = flow_threshold
        self.min_size = min_size
        self.n_iter = n_iter
        self.random_state = random_state
        self.workers = workers
        self.verbose = verbose

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
            Logit of "this pixel is in an object".

        Notes
        -----
        For a list or a stack of images it is a list of such pairs.
        """
        return self._map(images, diameters, lambda outputs, _: self._codec.split(outputs))

    def _check_prediction_settings(self) -> None:
        super()._check_prediction_settings()
        _checks.as_number(self.cellprob_threshold, "cellprob_threshold", low=-np.inf)
        _checks.as_number(self.flow_threshold, "flow_threshold", low=0.0, none="no flow check")
        _checks.as_integer(self.n_iter, "n_iter", minimum=0, none="until all points have settled")

    def _decode(self, outputs: NDArray[np.float32], factor: float) -> NDArray[np.int32]:  # noqa: ARG002
        return self._codec.decode(
            outputs,
            cellprob_threshold=self.cellprob_threshold,
            flow_threshold=self.flow_threshold,
            min_size=self.min_size,
            n_iter=self.n_iter,
            workers=self.workers,
        )


class BoundarySegmenter(Segmenter):
    """Segment objects with three learned classes: background, interior and boundary.

    The baseline that flows are measured against: the same network, crops and training; only target, loss and the
    way back to masks differ. Masks are the connected pieces of the interior, grown back by the width of
    the boundary.

    Parameters
    ----------
    network : {"unet", "resunet"}, callable or keras.Model
        Network to train, with 3 outputs (logits of background, interior, boundary); see `FlowSegmenter`.
    filters : tuple of int
        Filters per level of "unet" and "resunet", finest first.
    n_channels : int
        Channels of the images.
    diameter : float
        Working diameter in pixels.
    crop_size, batch_size, epochs, steps_per_epoch : int
        Size of a crop in pixels, crops per step, epochs, steps per epoch.
    learning_rate : float
        Peak learning rate of AdamW.
    augment : bool
        Turn, flip, scale and light the crops at random.
    validation_fraction : float
        Share of the images to hold out when `fit` is given no validation pairs.
    patience : int, optional
        Stop after this many epochs without a better validation loss; None trains all epochs.
    min_size : int
        Objects of fewer pixels are dropped.
    random_state : int, numpy.random.RandomState, optional
        Seed of the split, the first weights and the crops.
    workers : int, optional
        Threads; by default all cores.
    verbose : int
        0 is silent; 1 shows Keras' progress bar, 2 one line per epoch.

    Attributes
    ----------
    network_ : keras.Model
        The trained network.
    diameter_ : float
        Typical diameter, in pixels, of the objects in the training images.
    history_ : dict of list of float
        Losses by epoch.

    See Also
    --------
    FlowSegmenter : the same with flows.

    Examples
    --------
    >>> from flowseg import BoundarySegmenter, synthetic
    >>> pairs = [synthetic.cells((96, 96), 8, rng=seed) for seed in range(4)]
    >>> images, masks = zip(*pairs)
    >>> segmenter = BoundarySegmenter(filters=(8, 16), epochs=1, steps_per_epoch=2, random_state=0)
    >>> segmenter.fit(images, masks).predict_classes(images[0]).shape
    (96, 96, 3)
    """

    _codec = BoundaryCodec()

    def __init__(
        self,
        *,
        network: Any = "unet",
        filters: Any = (32, 64, 128, 256),
        n_channels: int = 1,
        diameter: float = 24.0,
        crop_size: int = 128,
        batch_size: int = 8,
        epochs: int = 40,
        steps_per_epoch: int = 50,
        learning_rate: float = 1e-3,
        augment: bool = True,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        min_size: int = 15,
        random_state: Any = None,
        workers: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.filters = filters
        self.n_channels = n_channels
        self.diameter = diameter
        self.crop_size = crop_size
        self.batch_size = batch_size
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.learning_rate = learning_rate
        self.augment = augment
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.min_size = min_size
        self.random_state = random_state
        self.workers = workers
        self.verbose = verbose

    def predict_classes(self, images: Any, *, diameters: Any = None) -> Any:
        """Probabilities of background, interior and boundary.

        Parameters
        ----------
        images, diameters
            As for `predict`.

        Returns
        -------
        probabilities : ndarray of float32, shape (rows, columns, 3), or list of them
            They add up to 1 in every pixel.
        """
        return self._map(images, diameters, lambda outputs, _: self._codec.probabilities(outputs))

    def _decode(self, outputs: NDArray[np.float32], factor: float) -> NDArray[np.int32]:
        return self._codec.decode(outputs, min_size=self.min_size, scale=1 / factor)


def load_segmenter(path: str | os.PathLike[str], *, network: Any = None) -> FlowSegmenter | BoundarySegmenter:
    """Load a model file of either segmenter.

    Parameters
    ----------
    path : path
        Model file that `FlowSegmenter.save` or `BoundarySegmenter.save` wrote.
    network : callable or keras.Model, optional
        See `FlowSegmenter.load`.

    Returns
    -------
    segmenter : FlowSegmenter or BoundarySegmenter

    Raises
    ------
    FileNotFoundError, ValueError
        As `FlowSegmenter.load`.
    """
    from flowseg._saving import read_document

    classes: dict[str, type[FlowSegmenter] | type[BoundarySegmenter]] = {
        "FlowSegmenter": FlowSegmenter,
        "BoundarySegmenter": BoundarySegmenter,
    }
    name = read_document(path)["estimator"]
    if name not in classes:
        raise ValueError(f"{path} must hold one of {', '.join(classes)}; got {name!r}.")
    return classes[name].load(path, network=network)
