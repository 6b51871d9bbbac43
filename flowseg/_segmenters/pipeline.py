"""The way from an image to outputs to masks, which `predict`, the command line and napari share.

image -> Pipeline.run -> Outputs -> Pipeline.decode -> masks

An image that does not fit into memory takes the steps of `run` one by one: its limits by the rule of `normalize`,
``scale_factor``, the tiles of ``runner`` (see `_nets.inference`), and `Outputs` of the region that is decoded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._intensities import Limits, as_rule, find_limits_and_unpadded
from flowseg._nets.lattice import Lattice, PixelShape, Spacing
from flowseg._nets.prediction_network import HALF, PRECISIONS, SINGLE, NumberFormat
from flowseg._nets.sizes import check_scales, check_sizes, is_possible_scale, scale_factor
from flowseg._nets.tiles import OnTile
from flowseg._padding import Unpadded
from flowseg._segmenters import inputs
from flowseg._segmenters.auto_values import as_ndim
from flowseg._segmenters.codecs.codec import Codec, Masks, Outputs, fill_outputs
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg._segmenters.fitted import Fitted, check_fitted
from flowseg._segmenters.inputs import Diameter
from flowseg._segmenters.learned_decoding.object_table import Table
from flowseg._segmenters.learned_decoding.thresholds import Thresholds
from flowseg._segmenters.likeness.image_check import ImageCheck
from flowseg._segmenters.likeness.statistics import Statistics, measure_image
from flowseg._segmenters.noise_check import NoiseCheck
from flowseg._segmenters.size_estimate import estimate_outputs

if TYPE_CHECKING:
    from flowseg._nets.inference import NetworkRunner
    from flowseg._segmenters.base import Segmenter


@dataclass(frozen=True)
class PredictionSettings:
    """The checked parameters of a segmenter that decide how its network is run and how outputs become masks."""

    codec: Codec
    normalize: Any
    estimate_diameters: bool | Literal["auto"]
    test_time_augmentation: bool
    precision: NumberFormat = SINGLE


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image, and what prediction needs to know of it as a whole."""

    array: NDArray[Any]  # (rows, columns, channels), of volumes (planes, rows, columns, channels)
    limits: Limits | None  # intensities that the network sees as 0 and 1; None: the image is constant
    unpadded: Unpadded | None  # the pixels that are not padding; None: not looked for
    pixel: PixelShape


