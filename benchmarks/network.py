"""What flowseg adds to the time of its network: per training step, and per image segmented.

python benchmarks/network.py
"""

import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from flowseg import FlowSegmenter, _losses, build_unet, synthetic
from flowseg._tiles import grid_axis

SIDES = (200, 256, 300, 360, 520, 700, 1024)
N_IMAGES = 100
STEPS = 30


def median_time(function: Callable[[], object], repeats: int) -> float:
    """Wall seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


class Steps(keras.callbacks.Callback):
    """Times from the end of one step to the end of the next: what comes between steps counts."""

    def on_train_begin(self, logs: object = None) -> None:  # noqa: ARG002
        """Start anew."""
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:  # noqa: ARG002
        """Note the time."""
        self.ends.append(time.perf_counter())


def training() -> None:
    """A step of fit beside a bare step on one batch."""
    images, masks = zip(*[synthetic.cells((512, 512), 200, rng=seed) for seed in range(8)], strict=True)
    segmenter = FlowSegmenter(epochs=1, steps_per_epoch=STEPS, validation_fraction=0.0, random_state=0)
    size, n = segmenter.crop_size, segmenter.batch_size
    network = build_unet(filters=segmenter.filters, seed=0)
    network.compile(keras.optimizers.AdamW(1e-3), loss=_losses.flow_loss, jit_compile=False)
    rng = np.random.default_rng(0)
    x, y = (rng.random((n, size, size, channels), dtype=np.float32) for channels in (1, 4))
    network.train_on_batch(x, y)
    bare = median_time(lambda: network.train_on_batch(x, y), STEPS)
    steps = Steps()
    segmenter.fit(images, masks, callbacks=[steps])
    full = float(np.median(np.diff(steps.ends)))
    bare_again = median_time(lambda: network.train_on_batch(x, y), STEPS)
    bare = (bare + bare_again) / 2
    print(f"training: {full:.3f} s per step, the bare network {bare:.3f} s: {full / bare:.2f} x")


def prediction() -> None:
    """Images of many sizes, beside the network alone on tiles of the same sizes."""
    rng = np.random.default_rng(0)
    sides = rng.choice(SIDES, size=(N_IMAGES, 2))
    pairs = [synthetic.cells(tuple(s), int(s.prod() / 900), rng=i) for i, s in enumerate(sides)]
    images = [image for image, _ in pairs]
    segmenter = FlowSegmenter(epochs=4, steps_per_epoch=STEPS, random_state=0)
    segmenter.fit(images[:8], [masks for _, masks in pairs[:8]])
    segmenter.predict(images[:3])
    start = time.perf_counter()
    segmenter.predict(images)
    full = time.perf_counter() - start
    factor = segmenter.working_diameter_ / segmenter.diameter_
    tiles = [
        rng.random((1, rows[1] - rows[0], columns[1] - columns[0], 1), dtype=np.float32)
        for side in sides
        for rows in grid_axis(max(1, round(side[0] * factor)), segmenter._margin)
        for columns in grid_axis(max(1, round(side[1] * factor)), segmenter._margin)
    ]
    for shape in {tile.shape for tile in tiles}:  # nothing is compiled while the clock runs
        segmenter.network_.predict_on_batch(np.zeros(shape, np.float32))
    start = time.perf_counter()
    for tile in tiles:
        segmenter.network_.predict_on_batch(tile)
    bare = time.perf_counter() - start
    seen = sum(tile.size for tile in tiles) / sum(image.size * factor**2 for image in images)
    print(f"prediction: {full:.1f} s for {N_IMAGES} images, the bare network {bare:.1f} s: {full / bare:.2f} x")
    print(f"(tiles hold {seen:.2f} times the pixels of the images)")


if __name__ == "__main__":
    training()
    prediction()
