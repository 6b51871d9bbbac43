"""Look at the images of ``flowseg suggest`` one by one, and write the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from flowseg._suggest.examine import Examination, Examined
from flowseg._suggest.suggestion import Suggestion
from flowseg._system.bars import bar
from flowseg.cli._batch.file_stream import Failure, Stages, stream_files
from flowseg.cli._batch.input_snapshots import Snapshot, take_snapshot
from flowseg.cli._batch.output_folder import remove_result
from flowseg.cli._shared.errors import FAULTS, sentence_of
from flowseg.cli._shared.image_reading import Reading
from flowseg.cli._shared.models import check_channels
from flowseg.cli._suggestion.result_files import ENDINGS, TABLE, remove_unfinished, write_files, write_order

if TYPE_CHECKING:
    from flowseg import BoundarySegmenter, FlowSegmenter


class Search:
    """The stages of a file, and what was found in all of them.

    Parameters
    ----------
    segmenter : FlowSegmenter or BoundarySegmenter
        The model.
    examination : Examination
        Looks at images by it.
    reading : Reading
        How images are read.
    """

    def __init__(
        self, segmenter: FlowSegmenter | BoundarySegmenter, examination: Examination, reading: Reading
    ) -> None:
        self._segmenter, self._examination, self._reading = segmenter, examination, reading
        self._examined: dict[Path, Examined] = {}
        self._snapshots: dict[Path, Snapshot] = {}
        self.n_files = 0
        self.failures: list[tuple[str, str]] = []
        self.files: list[Path] = []  # those that were looked at
        self.order: list[Suggestion] = []
        self.written: dict[Path, list[Path]] = {}  # results by image

    def look(self, files: Sequence[Path], n_threads: int) -> list[str]:
        """Look at all files, put them in order, and return remarks."""
        self.n_files = len(files)
        stages = Stages(self._read, self._examination.look, lambda _, examined: examined, self._keep)
        with closing(stream_files(files, stages, n_threads)) as looked:
            for file, result in bar(looked, "looking at images", total=len(files)):
                if isinstance(result, Failure):
                    self.failures.append((str(file), result.reason))
        self.files = [file for file in files if file in self._examined]
        examined = [self._examined[file] for file in self.files]
        self.order = self._examination.order(examined)
        return self._examination.remarks(examined) if examined else []

    def write(self, folder: Path, names: dict[Path, str], earlier: Sequence[Path]) -> None:
        """Write the files of the first images and the table of all; then remove what is left of earlier results.

        Each file replaces an earlier one of its name in one step, so that an interruption leaves one or the other. If
        an image fails, its earlier results that were not replaced stay.
        """
        remove_unfinished(folder, names.values())
        failed = names.keys() - self._examined.keys()
        for suggestion in self.order[: self._examination.rules.number]:
            file = self.files[suggestion.index]
            try:
                image = self._read(file)
                self._snapshots[file].check()
                size = self._reading.read_pixel_size(file)
                self.written[file] = write_files(folder, names[file], image, size, suggestion)
            except FAULTS as error:
                failed.add(file)
                self.failures.append((str(file), sentence_of(error)))
        written = {str(file) for file in self.written}
        write_order(folder / TABLE, [str(file) for file in self.files], self.order, written)
        current = {folder / TABLE, *chain.from_iterable(self.written.values())}
        current.update(folder / f"{names[file]}{ending}" for file in failed for ending in ENDINGS)
        for path in earlier:
            if path not in current:
                remove_result(path)

    def _read(self, file: Path) -> NDArray[Any]:
        if file.exists():  # if not, the reader has the better sentence
            self._snapshots.setdefault(file, take_snapshot(file))
        self._reading.check_memory(file)
        image = self._reading.read(file, keep_color=self._segmenter.n_channels > 1)
        check_channels(file, image, self._reading.ndim, self._segmenter)
        return image

    def _keep(self, file: Path, examined: Examined) -> int:
        self._examined[file] = examined
        return len(examined.boxes)
