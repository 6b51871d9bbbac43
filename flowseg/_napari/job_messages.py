"""Messages between viewer and worker process: jobs as one line of JSON, arrays as files without pickles."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flowseg._segmenters.inputs import Diameter
from flowseg._segmenters.learned_decoding.thresholds import Thresholds


@dataclass(frozen=True)
class DecodeJob:
    """Decode outputs of the network that were kept."""

    folder: str  # for the job's files
    images: tuple[str, ...]  # their names in the viewer; '' for a single image
    ndim: int  # axes of an image: 2 of planes, 3 of volumes
    mode: str  # of `predict_volume`, for a model of planes and volumes; '' otherwise
    model: str  # file
    thresholds: Thresholds
    outputs_folder: str  # outlives the job

    def outputs(self, k: int) -> Path:
        """File of the network's outputs for an image, and of the factor that it was scaled by."""
        return Path(self.outputs_folder) / f"outputs_{k}.safetensors"

    def result(self, k: int) -> Path:
        """File of the results of an image: masks, columns about the objects, and flows as colors."""
        return Path(self.folder) / f"result_{k}.safetensors"


@dataclass(frozen=True)
class SegmentJob(DecodeJob):
    """Segment images one by one, and keep the network's outputs."""

    diameter: Diameter  # as for `FlowSegmenter.predict`
    spacing: tuple[float, ...] | None  # the same
    with_flows: bool

    def image(self, k: int) -> Path:
        """File of an image (.npy)."""
        return Path(self.folder) / f"image_{k}.npy"


@dataclass(frozen=True)
class TrainJob:
    """Train on pairs of images and masks."""

    folder: str
    spacings: tuple[tuple[float, ...] | None, ...]  # one for each pair
    ndim: int  # axes of an image: 2 of planes, 3 of volumes
    n_channels: int
    start: str  # a model file, or one of `NEW_NETWORKS`
    epochs: int

    @property
    def n_pairs(self) -> int:
        """Number of pairs."""
        return len(self.spacings)

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


@dataclass(frozen=True)
class SuggestJob:
    """Look at images to find out what to annotate next."""

    folder: str
    n_images: int
    model: str  # file
    box_size: int | None  # as for `suggest`
    boxes_per_image: int  # the same

    def image(self, k: int) -> Path:
        """File of an image (.npy)."""
        return Path(self.folder) / f"image_{k}.npy"

    @property
    def result(self) -> Path:
        """File of the boxes of all images, in the order to annotate them in."""
        return Path(self.folder) / "boxes.safetensors"


Job = SegmentJob | DecodeJob | TrainJob | SuggestJob

# What a training can start from, apart from models: networks with new weights.
NEW_NETWORK = "a new network"
SMALL_NETWORK = "a new network, small and fast"
NEW_NETWORKS = (NEW_NETWORK, SMALL_NETWORK)


def write_job(job: Job) -> str:
    """Return a job as a line."""
    return json.dumps({"task": type(job).__name__, "job": asdict(job)})


def read_job(line: str) -> Job:
    """Return the job of a line."""
    document = json.loads(line)
    kinds: dict[str, type[Job]] = {kind.__name__: kind for kind in (SegmentJob, DecodeJob, TrainJob, SuggestJob)}
    values = document["job"]
    values |= {name: _as_tuple(values[name]) for name in ("images", "spacing", "spacings") if name in values}
    if "thresholds" in values:
        values["thresholds"] = Thresholds(**values["thresholds"])
    return kinds[document["task"]](**values)


def _as_tuple(value: Any) -> Any:
    """Return lists, also nested ones, as tuples."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Message:
    """A message of the worker process about its job."""

    kind: str  # "progress", "warning", "failed" or "done"
    text: str = ""
    n_done: int = 0
    n_all: int = 0  # 0: not known
    file: str = ""  # of the trained model, at the end of a training

    def line(self) -> str:
        """Return the line to send."""
        return json.dumps(asdict(self))


def read_message(line: str) -> Message:
    """Return the message of a line."""
    document: dict[str, Any] = json.loads(line)
    return Message(**document)
