"""The one way from an image to outputs to masks: `predict`, the command line and napari go it.

image -> Pipeline.run -> Outputs -> Pipeline.decode -> masks
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._intensities import as_rule, find_limits
from flowseg._nets.sizes import MOST_PASSES, check_sizes, image_diameter, scale_factor
from flowseg._nets.tiles import Tell
from flowseg._segmenters import inputs
from flowseg._segmenters.calibration import Table
from flowseg._segmenters.codecs import Codec, FlowCodec, Outputs
from flowseg._segmenters.fitted import Fitted, check_fitted
from flowseg._segmenters.inputs import Diameter
from flowseg._segmenters.noise import NoiseCheck
from flowseg._segmenters.thresholds import Thresholds

if TYPE_CHECKING:
    from flowseg._segmenters.base import Segmenter


@dataclass(frozen=True)
class PredictionSettings:
    """Parameters of a segmenter that decide how its network is run and what is made of the outputs, checked."""

    codec: Codec
    normalize: Any
    estimate_diameters: bool | Literal["auto"]
    test_time_augmentation: bool


@dataclass(frozen=True)
class Pipeline:
    """A fitted segmenter's way from images to masks, with its parameters as they are now."""

    fitted: Fitted
    settings: PredictionSettings
    on_tile: Tell | None = None  # called after each tile of an image

    @property
    def n_channels(self) -> int:
        """Channels of the images."""
        return self.fitted.fixed.n_channels

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
        """Whether outputs are flows, of which `flows` makes arrays."""
        return isinstance(self.settings.codec, FlowCodec)

    def check(self, diameter: Diameter) -> None:
        """Raise where an image of objects of this diameter cannot become masks."""
        self.check_learned()
        (size,) = inputs.as_diameters(diameter, 1)
        self._factor(self.fitted.diameter if size is None or isinstance(size, str) else size, "diameters must be")

    def check_learned(self) -> None:
        """Raise where parameters ask for what `fit` has not learned."""
        self.settings.codec.check_learned(self.fitted.decoding)

    def run(self, image: NDArray[Any], diameter: Diameter = None) -> Outputs:
        """What the network says of an image of shape (rows, columns[, channels]), seen at the size of its objects."""
        image = inputs.as_channels_last(image, self.n_channels, "image")
        by_default = diameter is None and self.estimates
        if by_default or isinstance(diameter, str):
            return self.estimate(image, bounded=by_default)
        return self.run_at(image, self.fitted.diameter if diameter is None else diameter)

    def estimate(
        self, image: NDArray[Any], *, bounded: bool, on_first: Callable[[Outputs], None] | None = None
    ) -> Outputs:
        """Those of the pass that is made for objects as large as it finds; ``on_first`` is shown the first pass."""
        outputs = self.run_at(image, self.fitted.diameter)
        if on_first is not None:
            on_first(outputs)
        for n in range(1, MOST_PASSES):
            seen = self.fitted.sizes.working / outputs.factor
            size = self.fitted.sizes.next_pass(seen, self.measure(outputs), first=n == 1, bounded=bounded)
            if size is None:
                break
            del outputs  # or both would be in memory
            outputs = self.run_at(image, size, "the estimated diameter of an image must be")
            if size < seen:
                break
        return outputs

    def run_at(self, image: NDArray[Any], size: float, subject: str = "diameters must be") -> Outputs:
        """Those of the pass over an image with objects of diameter ``size``."""
        factor = self._factor(size, subject)
        return Outputs(self.run_network(image, factor), factor)

    def measure(self, outputs: Outputs) -> float:
        """Diameter of what a pass found."""
        return image_diameter(self.settings.codec.decode_plainly(outputs))

    def _factor(self, size: float, subject: str) -> float:
        """That gives objects of diameter ``size`` the working diameter."""
        return scale_factor(self.fitted.sizes.working, size, subject)

    def run_network(self, image: NDArray[Any], factor: float) -> NDArray[np.float32]:
        """Outputs in the size of the image, which the network sees scaled by ``factor``."""
        codec = self.settings.codec
        if inputs.is_constant(image):
            return codec.no_objects(image.shape)

        from flowseg._nets.inference import predict_outputs

        outputs = predict_outputs(
            self.fitted.network,
            image,
            codec,
            limits=find_limits(image, self.settings.normalize),
            factor=factor,
            grid=self.fitted.grid,
            all_ways=self.settings.test_time_augmentation,
            tell=self.on_tile,
        )
        if not np.isfinite(outputs).all():
            raise ValueError(
                "images must have values that a network can take; got outputs that are not finite for an image with "
                f"values from {image.min():g} to {image.max():g}."
            )
        return outputs

    def decode(self, outputs: Outputs) -> NDArray[np.int32]:
        """Masks, 1..n."""
        return self.settings.codec.decode(outputs, self.fitted.decoding)

    def decode_objects(self, outputs: Outputs) -> tuple[NDArray[np.int32], Table | None]:
        """Masks, and a table of their objects; three classes say nothing of them."""
        return self.settings.codec.decode_objects(outputs, self.fitted.decoding)

    def flows(self, outputs: Outputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Flows and cellprob, where `has_flows`: views of the outputs."""
        codec = self.settings.codec
        if not isinstance(codec, FlowCodec):
            raise TypeError("outputs must be those of flows; got those of three classes.")
        return codec.split(outputs.array)

    def noise_check(self) -> NoiseCheck:
        """A look at what is found, by what the model expects of objects."""
        return NoiseCheck(self.fitted.least_sharpness)


def check_common_settings(segmenter: Segmenter) -> None:
    """Check the parameters for prediction that both segmenters have."""
    as_rule(segmenter.normalize, _checks.as_integer(segmenter.n_channels, "n_channels", minimum=1))
    check_sizes(segmenter.diameter, segmenter.estimate_diameters)
    _checks.as_workers(segmenter.workers)


def pipeline_of(segmenter: Segmenter, *, on_tile: Tell | None = None) -> Pipeline:
    """The pipeline of a fitted segmenter; raises where a parameter cannot be used, or was changed after `fit`."""
    return Pipeline(check_fitted(segmenter), segmenter._prediction_settings(), on_tile)


def map_images(pipeline: Pipeline, images: Any, diameters: Any, finish: Callable[[NDArray[Any], Outputs], Any]) -> Any:
    """Apply the network and ``finish(image, outputs)`` to one image, a list or a stack of them.

    Warns the caller's caller of what is probably no list of images, and of constant ones.
    """
    n_channels = pipeline.n_channels
    images = _checks.as_plain(images)
    if inputs.is_one_image(images, n_channels):
        image = inputs.as_channels_last(images, n_channels, "images")
        (diameter,) = inputs.as_diameters(diameters, 1)
        result = finish(image, pipeline.run(image, diameter))
        inputs.warn_of_constant(inputs.is_constant(image), 1, stacklevel=3)
        return result
    items = inputs.as_image_list(images, n_channels)
    sizes = inputs.as_diameters(diameters, len(items))
    results = [finish(image, pipeline.run(image, size)) for image, size in zip(items, sizes, strict=True)]
    inputs.warn_of_stack(images, stacklevel=3)
    inputs.warn_of_constant(sum(map(inputs.is_constant, items)), len(items), stacklevel=3)
    if isinstance(images, np.ndarray) and images.dtype != object and isinstance(results[0], np.ndarray):
        return np.stack(results)
    return results
