"""Basins: the pixels whose flows lead to one sink, and the joining of basins that belong to one object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowseg import _diffusion
from flowseg._flows.following import find_endpoints
from flowseg._system.parallel import run_parts, split_range
from flowseg._system.threads import check_canceled

# Two basins that touch are joined if their affinity is larger than this (no unit). It is 1 where flows pass through the
# common border, 2 where they point straight at each other, and negative where they part. At a border of two objects
# networks are unsure and predict short flows, which have no affinity either. Source: measured, see
# docs/explanation/flows.rst.
MIN_AFFINITY = 0.5

# Pairs with at least this share of the largest affinity of the image are joined in the same round. Source: chosen, so
# that rounding does not decide which of equal pairs come first.
TIE_FRACTION = 0.999

# Faces between basins that arrays have room for at first. Source: chosen; too few cost a second pass, not results.
INITIAL_FACES = 65536

# Seeds of one call of the flood, in pixels: some hundred nuclei, which fit into the cache together. Source: chosen.
SEEDS_PER_CALL = 4096

# Speed of the flood in pixels per second, to estimate its time. Source: a rough figure for one core; results do not
# depend on it.
PIXELS_PER_SECOND = 2e7


def find_basins(flows: NDArray[np.float32], state: NDArray[np.int32], n_iter: int | None, workers: int) -> int:
    """Replace the foreground in ``state`` by the numbers of basins, 1..n; return n.

    ``state`` is an image of three axes with 0 in the background and -1 in the foreground. With ``n_iter`` every pixel
    takes that many steps. Without, it goes on until it settles or reaches pixels of one basin only.
    """
    unassigned = np.empty(np.count_nonzero(state), dtype=np.intp)
    if n_iter is not None:
        pixels = unassigned[: _diffusion.list_unassigned(state, unassigned)]
        endpoints, _ = find_endpoints(flows, state, pixels, n_iter, workers)
        state.ravel()[pixels] = numbers = number_endpoints(endpoints, state)
        return int(numbers.max(initial=0))
    pixels, endpoints = _follow_from_sinks(flows, state, unassigned, workers)
    numbers = number_endpoints(endpoints, state)
    flat = state.ravel()
    flat[pixels] = numbers
    joined = join_basins(flows, state, int(numbers.max(initial=0)))
    flat[pixels] = joined[numbers]
    _flood(flows, state, pixels[np.argsort(flat[pixels], kind="stable")], unassigned)
    rest = unassigned[: _diffusion.list_unassigned(state, unassigned)]
    return _follow_rest(rest, flows, state, endpoints, joined, workers)


def _follow_rest(
    rest: NDArray[np.intp],
    flows: NDArray[np.float32],
    state: NDArray[np.int32],
    endpoints: NDArray[np.float32],
    joined: NDArray[np.int32],
    workers: int,
) -> int:
    """Assign the pixels ``rest``, which the flood has not reached; return the largest number of a basin.

    ``joined[k]`` is the basin of the pixel on which the endpoints with the number k lie. An endpoint on another pixel
    makes a new basin.
    """
    new_endpoints, basin = find_endpoints(flows, state, rest, None, workers, stop_in_basins=True)
    flat = state.ravel()
    flat[rest] = basin
    is_new = basin == 0
    # `endpoints` come first, so that they get the numbers that they had before.
    numbers = number_endpoints(np.concatenate([endpoints, new_endpoints[:, is_new]], axis=1), state)
    n = int(numbers.max(initial=0))
    joined = np.append(joined, np.arange(joined.size, n + 1, dtype=np.int32))
    flat[rest[is_new]] = joined[numbers[endpoints.shape[1] :]]
    return n


def _follow_from_sinks(
    flows: NDArray[np.float32], state: NDArray[np.int32], room: NDArray[np.intp], workers: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the sinks and the pixels around their endpoints, and the endpoints of all of them."""
    sinks = room[: _diffusion.find_sinks(flows, state, room)].copy()
    endpoints, _ = find_endpoints(flows, state, sinks, None, workers)
    centers = np.unique(np.ravel_multi_index(tuple(_nearest_pixels(endpoints, state.shape)), state.shape))
    others = room[: _diffusion.list_neighbors(state, sinks, centers, room)].copy()
    more, _ = find_endpoints(flows, state, others, None, workers)
    return np.concatenate([sinks, others]), np.concatenate([endpoints, more], axis=1)


def _flood(
    flows: NDArray[np.float32], state: NDArray[np.int32], seeds: NDArray[np.intp], queue: NDArray[np.intp]
) -> None:
    """Grow basins from seeds; ``queue`` needs room for all pixels of the foreground that belong to none."""
    basin = np.empty(queue.size, dtype=np.int32)

    def work(part: NDArray[np.intp], interrupt: NDArray[np.int32]) -> int:
        return _diffusion.flood(flows, state, part, queue, basin, interrupt)

    parts = [seeds[start:stop] for start, stop in split_range(seeds.size, SEEDS_PER_CALL)]
    run_parts(work, parts, 1, seconds=queue.size / PIXELS_PER_SECOND)


