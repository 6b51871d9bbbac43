"""Label images repaired."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.anatomy import Anatomy, is_whole
from flowseg._labels.holes import fill_holes


class Mended(NamedTuple):
    """What `mend_masks` gives back: the masks, and one sentence per thing done."""

    masks: NDArray[np.int32]
    done: list[str]


def mend_masks(masks: ArrayLike, *, min_size: int = 5) -> Mended:
    """Repair a label image: one piece per object, no specks, no holes, labels 1..n.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image; also a binary one, whose pieces become objects. Whole numbers stored as floats will do.
    min_size : int
        Objects of fewer pixels are dropped, too.

    Returns
    -------
    masks : ndarray of int32
        Objects numbered 1..n in raster order; pixels to ignore (negative) are -1.
    done : list of str
        One sentence per kind of repair; empty if there was nothing to do.

    Raises
    ------
    TypeError, ValueError
        If it is no label image and cannot be made one: colors, floats between whole numbers.

    Notes
    -----
    Of a label in several pieces every piece becomes an object of its own, but for specks: pieces of up to three pixels
    or 2 % of the largest one.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> masks = np.array([[7, 7, 7, 0, 7, 7, 7], [7, 0, 7, 0, 7, 7, 7], [7, 7, 7, 0, 7, 7, 7]])
    >>> mended, done = flowseg.mend_masks(masks)
    >>> mended
    array([[1, 1, 1, 0, 2, 2, 2],
           [1, 1, 1, 0, 2, 2, 2],
           [1, 1, 1, 0, 2, 2, 2]], dtype=int32)
    >>> done
    ['1 label in several pieces became 2 objects.', 'Holes of 1 object were filled.']
    """
    smallest = _checks.as_integer(min_size, "min_size", minimum=0)
    array = np.asarray(masks)
    if not is_whole(array):
        raise TypeError(f"masks must be a label image of whole numbers; got dtype {array.dtype}, shape {array.shape}.")
    labels = Anatomy(array)
    done = []
    speck = labels.is_speck
    split = np.flatnonzero(np.bincount(labels.owner[~speck], minlength=labels.n_objects) > 1)
    if split.size:
        n_new = np.count_nonzero(np.isin(labels.owner[~speck], split))
        done.append(f"{_plural(split.size, 'label')} in several pieces became {n_new} objects.")
    if speck.any():
        done.append(f"{_plural(int(np.sum(speck)), 'speck')} of {labels.sizes[speck].sum()} pixels dropped.")
    small = ~speck & (labels.sizes < smallest)
    if small.any():
        done.append(f"{_plural(int(np.sum(small)), 'object')} of fewer than {smallest} pixels dropped.")
    number = np.zeros(labels.pieces.n + 1, dtype=np.int32)
    keep = np.flatnonzero(~speck & ~small)
    number[keep + 1] = np.arange(1, keep.size + 1)
    whole = fill_holes(number[labels.image])
    filled = np.unique(whole[(whole > 0) & (number[labels.image] == 0) & (array == 0)])
    whole[array < 0] = -1
    if filled.size:
        done.append(f"Holes of {_plural(filled.size, 'object')} were filled.")
    if array.dtype.kind == "f":
        done.append("Whole numbers stored as floats became integers.")
    if not done and not np.array_equal(whole, array):
        done.append("Objects were numbered anew.")
    return Mended(whole, done)


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")
