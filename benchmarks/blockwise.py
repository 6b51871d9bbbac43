"""Time, memory and disk that `blockwise.segment` takes, against `predict` of an image that fits into memory.

    python benchmarks/blockwise.py DATA [SIDE ...]

DATA is the folder of the annotated images. Real images of nuclei are repeated, each time flipped or rotated, to squares
of SIDE pixels (4000 and 10000 by default). A small network is trained on some of them first. Memory is the sum over all
processes of what they do not share, and their part of what they do (PSS of Linux), looked at once a second.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from flowseg import FlowSegmenter, blockwise, io

# Side of the pieces that an image is made of.
PIECE = 256
# Side of the image that `predict` segments for comparison.
COMPARED = 4000


class Watch:
    """Peak memory of this process and its children, and of one of them, and peak size of a folder, while code runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory = self.largest = self.disk = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self.began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.began
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(1.0):
            sizes = [pss_of(pid) for pid in family(os.getpid())]
            self.memory, self.largest = max(self.memory, sum(sizes)), max(self.largest, *sizes)
            self.disk = max(self.disk, size_of(self.folder))


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(other for child in children for other in family(int(child)))]


def pss_of(pid: int) -> int:
    """Return the memory of a process in bytes, shared pages by share; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(top, name)).st_size
            except OSError:
                continue
    return total


def make_image(pieces: list[np.ndarray], side: int, path: Path) -> np.ndarray:
    """Write a square made of pieces, each time flipped or rotated, and return a memory map of it."""
    image = np.lib.format.open_memmap(path, "w+", np.uint8, (side, side))
    rng = np.random.default_rng(0)
    for row in range(0, side, PIECE):
        for column in range(0, side, PIECE):
            piece = np.rot90(pieces[rng.integers(len(pieces))], rng.integers(4))
            piece = piece[:: rng.choice([-1, 1])]
            window = image[row : row + PIECE, column : column + PIECE]
            window[...] = piece[: window.shape[0], : window.shape[1]]
    image.flush()
    return np.load(path, mmap_mode="r")


def read_pieces(data: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return pieces of real images of one look, and their masks."""
    top = data / "dsb2018" / "train"
    images, masks = [], []
    files = (io.find_files(top / name) for name in ("images", "labels"))
    for image_file, masks_file in io.pair_files(*files):
        image, label = io.read_image(image_file), io.read_masks(masks_file)
        if image.ndim == 2 and min(image.shape) >= PIECE:
            images.append(image[:PIECE, :PIECE])
            masks.append(label[:PIECE, :PIECE])
    return images[:24], masks[:24]


def main() -> None:
    """Print one line per image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("side", type=int, nargs="*", default=[4000, 10000])
    parser.add_argument("--block-size", type=int, default=2048)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    images, masks = read_pieces(arguments.data)
    segmenter = FlowSegmenter(
        filters=(4, 8, 16), epochs=2, steps_per_epoch=60, random_state=0, estimate_diameters=False
    )
    segmenter.fit(images, masks, validation=(images[:4], masks[:4]))
    folder = Path(tempfile.mkdtemp(prefix="flowseg-blockwise"))
    try:
        whole = np.array(make_image(images, COMPARED, folder / "compared.npy"))
        segmenter.predict(whole[:1024, :1024])  # what the first call loads
        began = time.perf_counter()
        expected = segmenter.predict(whole)
        speed = COMPARED**2 / (time.perf_counter() - began)
        print(f"predict, {COMPARED} x {COMPARED}: {speed / 1e6:.2f} megapixels per second, {expected.max()} objects")
        for side in arguments.side:
            path = folder / f"{side}.npy"
            image = make_image(images, side, path)
            output = folder / f"{side}.ome.zarr"
            before = size_of(folder)
            with Watch(folder) as watch:
                labels = blockwise.segment(
                    segmenter, image, output, block_size=arguments.block_size, workers=arguments.workers
                )
            rate = side**2 / watch.seconds
            same = f", equal to predict: {np.array_equal(labels[:], expected)}" if side == COMPARED else ""
            print(
                f"segment, {side} x {side}: {watch.seconds:.0f} s, {rate / 1e6:.2f} megapixels per second "
                f"({rate / speed:.2f} of predict), {watch.memory / 2**30:.2f} GiB of memory, "
                f"{(watch.disk - before) / 1e9:.2f} GB of disk on the way, {size_of(output) / 1e6:.1f} MB in the end"
                f"{same}",
                flush=True,
            )
            shutil.rmtree(output)
            path.unlink()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
