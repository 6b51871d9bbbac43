"""What may be wrong with annotations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from flowseg import _checks
from flowseg._labels.anatomy import SPECK_PIXELS, Anatomy, is_color, is_whole
from flowseg._labels.holes import fill_holes
from flowseg._labels.shift import find_shift

# A label image in which a larger share of neighbouring object pixels have different labels is a picture.
CROSSINGS = 0.5
# An image that is constant in a larger share of the objects is a label image.
CONSTANT_SHARE = 0.9
# Objects of fewer pixels may be constant by chance.
CONSTANT_PIXELS = 10
# Masks are shifted if the outlines have less than this share of the contrast that they have at least so far away.
SHIFTED_RATIO = 0.6
SHIFTED_PIXELS = 3
# Largest labels of 8 and 16 bits: where counting starts anew, or stops.
LARGEST_LABELS = (255, 65535)
# Labels that one finding names.
NAMED = 5


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or odd, with a label image.

    Attributes
    ----------
    kind : str
        What it is, in one word.
    message : str
        One sentence.
    labels : tuple of int
        Objects that it is about; empty if it is about the whole image.
    wrong : bool
        False for what is worth knowing and no fault.
    """

    kind: str
    message: str
    labels: tuple[int, ...] = ()
    wrong: bool = True


@dataclass(frozen=True)
class MasksReport:
    """What `check_masks` found.

    Attributes
    ----------
    n_objects : int
        Labels above 0; 0 where the array is no label image at all.
    findings : tuple of Finding
        In the order in which they should be seen to.
    """

    n_objects: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.wrong for finding in self.findings)

    def __str__(self) -> str:
        lines = [f"{self.n_objects} objects"]
        lines += [f"{'wrong' if f.wrong else 'note'}: {f.kind}: {f.message}" for f in self.findings]
        return "\n".join(lines)


def check_masks(masks: ArrayLike, image: ArrayLike | None = None, *, min_size: int = 5) -> MasksReport:
    """Look for what commonly goes wrong with label images.

    Parameters
    ----------
    masks : array_like
        What should be a label image of shape (rows, columns) or (planes, rows, columns): one integer per object, 0 =
        background.
    image : array_like, optional
        Its image, of the same shape, or with channels last.
    min_size : int
        Objects of fewer pixels are reported.

    Returns
    -------
    report : MasksReport
        ``report.ok`` is True when nothing is wrong; ``report.n_objects`` counts the labels above 0; each of
        ``report.findings`` has ``kind`` (a word, below), ``message`` (a sentence), ``labels`` (a tuple: the objects
        that it is about) and ``wrong`` (False for a mere note). Printed, the report is one line each.

    Raises
    ------
    TypeError, ValueError
        If ``min_size`` is no whole number of at least 0. What is wrong with masks and image is reported, not raised.

    See Also
    --------
    mend_masks : repair what can be repaired.

    Notes
    -----
    The kinds of findings: ``dtype`` (floats), ``color``, ``shape``, ``binary``, ``picture`` (an image in the place of
    the masks), ``overflow`` (labels that began anew or stopped at 255 or 65535), ``several`` (one label on several
    objects), ``pieces``, ``specks``, ``holes``, ``small``, ``image`` (values that are no finite numbers),
    ``labels as image``, ``shifted`` (outlines have far more contrast elsewhere); and, as notes, ``empty``, ``ignored``
    (negative pixels) and ``cut`` (in pieces that the image's border parts). Holes of up to three pixels, and clefts
    whose mouth is a corner, are no finding; `mend_masks` fills them all the same.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> masks = np.zeros((20, 20), dtype=np.uint8)
    >>> masks[2:8, 2:8] = masks[12:18, 2:8] = masks[2:8, 12:18] = 255
    >>> print(flowseg.check_masks(masks))
    1 objects
    wrong: binary: one label only, 255, in 3 separate pieces: a mask of foreground, not of objects.
    """
    smallest = _checks.as_integer(min_size, "min_size", minimum=0)
    array = np.asarray(masks)
    unfit = list(_check_form(array))
    if unfit and not is_whole(array):
        return MasksReport(0, tuple(unfit))
    labels = Anatomy(array)
    findings = [*unfit, *_check_labels(labels)]
    if not {finding.kind for finding in findings} & {"binary", "picture"}:  # these have no objects to look at
        findings += _check_objects(labels, smallest)
    if image is not None:
        findings += _check_image(labels, np.asarray(image))
    return MasksReport(labels.n_objects, tuple(findings))


