"""Train and score flowseg beside other tools: the same images, minutes, cores and scorer; each in its own environment.

python benchmarks/accuracy/run.py DATA --json benchmarks/accuracy/results.json \
    --python flowseg=~/envs/flowseg/bin/python --python stardist=... --python cellpose=...

Jobs that the JSON file holds are not run again, so it goes on where it was stopped; one that fails is named and the
others are run. Each has two cores and no GPU, whatever the machine has. DATA is a folder of sets as `data.SETS` names
them. The environments of the other tools hold what requirements-stardist.txt and requirements-cellpose.txt say.

On a slower or a busy machine a training of flowseg can be repeated by its length instead of its minutes: --epochs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from data import pack, read
from scores import THRESHOLDS, ceiling, score, write_results

import flowseg

HERE = Path(__file__).parent
CORES = 2
# No GPU, and oneDNN for every tool that runs on TensorFlow, also where it is off by default.
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_ENABLE_ONEDNN_OPTS": "1"}
MINUTES = 20.0
CURVE_MINUTES = 5.0
# What each tool reaches on DSB 2018 in short trainings.
SHORT_MINUTES = (3.0, 6.0)
# After which flowseg reaches an AP of 0.75 there, on two cores with AVX2.
FLOWSEG_MINUTES = 10.0
CURVE_IMAGES = (1, 2, 4, 8, 16, 30)  # 30: all but the test set


class Job(NamedTuple):
    """One training."""

    data: str
    tool: str  # which script and environment
    kind: str
    seed: int
    minutes: float

    @property
    def name(self) -> str:
        """Its key in the results."""
        return f"{self.data} | {self.tool} {self.kind} | seed {self.seed} | {self.minutes:g} min"


def list_jobs() -> list[Job]:
    """All that is to be compared, the most wanted first."""
    jobs = []
    for data in ("dsb2018", "aitslab/cells", "aitslab/nuclei"):
        nuclei = "cells" if data.endswith("cells") else "nuclei"
        jobs += [
            Job(data, "flowseg", "flow", 0, MINUTES),
            Job(data, "flowseg", "boundary", 0, MINUTES),
            Job(data, "stardist", "default", 0, MINUTES),
            Job(data, "cellpose", nuclei, 0, MINUTES),
            Job(data, "flowseg", "flow", 1, MINUTES),
            Job(data, "flowseg", "boundary", 1, MINUTES),
        ]
    # Whole cells are larger than what StarDist's network sees at full size.
    jobs.append(Job("aitslab/cells", "stardist", "scaled", 0, MINUTES))
    jobs += [
        Job("dsb2018_histology", "flowseg", kind, seed, MINUTES) for kind in ("flow", "boundary") for seed in (0, 1)
    ]
    tools = (("flowseg", "flow"), ("cellpose", "nuclei"), ("stardist", "default"))
    jobs += [Job("dsb2018", tool, kind, 0, minutes) for minutes in SHORT_MINUTES for tool, kind in tools]
    jobs.append(Job("dsb2018", "flowseg", "flow", 0, FLOWSEG_MINUTES))
    jobs.append(Job("aitslab/nuclei", "flowseg", "flow:nuclei@0", 0, CURVE_MINUTES))  # as it is
    for n in CURVE_IMAGES:
        jobs += [Job("aitslab/nuclei", "flowseg", f"{kind}@{n}", 0, CURVE_MINUTES) for kind in ("flow", "flow:nuclei")]
    return jobs


def run(job: Job, python: str, file: Path, folder: Path, epochs: int | None) -> dict[str, dict[str, Any]]:
    """Train and segment in a process of its own, then score; results by name, one per way of segmenting.

    With ``epochs`` (of flowseg only) the minutes do not count.
    """
    for old in folder.glob("found*.npz"):
        old.unlink()
    output = folder / "found.npz"
    arguments = [str(file), str(output), str(job.minutes), str(job.seed), job.kind]
    arguments += [] if epochs is None else [str(epochs)]
    start = time.time()
    done = subprocess.run(
        [python, str(HERE / f"use_{job.tool}.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | ENVIRONMENT,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    said = {"wall": round(time.time() - start), **json.loads(done.stdout.strip().splitlines()[-1])}
    said |= {} if epochs is None else {"epochs_given": True}
    speeds = said.pop("seconds_per_megapixel")
    results = {}
    for file_found in folder.glob("found*.npz"):  # found.npz, and found WAY.npz
        suffix = file_found.stem.removeprefix("found")
        way, speed = job._replace(kind=job.kind + suffix), {"seconds_per_megapixel": speeds[suffix]}
        with np.load(file_found) as arrays, np.load(file) as packed:
            found = [arrays[name] for name in sorted(arrays.files)]
            results[way.name] = said | speed | score(read(file, "test", "mask"), found, packed["test/groups"])
    return results


def describe_set(file: Path) -> dict[str, Any]:
    """What the test images are, and the score of their true masks, made flows and followed back."""
    true = read(file, "test", "mask")
    with np.load(file) as packed:
        groups = packed["test/groups"]
    sizes = [flowseg.diameters(m) for m in true]
    typical = [round(float(np.median(d)), 1) if d.size else 0.0 for d in sizes]
    return {"groups": groups.tolist(), "diameters": typical, **score(true, ceiling(true), groups)}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the sets")
    parser.add_argument("--json", type=Path, required=True, help="results, kept after every job")
    parser.add_argument("--python", action="append", default=[], metavar="TOOL=PYTHON", help="environment of a tool")
    parser.add_argument("--only", default="", help="run jobs whose name contains this")
    parser.add_argument("--epochs", type=int, help="of flowseg's trainings, whatever the time; no other tool")
    options = parser.parse_args()
    pythons = {name: str(Path(file).expanduser()) for name, file in (p.split("=", 1) for p in options.python)}
    results = json.loads(options.json.read_text()) if options.json.exists() else {}
    if hasattr(os, "sched_setaffinity"):  # what is started from here inherits it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    n_failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for job in list_jobs():
            ceiling_name = f"{job.data} | ceiling"
            wanted = options.only in job.name and job.tool in pythons
            wanted &= options.epochs is None or job.tool == "flowseg"
            if job.name in results or not wanted:
                continue
            file = folder / f"{job.data.replace('/', '_')}.npz"
            try:
                if not file.exists():
                    pack(options.data, job.data, file)
                if ceiling_name not in results:
                    results[ceiling_name] = describe_set(file)
                new = run(job, pythons[job.tool], file, folder, options.epochs)
            except (RuntimeError, OSError) as error:
                n_failed += 1
                print(f"{job.name} failed:\n{error}", file=sys.stderr, flush=True)
                continue
            results |= new
            write_results(results, options.json)
            for name, result in new.items():
                line = "  ".join(f"{v:.3f}" for v in result["pooled"])
                print(f"{name:<60} AP at {THRESHOLDS}: {line}", flush=True)
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
