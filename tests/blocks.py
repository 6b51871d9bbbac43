"""Whole images by way of blocks, as the engine does it, without files."""

from functools import partial

import numpy as np

from flowseg._nets.lattice import Lattice
from flowseg.blockwise._objects.boundary_graph import (
    boundary_graph_of_block,
    count_pixels,
    expand_in_block,
    final_labels,
    merge_interiors,
)
from flowseg.blockwise._objects.checks import errors_of_block, fill_block, final_numbers, objects_with_holes
from flowseg.blockwise._objects.flow_graph import MARGIN, graph_of_block
from flowseg.blockwise._objects.flow_merge import merge_blocks
from flowseg.blockwise._objects.windows import ObjectWindows
from flowseg.blockwise._regions import BlockGrid


def grid_of(shape, size):
    """Blocks of an image of two or three axes; `size` is one number or one per axis."""
    missing = (1,) * (3 - len(shape))
    sizes = (size,) * len(shape) if np.ndim(size) == 0 else tuple(size)
    return BlockGrid(missing + tuple(shape), missing + sizes)


def pixel_of(ndim):
    """Shape of pixels whose spacing is not known."""
    return Lattice(None, (0,) * ndim).pixel(None)


class FlowBlocks:
    """Objects of flows and cellprob, block by block, in an order of one's choice."""

    def __init__(self, flows, cellprob, size, *, min_size=15, threshold=0.0, rng=None):
        self.shape, self.ndim = cellprob.shape, cellprob.ndim
        self.grid = grid_of(cellprob.shape, size)
        self.flows = np.asarray(flows, np.float32).reshape(-1, *self.grid.shape)
        self.cellprob = np.asarray(cellprob, np.float32).reshape(self.grid.shape)
        self.order = np.arange(self.grid.n) if rng is None else rng.permutation(self.grid.n)
        graphs, self.fragments = {}, {}
        for index in self.order:
            block = self.grid[index]
            place = block.window(MARGIN, self.grid.shape).slices
            window = np.ascontiguousarray(self.cellprob[place])
            graphs[index], self.fragments[index] = graph_of_block(
                self.read_flows_at(place), window, self.grid, block, threshold
            )
        in_order = (graphs[index] for index in range(self.grid.n))
        self.objects = merge_blocks(in_order, self.grid, min_size, self.fragments.__getitem__)
        self.windows = ObjectWindows(self.objects, self.grid, self.fragments.__getitem__)

    def read_flows_at(self, place):
        return np.ascontiguousarray(self.flows[(slice(None), *place)])

    def read_flows(self, box):
        return self.read_flows_at(box.slices)

    def assemble(self, part_of):
        """Whole image of the parts that a function returns for each block."""
        whole = np.zeros(self.grid.shape, np.int32)
        for index in self.order:
            whole[self.grid[index].slices] = part_of(index)
        return whole.reshape(self.shape)

    def masks(self, labels=None):
        """Label image by the final label of each object."""
        labels = np.arange(self.objects.n + 1, dtype=np.int32) if labels is None else labels
        return self.assemble(lambda index: labels[self.objects.of_block(index)][self.fragments[index]])

    def errors(self, chosen):
        errors = np.full(self.objects.n, np.nan)
        for index in self.order:
            numbers, values = errors_of_block(self.objects, self.windows, index, self.read_flows, chosen)
            assert np.isnan(errors[numbers - 1]).all()  # an object has one owner
            errors[numbers - 1] = values
        assert np.array_equal(np.isfinite(errors), chosen)
        return errors

    def decode(self, decoding, *, every_error=True):
        """Final label of each object, and the table."""
        at_border = self.objects.touches_border(self.grid.shape)
        errors = self.errors(np.ones(self.objects.n, bool) if every_error else ~at_border)
        return final_numbers(self.objects, errors, at_border, decoding, pixel_of(self.ndim))

    def filled(self, labels):
        """Label image with holes filled."""
        chosen = labels[1:] > 0
        parts = [objects_with_holes(self.objects, self.windows, k, chosen, self.ndim) for k in self.order]
        holed = np.sort(np.concatenate(parts))
        return self.assemble(lambda k: fill_block(self.objects, self.windows, k, labels, holed, self.ndim))


def decode_boundary(outputs, size, distances, *, min_size=15, rng=None):
    """Label image of outputs of three classes, block by block; distances are those along each axis of the image."""
    shape = outputs.shape[:-1]
    grid = grid_of(shape, size)
    outputs = outputs.reshape(*grid.shape, 3)
    order = np.arange(grid.n) if rng is None else rng.permutation(grid.n)
    found = {k: boundary_graph_of_block(outputs[grid[k].slices], grid, grid[k]) for k in order}
    interiors = merge_interiors((found[k][0] for k in range(grid.n)), grid, lambda k: found[k][1])
    windows = ObjectWindows(interiors, grid, lambda k: found[k][1])
    expand = partial(expand_in_block, windows, distances=(*distances[:1] * (3 - len(shape)), *distances))
    labels = final_labels(interiors.n, [count_pixels(expand(k)) for k in order], min_size)
    whole = np.zeros(grid.shape, np.int32)
    for k in order:
        whole[grid[k].slices] = labels[expand(k)]
    return whole.reshape(shape)
