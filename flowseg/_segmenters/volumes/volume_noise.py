"""The noise check of a volume and its planes."""

from __future__ import annotations

import numpy as np

from flowseg._segmenters.codecs.codec import Masks
from flowseg._segmenters.noise_check import NoiseCheck, sharpness
from flowseg._segmenters.volumes.volume import Volume, spread

# Planes of rows and columns, evenly spaced, that are examined. Source: chosen.
MOST_PLANES = 16


def warn_of_noise(check: NoiseCheck, volume: Volume, masks: Masks, stacklevel: int) -> None:
    """Warn if outlines look like those of noise in the volume, and in half of its planes.

    The sharpness that the model expects is that of images, and volumes are blurred along the planes' axis: of true
    objects some volumes are below it. Smoothed noise is half as sharp as these, in the volume and in its planes.
    """
    check.look(volume.array, masks, volume.unpadded, volume.pixel.ratios)
    if not check.found:
        return
    values = [_sharpness_of_plane(volume, masks, int(index)) for index in spread(masks.shape[0], MOST_PLANES)]
    known = [value for value in values if not np.isnan(value)]
    if known and np.median(known) >= check.least:
        return
    check.warn(stacklevel=stacklevel + 1)


def _sharpness_of_plane(volume: Volume, masks: Masks, index: int) -> float:
    plane = volume.plane(0, index)
    return sharpness(plane.array, masks[index], None, plane.pixel.ratios)