def _check_form(array: NDArray[Any]) -> Iterator[Finding]:
    if is_color(array):
        yield Finding("color", f"shape {array.shape}: a color picture; flowseg.masks_from_rgb makes masks of one.")
    elif array.ndim not in (2, 3) or array.size == 0:
        yield Finding("shape", f"shape {array.shape} instead of (rows, columns) or (planes, rows, columns).")
    elif array.dtype.kind == "b":
        yield Finding("binary", "a boolean mask: it says what is foreground, not which object.")
    elif array.dtype.kind not in "iuf":
        yield Finding("dtype", f"dtype {array.dtype} instead of integers.")
    elif array.dtype.kind == "f":
        rest = "though all values are whole; store integers" if is_whole(array) else "that are not whole: an image?"
        yield Finding("dtype", f"dtype {array.dtype} {rest}.")


def _check_labels(labels: Anatomy) -> Iterator[Finding]:
    """What is wrong with the numbers."""
    n_pieces = labels.count(~labels.is_speck)
    if labels.n_objects == 0:
        yield Finding("empty", "no object.", wrong=False)
    if np.any(labels.array < 0):
        share = np.mean(labels.array < 0)
        yield Finding("ignored", f"{share:.1%} of the pixels are negative: not learned from.", wrong=False)
    if labels.n_objects == 1 and n_pieces[0] > 2:
        what = f"one label only, {labels.values[0]}, in {n_pieces[0]} separate pieces"
        yield Finding("binary", f"{what}: a mask of foreground, not of objects.")
        return
    crossings = _share_of_crossings(labels.array)
    if labels.n_objects > 2 and crossings > CROSSINGS:
        what = f"{crossings:.0%} of neighbouring object pixels have different labels"
        yield Finding("picture", f"{what}: an image, not masks?")
        return
    again = np.flatnonzero(labels.count(labels.is_far))
    if again.size == 0:
        return
    values = tuple(labels.values[again].tolist())
    largest = int(labels.values[-1])
    if largest in LARGEST_LABELS and labels.n_objects == largest:
        what = f"all labels up to {largest} are used, and {_name(labels, again)} on several objects"
        yield Finding("overflow", f"{what}: counted beyond {largest}?", values)
    elif largest in LARGEST_LABELS and values == (largest,):
        what = f"label {largest} is on {n_pieces[-1]} objects"
        yield Finding("overflow", f"{what}: numbers cut off at {largest}?", values)
    else:
        yield Finding("several", f"{_name(labels, again)} on several objects, far apart.", values)


def _check_objects(labels: Anatomy, min_size: int) -> Iterator[Finding]:
    """What is wrong with the shapes."""
    near = (labels.count(~labels.is_speck) > 1) & (labels.count(labels.is_far) == 0)
    cut = near & (labels.count(~labels.is_speck & ~labels.is_cut) == 0)
    area = np.bincount(labels.owner, weights=labels.sizes, minlength=labels.n_objects)
    hole = _count_hole_pixels(labels)
    for kind, chosen, what in (
        ("pieces", near & ~cut, "in more than one piece"),
        ("specks", labels.count(labels.is_speck) > 0, "with specks apart from the object"),
        ("holes", hole > SPECK_PIXELS, "with holes"),
        ("small", area < min_size, f"of fewer than {min_size} pixels"),
        ("cut", cut, "in pieces that the image's border parts"),
    ):
        found = np.flatnonzero(chosen)
        if found.size:
            message = f"{_name(labels, found)} {what}."
            yield Finding(kind, message, tuple(labels.values[found].tolist()), kind != "cut")


