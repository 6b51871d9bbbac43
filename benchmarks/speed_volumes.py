"""How long flowseg's kernels take on volumes, how that grows, and what Cellpose takes beside them.

    python benchmarks/speed_volumes.py --python ~/envs/cellpose3/bin/python --python ~/envs/cellpose4/bin/python \
        --json benchmarks/speed_volumes.json

Times labels to flows, and flows to masks without the flow check (Cellpose has none for volumes), in CPU seconds of one
thread: on one box that grows, and on touching cells, whose flows are also made noisy. Every --python is an environment
with Cellpose; flowseg runs in this one. All tools get the same labels and the same flows, one after the other on each
volume; compare ratios, not seconds. The task "slices" is what Cellpose 3 does with a volume by default: flows of its
planes in three orientations, summed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from speed import RUNNER, find_tools

SIDES = (20, 40, 80, 160)
CELLS = ((128, 125), (256, 1000))  # side of the volume, number of cells
NOISE = 0.3
REPEATS = {"flowseg": "5", "cellpose": "1"}


def box(side: int) -> np.ndarray:
    """One box that fills a third of its volume."""
    margin = side // 5
    masks = np.zeros((side + 2 * margin,) * 3, dtype=np.int32)
    masks[(slice(margin, margin + side),) * 3] = 1
    return masks


def cells(side: int, n: int) -> np.ndarray:
    """Voronoi cells that fill a volume."""
    from scipy.spatial import cKDTree

    points = np.random.default_rng(0).random((n, 3)) * side
    planes = [
        np.stack(np.meshgrid(i, *[np.arange(side)] * 2, indexing="ij"), axis=-1).reshape(-1, 3) for i in range(side)
    ]
    tree = cKDTree(points)
    return np.stack([1 + tree.query(plane)[1].reshape(side, side) for plane in planes]).astype(np.int32)


def add_noise(flows: np.ndarray) -> np.ndarray:
    """Flows with noise that is correlated over some voxels, as networks predict them."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    noise = np.stack([gaussian_filter(rng.standard_normal(f.shape, dtype=np.float32), 2) for f in flows])
    return (flows + noise * (NOISE / noise.std())).astype(np.float32)


def run(python: str, tool: str, task: str, folder: str, limit: int) -> dict[str, Any]:
    """What speed_tasks.py prints in one environment; nothing where it fails or takes too long."""
    command = [python, str(RUNNER), tool, task, folder, REPEATS[tool]]

    def set_limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))

    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=set_limit)
    if done.returncode < 0:  # killed: too long
        return {}
    if done.returncode:
        print(f"    {python}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {}
    return json.loads(done.stdout.strip().splitlines()[-1])


class Bench:
    """Runs all tools on one volume after the other; gives up on a tool that takes too long, for larger ones too."""

    def __init__(self, tools: dict[str, tuple[str, str]], limit: int) -> None:
        self.tools = tools
        self.limit = limit
        self.results: list[dict[str, Any]] = []
        self.given_up: set[tuple[str, str]] = set()

    def measure(self, case: str, masks: np.ndarray, *, noisy: bool) -> None:
        """All tasks on one volume."""
        import flowseg

        flows = flowseg.masks_to_flows(masks)
        with tempfile.TemporaryDirectory() as folder:
            np.save(f"{folder}/masks.npy", masks)
            np.save(f"{folder}/flows.npy", flows)
            for task in ("flows", "slices", "masks"):
                self._add(case, task, folder, masks)
            if noisy:
                np.save(f"{folder}/flows.npy", add_noise(flows))
                self._add(f"{case}, noisy", "masks", folder, masks)

    def _add(self, case: str, task: str, folder: str, masks: np.ndarray) -> None:
        cpu, objects = {}, {}
        for label, (python, tool) in self.tools.items():
            if (label, task) in self.given_up or (task == "slices" and tool == "flowseg"):
                continue
            found = run(python, tool, task, folder, self.limit)
            if found:
                cpu[label], objects[label] = found["cpu"], found["objects"]
            else:
                self.given_up.add((label, task))
        n = int(np.count_nonzero(masks))
        self.results.append({"case": case, "task": task, "voxels": n, "cpu": cpu, "objects": objects})
        text = [f"{label} {t:.4g} s = {t / n * 1e9:.0f} ns per voxel" for label, t in cpu.items()]
        print(f"{case:>28} {task:<7}", "   ".join(text), objects if task == "masks" else "", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="Python of an environment with Cellpose")
    parser.add_argument("--limit", type=int, default=60, help="CPU seconds after which a tool is given up")
    parser.add_argument("--json", help="where to keep the times")
    options = parser.parse_args()
    bench = Bench(find_tools(options.python), options.limit)
    print("tools:", ", ".join(bench.tools))
    for side in SIDES:
        bench.measure(f"box of {side} voxels", box(side), noisy=False)
    bench.given_up.clear()
    for side, n in CELLS:
        bench.measure(f"{n} cells in {side} voxels", cells(side, n), noisy=True)
    if options.json:
        held = {"tools": list(bench.tools), "limit": options.limit, "results": bench.results}
        Path(options.json).write_text(json.dumps(held, indent=1) + "\n")


if __name__ == "__main__":
    main()
