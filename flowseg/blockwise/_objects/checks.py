"""Flow errors and holes of objects, block by block, and the final numbers and table of the objects.

The block that holds the first pixel of an object owns it. Objects that lie in their block are compared together, the
others one by one, each in its box. So a task needs memory for the fragments of a few blocks, and for the flows of the
larger of one block and of the box of one object, with some 30 bytes more for each pixel of that box.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowseg._flows.flow_check import compare_flows_of_image
from flowseg._flows.logit_sums import mean_logits
from flowseg._labels.components import Components, renumber
from flowseg._labels.diameters import diameters_of_sizes, size_column
from flowseg._nets.lattice import PixelShape
from flowseg._segmenters.learned_decoding.find_objects import Decoding, score_objects
from flowseg._segmenters.learned_decoding.object_table import Table
from flowseg.blockwise._objects.decoder import ReadFlows
from flowseg.blockwise._objects.flow_merge import Objects
from flowseg.blockwise._objects.windows import ObjectWindows, box_of, intersection
from flowseg.blockwise._regions import Block


def owned_objects(objects: Objects, windows: ObjectWindows, index: int) -> NDArray[np.int64]:
    """Return the numbers of the objects whose first pixel lies in a block."""
    grid = windows.grid
    block = grid[index]
    corners = np.array([block.start, block.stop], dtype=np.int64).T - np.array([0, 1])
    low, high = grid.flat_index(corners)
    first, stop = np.searchsorted(objects.firsts, [low, high + 1])  # first pixels are in raster order
    owner = grid.block_of(grid.unravel(objects.firsts[first:stop]))
    return np.asarray(first + 1 + np.flatnonzero(owner == index), dtype=np.int64)


def errors_of_block(
    objects: Objects, windows: ObjectWindows, index: int, read_flows: ReadFlows, chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the numbers and the flow errors of the objects that a block owns.

    Parameters
    ----------
    objects : Objects
        Objects 1..n of the whole image.
    windows : ObjectWindows
        Their label image.
    index : int
        The block.
    read_flows : callable
        Returns the flows in a box of the image.
    chosen : ndarray of bool, shape (n,)
        Which objects are compared.
    """
    numbers = owned_objects(objects, windows, index)
    numbers = numbers[chosen[numbers - 1]]
    errors = np.zeros(numbers.size)
    for box, part, components in _label_images(objects, windows, index, numbers):
        flows = np.ascontiguousarray(read_flows(box), dtype=np.float32)
        chosen_here = np.arange(components.n)
        errors[part] = compare_flows_of_image(components, chosen_here, flows, 1, windows.grid.shape)
    return numbers, errors


def _label_images(
    objects: Objects, windows: ObjectWindows, index: int, numbers: NDArray[np.int64]
) -> Iterator[tuple[Block, NDArray[np.intp], Components]]:
    """Yield boxes that cover objects, with the indices in ``numbers`` of the objects 1..n of each label image."""
    block = windows.grid[index]
    boxes = objects.boxes[numbers - 1]
    within = np.flatnonzero(((boxes[:, :3] >= block.start) & (boxes[:, 3:] <= block.stop)).all(axis=1))
    if within.size:
        yield block, within, _objects_within(windows, index, numbers[within])

    def blocks_of(k: int) -> list[int]:
        return [other.index for other in windows.grid.touched(box_of(boxes[k]))]

    across = np.setdiff1d(np.arange(numbers.size), within)
    for k in sorted(across.tolist(), key=blocks_of):  # one after another those of the same blocks, which are read once
        box = box_of(boxes[k])
        mask = windows.read_mask(box, int(numbers[k]))
        yield box, np.array([k]), renumber(mask, np.arange(2, dtype=np.int32), 1)


def _objects_within(windows: ObjectWindows, index: int, numbers: NDArray[np.int64]) -> Components:
    """Return the objects ``numbers``, which lie in a block, as objects 1..n of the block's label image."""
    of_fragment = windows.numbers(index)
    position = np.minimum(np.searchsorted(numbers, of_fragment), numbers.size - 1)
    table = np.where(numbers[position] == of_fragment, position + 1, 0).astype(np.int32)
    image = np.array(windows.fragments(index), dtype=np.int32, order="C")
    return renumber(image, table, numbers.size)


