"""Where a segmenter is in doubt: the number of objects that are probably wrong, spread over the pixels of an image."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.pipeline import Pipeline, PreparedImage
from flowseg._suggest.candidates import Candidates

# Axes along which each view of an image is flipped. They are possible for all networks and pixels; quarter turns need
# axes that are alike.
VIEWS: tuple[tuple[int, ...], ...] = ((), (0, 1), (0,), (1,))
LEAST_VIEWS = 2


def measure_disagreement(
    pipeline: Pipeline, image: PreparedImage, outputs: Outputs, n_views: int
) -> NDArray[np.float32]:
    """Return twice the standard deviation of the predicted foreground over flips of an image, from 0 to 1 per pixel.

    Parameters
    ----------
    pipeline : Pipeline
        A segmenter's way from images to outputs. Every view is seen once, also where the segmenter uses test-time
        augmentation.
    image : PreparedImage
        The image.
    outputs : Outputs
        Those of the pipeline for it.
    n_views : int
        Number of flips, the first is the image as it is.
    """
    codec, is_augmented = pipeline.settings.codec, pipeline.settings.test_time_augmentation
    once = pipeline
    if is_augmented:
        once = replace(pipeline, settings=replace(pipeline.settings, test_time_augmentation=False))
    size = pipeline.fitted.sizes.working / outputs.factor
    mean = np.zeros(outputs.array.shape[:-1], dtype=np.float32)
    squares = np.zeros_like(mean)  # sum of squared differences from the mean, by Welford's method
    for k, axes in enumerate(VIEWS[:n_views], start=1):
        array = outputs.array
        if axes or is_augmented:
            view = replace(image, array=np.flip(image.array, axes), unpadded=None)
            array = np.flip(once.run_at(view, size).array, axes)
        probability = codec.foreground(array)
        difference = probability - mean
        mean += difference / k
        squares += difference * (probability - mean)
    disagreement: NDArray[np.float32] = 2 * np.sqrt(np.maximum(squares, 0) / n_views)
    return disagreement


def map_doubt(candidates: Candidates, disagreement: NDArray[np.float32], diameter: float) -> NDArray[np.float64]:
    """Return the expected number of wrong objects per pixel.

    Parameters
    ----------
    candidates : Candidates
        Objects, and the probability that the decision about each is wrong, which is spread over its pixels.
    disagreement : ndarray, shape (rows, columns)
        From 0 to 1. In the pixels of no object, or in all where no probability is known, it is the share of a typical
        object that is missed, or is none.
    diameter : float
        Diameter of a typical object in pixels.
    """
    doubt = disagreement / (math.pi / 4 * diameter**2)
    if candidates.wrong is None:
        return doubt.astype(np.float64)
    masks = candidates.all
    areas = np.bincount(masks.ravel(), minlength=candidates.wrong.size + 1)
    wrong = np.append(0.0, candidates.wrong / areas[1:])
    return np.where(masks > 0, wrong[masks], doubt)
