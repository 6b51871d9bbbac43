"""Memory that the kernels take on top of what goes in and what comes out, in bytes per pixel of the image (Linux only).

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


def measure(name: str, task: str) -> float:
    """Bytes per pixel by which one call raises the peak, less its result."""
    masks = IMAGES[name]()
    flows = flowseg.masks_to_flows(masks)
    cellprob = np.where(masks > 0, 5, -5).astype(np.float32)
    small = (..., slice(40), slice(40))
    flowseg.flows_to_masks(flows[small], cellprob[small])  # load what is loaded on first use
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = peak()
    result = flowseg.masks_to_flows(masks) if task == TASKS[0] else flowseg.flows_to_masks(flows, cellprob)
    return (peak() - before - result.nbytes) / masks.size


def main() -> None:
    """Measure in a process of its own each, so that none lives on what another has left."""
    if len(sys.argv) == 3:
        print(measure(*sys.argv[1:]))
        return
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    for name in IMAGES:
        for task in TASKS:
            command = [sys.executable, __file__, name, task]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            print(f"{name + ': ' + task:<52} {float(done.stdout):6.1f} bytes per pixel")


if __name__ == "__main__":
    main()
