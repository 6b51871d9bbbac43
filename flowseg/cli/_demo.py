"""What ``flowseg demo`` does: the whole job on drawn cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import io, metrics, plot, synthetic
from flowseg._flows.targets import masks_to_flows
from flowseg._segmenters.flow import FlowSegmenter

N_TRAIN, N_UNSEEN = 24, 4
SHAPE, N_CELLS = (192, 192), 40
# Grey gap between the panels of the picture, in pixels.
GAP = 4


def run(folder: Path, epochs: int, make_progress: Callable[[], Any]) -> list[str]:
    """Train, segment, score, write model, masks and picture; return what there is to say."""
    train = [synthetic.cells(SHAPE, N_CELLS, rng=seed) for seed in range(N_TRAIN)]
    unseen = [synthetic.cells(SHAPE, N_CELLS, rng=seed) for seed in range(1000, 1000 + N_UNSEEN)]
    segmenter = FlowSegmenter(filters=(16, 32, 64), crop_size=96, epochs=epochs, random_state=0)
    images, masks = zip(*train, strict=True)
    segmenter.fit(images, masks, callbacks=[make_progress()])
    new_images, true = (list(part) for part in zip(*unseen, strict=True))
    predicted = segmenter.predict(new_images)

    model = folder / "demo.safetensors"
    picture = folder / "demo.png"
    segmenter.save(model)
    for k, labels in enumerate(predicted):
        io.write_masks(folder / f"unseen_{k}_masks.tif", labels)
    flows, _ = segmenter.predict_flows(new_images[0])
    io.write_picture(picture, draw(new_images[0], true[0], flows, predicted[0]))

    pooled = metrics.average_precision(true, predicted)
    counts = sum(int(t.max()) for t in true), sum(int(p.max()) for p in predicted)
    return [
        f"{len(images)} images to train on, {len(true)} unseen ones with {counts[0]} cells; found {counts[1]}.",
        f"Average precision: {pooled[0]:.2f} at IoU 0.5, {pooled[1]:.2f} at 0.75, {pooled[2]:.2f} at 0.9.",
        f"Look at {picture}: image, true flows, predicted flows, predicted outlines.",
        f"The model is {model}; use it with: flowseg predict IMAGES --model {model} --output results",
    ]


def draw(
    image: NDArray[Any], true: NDArray[Any], flows: NDArray[np.float32], predicted: NDArray[Any]
) -> NDArray[np.uint8]:
    """Four panels: the image, true flows, predicted flows where there are objects, predicted outlines."""
    panels = [
        plot.outlines(image, np.zeros_like(true)),
        plot.flow_colors(masks_to_flows(true)),
        plot.flow_colors(np.where(predicted > 0, flows, 0)),
        plot.outlines(image, predicted),
    ]
    doubled = [np.kron(panel, np.ones((2, 2, 1), dtype=np.uint8)) for panel in panels]
    gap = np.full((doubled[0].shape[0], GAP, 3), 128, dtype=np.uint8)
    row: list[NDArray[np.uint8]] = []
    for panel in doubled:
        row += [panel, gap]
    return np.concatenate(row[:-1], axis=1)
