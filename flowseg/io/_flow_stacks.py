"""Stacks of label, foreground and flows, kept in files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._flows.targets import masks_to_flows
from flowseg._image_files.tiff import read_tiff
from flowseg._system import files
from flowseg._system.invalid_file import InvalidFileError


def labels_to_flows(
    labels: Sequence[ArrayLike],
    *,
    files: Sequence[str | os.PathLike[str]] | None = None,
    workers: int | None = None,
) -> list[NDArray[np.float32]]:
    """Compute training targets of label images: label, foreground and flows in one stack each.

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
        Label (negative pixels unchanged), foreground (0 or 1), and the flows, row before column.

    Raises
    ------
    InvalidFileError
        If a file is damaged or holds the flows of other masks.
    ValueError
        If a stack has another shape, or a label is too large for float32 (above 2**24).

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
            f"exactly); got {largest}. Renumber the objects with skimage.segmentation.relabel_sequential."
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
        raise InvalidFileError(
            f"{path} must hold a float32 stack of label, foreground and flows; "
            f"got {stack.dtype} of shape {stack.shape}."
        )
    own = array[0] if np.issubdtype(array.dtype, np.floating) else _checks.as_masks(array, name)
    if not np.array_equal(stack[0], own):
        raise InvalidFileError(
            f"{path} must hold the flows of {name}; got those of other masks (the masks changed since?). "
            "Delete the file to have it computed again."
        )
    return stack
