"""The ranges of statistics in training images, and how far outside an image is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowseg import _checks
from flowseg._segmenters.likeness.statistics import FLOW_LENGTH, MEDIAN, PROBABILITY, SHARE, SIZE, Statistics

# Fewer training images than this describe no range.
LEAST_IMAGES = 3
# One image in this many, at each end of a range, does not count: some training images are odd themselves.
ONE_IN = 25
# An image is unlike if a statistic is outside the range of n training images by more than the least margin, and this
# over the square root of n times the length of the range. Then three to fifty values of a normal distribution have
# limits at about 3.5 standard deviations.
MARGIN = 2.0
# Smallest share of objects that is distinguished from none.
LEAST_SHARE = 1e-3
# The same for the probability of foreground and 1.
LEAST_DOUBT = 1e-3


def _same(value: float) -> float:
    return value


def _log_share(value: float) -> float:
    return math.log(max(value, 0.0) + LEAST_SHARE)


def _log_doubt(value: float) -> float:
    return -math.log(max(1 - value, 0.0) + LEAST_DOUBT)


def _log(value: float) -> float:
    return math.log(max(value, 1e-9))


@dataclass(frozen=True)
class Kind:
    """How values of a statistic are compared and described."""

    scale: Callable[[float], float]  # on which distances mean the same everywhere
    least_margin: float  # on that scale
    sentence: str  # what an image has
    format: Callable[[float], str] = "{:.2f}".format


# Least margins are for ranges of images that are all alike. Source: chosen on validation images of DSB 2018.
KINDS = {
    MEDIAN: Kind(_same, 0.15, "the median of the normalized intensities{where} is {value}"),
    SIZE: Kind(_log, math.log(1.25), "the network sees objects at {value} times the expected diameter"),
    SHARE: Kind(_log_share, math.log(2.0), "objects cover {value} of the pixels", "{:.2%}".format),
    PROBABILITY: Kind(
        _log_doubt, math.log(1.5), "the mean probability of the objects' pixels is {value}", "{:.3f}".format
    ),
    FLOW_LENGTH: Kind(_same, 0.05, "the flows in the objects have a mean length of {value}"),
}


@dataclass(frozen=True)
class Outlier:
    """The statistic of an image that is furthest outside its range."""

    name: str
    value: float
    distance: float  # outside the range, over the margin; an image is unlike those of training above 1

    @property
    def is_unlike(self) -> bool:
        """Whether it is worth a warning."""
        return self.distance > 1


@dataclass(frozen=True)
class Ranges:
    """The range of each statistic in training images."""

    n_images: int
    ends: Mapping[str, tuple[float, float]]

    def find_outlier(self, statistics: Statistics) -> Outlier | None:
        """Return the statistic that is furthest outside its range; None if there is nothing to compare."""
        names = [name for name in self.ends if name in statistics]
        outliers = [Outlier(name, statistics[name], self._distance(name, statistics[name])) for name in names]
        return max(outliers, key=lambda outlier: outlier.distance, default=None)

    def _distance(self, name: str, value: float) -> float:
        kind = KINDS[_split(name)[0]]
        low, high, scaled = (kind.scale(number) for number in (*self.ends[name], value))
        margin = kind.least_margin + MARGIN / math.sqrt(self.n_images) * (high - low)
        return max(low - scaled, scaled - high, 0.0) / margin

    def describe(self, outlier: Outlier) -> str:
        """Return in words what is unusual."""
        base, channel = _split(outlier.name)
        kind = KINDS[base]
        value, low, high = (kind.format(number) for number in (outlier.value, *self.ends[outlier.name]))
        where = f" in channel {channel}" if channel else ""
        return f"{kind.sentence.format(value=value, where=where)} (usual: {low} to {high})"

    def widened(self, other: Ranges | None) -> Ranges:
        """Return ranges that include both."""
        if other is None:
            return self
        ends = dict(self.ends)
        for name, more in other.ends.items():
            known = ends.get(name, more)
            ends[name] = (min(*known, *more), max(*known, *more))
        return Ranges(self.n_images + other.n_images, ends)


def learn_ranges(images: Sequence[Statistics]) -> Ranges | None:
    """Return the range of each statistic that at least `LEAST_IMAGES` images have; None if there is none."""
    ends = {}
    for name in dict.fromkeys(name for statistics in images for name in statistics):
        values = sorted(statistics[name] for statistics in images if name in statistics)
        if len(values) >= LEAST_IMAGES:
            n_odd = len(values) // ONE_IN
            ends[name] = (values[n_odd], values[-1 - n_odd])
    return Ranges(len(images), ends) if ends else None


def difference(first: Statistics, second: Statistics) -> float:
    """Return the largest difference of a statistic of two images, over its least margin; 0 if there is none in both."""
    found = [0.0]
    for name in first.keys() & second.keys():
        kind = KINDS[_split(name)[0]]
        found.append(abs(kind.scale(first[name]) - kind.scale(second[name])) / kind.least_margin)
    return max(found)


def read_ranges(document: Any) -> Ranges | None:
    """Return the ranges in a model file's JSON, checked; None where the file has none."""
    if document is None:
        return None
    is_complete = isinstance(document, dict) and set(document) == {"n_images", "ends"}
    if not is_complete or not isinstance(document["ends"], dict):
        raise ValueError(f"ranges must be an object with n_images and ends; got {document!r}.")
    ends = {}
    for name, pair in document["ends"].items():
        if _split(name)[0] not in KINDS or not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"ranges must be pairs of numbers for {', '.join(KINDS)}; got {pair!r} for {name!r}.")
        low, high = (_checks.as_number(end, f"the range of {name}", low=-math.inf) for end in pair)
        if low > high:
            raise ValueError(f"the range of {name} must not end below its start; got {low:g} and {high:g}.")
        ends[name] = (low, high)
    return Ranges(_checks.as_integer(document["n_images"], "ranges' n_images", minimum=1), ends)


def _split(name: str) -> tuple[str, str]:
    """Return the name of a statistic without its channel, and the channel."""
    base, _, number = name.rstrip("]").partition("[")
    return base, number
