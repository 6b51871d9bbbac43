"""Outputs of the network for the images that were segmented last, kept to decode them with other thresholds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from napari.layers import Image

from flowseg._napari.image_kinds import Index, image_name
from flowseg._napari.job_messages import DecodeJob
from flowseg._napari.model_info import Model
from flowseg._napari.result_layers import ResultLayer
from flowseg._napari.ways import Way
from flowseg._napari.worker_process import WorkerProcess
from flowseg._segmenters.inputs import Diameter
from flowseg._segmenters.learned_decoding.thresholds import Thresholds


@dataclass(frozen=True)
class Request:
    """A layer, the planes or volumes of it, and what to segment them with."""

    layer: Image
    indices: tuple[Index, ...]
    model: Model
    diameter: Diameter
    spacing: tuple[float, ...] | None
    way: Way

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images in the viewer."""
        return tuple(image_name(index, self.way.ndim) for index in self.indices)

    def is_like(self, other: Request) -> bool:
        """Return whether another request is for images of the same layer, segmented in the same way."""
        return self == replace(other, indices=self.indices, way=replace(other.way, is_every=self.way.is_every))


@dataclass
class KeptRun:
    """One run of the network, with the masks of the last decoding."""

    request: Request
    result: ResultLayer
    thresholds: Thresholds


class KeptOutputs:
    """Outputs of one run, in files; those of the previous run are removed.

    Parameters
    ----------
    worker : WorkerProcess
        Decodes them, and provides a folder for them.
    """

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._folder = ""
        self._kept: KeptRun | None = None

    def begin(self) -> str:
        """Return an empty folder for the outputs of another run."""
        self.forget()
        self._folder = self._worker.new_folder()
        return self._folder

    def forget(self) -> None:
        """Remove the outputs."""
        self._kept = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = ""

    def keep(self, request: Request, result: ResultLayer, thresholds: Thresholds) -> None:
        """Keep the request and the result that the outputs belong to."""
        self._kept = KeptRun(request, result, thresholds)
        request.layer.events.data.connect(self._forget_run)

    def _forget_run(self, _: Any) -> None:
        """Forget the run: the image has other pixels now."""
        self._kept = None

    def of(self, request: Request | None) -> KeptRun | None:
        """Return the run of a request, if its outputs are kept."""
        return self._kept if self._kept is not None and self._kept.request == request else None

    def decode(self, kept: KeptRun, thresholds: Thresholds, done: Callable[[DecodeJob], None]) -> None:
        """Decode the outputs with other thresholds."""
        model = str(kept.request.model.path)
        way, folder = kept.request.way, self._worker.new_folder()
        job = DecodeJob(folder, kept.request.names, way.ndim, way.mode, model, thresholds, self._folder)
        kept.thresholds = thresholds  # if it fails, it is not tried again
        self._worker.do(job, lambda _: done(job))
