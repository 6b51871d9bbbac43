"""Segment an image block by block."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowseg import _checks
from flowseg._segmenters.boundary import BoundarySegmenter
from flowseg._segmenters.flow import FlowSegmenter
from flowseg._segmenters.inputs import Diameter, as_diameters
from flowseg._segmenters.pipeline import Pipeline, pipeline_of
from flowseg.blockwise._job import holding_job, remove_work_folder, start_job, work_folder_of
from flowseg.blockwise._label_stages import complete_labels
from flowseg.blockwise._labels_store import DEFAULT_NAME, create_labels
from flowseg.blockwise._open_source import open_source
from flowseg.blockwise._plan import ImageIdentity, Plan
from flowseg.blockwise._run import run_stages
from flowseg.blockwise._run_data import ESTIMATE, ESTIMATE_BOUNDED, MODEL_NAME
from flowseg.blockwise._saved_specs import IMAGE_NAME, LABELS_NAME, write_spec
from flowseg.blockwise._segmenter_stages import stages_of
from flowseg.blockwise._source import Source, store_copy

if TYPE_CHECKING:
    import zarr

Path_ = str | os.PathLike[str]
Segmenter = FlowSegmenter | BoundarySegmenter

# Side of a block in pixels where none is given: its arrays take some 300 MB.
DEFAULT_BLOCK_SIZE = 2048
# A smaller block has more margin than core.
MIN_BLOCK_SIZE = 64

# Name of the copy of an array that only this process has.
COPY_NAME = "image.npy"


def segment(
    segmenter: Segmenter,
    image: Any,
    output: Path_,
    *,
    block_size: int | None = None,
    diameters: Diameter = None,
    client: Any = None,
    workers: int | None = None,
    resume: bool = False,
) -> zarr.Array:
    """Segment an image of any size, to the same masks as `predict` of the whole image.
    """
    with _Preparation(segmenter, image, output, block_size, diameters) as run:
        with holding_job(run.folder, run.plan, resume=resume, prepare=run.prepare) as job:
            run_stages(job, stages_of, workers=workers, client=client)
            labels = complete_labels(job)
    remove_work_folder(run.folder)
    return labels


def plan(
    segmenter: Segmenter, image: Any, output: Path_, *, block_size: int | None = None, diameters: Diameter = None
) -> Plan:
    """Prepare a run whose parts are done by `run_part`, on any machines that share a file system.
    """
    with _Preparation(segmenter, image, output, block_size, diameters) as run:
        return start_job(run.folder, run.plan, resume=True, prepare=run.prepare).plan


class _Preparation:
    """The plan of a run, and what its work folder holds from the beginning. The model is saved once, to be compared."""

    def __init__(
        self, segmenter: Segmenter, image: Any, output: Path_, block_size: int | None, diameters: Diameter
    ) -> None:
        if not isinstance(segmenter, FlowSegmenter | BoundarySegmenter):
            raise TypeError(
                "segmenter must be a FlowSegmenter or a BoundarySegmenter; got " f"{type(segmenter).__name__}."
            )
        size = _checks.as_integer(
            block_size, "block_size", minimum=MIN_BLOCK_SIZE, none=f"{DEFAULT_BLOCK_SIZE} pixels"
        )
        self.block_size = DEFAULT_BLOCK_SIZE if size is None else size
        self.output = _checks.as_path(output, "output")
        self.folder = work_folder_of(self.output)
        pipeline = pipeline_of(segmenter)
        (self.diameter,) = as_diameters(diameters, 1)
        pipeline.check(self.diameter)
        _check_supported(pipeline)
        self.source = open_source(image, n_channels=pipeline.n_channels)
        self.segmenter, self.pipeline = segmenter, pipeline
        self._saved = tempfile.TemporaryDirectory(prefix="flowseg")

    def __enter__(self) -> _Preparation:
        model = Path(self._saved.name) / MODEL_NAME
        self.segmenter.save(model)
        self.plan = self._make_plan(_digest(model))
        return self

    def __exit__(self, *_: object) -> None:
        self._saved.cleanup()

    def _make_plan(self, digest: str) -> Plan:
        identity = self.source.identity()
        image = ImageIdentity(
            str(identity["location"]), self.source.shape[:2], str(identity["dtype"]), str(identity["digest"])
        )
        how: str | None = None
        if isinstance(self.diameter, str):
            how = ESTIMATE
        elif self.diameter is None and self.pipeline.estimates:
            how = ESTIMATE_BOUNDED
        given = None if self.diameter is None or isinstance(self.diameter, str) else (float(self.diameter),)
        kind = type(self.segmenter).__name__
        return Plan(
            image, os.path.abspath(self.output), kind, digest, (("diameter", how),), self.block_size, given
        )

    def prepare(self, folder: Path) -> None:
        """Put the model and the places of image and output into a work folder."""
        model = Path(self._saved.name) / MODEL_NAME
        (folder / MODEL_NAME).write_bytes(model.read_bytes())
        source: Source = self.source
        if source.spec() is None:
            source = store_copy(source, folder / COPY_NAME)
        write_spec(folder / IMAGE_NAME, source.spec() or {})
        if not (folder / LABELS_NAME).exists():
            store = create_labels(self.output, self.source, self.block_size, name=DEFAULT_NAME)
            write_spec(folder / LABELS_NAME, store.spec())


def _check_supported(pipeline: Pipeline) -> None:
    """Raise for what is not done block by block."""
    n_iter = getattr(pipeline.settings.codec, "n_iter", None)
    if n_iter is not None:
        raise ValueError(f"n_iter must be None to segment block by block, so that pixels go on to a sink; got {n_iter}.")
    if pipeline.fitted.fixed.is_custom:
        raise ValueError(
            "network must be 'unet' or 'resunet' to segment block by block: other processes cannot rebuild a custom "
            "network."
        )


def _digest(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
