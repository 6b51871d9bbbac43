"""From the graphs of all blocks to objects: the same that the whole image has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flowseg import _diffusion
from flowseg._flows.joining import Borders, join_borders
from flowseg.blockwise._objects.flow_graph import BlockGraph
from flowseg.blockwise._objects.windows import ReadFragments
from flowseg.blockwise._regions import BlockGrid, Triple

# A key is the number of a block, and in its lower bits that of a fragment in it.
KEY_BITS = 32
KEY_MASK = (1 << KEY_BITS) - 1

# Label images of fragments, memory maps, that are held at a time. Source: chosen; each is an open file.
MAX_HELD = 32


@dataclass(frozen=True)
class Objects:
    """Objects 1..n in raster order of their first pixels. Entry k of an array is that of object k + 1."""

    of_fragment: NDArray[np.int32]  # object of every fragment, 0: none; entry 0 stands for the background
    offsets: NDArray[np.int64]  # (n_blocks + 1,): fragment k of block b is entry offsets[b] + k of `of_fragment`
    sizes: NDArray[np.int64]
    logits: NDArray[np.int64]
    firsts: NDArray[np.int64]
    boxes: NDArray[np.int64]  # (n, 6)

    @property
    def n(self) -> int:
        """Number of objects."""
        return self.sizes.size

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the fields by name, for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def of_block(self, index: int) -> NDArray[np.int32]:
        """Return the object of fragment 0, 1, ... of a block."""
        part = self.of_fragment[self.offsets[index] + 1 : self.offsets[index + 1] + 1]
        return np.concatenate([np.zeros(1, dtype=np.int32), part])

    def touches_border(self, shape: Triple) -> NDArray[np.bool_]:
        """Return which objects reach the border of an image, along axes of more than one pixel."""
        at_border = (self.boxes[:, :3] == 0) | (self.boxes[:, 3:] == np.array(shape))
        return np.asarray((at_border & (np.array(shape) > 1)).any(axis=1))


@dataclass
class _Fragments:
    """Fragments 1..n of all blocks."""

    offsets: NDArray[np.int64]
    basin: NDArray[np.int32]  # smallest fragment of the basin
    squares: NDArray[np.int64]
    sizes: NDArray[np.int64]
    logits: NDArray[np.int64]
    firsts: NDArray[np.int64]
    boxes: NDArray[np.int64]


@dataclass(frozen=True)
class _Contacts:
    """Pairs of fragments that touch; contact at corners has no faces."""

    pairs: NDArray[np.int32]  # (2, n)
    n_faces: NDArray[np.int64]
    agreement: NDArray[np.int64]
    convergence: NDArray[np.int64]


def merge_blocks(
    graphs: Iterable[BlockGraph], grid: BlockGrid, min_size: int, read_fragments: ReadFragments
) -> Objects:
    """Return the objects of at least ``min_size`` pixels, before the flow check.

    Graphs are taken one by one, in the order of blocks. Of a pixel that is named in place of its fragment, the fragment
    is looked up in its block.
    """
    fragments, contacts = _collect(graphs, grid, read_fragments)
    joined = _join(fragments, contacts)
    component = _unite(contacts.pairs[:, joined[contacts.pairs[0]] == joined[contacts.pairs[1]]], joined.size)
    owner = _keep_largest(component, joined, fragments, contacts)
    return _number(owner, fragments, min_size)


def _collect(
    graphs: Iterable[BlockGraph], grid: BlockGrid, read_fragments: ReadFragments
) -> tuple[_Fragments, _Contacts]:
    find = _Finder(grid, read_fragments)
    # Entry 0 stands for the background.
    columns = {name: [np.zeros(1, dtype=np.int64)] for name in ("squares", "sizes", "logits", "firsts")}
    boxes, counts = [np.zeros((1, 6), dtype=np.int64)], [0]
    links: list[NDArray[np.int64]] = []
    contacts: list[NDArray[np.int64]] = []
    for b, graph in enumerate(graphs):
        counts.append(graph.sizes.size)
        for name, column in columns.items():
            column.append(getattr(graph, name))
        boxes.append(graph.boxes)
        links.extend(_links(graph, b, find))
        contacts.append(_contacts(graph, b, find))
    offsets = np.cumsum(counts).astype(np.int64)
    basin = _unite(_number_keys(links, offsets), int(offsets[-1]) + 1)
    pairs = _number_keys([part[:2] for part in contacts], offsets)
    sums = np.concatenate([part[2:] for part in contacts], axis=1)
    joined = {name: np.concatenate(column) for name, column in columns.items()}
    return _Fragments(offsets, basin, boxes=np.concatenate(boxes), **joined), _Contacts(pairs, *sums)


def _number_keys(keys: list[NDArray[np.int64]], offsets: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the numbers of fragments, given as keys of block and fragment."""
    parts = [(offsets[part >> KEY_BITS] + (part & KEY_MASK)).astype(np.int32) for part in keys]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


