"""How far a run is: a bar per stage on a terminal, else a line now and then."""

from __future__ import annotations

import time
from typing import Any

from flowseg._nets.durations import format_duration
from flowseg._system.bars import bar
from flowseg._system.messages import say

# Seconds between two lines.
INTERVAL = 60.0


class StageProgress:
    """Show on standard error how many blocks of a stage are done.

    Parameters
    ----------
    by_lines : bool
        Whether to write a line at least once a minute, and one per stage, where standard error is no terminal.
    """

    def __init__(self, *, by_lines: bool = False) -> None:
        self.by_lines = by_lines
        self._bar: Any = None
        self._began = self._last = 0.0
        self._stage = ""
        self._total = self._before = self._done = 0

    def begin(self, stage: str, total: int, n_done: int) -> None:
        """Begin a stage, of whose tasks some are done already."""
        self.end()
        self._stage, self._total, self._before, self._done = stage, total, n_done, n_done
        self._began = self._last = time.monotonic()
        self._bar = bar(None, stage, total=total, initial=n_done, unit="block")

    def advance(self) -> None:
        """Count a task."""
        self._done += 1
        self._bar.update()
        if self._bar.disable and self.by_lines and time.monotonic() - self._last > INTERVAL:
            self._last = time.monotonic()
            seconds = (self._last - self._began) / (self._done - self._before)
            left = format_duration(seconds * (self._total - self._done))
            say(f"{self._describe()}, {left} left", aloud=True)

    def end(self) -> None:
        """End a stage."""
        if self._bar is None:
            return
        say(self._describe(), aloud=self._bar.disable and self.by_lines)
        self._bar.close()
        self._bar = None

    def _describe(self) -> str:
        return f"{self._stage}: {self._done} of {self._total} blocks"
