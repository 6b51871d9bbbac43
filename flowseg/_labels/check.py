"""Find what is wrong with label images."""

from __future__ import annotations

from collections.abc import Iterator
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from flowseg import _checks
from flowseg._labels.component_properties import (
    SPECK_PIXELS,
    ComponentProperties,
    complete_objects,
    holds_integers,
    is_color,
)
from flowseg._labels.faults.annotated import check_annotation
from flowseg._labels.faults.findings import Finding as Finding
from flowseg._labels.faults.findings import MasksReport as MasksReport
from flowseg._labels.faults.planes import check_planes, find_empty_planes, find_flat_objects
from flowseg._labels.faults.shift import find_shift
from flowseg._labels.holes import fill_holes

# An array is an image, not labels, if a larger share of neighboring object pixels have different labels. Source:
# objects of four pixels that fill an array have half.
MAX_BOUNDARY_SHARE = 0.5
# An image is a label image if it is constant in a larger share of the objects of at least this many pixels. Source:
# chosen; smaller objects may be constant by chance.
MIN_CONSTANT_SHARE = 0.9
MIN_CONSTANT_PIXELS = 10
# Masks are shifted if their outlines have less than this share of the contrast that they have at least this many pixels
# away. Source: chosen; the tests shift masks of real images.
MAX_SHIFTED_RATIO = 0.6
MIN_SHIFT = 3
# Largest labels of 8 and 16 bits, at which counting wraps around or is clipped.
MAX_LABELS = (255, 65535)
# Labels that the message of one finding names. Source: chosen; a line on a screen.
MAX_NAMED = 5


def check_masks(
    masks: ArrayLike, image: ArrayLike | None = None, *, min_size: int = 5, spacing: ArrayLike | None = None
) -> MasksReport:
    """Check a label image, and its image, for common faults.

    Parameters
    ----------
    masks : array_like
        Label image of shape (rows, columns) or (planes, rows, columns): one integer per object, 0 = background. Arrays
        that are no label images are reported.
    image : array_like, optional
        The image of the masks, of the same shape or with channels last.
    min_size : int
        Objects of fewer pixels are reported.
    spacing : sequence of float, optional
        Distance between pixels along each axis, in any unit, with which distances are measured; 1 by default.

    Returns
    -------
    report : MasksReport
        ``report.ok`` is True when nothing is wrong, and ``report.n_objects`` is the number of labels above 0. Each of
        ``report.findings`` has a ``kind`` (see below), a ``message`` (one sentence), the ``labels`` of the objects
        concerned, and ``wrong``, which is False for notes. A printed report has one line per finding.

    Raises
    ------
    TypeError, ValueError
        If ``min_size`` is no integer of at least 0, or ``spacing`` is not one positive number per axis. Faults of masks
        and image are reported, not raised.

    See Also
    --------
    mend_masks : repair what can be repaired.

    Notes
    -----
    Kinds of faults of the array: ``dtype`` (no integers), ``color``, ``shape``, ``binary`` (one label for all objects),
    ``picture`` (an image in the place of the masks), ``overflow`` (labels that wrapped around or were clipped at 255 or
    65535) and ``reused label`` (one label on several objects, far apart). Of objects: ``disconnected`` (in more than
    one connected component), ``specks`` (small components apart from the object), ``holes`` and ``small``. Of the
    image: ``image`` (values that are not finite numbers), ``labels as image`` and ``shifted`` (outlines have far more
    contrast elsewhere). Kinds of notes: ``empty``, ``ignored`` (negative pixels) and ``cut`` (in components that the
    image's border separates). Masks of which no pixel is annotated are ``empty`` as well, and that is a fault.

    Faults of volumes: ``stack`` (labels start again, or change from plane to plane: a stack of 2-D label images), and
    ``empty plane`` and ``shifted plane`` (between planes that fit together). A note: ``flat`` (objects in one plane
    only). If only some planes are annotated, objects are first completed between them, as in training.

    Holes of up to three pixels are no fault, nor are clefts that open at a corner only. `mend_masks` fills them.

    Examples
    --------
    >>> import numpy as np
    >>> import flowseg
    >>> masks = np.zeros((20, 20), dtype=np.uint8)
    >>> masks[2:8, 2:8] = masks[12:18, 2:8] = masks[2:8, 12:18] = 255
    >>> print(flowseg.check_masks(masks))
    1 objects
    wrong: binary: one label only, 255, in 3 components: a mask of foreground, not of objects.
    """
    smallest = _checks.as_integer(min_size, "min_size", minimum=0)
    array = np.asarray(masks)
    steps = _checks.as_spacing(spacing, array.ndim) if spacing is not None else None
    unfit = list(_check_form(array))
    if unfit and not holds_integers(array):
        return MasksReport(0, tuple(unfit))
    props = ComponentProperties(array, steps)
    whole = _complete(props, steps)
    labels = list(_check_labels(whole))
    findings = [*unfit, *check_annotation(props.array)]
    if {finding.kind for finding in labels + unfit} & {"binary", "picture"}:  # these have no objects to look at
        findings += labels
    else:
        planes = list(check_planes(props.array)) if array.ndim == 3 else []
        findings += planes
        if not {finding.kind for finding in planes} & {"stack", "color"}:  # objects have no label of their own
            findings += [*labels, *_check_objects(whole, smallest)]
    if image is not None:
        findings += _check_image(props, np.asarray(image))
    return MasksReport(props.n_objects, tuple(findings))


