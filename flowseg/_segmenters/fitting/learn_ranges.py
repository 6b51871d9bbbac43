"""The ranges of statistics of images, which `fit` learns from validation images and, if these are few, training images.

Outputs for training images look surer than those for new ones. The margins of the ranges allow for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._segmenters.codecs.codec import Masks, Outputs
from flowseg._segmenters.fitting.compare_models import predict_each
from flowseg._segmenters.fitting.pairs import Pairs
from flowseg._segmenters.likeness.ranges import Ranges, learn_ranges
from flowseg._segmenters.likeness.statistics import Statistics
from flowseg._segmenters.pipeline import Pipeline

# With fewer validation images, training images are segmented, too, up to this number together.
ENOUGH_IMAGES = 16
# Pixels of training images that are segmented for it at most, a thirtieth of those in the crops of a training with
# default settings.
MOST_PIXELS = 2**23


class SeenImages:
    """Collects the statistics of images.

    Parameters
    ----------
    pipeline : Pipeline
        The segmenter at the end of its training.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._statistics: list[Statistics] = []

    def look(self, image: NDArray[Any], outputs: Outputs, masks: Masks) -> None:
        """Take the next image."""
        self._statistics.append(self._pipeline.statistics(image, outputs, masks))

    def fill_up(self, pairs: Pairs) -> None:
        """Segment training images if there were few others."""
        chosen = _choose_images(pairs, ENOUGH_IMAGES - len(self._statistics))
        for _ in predict_each(self._pipeline, pairs.take(chosen), self.look):
            pass

    def learn_ranges(self) -> Ranges | None:
        """Return the ranges; None if there were too few images."""
        return learn_ranges([statistics for statistics in self._statistics if statistics])


def _choose_images(pairs: Pairs, most: int) -> list[int]:
    """Return the numbers of up to ``most`` images, evenly spaced, as long as they have few pixels."""
    places = np.linspace(0, len(pairs) - 1, min(max(most, 0), len(pairs))).round().astype(int).tolist()
    n_pixels = np.cumsum([pairs.masks[i].size for i in places])
    return [i for i, n in zip(places, n_pixels, strict=True) if n <= MOST_PIXELS]
