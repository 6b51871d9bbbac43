"""From the graphs of all blocks to objects: the same that the whole image has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _diffusion
from flowseg._flows.joining import Borders, join_borders
from flowseg.blockwise._objects.block_graph import BlockGraph
from flowseg.blockwise._regions import BlockGrid


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

    def touches_border(self, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
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


def merge_blocks(graphs: Sequence[BlockGraph], grid: BlockGrid, min_size: int) -> Objects:
    """Return the objects of at least ``min_size`` pixels, before the flow check."""
    fragments, contacts = _collect(graphs, grid)
    joined = _join(fragments, contacts)
    component = _unite(contacts.pairs[:, joined[contacts.pairs[0]] == joined[contacts.pairs[1]]], joined.size)
    owner = _keep_largest(component, joined, fragments, contacts)
    return _number(owner, fragments, min_size)


def _collect(graphs: Sequence[BlockGraph], grid: BlockGrid) -> tuple[_Fragments, _Contacts]:
    offsets = np.concatenate([[0], np.cumsum([graph.sizes.size for graph in graphs])]).astype(np.int64)
    n = int(offsets[-1])
    columns = {name: np.zeros(n + 1, dtype=np.int64) for name in ("squares", "sizes", "logits", "firsts")}
    boxes = np.zeros((n + 1, 6), dtype=np.int64)
    links = [np.zeros((2, 0), dtype=np.int32)]
    contacts: list[tuple[NDArray[Any], ...]] = []
    find = _Finder(graphs, offsets, grid)
    for b, graph in enumerate(graphs):
        part = slice(offsets[b] + 1, offsets[b + 1] + 1)
        for name, column in columns.items():
            column[part] = getattr(graph, name)
        boxes[part] = graph.boxes
        links.extend(_links(graph, int(offsets[b]), find))
        contacts.extend(_contacts(graph, int(offsets[b]), find))
    basin = _unite(np.concatenate(links, axis=1), n + 1)
    pairs, n_faces, agreement, convergence = (np.concatenate(parts, axis=-1) for parts in zip(*contacts, strict=True))
    return (
        _Fragments(offsets, basin, boxes=boxes, **columns),
        _Contacts(np.ascontiguousarray(pairs), n_faces, agreement, convergence),
    )


class _Finder:
    """Finds the fragment that a pixel near the edge of a block belongs to."""

    def __init__(self, graphs: Sequence[BlockGraph], offsets: NDArray[np.int64], grid: BlockGrid) -> None:
        self.graphs, self.offsets, self.grid = graphs, offsets, grid

    def __call__(self, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        block = self.grid.block_of(self.grid.unravel(pixels))
        found = np.empty(pixels.size, dtype=np.int64)
        for b in np.unique(block):
            mine = block == b
            graph = self.graphs[b]
            found[mine] = self.offsets[b] + graph.rim_fragments[np.searchsorted(graph.rim_pixels, pixels[mine])]
        return found


def _links(graph: BlockGraph, offset: int, find: _Finder) -> Iterator[NDArray[np.int32]]:
    """Yield pairs of fragments that belong to one basin."""
    fragment = offset + 1 + np.arange(graph.sizes.size)
    _, first, index = np.unique(graph.basins, return_index=True, return_inverse=True)
    yield np.stack([fragment, fragment[first][index]]).astype(np.int32)
    leaves = np.flatnonzero(graph.exits >= 0)
    yield np.stack([fragment[leaves], find(graph.exits[leaves])]).astype(np.int32)


def _contacts(graph: BlockGraph, offset: int, find: _Finder) -> Iterator[tuple[NDArray[Any], ...]]:
    faces = _resolve(graph.face_first, graph.face_second, offset, find)
    yield faces, graph.n_faces, graph.agreement, graph.convergence
    corners = _resolve(graph.corner_first, graph.corner_second, offset, find)
    none = np.zeros(corners.shape[1], dtype=np.int64)
    yield corners, none, none, none


def _resolve(first: NDArray[np.int32], second: NDArray[np.int64], offset: int, find: _Finder) -> NDArray[np.int32]:
    other = second + offset
    away = second < 0
    other[away] = find(-1 - second[away])
    return np.stack([first + offset, other]).astype(np.int32)


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