def _complete(props: ComponentProperties, spacing: NDArray[np.float64] | None) -> ComponentProperties:
    """Return the properties of a volume's objects completed between annotated planes, without its empty planes."""
    if props.array.ndim == 2:
        return props
    if np.any(props.array < 0):
        return complete_objects(props.array, spacing)
    empty = find_empty_planes(props.array)
    return ComponentProperties(np.delete(props.array, empty, axis=0), spacing) if empty.size else props


def _check_form(array: NDArray[Any]) -> Iterator[Finding]:
    """Find faults of dtype and shape."""
    if is_color(array):
        yield Finding("color", f"shape {array.shape}: a color picture; flowseg.masks_from_rgb makes masks of one.")
    elif array.ndim not in (2, 3) or array.size == 0:
        yield Finding("shape", f"shape {array.shape} instead of (rows, columns) or (planes, rows, columns).")
    elif array.dtype.kind == "b":
        yield Finding("binary", "a boolean mask: it marks the foreground, not the objects.")
    elif array.dtype.kind not in "iuf":
        yield Finding("dtype", f"dtype {array.dtype} instead of integers.")
    elif array.dtype.kind == "f":
        rest = "though all values are integers" if holds_integers(array) else "with values between integers: an image?"
        yield Finding("dtype", f"dtype {array.dtype} {rest}.")


def _pixels(props: ComponentProperties) -> str:
    """Return what the elements of an image are called."""
    return "pixels" if props.array.ndim == 2 else "voxels"


def _check_labels(props: ComponentProperties) -> Iterator[Finding]:
    """Find faults of the labels."""
    n_components = props.count(~props.is_speck)
    if props.n_objects == 1 and n_components[0] > 2:
        what = f"one label only, {props.labels[0]}, in {n_components[0]} components"
        yield Finding("binary", f"{what}: a mask of foreground, not of objects.")
        return
    share = _boundary_share(props.array)
    if props.n_objects > 2 and share > MAX_BOUNDARY_SHARE:
        what = f"{share:.0%} of neighboring object pixels have different labels"
        yield Finding("picture", f"{what}: an image, not masks?")
        return
    reused = np.flatnonzero(props.count(props.is_far))
    if reused.size == 0:
        return
    values = tuple(props.labels[reused].tolist())
    largest = int(props.labels[-1])
    if largest in MAX_LABELS and props.n_objects == largest:
        what = f"all labels up to {largest} are used, and {_list_labels(props, reused)} on several objects"
        yield Finding("overflow", f"{what}: did counting wrap around?", values)
    elif largest in MAX_LABELS and values == (largest,):
        what = f"label {largest} is on {n_components[-1]} objects"
        yield Finding("overflow", f"{what}: clipped at {largest}?", values)
    else:
        yield Finding("reused label", f"{_list_labels(props, reused)} on several objects, far apart.", values)


def _check_objects(props: ComponentProperties, min_size: int) -> Iterator[Finding]:
    """Find faults of the objects' shapes."""
    sparse = props.reach > 0  # what lies between planes is a guess
    near = (props.count(~props.is_speck) > 1) & (props.count(props.is_far) == 0) & ~sparse
    cut = near & (props.count(~props.is_speck & ~props.touches_border) == 0)
    area = np.bincount(props.label_index, weights=props.sizes, minlength=props.n_objects)
    hole = _count_hole_pixels(props)
    cases = (
        ("disconnected", near & ~cut, "in more than one connected component"),
        ("specks", (props.count(props.is_speck) > 0) & ~sparse, "with specks apart from the object"),
        ("holes", (hole > SPECK_PIXELS) & ~sparse, "with holes"),
        ("small", area < min_size, f"of fewer than {min_size} {_pixels(props)}"),
        ("cut", cut, "in components that the image's border separates"),
        ("flat", _count_flat(props) & (area >= min_size), "in one plane only"),
    )
    for kind, chosen, what in cases:
        found = np.flatnonzero(chosen)
        if found.size:
            message = f"{_list_labels(props, found)} {what}."
            yield Finding(kind, message, tuple(props.labels[found].tolist()), kind not in ("cut", "flat"))


