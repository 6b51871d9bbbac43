"""How long flowseg's kernels take, how that grows, and what other tools take beside them.

    python benchmarks/speed.py --python ~/envs/cellpose3/bin/python --python ~/envs/stardist/bin/python \
        --images labels/*.tif --json benchmarks/speed.json --figure docs/images/speed.png

Times labels to flows, and flows to masks with and without the flow check, in CPU seconds of one thread: on the label
images given, on 16 disks that grow, and on an image that grows at disks of 20 pixels. Every --python is an environment
with Cellpose (3 or 4) or StarDist; flowseg runs in this one. All tools get the same labels and the same flows
(StarDist: its own distances), one after the other on each image; compare ratios, not seconds. --redraw draws the
figure from the JSON file.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TASKS = ("flows", "masks", "checked")
TITLES = {"flows": "labels to flows", "masks": "flows to masks, unchecked", "checked": "flows to masks, checked"}
DIAMETERS = (20, 40, 80, 160, 320, 640)
SIDES = (512, 1024, 2048, 4096, 8192)
RUNNER = Path(__file__).with_name("speed_tasks.py")


def disks(side: int, diameter: float, pitch: int) -> np.ndarray:
    """Label image of disks on a square lattice."""
    axis = (np.arange(side) % pitch - pitch / 2) ** 2
    number = np.arange(side) // pitch
    labels = 1 + number[:, np.newaxis] * (number[-1] + 1) + number
    return np.where(axis[:, np.newaxis] + axis < diameter**2 / 4, labels, 0).astype(np.int32)


def run(python: str, *arguments: str) -> dict[str, Any]:
    """What speed_tasks.py prints in one environment; nothing where it fails."""
    done = subprocess.run([python, str(RUNNER), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"    {python}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {}
    return json.loads(done.stdout.strip().splitlines()[-1])


def find_tools(pythons: list[str]) -> dict[str, tuple[str, str]]:
    """Name with version -> (Python, tool)."""
    tools = {}
    for python, names in [(sys.executable, ["flowseg"]), *((p, ["cellpose", "stardist"]) for p in pythons)]:
        for name in names:
            command = [python, str(RUNNER), name, "version", "", "0"]
            found = subprocess.run(command, capture_output=True, text=True, check=False)
            if found.returncode == 0:
                tools[f"{name} {json.loads(found.stdout)['version']}"] = (python, name)
    return tools


class Bench:
    """Runs all tools on one image after the other; in a growing series, gives up on a tool once it takes too long."""

    def __init__(self, tools: dict[str, tuple[str, str]], budget: float) -> None:
        self.tools = tools
        self.budget = budget
        self.results: list[dict[str, Any]] = []

    def measure(self, series: str, cases: list[tuple[str, Any]], *, grows: bool) -> None:
        """All tasks on every image that the functions in ``cases`` make."""
        import flowseg

        given_up: set[tuple[str, str]] = set()
        for name, make in cases:
            masks = make()
            with tempfile.TemporaryDirectory() as folder:
                np.save(f"{folder}/masks.npy", masks)
                np.save(f"{folder}/flows.npy", flowseg.masks_to_flows(masks))
                for task in TASKS:
                    cpu = self._time_all(task, folder, given_up)
                    given_up |= {(tool, task) for tool in self.tools if grows and cpu.get(tool, np.inf) > self.budget}
                    row = {
                        "series": series,
                        "case": name,
                        "task": task,
                        "pixels": int(np.count_nonzero(masks)),
                        "cpu": cpu,
                    }
                    self.results.append(row)
                    print_row(row)

    def _time_all(self, task: str, folder: str, given_up: set[tuple[str, str]]) -> dict[str, float]:
        seconds = {}
        for label, (python, tool) in self.tools.items():
            if (label, task) not in given_up:
                found = run(python, tool, task, folder, "5" if tool == "flowseg" else "3")
                if found:
                    seconds[label] = found["cpu"]
        return seconds


def print_row(row: dict[str, Any]) -> None:
    """The time of each tool, and how many times flowseg's it is."""
    own = next(iter(row["cpu"].values()))
    print(f"{row['case']:>24} {TITLES[row['task']]:<26} {own:8.4f} s {own / row['pixels'] * 1e9:8.1f} ns/px", end="")
    for label, seconds in list(row["cpu"].items())[1:]:
        print(f"   {label} {seconds:.3g} s = {seconds / own:.1f} x", end="")
    print(flush=True)


def draw(results: list[dict[str, Any]], file: str) -> None:
    """Log-log pictures of the time per foreground pixel."""
    import matplotlib.pyplot as plt

    series = [("diameter", "diameter of 16 disks (pixels)"), ("side", "side of the image, disks of 20 pixels (pixels)")]
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.5), sharey=True, layout="constrained")
    tools = list(dict.fromkeys(tool for row in results for tool in row["cpu"]))
    for row_of_axes, (name, xlabel) in zip(axes, series, strict=True):
        for ax, task in zip(row_of_axes, TASKS, strict=True):
            rows = [r for r in results if r["series"] == name and r["task"] == task]
            for number, tool in enumerate(tools):
                mine = [r for r in rows if tool in r["cpu"]]
                times = [r["cpu"][tool] / r["pixels"] * 1e9 for r in mine]
                style = {"color": f"C{number}", "lw": 2.5 if number == 0 else 1.2, "label": tool}
                ax.loglog([size_of(r) for r in mine], times, "o-", **style)
            ax.set_xticks([size_of(r) for r in rows], [f"{size_of(r):g}" for r in rows])
            ax.minorticks_off()
            ax.set(title=TITLES[task] if name == "diameter" else "", xlabel=xlabel)
            ax.grid(which="major", alpha=0.3)
        row_of_axes[0].set_ylabel("ns per foreground pixel")
    axes[0, 0].legend(fontsize=8)
    figure.savefig(file, dpi=90)


def size_of(row: dict[str, Any]) -> float:
    """The pixels in the name of a case."""
    return float(row["case"].split()[0])


def read(file: str) -> np.ndarray:
    """A label image."""
    from flowseg import io

    return io.read_masks(file)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="Python of an environment with other tools")
    parser.add_argument("--images", nargs="*", default=[], help="label images")
    parser.add_argument("--largest", type=int, default=SIDES[-1], help="largest side of a drawn image (default: 8192)")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds after which a tool leaves a series")
    parser.add_argument("--json", help="where to keep the times")
    parser.add_argument("--figure", help="where to draw them")
    parser.add_argument("--redraw", action="store_true", help="only draw what the JSON file holds")
    options = parser.parse_args()
    if options.redraw:
        draw(json.loads(Path(options.json).read_text())["results"], options.figure)
        return
    bench = Bench(find_tools(options.python), options.budget)
    print("tools:", ", ".join(bench.tools))
    diameters = [(f"{d} px", lambda d=d: disks(4 * (d + 10), d, d + 10)) for d in DIAMETERS]
    sides = [(f"{n} px", lambda n=n: disks(n, 20, 30)) for n in SIDES if n <= options.largest]
    bench.measure("images", [(Path(f).stem, lambda f=f: read(f)) for f in options.images], grows=False)
    bench.measure("diameter", diameters, grows=True)
    bench.measure("side", sides, grows=True)
    if options.json:
        Path(options.json).write_text(json.dumps({"tools": list(bench.tools), "results": bench.results}, indent=1))
    if options.figure:
        draw(bench.results, options.figure)


if __name__ == "__main__":
    main()