def final_numbers(
    objects: Objects,
    errors: NDArray[np.float64],
    touches_border: NDArray[np.bool_],
    decoding: Decoding,
    pixel: PixelShape,
) -> tuple[NDArray[np.int32], Table]:
    """Return the final label of every object, 0 for none, and the table of those that have one.

    Parameters
    ----------
    objects : Objects
        Objects 1..n, none smaller than the least size.
    errors : ndarray of float64, shape (n,)
        Flow errors; NaN where not computed. The flow check needs those of objects inside the image, and a calibration
        or a table all.
    touches_border : ndarray of bool, shape (n,)
        Which objects touch the border of the image.
    decoding : Decoding
        The thresholds, and the calibration of scores.
    pixel : PixelShape
        Shape of the pixels.

    Returns
    -------
    labels : ndarray of int32, shape (n + 1,)
        Entry 0 is that of the background.
    table : dict of ndarray
        The columns of `FlowSegmenter.predict_objects`.
    """
    limit = decoding.thresholds.flow_threshold
    passed = np.flatnonzero(touches_border | (errors <= limit)) if limit is not None else np.arange(objects.n)
    areas = objects.sizes[passed]
    table: Table = {
        "label": np.arange(1, passed.size + 1),
        size_column(len(pixel.ratios)): areas,
        "diameter": diameters_of_sizes(areas, pixel.ratios),
        "flow_error": errors[passed] * areas / areas,  # rounded as in `flow_errors`
        "cellprob": mean_logits(objects.logits[passed], areas),
        "touches_border": touches_border[passed],
    }
    number, table = score_objects(table, decoding, pixel)
    labels = np.zeros(objects.n + 1, dtype=np.int32)
    labels[passed + 1] = number[1:]
    return labels, table


def objects_with_holes(
    objects: Objects, windows: ObjectWindows, index: int, chosen: NDArray[np.bool_], ndim: int
) -> NDArray[np.int64]:
    """Return the numbers of the chosen objects that a block owns and that have holes, see `fill_holes`."""
    numbers = owned_objects(objects, windows, index)
    numbers = numbers[chosen[numbers - 1]]
    holed = np.zeros(numbers.size, dtype=bool)
    for _, part, components in _label_images(objects, windows, index, numbers):
        for k, coordinates in enumerate(components.boxes):
            mask = components.image[box_of(coordinates).slices] == k + 1
            holed[part[k]] = _find_holes(mask, ndim).any()
    return numbers[holed]


def fill_block(
    objects: Objects, windows: ObjectWindows, index: int, labels: NDArray[np.int32], holed: NDArray[np.int64], ndim: int
) -> NDArray[np.int32]:
    """Return the final label image of a block with the holes of objects filled, as `fill_holes` does.

    Parameters
    ----------
    objects, windows, index
        As in `errors_of_block`.
    labels : ndarray of int32, shape (n + 1,)
        Final label of every object.
    holed : ndarray of int
        Numbers of all objects of the image that have holes and a final label, increasing.
    ndim : int
        Axes of the image, 2 or 3.
    """
    block = windows.grid[index]
    image = np.asarray(labels[windows.numbers(index)][windows.fragments(index)], dtype=np.int32)
    boxes = objects.boxes[holed - 1]
    near = np.flatnonzero(((boxes[:, :3] < block.stop) & (boxes[:, 3:] > block.start)).all(axis=1))
    volumes = (boxes[near, 3:] - boxes[near, :3]).prod(axis=1)
    for k in near[np.argsort(volumes, kind="stable")]:  # innermost first
        box = box_of(boxes[k])
        holes = _find_holes(windows.read_mask(box, int(holed[k])) > 0, ndim)
        common = intersection(block, box)
        place = common.inside(block)
        image[place][holes[common.inside(box)] & (image[place] == 0)] = labels[holed[k]]
    return image


def _find_holes(mask: NDArray[np.bool_], ndim: int) -> NDArray[np.bool_]:
    """Return the holes of an object of three axes, of which the last ``ndim`` count."""
    plane = mask.reshape(mask.shape[3 - ndim :])
    holes: NDArray[np.bool_] = ndimage.binary_fill_holes(plane) & ~plane
    return holes.reshape(mask.shape)
