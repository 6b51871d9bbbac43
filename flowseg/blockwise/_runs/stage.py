"""Stages of a run: what they are, and which ones a plan has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from flowseg.blockwise._runs.job import Job
from flowseg.blockwise._runs.plan import Plan


class Stage(Protocol):
    """A number of independent tasks, each of which writes one record.

    A task reads the image and the records of earlier stages. It gives the same bytes whenever and wherever it is done,
    and however often. All tasks of a stage are done before the next stage begins.
    """

    @property
    def name(self) -> str:
        """Name of the stage and of its folder: lowercase letters and dashes."""

    @property
    def uses_network(self) -> bool:
        """Whether its tasks run the network, which is quicker on a GPU."""

    def count(self, job: Job) -> int:
        """Return the number of tasks; the records of earlier stages may be read."""

    def run(self, job: Job, index: int) -> None:
        """Do a task, and write its record last."""


# A module's function that returns the stages of a plan, in order; processes and workers import it by its name.
StagesOf = Callable[[Plan], Sequence[Stage]]


def find_stage(stages: Sequence[Stage], name: str) -> Stage:
    """Return the stage of this name."""
    return next(stage for stage in stages if stage.name == name)