def _count_hole_pixels(labels: Anatomy) -> NDArray[np.intp]:
    """Pixels of holes per label; a cleft into which background reaches across a corner is none."""
    whole = fill_holes(labels.image)
    ndim = labels.image.ndim
    count = np.zeros(labels.n_objects, dtype=np.intp)
    for k in np.unique(whole[whole != labels.image]):  # the pieces with holes: few
        box = tuple(map(slice, labels.pieces.boxes[k - 1, 3 - ndim : 3], labels.pieces.boxes[k - 1, 6 - ndim :]))
        piece = labels.image[box]
        closed = ndimage.binary_fill_holes(piece == k, structure=np.ones((3,) * ndim))
        count[labels.owner[k - 1]] += np.count_nonzero(closed & (piece == 0) & (whole[box] == k))
    return count


def _check_image(labels: Anatomy, image: NDArray[Any]) -> Iterator[Finding]:
    ndim = labels.array.ndim
    if image.shape[:ndim] != labels.array.shape or image.ndim not in (ndim, ndim + 1) or not image.size:
        yield Finding("shape", f"masks of shape {labels.array.shape} for an image of shape {image.shape}.")
        return
    if image.dtype.kind not in "biuf":
        yield Finding("image", f"the image holds no numbers but {image.dtype}.")
        return
    n_odd = np.count_nonzero(~np.isfinite(image))
    if n_odd:
        yield Finding("image", f"the image has {n_odd} NaN or infinite values of {image.size}.")
        return
    if _is_constant_in_objects(labels, image if image.ndim == ndim else image[..., 0]):
        yield Finding("labels as image", "the image is constant inside the objects: masks in the place of the image?")
        return
    plane = _fullest_plane(labels.array)
    shift = find_shift(image[plane], labels.array[plane])
    if shift is not None and shift.ratio < SHIFTED_RATIO and np.hypot(shift.rows, shift.columns) >= SHIFTED_PIXELS:
        place = f"{-shift.rows:+d} rows and {-shift.columns:+d} columns away"
        what = f"outlines have {shift.ratio:.0%} of the contrast that they have {place}"
        yield Finding("shifted", f"{what}: shifted, or the masks of another image?")


def _share_of_crossings(array: NDArray[Any]) -> float:
    """Share of the neighbours along rows, both in objects, that have different labels."""
    left, right = array[..., :-1], array[..., 1:]
    both = (left > 0) & (right > 0)
    return float(np.mean(left[both] != right[both])) if both.any() else 0.0


def _fullest_plane(array: NDArray[Any]) -> Any:
    """Index of the plane with the most object pixels; of all that there is in two dimensions."""
    return ... if array.ndim == 2 else int(np.argmax(np.count_nonzero(array > 0, axis=(1, 2))))


def _is_constant_in_objects(labels: Anatomy, channel: NDArray[Any]) -> bool:
    large = labels.sizes >= CONSTANT_PIXELS
    if not large.any():
        return False
    piece = labels.image.ravel()
    order = np.flatnonzero(piece)
    first = channel.ravel()[labels.pieces.first][piece[order] - 1]
    differs = np.bincount(piece[order] - 1, weights=channel.ravel()[order] != first, minlength=labels.pieces.n) > 0
    return bool(np.mean(~differs[large]) > CONSTANT_SHARE)


def _name(labels: Anatomy, chosen: NDArray[np.intp]) -> str:
    """Words for some labels, such as "labels 7, 9 and 3 more"."""
    values = labels.values[chosen].tolist()
    if len(values) == 1:
        return f"label {values[0]}"
    named = ", ".join(map(str, values[:NAMED]))
    return f"labels {named}" + (f" and {len(values) - NAMED} more" if len(values) > NAMED else "")
