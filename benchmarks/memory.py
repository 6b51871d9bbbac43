"""Memory on top of what goes in and what comes out (Linux only): of the kernels, in bytes per pixel, and of prediction.

python benchmarks/memory.py
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from speed import disks

import flowseg


def peak() -> int:
    """Largest resident size so far, in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


IMAGES: dict[str, Callable[[], np.ndarray]] = {
    "disks of 20 px, 4096 x 4096": lambda: disks(4096, 20, 30),
    "disks of 320 px, 2048 x 2048": lambda: disks(2048, 320, 330),
    "one object that fills 1024 x 1024": lambda: np.ones((1024, 1024), np.int32),
    "8 boxes that fill 80 x 160 x 160": lambda: np.kron(EIGHT, np.ones((40, 80, 80), np.int32)),
}
EIGHT = np.arange(1, 9).reshape(2, 2, 2)
TASKS = ("labels to flows", "flows to masks")
PREDICT = ("predict", "predict, diameter estimated")
SIDES = (512, 1024, 2048, 4096, 8192)


def start_anew() -> int:
    """Forget the peak; the size now."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def measure(name: str, task: str) -> float:
    """Bytes per pixel by which one call raises the peak, less its result."""
    masks = IMAGES[name]()
    flows = flowseg.masks_to_flows(masks)
    cellprob = np.where(masks > 0, 5, -5).astype(np.float32)
    small = (..., slice(40), slice(40))
    flowseg.flows_to_masks(flows[small], cellprob[small])  # load what is loaded on first use
    before = start_anew()
    result = flowseg.masks_to_flows(masks) if task == TASKS[0] else flowseg.flows_to_masks(flows, cellprob)
    return (peak() - before - result.nbytes) / masks.size


def measure_prediction(side: int, *, twice: bool) -> float:
    """Megabytes by which one prediction raises the peak, less the network's outputs and the masks.

    ``twice``: with the diameter estimated, as the model does by itself; else at the size of the image.
    """
    tile, _ = flowseg.synthetic.cells((512, 512), 300, rng=0)
    image = np.tile(tile, (side // 512, side // 512))
    segmenter = flowseg.FlowSegmenter.from_pretrained("nuclei")
    segmenter.predict(image[:64, :64])
    before = start_anew()
    masks = segmenter.predict(image, diameters=None if twice else segmenter.working_diameter_)
    outputs = 3 * 4 * image.size
    return (peak() - before - masks.nbytes - outputs) / 1e6


def main() -> None:
    """Measure in a process of its own each, so that none lives on what another has left."""
    if len(sys.argv) == 3:
        what, task = sys.argv[1:]
        print(measure_prediction(int(what), twice=task == PREDICT[1]) if task in PREDICT else measure(what, task))
        return
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}

    def run(what: str, task: str) -> float:
        command = [sys.executable, __file__, what, task]
        return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    for name in IMAGES:
        for task in TASKS:
            print(f"{name + ': ' + task:<52} {run(name, task):6.1f} bytes per pixel")
    for side in SIDES:
        for task in PREDICT:
            print(f"{f'{side} x {side}: {task}':<52} {run(str(side), task):6.0f} MB")


if __name__ == "__main__":
    main()
