"""From masks to flows: the training target, and how far given flows are from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks, _diffusion
from flowseg._image_files.tiff import read_tiff
from flowseg._labels.components import Pieces, find_pieces
from flowseg._labels.overlaps import number_objects
from flowseg._system import files
from flowseg._system.parallel import run_parts, split_by_cost
from flowseg._system.threads import check_wanted, interruptibly, size_of

# Objects are shared out over threads in at most so many parts of equal cost, whatever the number of threads, and of at
# least so many seconds (a guess), since a part has a price too.
N_PARTS = 32
SECONDS_PER_PART = 0.0005

# To guess the time of all but the diffusion.
PIXELS_PER_SECOND = 3e7

# To guess the time: what a core does, and what a pixel costs besides its updates, in updates.
UPDATES_PER_SECOND = 4e9
PIXEL_COST = 100
RIM = 2

# What kernels get in the place of flows that they are not to write or not to read.
NO_FLOWS = np.empty((0, 0, 0, 0), dtype=np.float32)


def masks_to_flows(
    masks: ArrayLike,
    *,
    n_iter: int | None = None,
    spacing: ArrayLike | None = None,
    workers: int | None = None,
) -> NDArray[np.float32]:
    """Directions that lead every pixel of every object to the object's centre.

    Heat spreads from the centre of each object inside this object only; the flow is the unit gradient of the
    logarithm of the heat.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image: 0 is background, k is object k. Any integer dtype, any numbers, gaps allowed; negative
        pixels are taken as background. A label in several pieces is taken as several objects.
    n_iter : int, optional
        Number of diffusion iterations for every object. By default each object has its own: twice the sum of
        its extents, in pixels.
    spacing : sequence of float, optional
        Distance between neighbouring pixels along each axis, in any unit, for images with planes further apart
        than columns. By default 1 along every axis. Flows are directions in pixels whatever the spacing.
    workers : int, optional
        Number of threads; by default all cores. The result is the same for every number.

    Returns
    -------
    flows : ndarray of float32, shape (ndim, ...)
        One component per axis, in the order of the axes (row before column). Unit length inside objects, 0
        outside. Only a centre may be 0 inside an object.

    Raises
    ------
    TypeError
        If `masks` is not of integers.
    ValueError
        If `masks` has another number of axes, no pixel, or is a binary 0/255 mask.

    See Also
    --------
    flows_to_masks : the way back.

    Notes
    -----
    For one object: the centre is its pixel nearest to the per-axis median of its coordinates (the first in raster
    order where several are). ``n_iter`` times, add 1 to the heat of the centre, then replace the heat by its mean
    over the box of 3 pixels along each axis, kept on the object's pixels only. The flow is the central difference
    of log(1 + heat), with 0 outside the object, divided by its norm [1]_. Objects never exchange heat and no
    difference is read across a border. Where no heat arrives, in objects that are long and thin or curled, the
    flow is the mean direction of the shortest ways inside the object; where they cancel, the first of them in raster
    order. Apart from this and from the choice of the centre, flows do not depend on how the image is flipped or
    transposed.

    With `spacing`, an axis of larger spacing passes on less heat, by the square of the ratio to the
    smallest spacing, and the gradient is taken per unit of distance.

    References
    ----------
    .. [1] C. Stringer, T. Wang, M. Michaelos, M. Pachitariu, "Cellpose: a generalist algorithm for cellular
       segmentation", Nature Methods 18, 100-106 (2021).

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> masks = np.zeros((5, 7), dtype=np.uint8)
    >>> masks[1:4, 1:6] = 1
    >>> flows = flowseg.masks_to_flows(masks)
    >>> flows.shape
    (2, 5, 7)
    >>> flows[:, 2, 1]  # left of the centre: no rows to go, columns to the right
    array([0., 1.], dtype=float32)
    """
    iterations = _checks.as_integer(n_iter, "n_iter", minimum=1, none="twice each object's extent")
    threads = _checks.as_workers(workers)

    def work() -> NDArray[np.float32]:
        array = _checks.as_masks(masks)
        distances = _checks.as_spacing(spacing, array.ndim)
        return _diffuse(find_pieces(array), array.ndim, iterations, distances, threads)

    return interruptibly(work, seconds=size_of(masks) / PIXELS_PER_SECOND)


def make_flows(masks: NDArray[Any], workers: int) -> NDArray[np.float32]:
    """`masks_to_flows` of an image that has been checked before (a part of it may look binary)."""
    return _diffuse(find_pieces(masks), masks.ndim, None, np.ones(masks.ndim), workers)


def _diffuse(
    pieces: Pieces, ndim: int, n_iter: int | None, spacing: NDArray[np.float64], workers: int
) -> NDArray[np.float32]:
    """The flows of all pieces."""
    flows = np.zeros((ndim, *pieces.image.shape), dtype=np.float32)
    steps = -1 if n_iter is None else n_iter
    distances = np.concatenate([np.ones(3 - ndim), spacing / spacing.min()])

    def work(part: NDArray[np.intp], stop: NDArray[np.int32]) -> int:
        return _diffusion.diffuse(
            pieces.image, pieces.boxes, part, ndim, distances, steps, flows, NO_FLOWS, np.empty(0), stop
        )

    parts, seconds = _share_out(pieces, np.flatnonzero(pieces.sizes > 1), n_iter)  # one pixel has no flow
    run_parts(work, parts, workers, seconds=seconds)
    return flows.reshape((ndim, *pieces.image.shape[3 - ndim :]))


def compare_flows(
    pieces: Pieces, chosen: NDArray[np.intp], flows: NDArray[np.float32], workers: int
) -> NDArray[np.float64]:
    """Flow errors of the chosen pieces (others: 0), without storing their own flows."""
    ndim = flows.shape[0]
    errors = np.zeros(pieces.n)

    def work(part: NDArray[np.intp], stop: NDArray[np.int32]) -> int:
        return _diffusion.diffuse(pieces.image, pieces.boxes, part, ndim, np.ones(3), -1, NO_FLOWS, flows, errors, stop)

    parts, seconds = _share_out(pieces, chosen, None)
    run_parts(work, parts, workers, seconds=seconds)
    return errors


def _share_out(pieces: Pieces, chosen: NDArray[np.intp], n_iter: int | None) -> tuple[list[NDArray[np.intp]], float]:
    """The chosen pieces in parts of about equal cost, and a guess of the seconds that all take."""
    extent = pieces.boxes[chosen, 3:] - pieces.boxes[chosen, :3]
    updates = (extent + RIM).prod(axis=1) * (2.0 * (extent - 1).sum(axis=1) if n_iter is None else float(n_iter))
    costs = updates + PIXEL_COST * pieces.sizes[chosen]
    check_wanted()
    seconds = float(costs.sum()) / UPDATES_PER_SECOND
    n_parts = int(np.clip(seconds / SECONDS_PER_PART, 1, N_PARTS))
    return [chosen[part] for part in split_by_cost(costs, n_parts)], seconds


def labels_to_flows(
    labels: Sequence[ArrayLike],
    *,
    files: Sequence[str | os.PathLike[str]] | None = None,
    workers: int | None = None,
) -> list[NDArray[np.float32]]:
    """Training targets of a list of label images: label, foreground and flows in one stack each.

    Parameters
    ----------
    labels : list of array_like
        Label images of integers (see `masks_to_flows`), or stacks of floats as this function returns them, which
        are checked and passed on.
    files : list of path, optional
        One TIFF file per label image. A file that exists is read back instead of computing its flows again; one
        that does not is written, as float32.
    workers : int, optional
        Number of threads; by default all cores.

    Returns
    -------
    stacks : list of ndarray of float32, shape (2 + ndim, ...)
        Label (negative pixels as they are), foreground (0 or 1), and the flows, row before column.

    Raises
    ------
    ValueError
        If a file holds the flows of other masks, a stack has another shape, or a label is too large for
        float32 (above 2**24).

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> _, masks = flowseg.synthetic.cells((64, 64), 5, rng=0)
    >>> (stack,) = flowseg.labels_to_flows([masks])
    >>> stack.shape
    (4, 64, 64)
    >>> np.array_equal(stack[0], masks)
    True
    """
    arrays = _checks.as_list(labels, "labels")
    if isinstance(files, str | os.PathLike):
        raise TypeError(f"files must be a sequence of paths, one per label image; got {files!r}.")
    if files is None:
        return [_label_stack(array, workers, f"labels[{i}]") for i, array in enumerate(arrays)]
    paths = [Path(file) for file in files]
    _checks.check_same_length(arrays, paths, ("labels", "files"))
    return [
        _cached_stack(array, path, workers, f"labels[{i}]")
        for i, (array, path) in enumerate(zip(arrays, paths, strict=True))
    ]


def _label_stack(labels: ArrayLike, workers: int | None, name: str) -> NDArray[np.float32]:
    array = np.asarray(labels)
    if np.issubdtype(array.dtype, np.floating):
        if array.ndim not in (3, 4) or array.shape[0] != array.ndim + 1:
            raise ValueError(
                f"{name} must be a label image of integers or a stack of label, foreground and flows with shape "
                f"(4, rows, columns) or (5, planes, rows, columns); got {array.dtype} of shape {array.shape}."
            )
        _checks.check_finite(array, name)
        return np.array(array, dtype=np.float32)
    masks = _checks.as_masks(array, name)
    largest = int(masks.max())
    if largest > _checks.MAX_FLOAT32_LABEL:
        raise ValueError(
            f"{name} must have labels of at most {_checks.MAX_FLOAT32_LABEL} (float32 holds no larger ones "
            f"exactly); got {largest}. Number the objects anew with skimage.segmentation.relabel_sequential."
        )
    flows = masks_to_flows(masks, workers=workers)
    return np.concatenate([masks[np.newaxis], masks[np.newaxis] > 0, flows]).astype(np.float32)


def _cached_stack(labels: ArrayLike, path: Path, workers: int | None, name: str) -> NDArray[np.float32]:
    if not path.exists():
        stack = _label_stack(labels, workers, name)
        files.write_tiff(path, stack)
        return stack
    stack = read_tiff(path)
    array = np.asarray(labels)
    if stack.dtype != np.float32 or stack.ndim not in (3, 4) or stack.shape[0] != stack.ndim + 1:
        raise ValueError(
            f"{path} must hold a float32 stack of label, foreground and flows; "
            f"got {stack.dtype} of shape {stack.shape}."
        )
    own = array[0] if np.issubdtype(array.dtype, np.floating) else _checks.as_masks(array, name)
    if not np.array_equal(stack[0], own):
        raise ValueError(
            f"{path} must hold the flows of {name}; got those of other masks (the masks changed since?). "
            "Delete the file to have it made anew."
        )
    return stack


def diameters(masks: ArrayLike) -> NDArray[np.float64]:
    """Diameter of every object: that of the disk of equal area, or of the ball of equal volume.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image; pixels of 0 and below are background.

    Returns
    -------
    diameters : ndarray of float64, shape (n_objects,)
        ``2 * sqrt(area / pi)`` in pixels (3-D: ``2 * cbrt(3 * volume / (4 * pi))``), in the order of increasing
        label. The diameter of an image is their median.

    Raises
    ------
    TypeError, ValueError
        If ``masks`` is no label image.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> flowseg.diameters(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 7]])).round(3)
    array([2.257, 1.128])
    """
    array = _checks.as_masks(masks)
    _, _, sizes = number_objects(array)
    if array.ndim == 2:
        return 2.0 * np.sqrt(sizes / np.pi)
    return 2.0 * np.cbrt(3.0 * sizes / (4.0 * np.pi))


def flow_errors(masks: ArrayLike, flows: ArrayLike, *, workers: int | None = None) -> NDArray[np.float64]:
    """How far given flows are from those that the masks have.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image.
    flows : array_like of float, shape (ndim, ...)
        Flows of unit length, for example predicted ones.
    workers : int, optional
        Number of threads; by default all cores.

    Returns
    -------
    errors : ndarray of float64, shape (n_objects,)
        Per object, in the order of increasing label, the mean over its pixels of the squared length of
        the difference: 0 where both agree, 4 where they are opposite.

    Raises
    ------
    TypeError, ValueError
        If masks or flows cannot be used, or do not fit each other.

    Examples
    --------
    >>> import flowseg
    >>> _, masks = flowseg.synthetic.cells((64, 64), 3, rng=0)
    >>> flows = flowseg.masks_to_flows(masks)
    >>> flowseg.flow_errors(masks, -flows).round(1)
    array([4., 4., 4.])
    """
    threads = _checks.as_workers(workers)
    return interruptibly(_flow_errors, masks, flows, threads, seconds=size_of(masks) / PIXELS_PER_SECOND)


def _flow_errors(masks: ArrayLike, flows: ArrayLike, workers: int) -> NDArray[np.float64]:
    labels = _checks.as_masks(masks)
    array = _checks.as_flows(flows)
    _checks.check_same_shape(array.shape, (labels.ndim, *labels.shape), "flows", "one component per axis of masks")
    pieces = find_pieces(labels)
    if pieces.n == 0:
        return np.zeros(0)
    errors = compare_flows(pieces, np.arange(pieces.n), array.reshape(-1, *pieces.image.shape), workers)
    # A label in several pieces has the mean of their errors by pixel.
    _, index = np.unique(labels.ravel()[pieces.first], return_inverse=True)
    return np.bincount(index, errors * pieces.sizes) / np.bincount(index, pieces.sizes)
