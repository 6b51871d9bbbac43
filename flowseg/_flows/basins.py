"""Which pixels lead to the same place: basins of the flows, and basins that no ridge parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowseg import _diffusion
from flowseg._flows.following import walk
from flowseg._system.parallel import run_parts, split_range
from flowseg._system.threads import check_canceled

# Two basins that touch are one object where the flows on the two sides of their common border agree by more than this,
# on average: mean dot product, in units of the mean squared flow of the basin that has less; or where their directions
# meet by more than this. Where flows pass through they agree by 1. Where two objects touch they part, and networks,
# unsure at such a border, give short flows there: no agreement either.
JOINED_ABOVE = 0.5

# Pairs with this share of the largest agreement or meeting are as clear as the clearest of all.
EQUAL = 0.999

# Room for so many faces between objects before they are counted.
GUESSED_FACES = 65536

# Known pixels that are flooded from in one go, to the end: some hundred nuclei, which fit into the cache together.
KNOWN_PER_CALL = 4096

# To guess the time: pixels per second.
PIXELS_PER_SECOND = 2e7


def find_basins(flows: NDArray[np.float32], state: NDArray[np.int32], n_iter: int | None, workers: int) -> int:
    """Number the pixels that end together 1..n, in place; returns n.

    ``state`` is 0 in the background and -1 in the foreground of an image of three axes. With ``n_iter`` every pixel
    walks so many steps; without, until it settles or comes to where all pixels around are known to end together.
    """
    unknown = np.empty(np.count_nonzero(state), dtype=np.intp)
    if n_iter is not None:
        pixels = unknown[: _diffusion.list_unknown(state, unknown)]
        ends, _ = walk(flows, state, pixels, n_iter, workers)
        state.ravel()[pixels] = numbers = _group(ends, state)
        return int(numbers.max(initial=0))
    pixels, ends = _find_ends(flows, state, unknown, workers)
    numbers = _group(ends, state)
    flat = state.ravel()
    flat[pixels] = numbers
    owner = join_unparted(flows, state, int(numbers.max(initial=0)))
    flat[pixels] = owner[numbers]
    _flood(flows, state, pixels[np.argsort(flat[pixels], kind="stable")], unknown)
    left = unknown[: _diffusion.list_unknown(state, unknown)]
    return _walk_from(left, flows, state, ends, owner, workers)


def _walk_from(
    left: NDArray[np.intp],
    flows: NDArray[np.float32],
    state: NDArray[np.int32],
    ends: NDArray[np.float32],
    owner: NDArray[np.int32],
    workers: int,
) -> int:
    """Follow the flows from the pixels that the flood has left over; returns the largest number of all.

    ``owner`` is the number of the basin for each place at which ``ends`` lie; new places make new basins.
    """
    new_ends, known = walk(flows, state, left, None, workers, look=True)
    flat = state.ravel()
    flat[left] = known
    alone = known == 0
    places = _group(np.concatenate([ends, new_ends[:, alone]], axis=1), state)  # those of `ends` as before
    n = int(places.max(initial=0))
    owner = np.append(owner, np.arange(owner.size, n + 1, dtype=np.int32))
    flat[left[alone]] = owner[places[ends.shape[1] :]]
    return n


def _find_ends(
    flows: NDArray[np.float32], state: NDArray[np.int32], room: NDArray[np.intp], workers: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Pixels where flows meet, those around the places where these end, and where all of them end."""
    meetings = room[: _diffusion.find_meetings(flows, state, room)].copy()
    ends, _ = walk(flows, state, meetings, None, workers)
    places = np.unique(np.ravel_multi_index(tuple(_nearest_pixels(ends, state.shape)), state.shape))
    others = room[: _diffusion.list_around(state, meetings, places, room)].copy()
    more, _ = walk(flows, state, others, None, workers)
    return np.concatenate([meetings, others]), np.concatenate([ends, more], axis=1)


def _flood(
    flows: NDArray[np.float32], state: NDArray[np.int32], known: NDArray[np.intp], queue: NDArray[np.intp]
) -> None:
    found = np.empty(queue.size, dtype=np.int32)

    def work(part: NDArray[np.intp], stop: NDArray[np.int32]) -> int:
        return _diffusion.flood(flows, state, part, queue, found, stop)

    parts = [known[start:stop] for start, stop in split_range(known.size, KNOWN_PER_CALL)]
    run_parts(work, parts, 1, seconds=queue.size / PIXELS_PER_SECOND)


def _nearest_pixels(ends: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.int32]:
    last = np.array(shape, dtype=np.int64).reshape(3, 1) - 1  # float32 rounds up beyond 2 ** 24
    return np.ascontiguousarray(np.minimum(np.rint(ends), last), dtype=np.int32)


