"""Time, memory and disk that `blockwise.segment` takes for volumes, against `predict` of one that fits into memory.

    python benchmarks/blockwise_volume.py [SIDE ...]

Drawn cells are repeated, each time flipped or turned, to cubes of SIDE voxels (256 and 512 by default). A small network
is trained on some of them first. Memory is that of Linux' PSS, as in blockwise.py: of all processes, and of the largest
one. CPU time is that of all processes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from blockwise import Watch, size_of

from flowseg import FlowSegmenter, blockwise, synthetic

# Side of the parts that a volume is made of, and of the volume that `predict` segments for comparison.
PART, COMPARED = 64, 256


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def make_volume(parts: list[np.ndarray], side: int, path: Path) -> np.ndarray:
    """Write a cube of drawn parts, each time flipped or turned, and return a memory map of it."""
    volume = np.lib.format.open_memmap(path, "w+", np.uint8, (side,) * 3)
    rng = np.random.default_rng(0)
    for corner in np.ndindex(*(-(-side // PART),) * 3):
        place = tuple(slice(k * PART, k * PART + PART) for k in corner)
        part = parts[rng.integers(len(parts))].transpose(rng.permutation(3))
        part = part[tuple(slice(None, None, sign) for sign in rng.choice([-1, 1], 3))]
        window = volume[place]
        window[...] = part[tuple(map(slice, window.shape))]
    volume.flush()
    return np.load(path, mmap_mode="r")


def main() -> None:
    """Print one line per volume."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", type=int, nargs="*", default=[256, 512])
    parser.add_argument("--block-size", type=int)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    drawn = [synthetic.cells((PART,) * 3, 60, diameter=16, rng=seed) for seed in range(4)]
    images, masks = [(image * 200).astype(np.uint8) for image, _ in drawn], [labels for _, labels in drawn]
    options = {"crop_size": 32, "batch_size": 2, "epochs": 2, "steps_per_epoch": 40, "learning_rate": 0.01}
    segmenter = FlowSegmenter(ndim=3, filters=(8, 16), diameter=16, random_state=0, estimate_diameters=False, **options)
    segmenter.fit(images[:3], masks[:3], validation=(images[3:], masks[3:]))
    print(f"average precision at IoU 0.5: {segmenter.score(images[3:], masks[3:]):.2f}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="flowseg-blockwise"))
    try:
        whole = np.array(make_volume(images, COMPARED, folder / "compared.npy"))
        began, cpu = time.perf_counter(), cpu_seconds()
        with Watch(folder) as watch:
            expected = segmenter.predict(whole)
        cost = (cpu_seconds() - cpu) / COMPARED**3
        print(
            f"predict, {COMPARED}^3: {time.perf_counter() - began:.0f} s, {1e6 * cost:.2f} s of CPU per megavoxel, "
            f"{expected.max()} objects, {watch.largest / 2**30:.2f} GiB of memory",
            flush=True,
        )
        for side in arguments.side:
            path, output = folder / f"{side}.npy", folder / f"{side}.ome.zarr"
            volume = make_volume(images, side, path)
            before, cpu = size_of(folder), cpu_seconds()
            size = {"block_size": arguments.block_size, "workers": arguments.workers}
            with Watch(folder) as watch:
                labels = blockwise.segment(segmenter, volume, output, **size)
            spent = (cpu_seconds() - cpu) / side**3
            same = f", equal to predict: {np.array_equal(labels[:], expected)}" if side == COMPARED else ""
            print(
                f"segment, {side}^3: {watch.seconds:.0f} s, {1e6 * spent:.2f} s of CPU per megavoxel "
                f"({spent / cost:.2f} of predict), {watch.largest / 2**30:.2f} GiB in the largest process, "
                f"{watch.memory / 2**30:.2f} GiB in all, {(watch.disk - before) / 1e9:.2f} GB of disk on the way, "
                f"{size_of(output) / 1e6:.1f} MB in the end{same}",
                flush=True,
            )
            shutil.rmtree(output)
            path.unlink()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
