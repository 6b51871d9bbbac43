"""The stages of ``flowseg predict``: read an image or volume, run the network, decode its outputs, write results."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.measure import Table, measure
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.inputs import Diameter, is_constant
from flowseg._segmenters.likeness.image_check import ImageCheck
from flowseg._segmenters.pipeline import Pipeline, pipeline_of
from flowseg._segmenters.volumes.segment import PLANES, segment_volume
from flowseg.cli._batch.plan import Task
from flowseg.cli._batch.run_record import Note
from flowseg.cli._prediction.large import LargeImage, LargePrediction
from flowseg.cli._prediction.stacks import Stack, StackMasks, open_stack, segment_stack, write_stack
from flowseg.cli._prediction.volumes import Spacings, check_is_image
from flowseg.cli._shared.image_reading import IMAGE, VOLUME, Reading, Spacing, with_channels
from flowseg.cli._shared.models import check_channels
from flowseg.cli._shared.progress import TileBar
from flowseg.io._results import Result, write_results

if TYPE_CHECKING:
    from flowseg import BoundarySegmenter, FlowSegmenter

TABLES = frozenset({"csv", "parquet"})


@dataclass(frozen=True)
class Loaded:
    """An image with the size of its pixels for results, and its spacing for the network."""

    image: NDArray[Any]
    pixel_size: Spacing | None
    spacing: Spacing | None = None


@dataclass(frozen=True)
class Predicted:
    """An image with the outputs of the network."""

    loaded: Loaded
    outputs: Outputs


@dataclass(frozen=True)
class Prediction:
    """The stages of a file, which holds an image or a stack."""

    segmenter: FlowSegmenter | BoundarySegmenter
    reading: Reading
    diameter: Diameter
    kinds: tuple[str, ...]  # of results
    folder: Path  # output folder
    stack_axis: str  # Z or T: segment every plane along it; '': take one image
    volume: str | None  # how a model of images segments volumes
    notes: dict[str, Note]  # about results, by the name of the task
    large: frozenset[str] = frozenset()  # names of the tasks that are done block by block
    workers: int | None = None
    constant: list[bool] = field(default_factory=list)  # of every image or plane, whether it is constant

    @cached_property
    def pipeline(self) -> Pipeline:
        """The way from images to masks."""
        return pipeline_of(self.segmenter, on_tile=TileBar())

    @cached_property
    def spacings(self) -> Spacings:
        """The spacing of each file."""
        return Spacings(self.pipeline, self.reading)

    def check(self) -> None:
        """Refuse options and kinds of results that are not for the model."""
        self.pipeline.check(self.diameter)
        if "flows" in self.kinds and not self.pipeline.has_flows:
            raise ValueError(f"--also flows is not for a {type(self.segmenter).__name__}, which makes none.")

    @cached_property
    def _block_wise(self) -> LargePrediction:
        return LargePrediction(
            self.segmenter, self.reading, self.diameter, self.kinds, self.folder, self.workers, self.spacings
        )

    def read(self, task: Task) -> Loaded | Stack | LargeImage:
        """Read an image, or open a stack."""
        (file,) = task.sources
        if task.name in self.large:
            return LargeImage(file, task.name)
        if self.stack_axis:
            return open_stack(file, self.reading, self.stack_axis)
        if self.reading.ndim == IMAGE:
            check_is_image(file, self.reading)
        image = self._read(file, self.reading)
        return Loaded(image, self.reading.read_pixel_size(file), self.spacings.of(file, by_planes=bool(self.volume)))

    def _read(self, file: Path, reading: Reading) -> NDArray[Any]:
        reading.check_memory(file)
        image = reading.read(file, keep_color=self.segmenter.n_channels > 1)
        check_channels(file, image, reading.ndim, self.segmenter)
        return image

    def run_network(self, loaded: Loaded | Stack | LargeImage) -> Predicted | Result | StackMasks | LargeImage:
        """Return the outputs of the network; of a stack the masks, as outputs of all planes do not fit in memory.

        Of a volume that a model of images segments the result, whose outputs are those of many planes.
        """
        if isinstance(loaded, LargeImage):
            return self._block_wise.segment(loaded)
        if isinstance(loaded, Stack):
            check = self.pipeline.image_check()
            masks = segment_stack(loaded, partial(self._segment_plane, check))
            return replace(masks, note=_make_note(check))
        return self._predict_volume(loaded) if self.volume else self._predict(loaded)

    def _predict_volume(self, loaded: Loaded) -> Result:
        """Return the masks of a volume by a model of images."""
        found = segment_volume(
            self.pipeline,
            loaded.image,
            spacing=loaded.spacing,
            mode=self.volume or PLANES,
            diameters=self.diameter,
            on_plane=TileBar("planes of this volume", "plane"),
        )
        return Result(found[0], loaded.image, found[1], None, loaded.pixel_size, "ZYX")

    def _predict(self, loaded: Loaded) -> Predicted:
        self.constant.append(is_constant(with_channels(loaded.image, self.reading.ndim)))
        return Predicted(loaded, self.pipeline.run(loaded.image, self.diameter, loaded.spacing))

    def _segment_plane(self, check: ImageCheck, stack: Stack, number: int) -> tuple[NDArray[np.int32], Table | None]:
        """Return the masks of one plane, and the table of its objects if one is to be written."""
        image = self._read(stack.file, stack.reading_of(number))
        predicted = self._predict(Loaded(image, None, self.spacings.of(stack.file)))
        result = self._decode(predicted)
        check.look(image, predicted.outputs, result.masks)
        return result.masks, measure(result.masks, image, result.objects) if TABLES & {*self.kinds} else None

    def make_results(
        self, task: Task, predicted: Predicted | Result | StackMasks | LargeImage
    ) -> Result | StackMasks | LargeImage:
        """Decode the outputs, and note what is suspicious about the results."""
        if isinstance(predicted, LargeImage | Result):
            return predicted
        if isinstance(predicted, StackMasks):
            self.notes[task.name] = predicted.note
            return predicted
        result = self._decode(predicted)
        check = self.pipeline.image_check()
        check.look(result.image, predicted.outputs, result.masks)
        self.notes[task.name] = _make_note(check)
        return result

    def _decode(self, predicted: Predicted) -> Result:
        objects = flows = None
        if TABLES & {*self.kinds}:
            masks, objects = self.pipeline.decode_objects(predicted.outputs)
        else:
            masks = self.pipeline.decode(predicted.outputs)
        if "flows" in self.kinds:
            vectors, cellprob = self.pipeline.flows(predicted.outputs)
            flows = np.concatenate([cellprob[np.newaxis], vectors])
        axes = "ZYX" if self.reading.ndim == VOLUME else None
        return Result(masks, predicted.loaded.image, objects, flows, predicted.loaded.pixel_size, axes)

    def write(self, task: Task, result: Result | StackMasks | LargeImage) -> int:
        """Write all files; return the number of objects."""
        if isinstance(result, LargeImage):
            return self._block_wise.write(result)
        if isinstance(result, StackMasks):
            return write_stack(self.folder, task.name, self.kinds, result)
        write_results(self.folder, task.name, self.kinds, result)
        return int(result.masks.max())


def _make_note(check: ImageCheck) -> Note:
    """Return what is suspicious about a file, of a stack with the numbers of its planes."""
    return Note(" ".join(check.sentences("plane {}".format)), check.statistics)
