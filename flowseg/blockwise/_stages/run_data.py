"""What the tasks of a run share: the image, the segmenter, the blocks, and what earlier stages have found."""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flowseg._images import scaled_shape
from flowseg._intensities import Limits
from flowseg._nets.lattice import PixelShape
from flowseg._nets.sizes import SizeSearch
from flowseg._nets.tiles import Grid
from flowseg._segmenters.loading import load_decoder, load_segmenter
from flowseg._segmenters.pipeline import Pipeline, pipeline_of
from flowseg._segmenters.size_estimate import size_search
from flowseg.blockwise._regions import Block, BlockGrid, Slices, with_planes
from flowseg.blockwise._runs.job import Job
from flowseg.blockwise._stages.limits import read_limits
from flowseg.blockwise._stages.tile_outputs import TileOutputs
from flowseg.blockwise._stores.labels import LabelsStore, open_labels
from flowseg.blockwise._stores.open_source import open_spec
from flowseg.blockwise._stores.saved_specs import IMAGE_NAME, LABELS_NAME, read_spec
from flowseg.blockwise._stores.source import Source

if TYPE_CHECKING:
    from flowseg._nets.inference import NetworkRunner

MODEL_NAME = "model.safetensors"

# Value of the setting "diameter" for an estimate without bounds, and for one within the sizes of training.
ESTIMATE, ESTIMATE_BOUNDED = "estimate", "estimate within bounds"


def outputs_stage(pass_number: int) -> str:
    """Return the name of the stage of a pass of the network."""
    return f"outputs-{string.ascii_lowercase[pass_number]}"


def size_stage(pass_number: int) -> str:
    """Return the name of the stage that chooses the size for the pass behind this one."""
    return f"size-{string.ascii_lowercase[pass_number]}"


def check_image(job: Job) -> None:
    """Raise ValueError if the files of the image have changed since the run was planned."""
    source = RunData.of(job).source
    if source.location != job.plan.image.location:  # a copy of an array, in the work folder
        return
    if source.identity()["digest"] != job.plan.image.digest:
        raise ValueError(f"image {source.location} must stay as it is while the run lasts; its files have changed.")


class RunData:
    """The data of one run; everything is read when it is first needed."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.shape = job.plan.image.shape
        self.grid = BlockGrid(with_planes(self.shape), with_planes((job.plan.block_size,) * len(self.shape)))
        self._sizes: dict[int, float | None] = {}
        self._tiles: dict[int, TileOutputs] = {}

    @classmethod
    def of(cls, job: Job) -> RunData:
        """Return the data of a run, the same object for all tasks of a process."""
        return job.keep("run data", lambda: cls(job))

    def place_of(self, box: Block) -> Slices:
        """Return the place of a box along the axes of the image: a grid has three."""
        return box.slices[-len(self.shape) :]

    @cached_property
    def source(self) -> Source:
        """The image."""
        return open_spec(read_spec(self.job.folder / IMAGE_NAME))

    @cached_property
    def labels(self) -> LabelsStore:
        """The output."""
        return open_labels(read_spec(self.job.folder / LABELS_NAME))

    @cached_property
    def pipeline(self) -> Pipeline:
        """The segmenter's way from images to masks, without its network: most tasks need no Keras."""
        return load_decoder(self.job.folder / MODEL_NAME, Grid(*self._setting("grid")))

    @cached_property
    def pixel(self) -> PixelShape:
        """Shape of the pixels of the image."""
        return self.pipeline.fitted.lattice.pixel(self._setting("spacing"))

    @cached_property
    def runner(self) -> NetworkRunner:
        """The network."""
        return pipeline_of(load_segmenter(self.job.folder / MODEL_NAME)).runner

    @cached_property
    def limits(self) -> Limits | None:
        """Intensities that the network sees as 0 and 1; None: the image is constant."""
        return read_limits(self)

    @property
    def estimates(self) -> str | None:
        """How diameters are estimated, if they are: `ESTIMATE` or `ESTIMATE_BOUNDED`."""
        how = self._setting("diameter")
        return how if isinstance(how, str) else None

    @cached_property
    def search(self) -> SizeSearch:
        """The passes of an estimate."""
        return size_search(self.pipeline, self.pixel, bounded=self.estimates == ESTIMATE_BOUNDED)

    def _setting(self, name: str) -> Any:
        return dict(self.job.plan.settings)[name]

    def size_of_pass(self, number: int) -> float | None:
        """Return the diameter of objects that a pass of the network is made for; None: there is no such pass."""
        if number not in self._sizes:
            self._sizes[number] = self._find_size(number)
        return self._sizes[number]

    def _find_size(self, number: int) -> float | None:
        if self.limits is None:
            return None
        if number == 0:
            if self.estimates is not None:
                return self.search.first
            diameters = self.job.plan.diameters
            return self.pipeline.typical_diameter(self.pixel) if diameters is None else diameters[0]
        if self.estimates is None or self.size_of_pass(number - 1) is None:
            return None
        size = float(self.job.read_record(size_stage(number - 1), 0)["size"])
        return None if np.isnan(size) else size

    def factor(self, number: int) -> float:
        """Return the factor that a pass scales the image by."""
        size = self.size_of_pass(number)
        if size is None:
            raise ValueError(f"there is no pass {number}.")
        return self.pipeline.scale_factor(size, "diameters" if number == 0 else "the estimated diameter of an image")

    def factors(self, number: int) -> tuple[float, ...]:
        """Return the factor of a pass along each axis."""
        return self.pixel.factors(self.factor(number))

    def is_scaled(self, number: int) -> bool:
        """Return whether the network sees the image at another size in a pass."""
        return scaled_shape(self.shape, self.factors(number)) != self.shape

    def seen_size(self, number: int) -> float:
        """Return the diameter of objects that a pass sees at the working diameter, as its factor has it."""
        return self.pipeline.fitted.sizes.working / self.factor(number)

    def is_reduced(self, number: int) -> bool:
        """Return whether a pass was made for smaller objects than the one before: then it is the last."""
        size = self.size_of_pass(number)
        return number > 0 and size is not None and self.search.is_last(size, self.seen_size(number - 1))

    def last_pass(self) -> int | None:
        """Return the number of the last pass; None for a constant image."""
        number = None
        while self.size_of_pass(0 if number is None else number + 1) is not None:
            number = 0 if number is None else number + 1
        return number

    def tiles(self, number: int) -> TileOutputs:
        """Return the outputs of a pass."""
        if number not in self._tiles:
            seen = scaled_shape(self.shape, self.factors(number))
            stage = outputs_stage(number)

            def read_tile(index: int) -> NDArray[np.float32]:
                stored = np.asarray(self.job.read_large(stage, index, "outputs"), dtype=np.float32)
                return np.moveaxis(stored, 0, -1)

            codec = self.pipeline.settings.codec
            self._tiles[number] = TileOutputs(seen, self.pipeline.fitted.grid, codec.n_outputs, read_tile)
        return self._tiles[number]

    def outputs_reader(self, number: int) -> Callable[[Block], NDArray[np.float32]]:
        """Return the function that reads the outputs of a pass in a box of the image."""

        def read(box: Block) -> NDArray[np.float32]:
            window = [(part.start, part.stop) for part in self.place_of(box)]
            return self.tiles(number).read(self.shape, window)

        return read
