"""Progress of a command, and advice when it is interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flowseg._system.bars import bar
from flowseg.cli._shared.terminal import print_message

# Up to this number of tiles an image takes seconds: the bar of the files is enough.
FEW_TILES = 8


def make_progress(*, by_lines: bool = True) -> Any:
    """Return a Keras callback that shows the progress of a training."""
    from flowseg._nets.training.progress import ProgressBar

    return ProgressBar(by_lines=by_lines)


@contextmanager
def advising(advice: str) -> Iterator[None]:
    """Print advice if the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        print_message(advice)
        raise


class TileBar:
    """On a terminal, a bar over the tiles of an image that has many of them; called after each tile.

    Parameters
    ----------
    title, unit : str
        What the bar counts.
    """

    def __init__(self, title: str = "tiles of this image", unit: str = "tile") -> None:
        self._title = title
        self._unit = unit
        self._bar: Any = None

    def __call__(self, n_done: int, n_tiles: int) -> None:
        """Count a tile."""
        if n_tiles <= FEW_TILES:
            return
        if n_done == 1:
            self._bar = bar(None, self._title, total=n_tiles, unit=self._unit)
        self._bar.update()
        if n_done == n_tiles:
            self._bar.close()
