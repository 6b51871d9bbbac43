"""What viewer and child process say to each other: jobs as one line of JSON, arrays as files without pickles."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SegmentJob:
    """Segment the planes of a layer, each on its own."""

    folder: str  # of the job's files
    n_planes: int
    model: str  # file
    diameter: float | str | None  # as for `FlowSegmenter.predict`
    with_flows: bool

    def plane(self, k: int) -> Path:
        """File of an image (.npy)."""
        return Path(self.folder) / f"plane_{k}.npy"

    def result(self, k: int) -> Path:
        """File of what was found in it: masks, columns about the objects, and flows in colours."""
        return Path(self.folder) / f"result_{k}.safetensors"


@dataclass(frozen=True)
class TrainJob:
    """Train on pairs of images and masks."""

    folder: str
    n_pairs: int
    n_channels: int
    start: str  # a model file, or one of `NEW_NETWORKS`
    epochs: int

    def image(self, k: int) -> Path:
        """File of an image (.npy)."""
        return Path(self.folder) / f"image_{k}.npy"

    def masks(self, k: int) -> Path:
        """File of its masks (.npy)."""
        return Path(self.folder) / f"masks_{k}.npy"

    @property
    def model(self) -> Path:
        """File of the trained model."""
        return Path(self.folder) / "model.safetensors"


Job = SegmentJob | TrainJob

# What a training can start from besides models: names of networks with new weights.
NEW_NETWORK = "a new network"
SMALL_NETWORK = "a new network, small and fast"
NEW_NETWORKS = (NEW_NETWORK, SMALL_NETWORK)


def write_job(job: Job) -> str:
    """Give the line that asks for a job."""
    return json.dumps({"task": type(job).__name__, "job": asdict(job)})


def read_job(line: str) -> Job:
    """Give the job that a line asks for."""
    document = json.loads(line)
    kinds: dict[str, type[SegmentJob] | type[TrainJob]] = {kind.__name__: kind for kind in (SegmentJob, TrainJob)}
    return kinds[document["task"]](**document["job"])


@dataclass(frozen=True)
class Told:
    """What the child tells of a job."""

    kind: str  # "progress", "warning", "failed" or "done"
    text: str = ""
    n_done: int = 0
    n_all: int = 0  # 0: nobody knows how long it takes

    def line(self) -> str:
        """Give the line to send."""
        return json.dumps(asdict(self))


def read_told(line: str) -> Told:
    """Give what a line tells."""
    document: dict[str, Any] = json.loads(line)
    return Told(**document)