def _nearest_pixels(endpoints: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Return the pixel nearest to each endpoint, shape (3, n_points)."""
    last = np.array(shape, dtype=np.int64).reshape(3, 1) - 1  # float32 rounds up beyond 2 ** 24
    return np.ascontiguousarray(np.minimum(np.rint(endpoints), last), dtype=np.int32)


def number_endpoints(endpoints: NDArray[np.float32], state: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return numbers 1..n of endpoints by the pixel of ``state`` that they lie on."""
    saved, numbers = np.empty((2, endpoints.shape[1]), dtype=np.int32)
    _diffusion.number_endpoints(_nearest_pixels(endpoints, state.shape), state, saved, numbers)
    return numbers


@dataclass(frozen=True)
class Faces:
    """Faces between pixels of different labels, and sums over the pixels of each label."""

    pairs: NDArray[np.int32]  # (2, n): labels before and after the face
    agreement: NDArray[np.float64]  # (n,): dot product of the flows on its two sides
    convergence: NDArray[np.float64]  # (n,): how much their directions point at each other, from -2 to 2
    squares: NDArray[np.float64]  # per label: sum of the squared lengths of the flows
    sizes: NDArray[np.float64]  # per label: number of pixels


def list_faces(flows: NDArray[np.float32], labels: NDArray[np.int32], n: int) -> Faces:
    """Return the faces between pixels of different labels 1..n."""
    room = INITIAL_FACES
    while True:
        pairs = np.empty((2, room), dtype=np.int32)
        agreement, convergence = np.empty((2, room))
        squares, sizes = np.zeros((2, n + 1))
        count = _diffusion.list_faces(flows, labels, pairs, agreement, convergence, squares, sizes)
        if count <= room:
            return Faces(pairs[:, :count], agreement[:count], convergence[:count], squares, sizes)
        room = count


def join_basins(flows: NDArray[np.float32], labels: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Join labels whose flows do not part at their common border; return the smallest label of each object, by label.

    In every round the pairs of largest affinity are joined. Then their borders with a third label count as one.
    """
    faces = list_faces(flows, labels, n)
    by_label = np.stack([faces.squares, faces.sizes])
    counts = np.ones(faces.agreement.size)
    pairs, sums = _sum_by_pair(faces.pairs, np.stack([counts, faces.agreement, faces.convergence]))
    affinity = _affinity(pairs, sums, by_label)
    rounds = []  # per round, the new number of every label that is left; there are fewer in every round
    while (above := np.flatnonzero(affinity > MIN_AFFINITY)).size:
        check_canceled()
        joined = pairs[:, above[_best_pairs(pairs[:, above], affinity[above])]]
        changed = np.zeros(by_label.shape[1], dtype=bool)
        changed[joined] = True
        new = changed[pairs].any(axis=0)  # all other pairs stay as they are
        number = _renumber_joined(joined, changed.size)
        rounds.append(number)
        by_label = np.stack([np.bincount(number, row) for row in by_label])
        new_pairs, new_sums = _sum_by_pair(number[pairs[:, new]], sums[:, new])
        pairs = np.concatenate([number[pairs[:, ~new]], new_pairs], axis=1)
        sums = np.concatenate([sums[:, ~new], new_sums], axis=1)
        affinity = np.concatenate([affinity[~new], _affinity(new_pairs, new_sums, by_label)])
    last = np.arange(by_label.shape[1])
    for number in reversed(rounds):
        last = last[number]
    _, smallest = np.unique(last, return_index=True)
    return smallest.astype(np.int32)[last]


def _renumber_joined(pairs: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Return new numbers of labels 0..n-1 when pairs are joined, in the order of the smallest labels."""
    parent = np.arange(n, dtype=np.int32)
    _diffusion.unite_pairs(np.ascontiguousarray(pairs), parent)
    is_first = parent == np.arange(n)
    return (np.cumsum(is_first, dtype=np.int32) - 1)[parent]


def _affinity(
    pairs: NDArray[np.int32], sums: NDArray[np.float64], by_label: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the affinity of each pair of labels: its mean agreement or convergence, whichever is larger.

    The agreement is in units of the mean squared flow of the label that has less. ``sums`` holds the number of faces,
    agreement and convergence of each pair, ``by_label`` the squared flows and the number of pixels of each label.
    """
    count, agreement, convergence = sums
    mean = by_label[0] / np.maximum(by_label[1], 1.0)
    lesser = np.maximum(mean[pairs].min(axis=0), np.finfo(np.float64).tiny)
    return np.asarray(np.maximum(agreement / lesser, convergence) / count)


def _best_pairs(pairs: NDArray[np.int32], affinity: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which pairs have the largest affinity of both their labels, or nearly the largest of all pairs."""
    best = np.zeros(int(pairs.max()) + 1)
    np.maximum.at(best, pairs.ravel(), np.tile(affinity, 2))
    return np.asarray((affinity == best[pairs].max(axis=0)) | (affinity >= TIE_FRACTION * affinity.max()))


def _sum_by_pair(pairs: NDArray[np.int32], sums: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return each pair of different labels once, the smaller label first, and the sums over its entries."""
    apart = pairs[0] != pairs[1]
    first, second = np.sort(pairs[:, apart], axis=0).astype(np.int64)
    keys, index = np.unique(first << 32 | second, return_inverse=True)
    distinct = np.stack([keys >> 32, keys & 0xFFFFFFFF]).astype(np.int32)
    return distinct, np.array([np.bincount(index, row, keys.size) for row in sums[:, apart]])
