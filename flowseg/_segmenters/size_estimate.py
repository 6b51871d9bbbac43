"""The size estimate: passes of the network over an image until it sees objects at the size that it was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowseg._nets.lattice import PixelShape
from flowseg._nets.sizes import MAX_PASSES, SizeSearch, image_diameter

if TYPE_CHECKING:
    from flowseg._segmenters.codecs.codec import Outputs
    from flowseg._segmenters.pipeline import Pipeline, PreparedImage


def size_search(pipeline: Pipeline, pixel: PixelShape, *, bounded: bool) -> SizeSearch:
    """Return the passes of an estimate for an image with pixels of a shape."""
    sizes = pipeline.fitted.sizes.for_pixels(pixel.relative_size)
    return SizeSearch(sizes, pipeline.typical_diameter(pixel), pipeline.ndim, bounded)


def estimate_outputs(pipeline: Pipeline, image: PreparedImage, *, bounded: bool) -> Outputs:
    """Return the outputs of the pass for which the image is scaled by the diameter that it finds.

    Parameters
    ----------
    pipeline : Pipeline
        The pipeline that runs the network.
    image : PreparedImage
        The image.
    bounded : bool
        Whether to stay within the diameters of the training images.
    """
    search = size_search(pipeline, image.pixel, bounded=bounded)
    size = search.first
    outputs = pipeline.run_at(image, size)
    for _ in range(1, MAX_PASSES):
        seen = search.sizes.working / outputs.factor
        following = search.next_pass(size, seen, measure_diameter(pipeline, outputs))
        if following is None:
            break
        size = following
        del outputs  # or both would be in memory
        outputs = pipeline.run_at(image, size, "the estimated diameter of an image")
        if search.is_last(size, seen):
            break
    return outputs


def measure_diameter(pipeline: Pipeline, outputs: Outputs) -> float:
    """Return the median diameter of the objects in outputs; NaN without objects."""
    return image_diameter(pipeline.settings.codec.decode_for_size(outputs), outputs.ratios)