def _count_flat(props: ComponentProperties) -> NDArray[np.bool_]:
    """Return which labels are in one plane only of a volume that is annotated everywhere."""
    if props.array.ndim == 2 or np.any(props.array < 0):
        return np.zeros(props.n_objects, dtype=bool)
    flat = find_flat_objects(props.components.boxes, len(props.array))
    return np.asarray((props.count(flat) == props.count(np.ones_like(flat))) & (props.count(flat) == 1))


def _count_hole_pixels(props: ComponentProperties) -> NDArray[np.intp]:
    """Return the number of hole pixels of each label; a cleft that opens at a corner is no hole."""
    filled = fill_holes(props.image)
    ndim = props.image.ndim
    count = np.zeros(props.n_objects, dtype=np.intp)
    for k in np.unique(filled[filled != props.image]):  # components with holes
        box = tuple(map(slice, props.components.boxes[k - 1, 3 - ndim : 3], props.components.boxes[k - 1, 6 - ndim :]))
        component = props.image[box]
        closed = ndimage.binary_fill_holes(component == k, structure=np.ones((3,) * ndim))
        count[props.label_index[k - 1]] += np.count_nonzero(closed & (component == 0) & (filled[box] == k))
    return count


def _check_image(props: ComponentProperties, image: NDArray[Any]) -> Iterator[Finding]:
    """Find faults of the image, and of the masks' place in it."""
    ndim = props.array.ndim
    if image.shape[:ndim] != props.array.shape or image.ndim not in (ndim, ndim + 1) or not image.size:
        yield Finding("shape", f"masks of shape {props.array.shape} for an image of shape {image.shape}.")
        return
    if image.dtype.kind not in "biuf":
        yield Finding("image", f"the image has dtype {image.dtype} instead of numbers.")
        return
    n_odd = np.count_nonzero(~np.isfinite(image))
    if n_odd:
        yield Finding("image", f"the image has {n_odd} NaN or infinite values of {image.size}.")
        return
    if _is_constant_in_objects(props, image if image.ndim == ndim else image[..., 0]):
        yield Finding("labels as image", "the image is constant inside the objects: masks in the place of the image?")
        return
    plane = _fullest_plane(props.array)
    shift = find_shift(image[plane], props.array[plane])
    if shift is not None and shift.ratio < MAX_SHIFTED_RATIO and np.hypot(shift.rows, shift.columns) >= MIN_SHIFT:
        best = f"{-shift.rows:+d} rows and {-shift.columns:+d} columns away"
        where = "" if ndim == 2 else f" in plane {plane}"
        what = f"outlines{where} have {shift.ratio:.0%} of the contrast that they have {best}"
        yield Finding("shifted", f"{what}: shifted, or the masks of another image?")


def _boundary_share(array: NDArray[Any]) -> float:
    """Return the share of neighbors along rows, both in objects, that have different labels."""
    left, right = array[..., :-1], array[..., 1:]
    both = (left > 0) & (right > 0)
    return float(np.mean(left[both] != right[both])) if both.any() else 0.0


def _fullest_plane(array: NDArray[Any]) -> int | EllipsisType:
    """Return the index of the plane with the most object pixels; of a 2-D array the index of all of it."""
    return ... if array.ndim == 2 else int(np.argmax(np.count_nonzero(array > 0, axis=(1, 2))))


def _is_constant_in_objects(props: ComponentProperties, channel: NDArray[Any]) -> bool:
    """Return whether a channel is constant inside most of the larger components."""
    large = props.sizes >= MIN_CONSTANT_PIXELS
    if not large.any():
        return False
    component = props.image.ravel()
    order = np.flatnonzero(component)
    first = channel.ravel()[props.components.first][component[order] - 1]
    differs = (
        np.bincount(component[order] - 1, weights=channel.ravel()[order] != first, minlength=props.components.n) > 0
    )
    return bool(np.mean(~differs[large]) > MIN_CONSTANT_SHARE)


def _list_labels(props: ComponentProperties, chosen: NDArray[np.intp]) -> str:
    """Return some labels as words, such as "labels 7, 9 and 3 more"."""
    values = props.labels[chosen].tolist()
    if len(values) == 1:
        return f"label {values[0]}"
    named = ", ".join(map(str, values[:MAX_NAMED]))
    return f"labels {named}" + (f" and {len(values) - MAX_NAMED} more" if len(values) > MAX_NAMED else "")
