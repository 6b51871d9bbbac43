"""The check of images and results: a warning of those that look like noise, one of those unlike the training images.

An image is named in one of them at most.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from flowseg._segmenters.codecs.codec import Masks, Outputs
from flowseg._segmenters.likeness.ranges import Outlier, Ranges
from flowseg._segmenters.likeness.statistics import Statistics
from flowseg._segmenters.noise_check import MOST_NAMED, NoiseCheck

Measure = Callable[[NDArray[Any], Outputs, Masks], Statistics]
Name = Callable[[int], str]
BY_NUMBER: Name = "images[{}]".format


class ImageCheck:
    """Check images and their masks one by one, and keep the numbers of those that are worth a warning.

    Parameters
    ----------
    least_sharpness : float
        See `NoiseCheck`.
    ranges : Ranges, optional
        Those of the training images; None: images are not compared with them.
    measure : callable
        Returns the statistics of an image, from the image, the outputs and the masks.
    """

    def __init__(self, least_sharpness: float, ranges: Ranges | None, measure: Measure) -> None:
        self._noise = NoiseCheck(least_sharpness)
        self._ranges, self._measure = ranges, measure
        self._unlike: dict[int, Outlier] = {}  # by number of the image
        self._furthest = -1.0
        self.statistics: Statistics = {}  # of the image that is most unlike the training images

    def look(self, image: NDArray[Any], outputs: Outputs, masks: Masks) -> None:
        """Check the next image."""
        number = self._noise.n_images
        self._noise.look(image, masks, outputs.unpadded, outputs.ratios)
        if self._ranges is None:
            return
        statistics = self._measure(image, outputs, masks)
        outlier = self._ranges.find_outlier(statistics)
        if outlier is None:
            return
        if outlier.distance > self._furthest:
            self._furthest, self.statistics = outlier.distance, statistics
        if outlier.is_unlike and number not in self._noise.found:
            self._unlike[number] = outlier

    def sentences(self, name: Name = BY_NUMBER) -> list[str]:
        """Return the warnings, with the name of each image from its number."""
        return [sentence for sentence in (self._noise.sentence(name), self._describe_unlike(name)) if sentence]

    def warn(self, name: Name = BY_NUMBER, *, stacklevel: int) -> None:
        """Issue the warnings, if there are any."""
        for sentence in self.sentences(name):
            warnings.warn(sentence, stacklevel=stacklevel + 1)

    def _describe_unlike(self, name: Name) -> str:
        if self._ranges is None or not self._unlike:
            return ""
        first = max(self._unlike, key=lambda number: self._unlike[number].distance)
        why = self._ranges.describe(self._unlike[first])
        if self._noise.n_images == 1:
            return f"the image is unlike the training images: {why}."
        named = ", ".join(name(number) for number in list(self._unlike)[:MOST_NAMED])
        more = ", ..." if len(self._unlike) > MOST_NAMED else ""
        are = "is" if len(self._unlike) == 1 else "are"
        which = "" if len(self._unlike) == 1 else f"in {name(first)} "
        return (
            f"{len(self._unlike)} of {self._noise.n_images} images ({named}{more}) {are} unlike the training images: "
            f"{which}{why}."
        )
