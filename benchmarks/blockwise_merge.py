"""Merge the graphs of blocks of a simulated image of 100,000 x 100,000 pixels and ten million objects.

    python benchmarks/blockwise_merge.py [SIDE [N_OBJECTS [BLOCK_SIZE]]]

Objects are squares that touch their neighbors, so every one has four borders, and blocks cut those at their edges. The
graphs have the size of real ones; only the flows are left out. Prints the size of the graph, time and peak memory.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from flowseg.blockwise._objects.flow_graph import BlockGraph
from flowseg.blockwise._objects.flow_merge import merge_blocks
from flowseg.blockwise._regions import BlockGrid

# Sum over one face in the unit of the kernel: flows that point away from each other.
APART = -(1 << 24)


class Cells:
    """Square objects on a lattice."""

    def __init__(self, side: int, n_objects: int) -> None:
        self.n = round(n_objects**0.5)
        self.edges = np.floor(np.arange(self.n + 1) * side / self.n).astype(np.int64)
        self.centers = (self.edges[:-1] + self.edges[1:]) // 2

    def cut(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the numbers of the cells in start..stop along one axis, and the starts and stops of their parts."""
        first = np.searchsorted(self.edges, start, "right") - 1
        last = np.searchsorted(self.edges, stop, "left")
        cells = np.arange(first, last)
        return cells, np.maximum(self.edges[cells], start), np.minimum(self.edges[cells + 1], stop)


def simulate(grid: BlockGrid, index: int, cells: Cells) -> BlockGraph:
    """Return the graph of one block."""
    block, side = grid[index], grid.shape[1]
    (row, top, bottom), (column, left, right) = (cells.cut(block.start[k], block.stop[k]) for k in (1, 2))
    shape = (row.size, column.size)
    number = np.arange(1, row.size * column.size + 1, dtype=np.int32).reshape(shape)
    heights, widths = np.meshgrid(bottom - top, right - left, indexing="ij")
    at = np.clip(cells.centers[row][:, None], 0, side - 1), np.clip(cells.centers[column][None], 0, side - 1)
    at = np.broadcast_arrays(*at)
    outside = (at[0] < block.start[1]) | (at[0] >= block.stop[1]) | (at[1] < block.start[2]) | (at[1] >= block.stop[2])
    # The part of a cell beside this block: one pixel over the edge that lies towards the center.
    over = [np.clip(a, block.start[k] - 1, block.stop[k]) for k, a in enumerate(at, 1)]
    near_row = np.clip(over[0], top[:, None] - 1, bottom[:, None])
    near_column = np.clip(over[1], left[None] - 1, right[None])
    exits = np.where(outside, near_row * side + near_column, -1)
    firsts, seconds, counts, sums = [], [], [], []

    def add(first: np.ndarray, second: np.ndarray, n_faces: np.ndarray, per_face: int) -> None:
        firsts.append(first.ravel()), seconds.append(second.ravel().astype(np.int64))
        counts.append(n_faces.ravel()), sums.append(n_faces.ravel() * per_face)

    add(number[:-1], number[1:], widths[:-1], APART)
    add(number[:, :-1], number[:, 1:], heights[:, :-1], APART)
    if block.stop[1] < side:
        same = row[-1] == cells.cut(block.stop[1], block.stop[1] + 1)[0][0]
        add(number[-1], -1 - (block.stop[1] * side + left), widths[-1], 1 << 24 if same else APART)
    if block.stop[2] < side:
        same = column[-1] == cells.cut(block.stop[2], block.stop[2] + 1)[0][0]
        add(number[:, -1], -1 - (top * side + block.stop[2]), heights[:, -1], 1 << 24 if same else APART)
    boxes = np.empty((number.size, 6), dtype=np.int64)
    boxes[:, 0], boxes[:, 3] = 0, 1
    for k, (a, b) in enumerate(((top, bottom), (left, right)), 1):
        starts, stops = (edges[:, None] if k == 1 else edges[None] for edges in (a, b))
        boxes[:, k] = np.broadcast_to(starts, shape).ravel()
        boxes[:, k + 3] = np.broadcast_to(stops, shape).ravel()
    sizes = (heights * widths).ravel()
    faces = np.concatenate(counts)
    return BlockGraph(
        basins=number.ravel(), exits=exits.ravel(), sizes=sizes, squares=sizes << 24, logits=sizes << 16,
        firsts=boxes[:, 1] * side + boxes[:, 2], boxes=boxes, face_first=np.concatenate(firsts),
        face_second=np.concatenate(seconds), n_faces=faces, agreement=np.concatenate(sums),
        convergence=np.concatenate(sums), corner_first=np.zeros(0, np.int32), corner_second=np.zeros(0, np.int64),
    )  # fmt: skip


class Fragments:
    """The label image of the fragments of a block, as far as it is looked at: what a memory map is in a run."""

    def __init__(self, grid: BlockGrid, index: int, cells: Cells) -> None:
        block = grid[index]
        self.start = block.start
        (_, _, self.bottom), (_, _, self.right) = (cells.cut(block.start[k], block.stop[k]) for k in (1, 2))

    def __getitem__(self, at: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
        rows, columns = (inside + self.start[k] for k, inside in enumerate(at) if k)
        cell = np.searchsorted(self.bottom, rows, "right"), np.searchsorted(self.right, columns, "right")
        return (cell[0] * self.right.size + cell[1] + 1).astype(np.int32)


def main(side: int = 100_000, n_objects: int = 10_000_000, block_size: int = 4096) -> None:
    """Simulate and merge."""
    grid = BlockGrid((1, side, side), (1, block_size, block_size))
    cells = Cells(side, n_objects)
    started = time.perf_counter()
    graphs = [simulate(grid, index, cells) for index in range(grid.n)]
    n_fragments = sum(graph.sizes.size for graph in graphs)
    n_pairs = sum(graph.face_first.size for graph in graphs)
    n_bytes = sum(array.nbytes for graph in graphs for array in graph.as_arrays().values())
    print(f"{side} x {side} pixels, {grid.n} blocks of {block_size}: {n_fragments:,} fragments, {n_pairs:,} borders")
    print(f"graphs of all blocks: {n_bytes / 1e9:.2f} GB; simulated in {time.perf_counter() - started:.0f} s")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    started = time.perf_counter()
    objects = merge_blocks(graphs, grid, 15, lambda index: Fragments(grid, index, cells))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"merged in {time.perf_counter() - started:.0f} s; peak memory {before:.2f} GiB before, {peak:.2f} GiB after")
    print(f"objects: {objects.n:,} (expected {cells.n**2:,}); pixels {int(objects.sizes.sum()):,}")
    if objects.n != cells.n**2 or objects.sizes.sum() != side * side:
        sys.exit("wrong: the objects are not those that were simulated")


if __name__ == "__main__":
    main(*(int(argument.replace("_", "")) for argument in sys.argv[1:]))
