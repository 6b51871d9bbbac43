"""One tool's times on one label image, for speed.py: run by the Python of that tool's environment.

    python speed_tasks.py TOOL TASK FOLDER REPEATS

Prints one line of JSON: the CPU seconds of the fastest run and the number of objects that came out. Tools: flowseg,
cellpose (whichever version is installed), stardist. FOLDER holds masks.npy and flows.npy. Tasks: flows (labels to flows
or distances), masks (flows or distances to masks, without the flow check), checked (with it), version. Volumes have no
check in Cellpose, and a task of their own, slices.
"""

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402 (after the number of threads is set)


def warm_up(ndim: int) -> np.ndarray:
    """A small label image."""
    masks = np.zeros((64,) * ndim, dtype=np.int32)
    masks[..., 8:24, 8:24] = 1
    masks[..., 30:50, 20:60] = 2
    return masks if ndim == 2 else np.ascontiguousarray(masks[:16])


Tasks = dict[str, Callable[[], np.ndarray]]


def flowseg_tasks(masks: np.ndarray, flows: np.ndarray) -> Tasks:
    """What flowseg does, by task."""
    import flowseg

    cellprob = logits(masks)
    return {
        "flows": lambda: flowseg.masks_to_flows(masks, workers=1),
        "masks": lambda: flowseg.flows_to_masks(flows, cellprob, flow_threshold=None, workers=1),
        "checked": lambda: flowseg.flows_to_masks(flows, cellprob, workers=1),
    }


def cellpose_tasks(masks: np.ndarray, flows: np.ndarray) -> Tasks:
    """What Cellpose 3 or 4 does, by task; "slices" are the flows of a volume that Cellpose 3 sums over its planes."""
    import torch
    from cellpose import dynamics

    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    masks = masks.astype(np.int32)
    scaled, cellprob = 5 * flows, logits(masks)
    to_flows = getattr(dynamics, "masks_to_flows", dynamics.masks_to_flows_gpu)  # one function less in Cellpose 4
    if masks.ndim == 3:
        tasks = {
            "flows": lambda: dynamics.masks_to_flows_gpu_3d(masks, device=cpu),
            "slices": lambda: to_flows(masks, device=cpu),
            "masks": lambda: dynamics.resize_and_compute_masks(scaled, cellprob, do_3D=True, device=cpu),
        }
        if not hasattr(dynamics, "masks_to_flows"):
            del tasks["slices"]
        return tasks
    return {
        "flows": lambda: to_flows(masks, device=cpu),
        "masks": lambda: dynamics.resize_and_compute_masks(scaled, cellprob, flow_threshold=0, device=cpu),
        "checked": lambda: dynamics.resize_and_compute_masks(scaled, cellprob, device=cpu),
    }


def stardist_tasks(masks: np.ndarray, flows: np.ndarray) -> Tasks:  # noqa: ARG001 (distances take the place of flows)
    """What StarDist does, by task."""
    from stardist.geometry import polygons_to_label, star_dist
    from stardist.nms import non_maximum_suppression
    from stardist.utils import edt_prob

    masks = masks.astype(np.int32)
    distances: list[np.ndarray] = []

    def to_masks() -> np.ndarray:
        if not distances:
            distances.extend([star_dist(masks, n_rays=32), edt_prob(masks)])
        points, scores, kept = non_maximum_suppression(*distances, prob_thresh=0.5, nms_thresh=0.4)
        return polygons_to_label(kept, points, masks.shape, prob=scores)

    return {"flows": lambda: star_dist(masks, n_rays=32), "masks": to_masks}


TOOLS = {"flowseg": flowseg_tasks, "cellpose": cellpose_tasks, "stardist": stardist_tasks}


def logits(masks: np.ndarray) -> np.ndarray:
    """A sure foreground."""
    return np.where(masks > 0, 5, -5).astype(np.float32)


def best_time(function: Callable[[], object], repeats: int) -> tuple[float, float, object]:
    """CPU and wall seconds of the fastest run, and its result.

    At least ``repeats`` runs and half a second, but no more after twenty seconds. Short ones are timed several at once:
    the clock of a virtual machine goes in steps.
    """
    start_cpu, start = time.process_time(), time.perf_counter()
    result = function()
    cpu, wall = [time.process_time() - start_cpu], [time.perf_counter() - start]
    number = 1 + int(0.05 / wall[0])
    if number > 1:
        cpu, wall = [], []
    while len(wall) < repeats or number * sum(wall) < 0.5:
        start_cpu, start = time.process_time(), time.perf_counter()
        for _ in range(number):
            result = function()
        cpu.append((time.process_time() - start_cpu) / number)
        wall.append((time.perf_counter() - start) / number)
        if number * sum(wall) > 20:
            break
    return min(cpu), min(wall), result


def main(tool: str, task: str, folder: str, repeats: str) -> dict[str, object]:
    """What to print."""
    if task == "version":
        return {"version": importlib.metadata.version(tool)}
    masks, flows = np.load(f"{folder}/masks.npy"), np.load(f"{folder}/flows.npy")
    small = warm_up(masks.ndim)
    if task not in TOOLS[tool](small, np.zeros((masks.ndim, *small.shape), np.float32)):
        return {}
    flows_of_small = flows[:, :64, :64] if masks.ndim == 2 else np.zeros((3, *small.shape), np.float32)
    TOOLS[tool](small, flows_of_small.copy())[task]()  # compile what is compiled on first use
    cpu, wall, result = best_time(TOOLS[tool](masks, flows)[task], int(repeats))
    return {"cpu": cpu, "wall": wall, "objects": count_objects(result) if task in ("masks", "checked") else None}


def count_objects(result: object) -> int:
    """Number of labels."""
    return int(np.count_nonzero(np.unique(result[0] if isinstance(result, tuple) else result)))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
