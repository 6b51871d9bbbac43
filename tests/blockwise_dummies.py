"""Stages of a run that compute next to nothing, for tests of what does their tasks.

Every task appends a line to ``../log/STAGE-INDEX`` when it begins and when it has ended.
"""

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowseg.blockwise._runs.plan import ImageIdentity, Plan

PLAN = Plan(
    image=ImageIdentity("/images/a.zarr", (70, 90), "uint16", "abc"),
    output="/images/out.zarr",
    kind="FlowSegmenter",
    model="1234567890abcdef",
    settings=(("min_size", 5), ("normalize", ("percentiles", 1.0, 99.0)), ("flow_threshold", None)),
    block_size=10,
)


def with_settings(**settings):
    return replace(PLAN, settings=tuple(sorted((dict(PLAN.settings) | settings).items())))


def _note(job, name, index, word):
    folder = job.folder.parent / "log"
    folder.mkdir(exist_ok=True)
    with open(folder / f"{name}-{index}", "a", encoding="ascii") as file:
        file.write(f"{word} {os.getpid()}\n")


class Dummy:
    """What all these stages do. Settings of the plan make tasks slow, fail, or kill their process."""

    uses_network = False

    def count(self, job):
        return job.plan.n_blocks

    def run(self, job, index):
        settings = dict(job.plan.settings)
        _note(job, self.name, index, "begun")
        time.sleep(settings.get("seconds", 0))
        here = f"{self.name} {index}"
        if settings.get("fails") == here:
            raise ValueError("cellprob must be finite; got NaN.")
        if settings.get("runs_out") == here:
            raise MemoryError("there is not enough memory.")
        if settings.get("kills_always") == here:
            os.kill(os.getpid(), signal.SIGKILL)
        if settings.get("kills_once") == here:
            flag = job.folder.parent / "killed"
            if not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        self.make(job, index)
        _note(job, self.name, index, "done")


class Numbers(Dummy):
    name = "numbers"
    uses_network = True

    def make(self, job, index):
        offset = job.keep("offset", lambda: 7)
        large = np.arange(60, dtype=np.float32).reshape(6, 10) + index
        job.write_record("numbers", index, {"sum": np.array([index + offset])}, {"large": large})


class Total(Dummy):
    name = "total"

    def count(self, job):
        return 1

    def make(self, job, index):
        total = sum(int(job.read_record("numbers", k)["sum"][0]) for k in range(job.plan.n_blocks))
        job.write_record("total", 0, {"total": np.array(total), "odd": np.arange(job.plan.n_blocks)[1::2]})


class Pairs(Dummy):
    """One task per odd block: how many there are is in a record."""

    name = "pairs"

    def count(self, job):
        return len(job.read_record("total", 0)["odd"])

    def make(self, job, index):
        odd = int(job.read_record("total", 0)["odd"][index])
        values = job.read_large("numbers", odd, "large") + job.read_large("numbers", odd - 1, "large")
        job.write_record("pairs", index, {"mean": values.mean(axis=0), "name": np.array("pair")})


STAGES = (Numbers(), Total(), Pairs())


def stages_of(plan):
    return STAGES


def contents(folder):
    """Bytes of all records of a work folder by path."""
    files = (file for stage in STAGES for file in (Path(folder) / stage.name).glob("[!.]*"))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def counts(folder):
    """How often each task has ended."""
    log = Path(folder).parent / "log"
    return {file.name: file.read_text().count("done") for file in log.iterdir()} if log.is_dir() else {}


# A whole run in a process of its own, which tests kill: arguments are the top folder and the number of workers.
RUN = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from pathlib import Path
import blockwise_dummies as dummies
from flowseg.blockwise._runs.job import holding_job, work_folder_of
from flowseg.blockwise._runs.run import run_stages
top = Path(sys.argv[2])
with holding_job(work_folder_of(top / "out.zarr"), dummies.with_settings(seconds=float(sys.argv[4])), resume=True) as job:
    run_stages(job, dummies.stages_of, workers=int(sys.argv[3]))
"""
# One part of a run that is planned: arguments are the top folder, the part, the number of parts and the timeout.
PART = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from pathlib import Path
import blockwise_dummies as dummies
from flowseg.blockwise._runs.job import open_job, work_folder_of
from flowseg.blockwise._runs.runners.parts import run_stages_of_part
part, n_parts, timeout = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
job = open_job(work_folder_of(Path(sys.argv[2]) / "out.zarr"))
run_stages_of_part(job, dummies.stages_of, part, n_parts, timeout=timeout)
"""


def words(code, *arguments):
    """The command line of one of these programs, which imports from the same places as this process."""
    return [sys.executable, "-c", code, json.dumps(sys.path), *map(str, arguments)]
