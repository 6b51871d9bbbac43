"""The size estimate: passes of the network over an image until it sees objects at the size that it was trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flowseg._nets.sizes import MAX_PASSES, image_diameter

if TYPE_CHECKING:
    from flowseg._segmenters.codecs.codec import Outputs
    from flowseg._segmenters.pipeline import Pipeline, PreparedImage


def estimate_outputs(
    pipeline: Pipeline,
    image: PreparedImage,
    *,
    bounded: bool,
    on_first: Callable[[Outputs], None] | None = None,
) -> Outputs:
    """Return the outputs of the pass for which the image is scaled by the diameter that it finds.

    Parameters
    ----------
    pipeline : Pipeline
        The pipeline that runs the network.
    image : PreparedImage
        The image.
    bounded : bool
        Whether to stay within the diameters of the training images.
    on_first : callable, optional
        Called with the outputs of the first pass.
    """
    sizes = pipeline.fitted.sizes.for_pixels(image.pixel.relative_size)
    outputs = pipeline.run_at(image, pipeline.typical_diameter(image.pixel))
    if on_first is not None:
        on_first(outputs)
    for n in range(1, MAX_PASSES):
        seen = sizes.working / outputs.factor
        size = sizes.next_pass(seen, measure_diameter(pipeline, outputs), first=n == 1, bounded=bounded)
        if size is None:
            break
        del outputs  # or both would be in memory
        outputs = pipeline.run_at(image, size, "the estimated diameter of an image")
        if size < seen:
            break
    return outputs


def measure_diameter(pipeline: Pipeline, outputs: Outputs) -> float:
    """Return the median diameter of the objects in outputs; NaN without objects."""
    return image_diameter(pipeline.settings.codec.decode_for_size(outputs), outputs.ratios)
