"""Repair label images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg import _checks
from flowseg._labels.component_properties import ComponentProperties, complete_objects, holds_integers
from flowseg._labels.holes import fill_holes


class Mended(NamedTuple):
    """The repaired masks of `mend_masks`, and one sentence per kind of repair."""

    masks: NDArray[np.int32]
    done: list[str]


def mend_masks(masks: ArrayLike, *, min_size: int = 5) -> Mended:
    """Repair a label image: one connected component per object, no specks, no holes, labels 1..n.

    Parameters
    ----------
    masks : array_like of int, shape (rows, columns) or (planes, rows, columns)
        Label image, or a binary image, whose components become objects. Integers may be stored as floats.
    min_size : int
        Objects of fewer pixels are dropped.

    Returns
    -------
    masks : ndarray of int32
        Objects numbered 1..n in raster order. Ignored (negative) pixels are -1.
    done : list of str
        One sentence per kind of repair; empty if nothing was repaired.

    Raises
    ------
    TypeError, ValueError
        If `masks` cannot be a label image: colors, floats between integers.

    Notes
    -----
    Every connected component of a label becomes an object of its own, except specks: components of up to three pixels
    or 2 % of the largest one, which are dropped. In a volume of which only some planes are annotated, components are
    those of the objects completed between them, as in training; only annotated voxels change.

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
    ['1 label in several components became 2 objects.', 'Holes of 1 object were filled.']
    """
    smallest = _checks.as_integer(min_size, "min_size", minimum=0)
    array = np.asarray(masks)
    if not holds_integers(array):
        raise TypeError(f"masks must be a label image of integers; got dtype {array.dtype}, shape {array.shape}.")
    sparse = array.ndim == 3 and bool(np.any(array < 0))
    props = complete_objects(array.astype(np.int64)) if sparse else ComponentProperties(array)
    number, done = _choose_objects(props, smallest)
    mended = fill_holes(number[props.image])
    with_holes = np.unique(mended[(mended > 0) & (number[props.image] == 0) & (array == 0)])
    mended[array < 0] = -1
    if with_holes.size:
        done.append(f"Holes of {_plural(with_holes.size, 'object')} were filled.")
    if array.dtype.kind == "f":
        done.append("Integers stored as floats became integers.")
    if not done and not np.array_equal(mended, array):
        done.append("Objects were renumbered.")
    return Mended(mended, done)


def _choose_objects(props: ComponentProperties, min_size: int) -> tuple[NDArray[np.int32], list[str]]:
    """Return the new number of every component, 0 first for the background, and one sentence per kind of repair."""
    pixels = "pixels" if props.array.ndim == 2 else "voxels"
    n, done = props.components.n, []
    owner = np.arange(n)  # component that gives each one its number
    speck = props.is_speck
    if props.reach:  # between annotated planes nobody knows whether components are connected
        owner = np.where(props.is_far, owner, props.largest[props.label_index])
        speck = np.zeros_like(speck)
    owners = np.unique(owner[~speck])
    split = np.flatnonzero(np.bincount(props.label_index[owners], minlength=props.n_objects) > 1)
    if split.size:
        n_new = np.count_nonzero(np.isin(props.label_index[owners], split))
        done.append(f"{_plural(split.size, 'label')} in several components became {n_new} objects.")
    if speck.any():
        done.append(f"{_plural(int(np.sum(speck)), 'speck')} of {props.sizes[speck].sum()} {pixels} dropped.")
    sizes = np.bincount(owner, weights=props.sizes, minlength=n)
    small = owners[sizes[owners] < min_size]
    if small.size:
        done.append(f"{_plural(small.size, 'object')} of fewer than {min_size} {pixels} dropped.")
    dropped = speck | np.isin(owner, small)
    kept, first = np.unique(owner[~dropped], return_index=True)
    number_of = np.zeros(n, dtype=np.int32)
    number_of[kept[np.argsort(first)]] = np.arange(1, kept.size + 1)  # in raster order
    return np.append(0, np.where(dropped, 0, number_of[owner])).astype(np.int32), done


def _plural(n: int, noun: str) -> str:
    """Return a number with its noun, such as "2 labels"."""
    return f"{n} {noun}" + ("" if n == 1 else "s")
