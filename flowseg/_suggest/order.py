"""The order in which images are worth annotating."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from flowseg._segmenters.likeness.ranges import difference
from flowseg._segmenters.likeness.statistics import Statistics

# An image further outside the ranges of the training images than this counts no more: from here on it is unlike them,
# and the distance tells little about what there is to learn.
MOST_UNLIKE = 1.0
# An image that is the same as one chosen before counts this much, one that differs by a margin counts in full.
SAME_COUNTS = 0.5


class Seen(NamedTuple):
    """What the order of an image depends on."""

    doubt: float  # expected number of wrong objects in its best box
    distance: float  # outside the ranges of the training images, in margins; NaN if not known
    statistics: Statistics


def order_images(seen: Sequence[Seen], number: int) -> list[tuple[int, float]]:
    """Return the numbers of all images with their priorities, the first to annotate first.

    The priority is the doubt, as a share of the largest, plus the distance, up to `MOST_UNLIKE`. Each of the first
    ``number`` images counts less the more it is like one before; the others follow by their priority.
    """
    largest = max((one.doubt for one in seen), default=0.0)
    priorities = [_priority(one, largest) for one in seen]
    new = [1.0] * len(seen)  # how much an image counts
    left = list(range(len(seen)))
    order: list[int] = []
    while left and len(order) < number:
        first = max(left, key=lambda i: priorities[i] * new[i])  # of equal ones the first
        left.remove(first)
        order.append(first)
        for i in left:
            differs = min(difference(seen[i].statistics, seen[first].statistics), 1.0)
            new[i] = min(new[i], SAME_COUNTS + (1 - SAME_COUNTS) * differs)
    order += sorted(left, key=lambda i: -priorities[i])
    return [(i, priorities[i]) for i in order]


def _priority(seen: Seen, largest: float) -> float:
    distance = 0.0 if math.isnan(seen.distance) else min(seen.distance, MOST_UNLIKE)
    return (seen.doubt / largest if largest > 0 else 0.0) + distance
