"""How outputs become masks block by block: what the decoders of both segmenters have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flowseg._segmenters.learned_decoding.object_table import Table
from flowseg.blockwise._objects.windows import ReadFragments
from flowseg.blockwise._regions import Block, BlockGrid

# The arrays of a record, by name; each has the dtype that it was written with.
Record = dict[str, NDArray[Any]]

# Large arrays of a block, by name.
LargeArrays = dict[str, NDArray[Any]]

# Returns the outputs in a box of the image, shape (rows, columns, n_outputs), of volumes with planes first.
ReadOutputs = Callable[[Block], NDArray[np.float32]]

# Returns the flows in a box of the image, float32, shape (ndim, *box.shape).
ReadFlows = Callable[[Block], NDArray[np.float32]]


class BlockDecoder(Protocol):
    """Decodes an image block by block, to the masks that its codec decodes from the whole image.

    Its methods are the tasks of a run, in this order; their results are records in files. Every method but `merge` and
    `number` looks at one block.
    """

    @property
    def grid(self) -> BlockGrid:
        """The blocks."""

    def find_fragments(self, index: int, read: ReadOutputs) -> tuple[Record, LargeArrays]:
        """Return what lies in a block, and its large arrays: "fragments", a label image, and perhaps "flows"."""

    def merge(self, records: Iterable[Record], fragments: ReadFragments) -> Record:
        """Return the objects of the image from what lies in all blocks, in their order."""

    @property
    def needs_check(self) -> bool:
        """Whether objects have to be looked at before they are numbered."""

    def check(self, merged: Record, index: int, fragments: ReadFragments, flows: ReadFlows) -> Record:
        """Return what decides whether the objects of a block stay."""

    def number(self, merged: Record, checks: Sequence[Record]) -> tuple[Record, Table]:
        """Return the final labels of the objects, and a table of the objects that stay."""

    def label(self, merged: Record, numbers: Record, index: int, fragments: ReadFragments) -> NDArray[np.int32]:
        """Return the masks in a block."""