class _Finder:
    """Finds the key of the fragment that a pixel near the edge of a block belongs to."""

    def __init__(self, grid: BlockGrid, read_fragments: ReadFragments) -> None:
        self.grid, self.fragments = grid, lru_cache(MAX_HELD)(read_fragments)

    def __call__(self, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        at = self.grid.unravel(pixels)
        block = self.grid.block_of(at)
        found = np.empty(pixels.size, dtype=np.int64)
        for b in np.unique(block).tolist():
            mine = block == b
            inside = at[:, mine] - np.array(self.grid[b].start)[:, np.newaxis]
            found[mine] = self.fragments(b)[tuple(inside)]
        found += block << KEY_BITS
        return found


def _links(graph: BlockGraph, block: int, find: _Finder) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of fragments, as keys, that belong to one basin."""
    fragment = (block << KEY_BITS) + 1 + np.arange(graph.sizes.size)
    _, first, index = np.unique(graph.basins, return_index=True, return_inverse=True)
    yield np.stack([fragment, fragment[first][index]])
    leaves = np.flatnonzero(graph.exits >= 0)
    yield np.stack([fragment[leaves], find(graph.exits[leaves])])


def _contacts(graph: BlockGraph, block: int, find: _Finder) -> NDArray[np.int64]:
    """Return the contacts that a block reports, each pair of fragments once: two keys and three sums."""
    faces = _resolve(graph.face_first, graph.face_second, block, find)
    corners = _resolve(graph.corner_first, graph.corner_second, block, find)
    keys = np.concatenate([faces, corners], axis=1)
    sums = np.zeros((3, keys.shape[1]), dtype=np.int64)
    sums[:, : faces.shape[1]] = graph.n_faces, graph.agreement, graph.convergence
    order = np.lexsort(keys[::-1])
    keys, sums = keys[:, order], sums[:, order]
    is_first = np.ones(order.size, dtype=bool)
    is_first[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    starts = np.flatnonzero(is_first)
    if not starts.size:
        return np.zeros((5, 0), dtype=np.int64)
    return np.concatenate([keys[:, starts], np.add.reduceat(sums, starts, axis=1)])


def _resolve(first: NDArray[np.int32], second: NDArray[np.int64], block: int, find: _Finder) -> NDArray[np.int64]:
    other = second + (block << KEY_BITS)
    away = second < 0
    other[away] = find(-1 - second[away])
    return np.stack([first.astype(np.int64) + (block << KEY_BITS), other])


def _unite(pairs: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Return the smallest number that each of 0..n - 1 is connected with by pairs."""
    parent = np.arange(n, dtype=np.int32)
    _diffusion.unite_pairs(np.ascontiguousarray(pairs), parent)
    return parent


def _join(fragments: _Fragments, contacts: _Contacts) -> NDArray[np.int32]:
    """Return a number for the object, before it is cut into components, that each fragment belongs to."""
    basin = fragments.basin
    roots, number = np.unique(basin, return_inverse=True)  # entry 0 is the background
    totals = np.stack([_sum_by(number, values, roots.size) for values in (fragments.squares, fragments.sizes)], axis=1)
    pairs = number[contacts.pairs].astype(np.int32)
    border = (contacts.n_faces > 0) & (pairs[0] != pairs[1])
    sums = np.stack([contacts.n_faces[border], contacts.agreement[border], contacts.convergence[border]], axis=1)
    return join_borders(Borders(np.ascontiguousarray(pairs[:, border].T), sums, totals))[number]


def _sum_by(number: NDArray[np.intp], values: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return exact sums of whole numbers."""
    order = np.argsort(number, kind="stable")
    starts = np.searchsorted(number[order], np.arange(n))
    return np.add.reduceat(values[order], starts) if n else np.zeros(0, dtype=np.int64)


def _keep_largest(
    component: NDArray[np.int32], joined: NDArray[np.int32], fragments: _Fragments, contacts: _Contacts
) -> NDArray[np.int32]:
    """Return the component, by its number, that each fragment goes to; 0: none.

    Of every object the largest component stays, of equals the first in raster order. The others go to the one that
    they share most faces with, of equals to the first, or nowhere: as in `_flows.cleanup`.
    """
    roots, number = np.unique(component, return_inverse=True)
    n = roots.size
    sizes = _sum_by(number, fragments.sizes, n)
    firsts = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(firsts, number, fragments.firsts)
    label = joined[roots]
    order = np.lexsort((-firsts, sizes, label))
    main = np.zeros(n, dtype=bool)
    main[order[np.append(np.diff(label[order]) != 0, True)]] = True
    goes_to = np.where(main, np.arange(n), -1)
    pairs = number[contacts.pairs]
    pairs = np.concatenate([pairs, pairs[::-1]], axis=1)
    counts = np.tile(contacts.n_faces, 2)
    touch = ~main[pairs[0]] & main[pairs[1]] & (counts > 0)
    if touch.any():
        keys, index = np.unique(pairs[0, touch] * n + pairs[1, touch], return_inverse=True)
        total = np.bincount(index, counts[touch])
        stray, kept = keys // n, keys % n
        best = np.lexsort((firsts[kept], -total, stray))
        first = np.unique(stray[best], return_index=True)[1]
        goes_to[stray[best[first]]] = kept[best[first]]
    owner = goes_to[number]
    owner[0] = -1
    return np.asarray(owner + 1, dtype=np.int32)


def _number(owner: NDArray[np.int32], fragments: _Fragments, min_size: int) -> Objects:
    """Number the objects that are large enough 1..n in raster order of first pixels."""
    roots, number = np.unique(np.append(owner, 0), return_inverse=True)  # 0 is there: no object
    number = number[:-1]
    n = roots.size
    member = owner > 0
    sizes, logits = (
        _sum_by(number[member], values[member], n) if member.any() else np.zeros(n, dtype=np.int64)
        for values in (fragments.sizes, fragments.logits)
    )
    firsts = np.full(n, np.iinfo(np.int64).max)
    low, high = np.full((n, 3), np.iinfo(np.int64).max), np.zeros((n, 3), dtype=np.int64)
    np.minimum.at(firsts, number[member], fragments.firsts[member])
    np.minimum.at(low, number[member], fragments.boxes[member, :3])
    np.maximum.at(high, number[member], fragments.boxes[member, 3:])
    keep = np.flatnonzero((sizes >= max(min_size, 1)) & (roots > 0))
    keep = keep[np.argsort(firsts[keep])]
    table = np.zeros(n, dtype=np.int32)
    table[keep] = np.arange(1, keep.size + 1)
    boxes = np.concatenate([low, high], axis=1)[keep]
    return Objects(table[number], fragments.offsets, sizes[keep], logits[keep], firsts[keep], boxes)