@dataclass(frozen=True)
class Pipeline:
    """A fitted segmenter's way from images to masks, with the parameters that it has now."""

    fitted: Fitted
    settings: PredictionSettings
    on_tile: OnTile | None = None  # called after each tile of an image

    @property
    def n_channels(self) -> int:
        """Channels of the images."""
        return self.fitted.fixed.n_channels

    @property
    def ndim(self) -> int:
        """Axes of the images, without channels."""
        return self.fitted.fixed.ndim

    @property
    def n_classes(self) -> int:
        """Classes of objects; 0 for a segmenter without."""
        return 0 if self.fitted.classes is None else len(self.fitted.classes.names)

    @property
    def estimates(self) -> bool:
        """Whether diameters that are not given are estimated: the parameter, or what `fit` chose for "auto"."""
        given = self.settings.estimate_diameters
        return self.fitted.sizes.estimate if isinstance(given, str) else bool(given)

    @property
    def thresholds(self) -> Thresholds | None:
        """The thresholds in effect; None for three classes."""
        return self.settings.codec.thresholds(self.fitted.decoding)

    @property
    def has_flows(self) -> bool:
        """Whether outputs are flows, which `flows` returns as arrays."""
        return isinstance(self.settings.codec, FlowCodec)

    @cached_property
    def runner(self) -> NetworkRunner:
        """The network with its tile grid, and the weights that it has when it is first asked for."""
        from flowseg._nets.inference import NetworkRunner

        settings = self.settings
        network = self.fitted.prediction_network(settings.precision)
        grid, tta = self.fitted.grid, settings.test_time_augmentation
        return NetworkRunner(network, settings.codec, grid, tta, self.n_classes)

    def check(self, diameter: Diameter) -> None:
        """Raise where an image of objects of this diameter cannot become masks."""
        self.check_learned()
        (size,) = inputs.as_diameters(diameter, 1)
        self.scale_factor(self.fitted.diameter if size is None or isinstance(size, str) else size)

    def check_learned(self) -> None:
        """Raise where parameters need something that `fit` has not learned."""
        self.settings.codec.check_learned(self.fitted.decoding)

    def check_spacings(self, spacings: Sequence[Spacing | None]) -> None:
        """Raise where an image has a spacing, and the training images had none."""
        if any(spacing is not None for spacing in spacings):
            check_can_take_spacing(self.fitted.lattice)

    def warn_of_spacing(self, spacings: Sequence[Spacing | None], stacklevel: int) -> None:
        """Warn in one line of images with another spacing than the training images."""
        lattice = self.fitted.lattice
        others = {spacing: None for spacing in spacings if lattice.differs(spacing)}
        if others:
            other = next(iter(others))
            more = f" (and {len(others) - 1} others)" if len(others) > 1 else ""
            typical = self.typical_diameter(lattice.pixel(other))
            warnings.warn(
                f"the segmenter was trained at spacing {_format(lattice.spacing)} and is used at {_format(other)}{more}"
                ": images are scaled to the proportions of the training pixels, and objects are taken to be as large "
                f"as there, {typical:.3g} pixels, unless diameters are given.",
                stacklevel=stacklevel + 1,
            )

    def typical_diameter(self, pixel: PixelShape) -> float:
        """Return the typical diameter of objects in pixels of an image, along its finest axis."""
        size = self.fitted.diameter / pixel.relative_size
        if not is_possible_scale(self.fitted.sizes.working / size):
            raise ValueError(
                f"spacing must be in the unit of the training images, {_format(self.fitted.lattice.spacing)}; got one "
                f"whose finest axis is {pixel.relative_size:.3g} times as coarse, where typical objects are {size:.3g} "
                "pixels across."
            )
        return size

    def prepare(self, image: NDArray[Any], spacing: Spacing | None = None) -> PreparedImage:
        """Check an image of shape (rows, columns[, channels]), and find its limits and its padding."""
        array = inputs.as_channels_last(image, self.n_channels, "image", self.ndim)
        pixel = self.fitted.lattice.pixel(spacing)
        if inputs.is_constant(array):
            return PreparedImage(array, None, None, pixel)
        return PreparedImage(array, *find_limits_and_unpadded(array, self.settings.normalize), pixel)

    def run(self, image: NDArray[Any], diameter: Diameter = None, spacing: Spacing | None = None) -> Outputs:
        """Return the network's outputs for an image of shape (rows, columns[, channels]), scaled to its objects."""
        prepared = self.prepare(image, spacing)
        by_default = diameter is None and self.estimates
        if by_default or isinstance(diameter, str):
            return estimate_outputs(self, prepared, bounded=by_default)
        return self.run_at(prepared, self.typical_diameter(prepared.pixel) if diameter is None else diameter)

    def run_at(self, image: PreparedImage, size: float, name: str = "diameters") -> Outputs:
        """Return the outputs of one pass over an image with objects of diameter ``size``.

        The error of a size that is too small or too large calls it ``name``.
        """
        factor = self.scale_factor(size, name)
        check_scales(image.pixel.factors(factor), image.pixel.ratios)
        array = image.array
        if image.limits is None:
            classes = fill_outputs(array.shape[:-1], (0.0,) * self.n_classes) if self.n_classes else None
            return Outputs(self.settings.codec.no_objects(array.shape), factor, None, image.pixel, None, classes)

        from flowseg._nets.inference import predict_outputs

        outputs = predict_outputs(self.runner, array, image.limits, image.pixel.factors(factor), self.on_tile)
        if not np.isfinite(outputs).all():
            raise ValueError(
                "images must have values that a network can take; got outputs that are not finite for an image with "
                f"values from {array.min():g} to {array.max():g}."
            )
        n = self.settings.codec.n_outputs
        classes = outputs[..., n:] if self.n_classes else None
        return Outputs(outputs[..., :n], factor, image.unpadded, image.pixel, image.limits, classes)

    def scale_factor(self, size: float, name: str = "diameters") -> float:
        """Return the factor that gives objects of diameter ``size`` the working diameter."""
        return scale_factor(self.fitted.sizes.working, size, name)

    def decode(self, outputs: Outputs) -> Masks:
        """Return the masks, 1..n."""
        return self.settings.codec.decode(outputs, self.fitted.decoding)

    def decode_objects(self, outputs: Outputs) -> tuple[Masks, Table | None]:
        """Return the masks, and a table of their objects with their classes, if any; None for three classes."""
        masks, table = self.settings.codec.decode_objects(outputs, self.fitted.decoding)
        head = self.fitted.classes
        if table is not None and head is not None and outputs.classes is not None:
            table = table | head.describe(masks, outputs.classes)
        return masks, table

    def flows(self, outputs: Outputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return flows and cellprob as views of the outputs, where `has_flows`."""
        codec = self.settings.codec
        if not isinstance(codec, FlowCodec):
            raise TypeError("outputs must be those of flows; got those of three classes.")
        return codec.split(outputs.array)

    def statistics(self, image: NDArray[Any], outputs: Outputs, masks: Masks) -> Statistics:
        """Return the statistics by which an image is compared with those of training."""
        return measure_image(self.settings.codec, self.fitted.sizes.working, image, outputs, masks)

    def image_check(self) -> ImageCheck:
        """Return a check of images and results: for noise, and for images unlike those of training."""
        return ImageCheck(self.fitted.least_sharpness, self.fitted.ranges, self.statistics)

    def noise_check(self) -> NoiseCheck:
        """Return a check of results for noise, by the sharpness that the model expects of objects."""
        return NoiseCheck(self.fitted.least_sharpness)


def check_can_take_spacing(lattice: Lattice) -> None:
    """Raise ValueError where a spacing is given, and the training images had none."""
    if lattice.spacing is None:
        raise ValueError(
            "spacing must be None for a segmenter that was trained without: it does not know the proportions of its "
            "training pixels; bring images to them yourself, or train from scratch with spacing."
        )


def _format(spacing: Spacing | None) -> str:
    return "none" if spacing is None else f"({', '.join(f'{length:g}' for length in spacing)})"


def check_common_settings(segmenter: Segmenter) -> None:
    """Check the parameters for prediction that both segmenters have."""
    as_ndim(segmenter.ndim)
    as_rule(segmenter.normalize, _checks.as_integer(segmenter.n_channels, "n_channels", minimum=1))
    check_sizes(segmenter.diameter, segmenter.estimate_diameters)
    _checks.as_workers(segmenter.workers)
    _checks.check_choice(segmenter.precision, "precision", PRECISIONS)
    if segmenter.precision == HALF and not isinstance(segmenter.network, str):
        raise ValueError(f"precision must be {SINGLE!r} for a custom network; got {HALF!r}.")


def prediction_settings(segmenter: Segmenter) -> PredictionSettings:
    """Return the parameters of a segmenter that prediction needs, checked."""
    return segmenter._prediction_settings()


def pipeline_of(segmenter: Segmenter, *, on_tile: OnTile | None = None) -> Pipeline:
    """Return the pipeline of a fitted segmenter; raise if a parameter is invalid, or was changed after `fit`."""
    return Pipeline(check_fitted(segmenter), prediction_settings(segmenter), on_tile)


def map_images(
    pipeline: Pipeline, images: Any, diameters: Any, spacing: Any, finish: Callable[[NDArray[Any], Outputs], Any]
) -> Any:
    """Apply the network and ``finish(image, outputs)`` to one image, a list or a stack of them.

    Warns the caller's caller of constant images, of another spacing than in training, and of an array that is probably
    not a stack of images.
    """
    n_channels, ndim = pipeline.n_channels, pipeline.ndim
    images = _checks.as_plain(images)
    if inputs.is_one_image(images, n_channels, ndim):
        image = inputs.as_channels_last(images, n_channels, "images", ndim)
        (diameter,) = inputs.as_diameters(diameters, 1)
        spacings = inputs.as_spacings(spacing, 1, ndim)
        pipeline.check_spacings(spacings)
        result = finish(image, pipeline.run(image, diameter, spacings[0]))
        pipeline.warn_of_spacing(spacings, stacklevel=3)
        inputs.warn_of_constant(inputs.is_constant(image), 1, stacklevel=3)
        return result
    items = inputs.as_image_list(images, n_channels, ndim)
    sizes = inputs.as_diameters(diameters, len(items))
    spacings = inputs.as_spacings(spacing, len(items), ndim)
    pipeline.check_spacings(spacings)
    results = [finish(item[0], pipeline.run(*item)) for item in zip(items, sizes, spacings, strict=True)]
    pipeline.warn_of_spacing(spacings, stacklevel=3)
    inputs.warn_of_stack(images, stacklevel=3, ndim=ndim)
    inputs.warn_of_constant(sum(map(inputs.is_constant, items)), len(items), stacklevel=3)
    if isinstance(images, np.ndarray) and images.dtype != object and isinstance(results[0], np.ndarray):
        return np.stack(results)
    return results
