"""How the kernels' time grows: with the size of objects at a fixed number, and with the image at a fixed size.

    python benchmarks/kernels.py

Prints, per foreground pixel and relative to the first row of each series, the time of masks_to_flows and of
flows_to_masks without and with the flow check, one thread, best of three. Compare ratios, not seconds.
"""

import time
from collections.abc import Callable

import numpy as np

import flowseg


def best_time(function: Callable[[], object], repeats: int = 3) -> float:
    """Seconds of the fastest run."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def disks(side: int, diameter: float, pitch: int) -> np.ndarray:
    """Label image of disks on a square lattice."""
    rows, columns = np.indices((side, side))
    near = np.hypot(rows % pitch - pitch / 2, columns % pitch - pitch / 2) < diameter / 2
    number = 1 + rows // pitch * -(-side // pitch) + columns // pitch
    return np.where(near, number, 0)


def measure(masks: np.ndarray) -> np.ndarray:
    """Nanoseconds per foreground pixel of the three."""
    flows = flowseg.masks_to_flows(masks)
    cellprob = np.where(masks > 0, 5.0, -5.0)
    runs = (
        lambda: flowseg.masks_to_flows(masks, workers=1),
        lambda: flowseg.flows_to_masks(flows, cellprob, flow_threshold=None, workers=1),
        lambda: flowseg.flows_to_masks(flows, cellprob, workers=1),
    )
    return np.array([best_time(run) for run in runs]) / np.count_nonzero(masks) * 1e9


def report(title: str, series: list[tuple[str, np.ndarray]]) -> None:
    """Print a table with ratios to its first row."""
    print(f"\n{title}\n{'':>12}{'ns per foreground pixel':^36}{'relative':^30}")
    print(f"{'':>12}{'flows':>12}{'masks':>12}{'checked':>12}{'flows':>10}{'masks':>10}{'checked':>10}")
    first = None
    for name, masks in series:
        values = measure(masks)
        first = values if first is None else first
        ratios = "".join(f"{v:10.2f}" for v in values / first)
        print(f"{name:>12}" + "".join(f"{v:12.1f}" for v in values) + ratios)


if __name__ == "__main__":
    report(
        "16 disks, growing",
        [(f"{d} px", disks(4 * (d + 10), d, d + 10)) for d in (20, 40, 80, 160, 320)],
    )
    report("disks of 20 px, growing image", [(f"{n} px", disks(n, 20, 30)) for n in (256, 512, 1024, 2048)])
