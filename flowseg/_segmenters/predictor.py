"""How a fitted segmenter runs its network over images: at which size, how often, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._intensities import find_limits
from flowseg._nets.sizes import MOST_PASSES, Sizes, image_diameter, scale_factor
from flowseg._nets.tiles import Tell
from flowseg._segmenters import inputs
from flowseg._segmenters.noise import LEAST_SHARPNESS, NoiseCheck

# Outputs of the network, in the size of the image, and the factor that the image was scaled by for it.
Pass = tuple[NDArray[np.float32], float]


class Predictor:
    """Adds `predict` and what it takes to a segmenter."""

    _check_fitted: Any
    _check_prediction_settings: Any
    _codec: Any
    _grid: Any
    _sizes: Sizes
    _least_sharpness: float = LEAST_SHARPNESS  # of objects; see noise.py
    n_channels: Any
    normalize: Any
    estimate_diameters: Any
    network_: Any
    diameter_: float
    _tell_tiles: Tell | None = None  # called after each tile of an image

    @property
    def working_diameter_(self) -> float:
        """Diameter in pixels that typical objects are scaled to."""
        self._check_fitted()
        return self._sizes.working

    @property
    def estimate_diameters_(self) -> bool:
        """Whether `predict` estimates diameters that are not given: the parameter, or what `fit` chose for "auto"."""
        self._check_fitted()
        chosen = isinstance(self.estimate_diameters, str)
        return self._sizes.estimate if chosen else bool(self.estimate_diameters)

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
        self._check_fitted()
        self._check_decoding()
        noise = NoiseCheck(self._least_sharpness)
        masks = self._map(images, diameters, self._decode, noise.look)
        noise.warn(stacklevel=2)
        return masks

    def _decode(self, outputs: NDArray[np.float32], factor: float) -> NDArray[np.int32]:
        raise NotImplementedError

    def _decode_plainly(self, outputs: NDArray[np.float32], factor: float) -> NDArray[np.int32]:
        """Masks that sizes are estimated of: by nothing that is chosen on such masks."""
        return self._decode(outputs, factor)

    def _map(
        self,
        images: Any,
        diameters: Any,
        finish: Callable[[NDArray[np.float32], float], Any],
        look: Callable[[NDArray[Any], Any], None] | None = None,
    ) -> Any:
        """Apply network and ``finish(outputs, factor)`` to one image, a list or a stack of them.

        ``look`` is shown each image with its result.
        """
        self._check_fitted()
        self._check_prediction_settings()
        images = _checks.as_plain(images)
        if inputs.is_one_image(images, self.n_channels):
            image = inputs.as_channels_last(images, self.n_channels, "images")
            (diameter,) = inputs.as_diameters(diameters, 1)
            result = self._run(image, diameter, finish, look)
            inputs.warn_of_constant(inputs.is_constant(image), 1, stacklevel=3)
            return result
        items = inputs.as_image_list(images, self.n_channels)
        sizes = inputs.as_diameters(diameters, len(items))
        results = [self._run(image, size, finish, look) for image, size in zip(items, sizes, strict=True)]
        inputs.warn_of_stack(images, stacklevel=3)
        inputs.warn_of_constant(sum(map(inputs.is_constant, items)), len(items), stacklevel=3)
        if isinstance(images, np.ndarray) and images.dtype != object and isinstance(results[0], np.ndarray):
            return np.stack(results)
        return results

    def _see(self, image: NDArray[Any], diameter: float | str | None) -> Pass:
        """The pass for one image, however it was read; of constant ones there is no word."""
        return self._find_outputs(inputs.as_channels_last(image, self.n_channels, "image"), diameter)

    def _run(
        self,
        image: NDArray[Any],
        diameter: float | str | None,
        finish: Callable[[NDArray[np.float32], float], Any],
        look: Callable[[NDArray[Any], Any], None] | None = None,
    ) -> Any:
        result = finish(*self._find_outputs(image, diameter))
        if look is not None:
            look(image, result)
        return result

    def _find_outputs(self, image: NDArray[Any], diameter: float | str | None) -> Pass:
        by_default = diameter is None and self.estimate_diameters_
        if by_default or isinstance(diameter, str):
            return self._estimate(image, bounded=by_default)
        return self._pass_for(image, self.diameter_ if diameter is None else diameter)

    def _estimate(
        self, image: NDArray[Any], *, bounded: bool, look: Callable[[NDArray[np.float32], float], None] | None = None
    ) -> Pass:
        """The pass that is made for objects as large as those it finds; ``look`` is shown the first one."""
        outputs, factor = self._pass_for(image, self.diameter_)
        if look is not None:
            look(outputs, factor)
        for n in range(1, MOST_PASSES):
            seen = self._sizes.working / factor
            size = self._sizes.next_pass(seen, self._measure(outputs, factor), first=n == 1, bounded=bounded)
            if size is None:
                break
            del outputs  # or both would be in memory
            outputs, factor = self._pass_for(image, size, "the estimated diameter of an image must be")
            if size < seen:
                break
        return outputs, factor

    def _pass_for(self, image: NDArray[Any], size: float, subject: str = "diameters must be") -> Pass:
        """The network's pass over an image with objects of diameter ``size``."""
        factor = self._scale(size, subject)
        return self._run_network(image, factor), factor

    def _check_decoding(self) -> None:
        """Raise where parameters ask for what fit has not learned."""

    def _measure(self, outputs: NDArray[np.float32], factor: float) -> float:
        """Diameter of what a pass found."""
        return image_diameter(self._decode_plainly(outputs, factor))

    def _all_ways(self) -> bool:
        """Whether outputs are means over turned and flipped images."""
        return False

    def _run_network(self, image: NDArray[Any], factor: float) -> NDArray[np.float32]:
        if inputs.is_constant(image):
            return self._codec.no_objects(image.shape)

        from flowseg._nets.inference import predict_outputs

        outputs = predict_outputs(
            self.network_,
            image,
            self._codec,
            limits=find_limits(image, self.normalize),
            factor=factor,
            grid=self._grid,
            all_ways=self._all_ways(),
            tell=self._tell_tiles,
        )
        if not np.isfinite(outputs).all():
            raise ValueError(
                "images must have values that a network can take; got outputs that are not finite for an image with "
                f"values from {image.min():g} to {image.max():g}."
            )
        return outputs

    def _scale(self, size: float, subject: str) -> float:
        """Factor that gives objects of diameter ``size`` the working diameter."""
        return scale_factor(self._sizes.working, size, subject)

    def check_prediction(self, diameter: float | str | None) -> None:
        """Raise when `predict` would for any image: wrong parameters, or an impossible diameter.

        Parameters
        ----------
        diameter : float, "estimate" or None
            As for one image of `predict`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the segmenter is neither trained nor loaded.
        TypeError, ValueError
            If diameter or a parameter cannot be used; the sentence names the argument, what was expected and
            what came.

        Examples
        --------
        >>> from flowseg import FlowSegmenter
        >>> FlowSegmenter.from_pretrained("nuclei").check_prediction(0)
        Traceback (most recent call last):
        ValueError: diameters must be a number above 0 or None (the typical diameter); got 0.
        """
        self._check_fitted()
        self._check_prediction_settings()
        self._check_decoding()
        (size,) = inputs.as_diameters(diameter, 1)
        self._scale(self.diameter_ if size is None or isinstance(size, str) else size, "diameters must be")
