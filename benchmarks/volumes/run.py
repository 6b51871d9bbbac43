"""Train and score flowseg beside other tools on volumes: the same voxels, seconds, cores and scorer.

python benchmarks/volumes/run.py DATA --json benchmarks/volumes/results.json --models MODELS --seconds 480 \
    --python flowseg=~/envs/flowseg/bin/python --python stardist=... --python cellpose=...

Runs one training after another: each METHOD on each SET, every one a process of its own on two cores and no GPU, and
every prediction one more. What the JSON file holds is not run again, so it goes on where it was stopped; a model in
MODELS is not trained again. A training that fails is named and the others are run. DATA is a folder of the sets that
`data.SETS` names; variations are SET/VARIATION (see `data.find_source`).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from data import SETS, pack
from process import read
from scores import THRESHOLDS, ceiling, score, write_results, write_table

HERE = Path(__file__).parent
CORES = 2
# No GPU, and oneDNN for every tool that runs on TensorFlow, also where it is off by default.
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_ENABLE_ONEDNN_OPTS": "1"}


class Method(NamedTuple):
    """What is trained, and the ways in which it segments a volume."""

    tool: str  # which script and environment
    kind: str
    ways: tuple[str, ...] = ("",)


METHODS = {
    "flow": Method("flowseg", "flow"),
    "boundary": Method("flowseg", "boundary"),
    "stardist": Method("stardist", "default"),
    "stardist_scaled": Method("stardist", "scaled"),
    "planes": Method("flowseg", "planes", ("planes", "stitch")),
    "cellpose": Method("cellpose", "cyto", ("do_3D", "stitch")),
}
CEILING = "ceiling"
STANDARD = [CEILING, "flow", "boundary", "stardist", "planes", "cellpose"]
# How the table calls them, with the way.
NAMES = {
    "flow": "FlowSegmenter(ndim=3)",
    "boundary": "BoundarySegmenter(ndim=3)",
    "stardist": "StarDist 3D",
    "stardist_scaled": "StarDist 3D, planes shrunk",
    "planes": "FlowSegmenter, predict_volume, planes",
    "stitch": "FlowSegmenter, predict_volume, stitch",
    "do_3D": "Cellpose 3, do_3D",
    "cellpose stitch": "Cellpose 3, stitched",
    CEILING: "true masks, through flows and back",
}


class Job(NamedTuple):
    """One training, and where its model is used."""

    set: str
    method: str
    seconds: float
    seed: int
    quick: bool
    test_sets: tuple[str, ...]

    @property
    def training(self) -> str:
        """Name of the training."""
        return f"{self.set} | {self.method} | seed {self.seed} | {self.seconds:g} s{' | quick' * self.quick}"

    def result(self, test_set: str, way: str) -> str:
        """Key in the results."""
        where = "" if test_set == self.set else f" | used on {test_set}"
        return f"{self.training}{f' | {way}' * bool(way)}{where}"

    def title(self, way: str) -> str:
        """Name in the table."""
        key = "cellpose stitch" if (self.method, way) == ("cellpose", "stitch") else way or self.method
        return NAMES[key]


def call(python: str, script: str, *arguments: str) -> dict[str, Any]:
    """Run a step of a tool in a process of its own; what its last line says."""
    done = subprocess.run(
        [python, str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | ENVIRONMENT,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


class Runner:
    """Where everything lies while jobs are run."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options, self.scratch = options, scratch
        pairs = (p.split("=", 1) for p in options.python)
        self.pythons = {name: str(Path(file).expanduser()) for name, file in pairs}
        self.results = json.loads(options.json.read_text()) if options.json.exists() else {}

    def packed(self, name: str) -> Path:
        """File of a set."""
        file = self.scratch / f"{name.replace('/', '_')}.npz"
        if not file.exists():
            pack(self.options.data, name, file, quick=self.options.quick)
        return file

    def keep(self, name: str, result: dict[str, Any]) -> None:
        """Add a result to the file, and print it."""
        self.results[name] = result
        write_results(self.results, self.options.json)
        if self.options.table:
            write_table(self.results, self.options.table)
        line = "  ".join(f"{v:.3f}" for v in result["pooled"])
        print(f"{name:<70} AP at {THRESHOLDS}: {line}", flush=True)

    def run(self, job: Job) -> None:
        """Train if there is no model yet, segment in every way that has no result yet."""
        if job.method == CEILING:
            true = read(str(self.packed(job.set)), "test")[1]
            name = f"{job.set} | {CEILING}{' | quick' * job.quick}"
            if name not in self.results:
                self.keep(name, {"set": job.set, "method": NAMES[CEILING], **score(true, ceiling(true))})
            return
        method = METHODS[job.method]
        missing = [(s, w) for s in job.test_sets for w in self.ways(method) if job.result(s, w) not in self.results]
        if not missing:
            return
        python, script = self.pythons[method.tool], f"use_{method.tool}.py"
        trained = self.train(job, python, script)
        output = self.scratch / "found.npz"
        folder = str(self.model_folder(job))
        for test_set, way in missing:
            file = str(self.packed(test_set))
            said = call(python, script, "predict", file, folder, way, str(output))
            with np.load(output) as arrays:
                found = [arrays[name] for name in sorted(arrays.files)]
            title = {"set": job.set if test_set == job.set else f"{job.set} -> {test_set}", "method": job.title(way)}
            self.keep(job.result(test_set, way), title | trained | said | score(read(file, "test")[1], found))

    def ways(self, method: Method) -> list[str]:
        """Ways of segmenting that are wanted."""
        return [way for way in method.ways if not (way and self.options.way and way not in self.options.way)]

    def model_folder(self, job: Job) -> Path:
        """Where the model of a training is kept."""
        return self.options.models / job.training.replace("/", "_").replace(" | ", "_").replace(" ", "")

    def train(self, job: Job, python: str, script: str) -> dict[str, Any]:
        """What a training said, now or when it was run."""
        folder, method = self.model_folder(job), METHODS[job.method]
        file = folder / "trained.json"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            budget = str(job.seconds), str(job.seed)
            said = call(python, script, "train", str(self.packed(job.set)), str(folder), method.kind, *budget)
            file.write_text(json.dumps(said))
        trained: dict[str, Any] = json.loads(file.read_text())
        return trained


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the sets")
    parser.add_argument("--json", type=Path, required=True, help="results, kept after every prediction")
    parser.add_argument("--table", type=Path, help="the results as CSV")
    parser.add_argument("--models", type=Path, required=True, help="folder for the trained models")
    parser.add_argument("--python", action="append", default=[], metavar="TOOL=PYTHON", help="environment of a tool")
    parser.add_argument("--set", action="append", metavar="SET[/VARIATION]", help="default: all three sets")
    parser.add_argument("--method", action="append", choices=[*METHODS, CEILING], help=f"default: {STANDARD}")
    parser.add_argument("--way", action="append", help="of methods that segment in several ways; default: all")
    parser.add_argument("--seconds", type=float, required=True, help="training time, wall clock")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--also-on", action="append", default=[], metavar="SET/VARIATION", help="test the model there")
    parser.add_argument("--quick", action="store_true", help="small parts of the volumes, to try the scripts")
    return parser.parse_args()


def main() -> None:
    """Run what is missing."""
    options = parse()
    if hasattr(os, "sched_setaffinity"):  # what is started from here inherits it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    n_failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(options, Path(scratch))
        for name in options.set or list(SETS):
            for method in options.method or STANDARD:
                test_sets = (name, *options.also_on)
                job = Job(name, method, options.seconds, options.seed, options.quick, test_sets)
                try:
                    runner.run(job)
                except (RuntimeError, OSError, KeyError) as error:
                    n_failed += 1
                    print(f"{job.training} failed:\n{error!r}".replace("\\n", "\n"), file=sys.stderr, flush=True)
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
