"""What the network said of the planes that were segmented last, to make masks of it again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.layers import Image

from flowseg._napari import layers
from flowseg._napari.jobs import DecodeJob
from flowseg._napari.layers import Index
from flowseg._napari.model_files import Model
from flowseg._napari.process import ChildProcess
from flowseg._napari.results import Result
from flowseg._segmenters.inputs import Diameter
from flowseg._segmenters.learned_decoding.thresholds import Thresholds


@dataclass(frozen=True)
class Request:
    """What to run the network on."""

    image: Image
    planes: tuple[Index, ...]
    model: Model
    diameter: Diameter

    @property
    def names(self) -> tuple[str, ...]:
        """How the viewer numbers the planes."""
        return tuple(layers.plane_name(index) for index in self.planes)


@dataclass
class Kept:
    """One run of the network, and the masks that were made of it last."""

    request: Request
    result: Result
    thresholds: Thresholds


class Outputs:
    """Outputs of one run, in files: those of the run before are removed.

    Parameters
    ----------
    child : ChildProcess
        Decodes them, and gives a folder for them.
    """

    def __init__(self, child: ChildProcess) -> None:
        self._child = child
        self._folder = ""
        self._kept: Kept | None = None

    def begin(self) -> str:
        """Give a folder for the outputs of another run."""
        self.forget()
        self._folder = self._child.new_folder()
        return self._folder

    def forget(self) -> None:
        """Remove the outputs that there are."""
        self._kept = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = ""

    def keep(self, request: Request, result: Result, thresholds: Thresholds) -> None:
        """Note what the outputs are of, and what was made of them."""
        self._kept = Kept(request, result, thresholds)
        request.image.events.data.connect(self._lose)

    def _lose(self, _: Any) -> None:
        """The image has other pixels now."""
        self._kept = None

    def of(self, request: Request | None) -> Kept | None:
        """Give the run that was made for a request, if its outputs are those that were kept."""
        return self._kept if self._kept is not None and self._kept.request == request else None

    def decode(self, kept: Kept, thresholds: Thresholds, done: Callable[[DecodeJob, str], None]) -> None:
        """Have masks made with other thresholds."""
        model = str(kept.request.model.path)
        job = DecodeJob(self._child.new_folder(), kept.request.names, model, thresholds, self._folder)
        kept.thresholds = thresholds  # if it fails, it is not tried again
        self._child.do(job, lambda text: done(job, text))