def _group(ends: NDArray[np.float32], state: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number end points 1..n by the pixels of ``state`` they lie on."""
    first, numbers = np.empty((2, ends.shape[1]), dtype=np.int32)
    _diffusion.group(_nearest_pixels(ends, state.shape), state, first, numbers)
    return numbers


@dataclass(frozen=True)
class Faces:
    """Faces between pixels of different labels, and the mean squared flow of each label."""

    pairs: NDArray[np.int32]  # (2, n): labels before and after
    agreement: NDArray[np.float64]  # (n,): dot product of the flows on both sides
    meeting: NDArray[np.float64]  # (n,): by how much their directions point at each other
    squares: NDArray[np.float64]  # per label: sum of squared lengths of flows
    sizes: NDArray[np.float64]  # per label: pixels


def list_faces(flows: NDArray[np.float32], labels: NDArray[np.int32], n: int) -> Faces:
    """Compare the flows on both sides of all faces between labels, which are at most n."""
    room = GUESSED_FACES
    while True:
        pairs = np.empty((2, room), dtype=np.int32)
        agreement, meeting = np.empty((2, room))
        squares, sizes = np.zeros((2, n + 1))
        count = _diffusion.list_faces(flows, labels, pairs, agreement, meeting, squares, sizes)
        if count <= room:
            return Faces(pairs[:, :count], agreement[:count], meeting[:count], squares, sizes)
        room = count


def join_unparted(flows: NDArray[np.float32], labels: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """The object, 0..n, that each label belongs to when labels whose flows do not part at their border are joined.

    The pairs most clearly one object are joined first, that is those that are so for both or beyond doubt; then their
    borders with others are taken together.
    """
    faces = list_faces(flows, labels, n)
    lengths = np.stack([faces.squares, faces.sizes])
    pairs, sums = _combine(faces.pairs, np.stack([np.ones(faces.meeting.size), faces.agreement, faces.meeting]))
    together = _togetherness(pairs, sums, lengths)
    rounds = []  # of each, the new number of every label that is left: the last of many rounds have few
    while (one := np.flatnonzero(together > JOINED_ABOVE)).size:
        check_canceled()
        joined = pairs[:, one[_clearest(pairs[:, one], together[one])]]
        changed = np.zeros(lengths.shape[1], dtype=bool)
        changed[joined] = True
        new = changed[pairs].any(axis=0)  # all other pairs are as they were
        number = _number_joined(joined, changed.size)
        rounds.append(number)
        lengths = np.stack([np.bincount(number, row) for row in lengths])
        new_pairs, new_sums = _combine(number[pairs[:, new]], sums[:, new])
        pairs = np.concatenate([number[pairs[:, ~new]], new_pairs], axis=1)
        sums = np.concatenate([sums[:, ~new], new_sums], axis=1)
        together = np.concatenate([together[~new], _togetherness(new_pairs, new_sums, lengths)])
    last = np.arange(lengths.shape[1])
    for number in reversed(rounds):
        last = last[number]
    _, smallest = np.unique(last, return_index=True)
    return smallest.astype(np.int32)[last]


def _number_joined(pairs: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """New numbers of labels 0..n-1 when pairs are joined, in the order of the smallest label of each."""
    parent = np.arange(n, dtype=np.int32)
    _diffusion.connect(np.ascontiguousarray(pairs), parent)
    is_first = parent == np.arange(n)
    return (np.cumsum(is_first, dtype=np.int32) - 1)[parent]


def _togetherness(
    pairs: NDArray[np.int32], sums: NDArray[np.float64], lengths: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How clearly each pair of labels is one object; ``lengths`` holds sums of squared flows and pixels per label."""
    count, agreement, meeting = sums
    usual = lengths[0] / np.maximum(lengths[1], 1.0)
    less = np.maximum(usual[pairs].min(axis=0), np.finfo(np.float64).tiny)
    return np.maximum(agreement / less, meeting) / count


def _clearest(pairs: NDArray[np.int32], together: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pairs that are the clearest of both their labels, or as clear as the clearest of all."""
    best = np.zeros(int(pairs.max()) + 1)
    np.maximum.at(best, pairs.ravel(), np.tile(together, 2))
    return (together == best[pairs].max(axis=0)) | (together >= EQUAL * together.max())


def _combine(pairs: NDArray[np.int32], sums: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """One entry per pair of different labels, the smaller first, with the sums over its faces."""
    apart = pairs[0] != pairs[1]
    first, second = np.sort(pairs[:, apart], axis=0).astype(np.int64)
    keys, index = np.unique(first << 32 | second, return_inverse=True)
    distinct = np.stack([keys >> 32, keys & 0xFFFFFFFF]).astype(np.int32)
    return distinct, np.array([np.bincount(index, row, keys.size) for row in sums[:, apart]])
