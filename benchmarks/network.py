"""What flowseg adds to the time of its network: per training step, and per image segmented.

python benchmarks/network.py

Both are timed by turns, so that what slows the machine down slows both.
"""

import os
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from flowseg import FlowSegmenter, build_unet, synthetic
from flowseg._images import scaled_shape
from flowseg._nets import losses
from flowseg._nets.tiles import list_tiles
from flowseg._segmenters.auto_values import as_crop_and_batch, as_filters

SIDES = (200, 256, 300, 360, 520, 700, 1024)
N_IMAGES = 100
EPOCHS = 10
STEPS = 20


class Turns(keras.callbacks.Callback):
    """After every epoch of fit as many bare steps on one batch; ``times`` has a row (fit, bare) per epoch."""

    def __init__(self, bare: keras.Model, x: np.ndarray, y: np.ndarray) -> None:
        super().__init__()
        self.bare, self.x, self.y = bare, x, y
        self.times: list[tuple[float, float]] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Start the clock; to wait for the first batch counts."""
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Note the end of the last step."""
        self.end = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Time the other side."""
        start = time.perf_counter()
        for _ in range(STEPS):
            self.bare.train_on_batch(self.x, self.y)
        self.times.append((self.end - self.start, time.perf_counter() - start))


def training() -> None:
    """A step of fit beside a bare step on one batch."""
    images, masks = zip(*[synthetic.cells((512, 512), 200, rng=seed) for seed in range(8)], strict=True)
    segmenter = FlowSegmenter(epochs=EPOCHS + 1, steps_per_epoch=STEPS, validation_fraction=0.0, random_state=0)
    size, n = as_crop_and_batch(segmenter)
    network = build_unet(filters=as_filters(segmenter), seed=0)
    network.compile(keras.optimizers.AdamW(1e-3), loss=losses.flow_loss, jit_compile=False)
    rng = np.random.default_rng(0)
    x, y = (rng.random((n, size, size, channels), dtype=np.float32) for channels in (1, 4))
    turns = Turns(network, x, y)
    segmenter.fit(images, masks, callbacks=[turns])
    times = np.array(turns.times[1:]) / STEPS  # in the first epoch both are compiled
    full, bare = np.median(times, axis=0)
    low, middle, high = np.quantile(times[:, 0] / times[:, 1], [0.25, 0.5, 0.75])
    print(f"training: {full:.3f} s per step, the bare network {bare:.3f} s: {middle:.2f} x", end=" ")
    print(f"(half of the epochs {low:.2f} to {high:.2f})")


def prediction() -> None:
    """Images of many sizes, beside the network alone on tiles of the same sizes."""
    rng = np.random.default_rng(0)
    sides = rng.choice(SIDES, size=(N_IMAGES, 2))
    pairs = [synthetic.cells(tuple(s), int(s.prod() / 900), rng=i) for i, s in enumerate(sides)]
    images = [image for image, _ in pairs]
    segmenter = FlowSegmenter(epochs=4, steps_per_epoch=30, estimate_diameters=False, random_state=0)
    segmenter.fit(images[:8], [masks for _, masks in pairs[:8]])
    factor = segmenter.working_diameter_ / segmenter.diameter_

    def tiles_of(side: np.ndarray) -> list[np.ndarray]:
        seen = scaled_shape(side.tolist(), (factor, factor))
        tiles = list_tiles(seen, segmenter.fitted_.grid)
        shapes = [(1, *(one.stop - one.start for one in tile), 1) for tile in tiles]
        return [rng.random(shape, dtype=np.float32) for shape in shapes]

    tiles = [tiles_of(side) for side in sides]
    for shape in {tile.shape for of_image in tiles for tile in of_image}:  # nothing is compiled while the clock runs
        segmenter.network_.predict_on_batch(np.zeros(shape, np.float32))
    segmenter.predict(images[:3])
    full = bare = 0.0
    for image, of_image in zip(images, tiles, strict=True):
        start = time.perf_counter()
        segmenter.predict(image)
        middle = time.perf_counter()
        for tile in of_image:
            segmenter.network_.predict_on_batch(tile)
        full, bare = full + middle - start, bare + time.perf_counter() - middle
    seen = sum(t.size for of_image in tiles for t in of_image) / sum(image.size * factor**2 for image in images)
    print(f"prediction: {full:.1f} s for {N_IMAGES} images, the bare network {bare:.1f} s: {full / bare:.2f} x")
    print(f"(tiles hold {seen:.2f} times the pixels of the images)")


if __name__ == "__main__":
    training()
    prediction()
