"""Every argument check and every error sentence: the argument, what was expected, what came."""

from __future__ import annotations

import numbers
import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The largest label that a float32 image holds exactly (2 ** 24).
MAX_FLOAT32_LABEL = 1 << 24

# The largest integer that any argument may have: kernels count in 64 bits.
MAX_INTEGER = (1 << 62) - 1

# Beyond this ratio the axis of larger spacing passes on no heat worth the name.
MAX_SPACING_RATIO = 1000

# Levels of a network at most: each but the first halves the image, and tiles start on multiples of 64 pixels.
MAX_LEVELS = 7

# Micrometres: the smallest and the largest pixel whose resolution is a fraction of two 32-bit numbers, as TIFF has it.
PIXEL_SIZES = (1e-5, 1e9)

_DIMENSIONS = {2: "2-D (rows, columns)", 3: "3-D (planes, rows, columns)"}


def as_masks(masks: ArrayLike, name: str = "masks", *, ndims: Sequence[int] = (2, 3)) -> NDArray[Any]:
    """Return ``masks`` as an integer array; raise TypeError or ValueError if it is no label image."""
    array = _as_array(masks, name)
    fault = find_mask_fault(array, name, ndims)
    if fault:
        raise (ValueError if array.dtype.kind in "iu" else TypeError)(fault)
    return array


def find_mask_fault(array: NDArray[Any], name: str, ndims: Sequence[int] = (2, 3)) -> str | None:
    """Return the sentence why an array is no label image; None if it is one."""
    if array.dtype == bool:
        return (
            f"{name} must be an integer label image (0 = background, k = object k); got a boolean mask. "
            "Number its objects first, for example with skimage.measure.label."
        )
    if array.dtype.kind not in "iu":
        return f"{name} must be an integer label image (0 = background, k = object k); got dtype {array.dtype}."
    fault = find_dimension_fault(array, name, ndims)
    if fault is None and _is_binary_255(array):
        return (
            f"{name} must be a label image with one number per object; got a binary 0/255 mask of several "
            "separate objects. Number its objects first, for example with skimage.measure.label."
        )
    return fault


def as_countable(masks: ArrayLike, name: str, *, ndims: Sequence[int] = (2, 3)) -> NDArray[Any]:
    """Return ``masks`` as `as_masks` does, with labels that fit a signed integer, which counting needs."""
    array = as_masks(masks, name, ndims=ndims)
    if array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must have labels below 2**63; got {array.max()}.")
    return array


def _as_array(values: ArrayLike, name: str) -> NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(
            f"{name} must have a value everywhere (pixels to ignore have negative labels); got a masked array with "
            f"{np.count_nonzero(np.ma.getmaskarray(values))} values masked."
        )
    try:
        return np.require(values, requirements=["ALIGNED", "ENSUREARRAY"])  # C reads whole numbers, at their places
    except ValueError:
        raise ValueError(f"{name} must be an array; got rows of different lengths.") from None


def check_dimensions(array: NDArray[Any], name: str, ndims: Sequence[int]) -> None:
    """Raise ValueError unless ``array`` has one of the numbers of axes and at least one pixel."""
    fault = find_dimension_fault(array, name, ndims)
    if fault:
        raise ValueError(fault)


def find_dimension_fault(array: NDArray[Any], name: str, ndims: Sequence[int]) -> str | None:
    """Return the sentence why an array has the wrong axes or no pixel; None if it is fine."""
    if array.ndim not in ndims:
        expected = " or ".join(_DIMENSIONS[n] for n in ndims)
        return f"{name} must be {expected}; got shape {array.shape}."
    return f"{name} must have at least one pixel; got shape {array.shape}." if array.size == 0 else None


def _is_binary_255(array: NDArray[Any]) -> bool:
    if array.max() != 255 or array.min() != 0 or np.count_nonzero(array) != np.count_nonzero(array == 255):
        return False
    from scipy import ndimage

    _, n_components = ndimage.label(array, structure=np.ones((3,) * array.ndim))
    return int(n_components) > 1


def as_flows(flows: ArrayLike, name: str = "flows") -> NDArray[np.float32]:
    """Return ``flows`` as a finite float32 array of shape (ndim, ...)."""
    array = _as_array(flows, name)
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(
            f"{name} must be signed floats (directions of unit length); got dtype {array.dtype}. "
            "Flows saved as unsigned integers have lost every negative component."
        )
    if array.ndim not in (3, 4) or array.shape[0] != array.ndim - 1:
        raise ValueError(f"{name} must have shape (2, rows, columns) or (3, planes, rows, columns); got {array.shape}.")
    if array.size == 0:
        raise ValueError(f"{name} must have at least one pixel; got shape {array.shape}.")
    return _as_float32(array, name)


def as_cellprob(cellprob: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return ``cellprob`` as a finite float32 array of the given shape."""
    array = _as_array(cellprob, "cellprob")
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"cellprob must be a float array of logits; got dtype {array.dtype}.")
    check_same_shape(array.shape, shape, "cellprob", "one component of flows")
    return _as_float32(array, "cellprob")


def _as_float32(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Values too large for float32 are infinite in it, and refused like others that are."""
    with np.errstate(over="ignore"):
        single = np.require(array, np.float32, ["C_CONTIGUOUS", "ALIGNED"])
    check_finite(single, name)
    return single


def as_foreground(foreground: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return ``foreground`` as a boolean array of the given shape; integers count where they are above 0."""
    array = _as_array(foreground, "foreground")
    if array.dtype.kind not in "biu":
        raise TypeError(f"foreground must be a boolean or integer array; got dtype {array.dtype}.")
    check_same_shape(array.shape, shape, "foreground", "one component of flows")
    return array > 0


def as_image(image: ArrayLike, name: str = "image") -> NDArray[Any]:
    """Return ``image`` as a numeric array of finite numbers with at least one pixel."""
    array = _as_array(image, name)
    if array.dtype == bool or not np.issubdtype(array.dtype, np.number):
        raise TypeError(f"{name} must be an array of numbers; got dtype {array.dtype}.")
    if np.issubdtype(array.dtype, np.complexfloating):
        raise TypeError(f"{name} must be an array of real numbers; got dtype {array.dtype}.")
    if array.size == 0:
        raise ValueError(f"{name} must have at least one pixel; got shape {array.shape}.")
    check_finite(array, name)
    return array


def as_picture(picture: ArrayLike) -> NDArray[np.uint8]:
    """Return an RGB picture as an array, or say why it is none."""
    array = _as_array(picture, "picture")
    if array.dtype != np.uint8:
        raise TypeError(f"picture must be an array of uint8; got dtype {array.dtype}.")
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(f"picture must have shape (rows, columns, 3); got {array.shape}.")
    return array


def check_finite(array: NDArray[Any], name: str) -> None:
    """Raise ValueError when there is a NaN or an infinity."""
    if np.issubdtype(array.dtype, np.floating):
        n_bad = array.size - np.count_nonzero(np.isfinite(array))
        if n_bad:
            raise ValueError(f"{name} must be finite; got {n_bad} NaN or infinite values of {array.size}.")


def check_same_shape(shape: tuple[int, ...], expected: tuple[int, ...], name: str, other: str) -> None:
    """Raise ValueError unless the two shapes are the same."""
    if tuple(shape) != tuple(expected):
        raise ValueError(f"{name} must have the shape of {other}, {tuple(expected)}; got {tuple(shape)}.")


def check_same_length(first: Sequence[Any], second: Sequence[Any], names: tuple[str, str]) -> None:
    """Raise ValueError unless both hold the same number of items."""
    if len(first) != len(second):
        raise ValueError(
            f"{names[0]} and {names[1]} must be lists of the same length; "
            f"got {len(first)} {names[0]} and {len(second)} {names[1]}."
        )


def as_plain(arrays: Any) -> Any:
    """What is like an array without being one (of dask, zarr, xarray, pandas) as an array; a series as a list."""
    if isinstance(arrays, Sequence | np.ndarray) or not hasattr(arrays, "__array__") or not hasattr(arrays, "ndim"):
        return arrays
    return list(arrays) if arrays.ndim == 1 else np.asarray(arrays)


def as_list(arrays: Any, name: str) -> list[Any]:
    """Return a non-empty list of arrays; a single array is not a list."""
    arrays = as_plain(arrays)
    if isinstance(arrays, np.ndarray) and arrays.ndim < 3 and not (arrays.dtype == object and arrays.ndim == 1):
        raise TypeError(f"{name} must be a list of arrays; got one array of shape {arrays.shape}.")
    if isinstance(arrays, str | bytes) or not isinstance(arrays, Sequence | np.ndarray):
        raise TypeError(f"{name} must be a list of arrays; got {type(arrays).__name__}.")
    if len(arrays) == 0:
        raise ValueError(f"{name} must hold at least one array; got an empty list.")
    return [arrays[i] for i in range(len(arrays))]


@overload
def as_integer(value: Any, name: str, *, minimum: int) -> int: ...
@overload
def as_integer(value: Any, name: str, *, minimum: int, none: str) -> int | None: ...
def as_integer(value: Any, name: str, *, minimum: int, none: str | None = None) -> int | None:
    """Return an integer of at least ``minimum``; None passes where ``none`` says what it means."""
    expected = f"an integer of at least {minimum}" + (f" or None ({none})" if none else "")
    if value is None and none:
        return None
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be {expected}; got {value!r}.")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be {expected}; got {value!r}.") from None
    if number < minimum:
        raise ValueError(f"{name} must be {expected}; got {number}.")
    if number > MAX_INTEGER:
        raise ValueError(f"{name} must be at most {MAX_INTEGER}; got a larger number.")
    return number


@overload
def as_number(value: Any, name: str, *, low: float, high: float = ..., open_low: bool = ...) -> float: ...
@overload
def as_number(
    value: Any, name: str, *, low: float, high: float = ..., open_low: bool = ..., none: str
) -> float | None: ...
def as_number(
    value: Any,
    name: str,
    *,
    low: float,
    high: float = np.inf,
    none: str | None = None,
    open_low: bool = False,
) -> float | None:
    """Return a float from ``low`` to ``high``; None passes where ``none`` says what it means."""
    bound = "above" if open_low else "of at least"
    expected = "a number" if np.isneginf(low) else f"a number {bound} {low:g}"
    expected += "" if np.isinf(high) else f" and at most {high:g}"
    expected += f" or None ({none})" if none else ""
    if value is None and none:
        return None
    is_array = isinstance(value, np.ndarray) and value.ndim > 0
    if is_array or isinstance(value, bool | np.bool_ | str | bytes | np.complexfloating):
        raise TypeError(f"{name} must be {expected}; got {value!r}.")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be {expected}; got {value!r}.") from None
    except OverflowError:
        raise ValueError(f"{name} must be {expected}; got a number too large for one.") from None
    if not np.isfinite(number) or number < low or number > high or (open_low and number == low):
        raise ValueError(f"{name} must be {expected}; got {value!r}.")
    return number


def as_spacing(spacing: ArrayLike | None, ndim: int) -> NDArray[np.float64]:
    """Return the distance between pixels along each axis; None means 1 everywhere."""
    if spacing is None:
        return np.ones(ndim)
    array = _as_array(spacing, "spacing")
    if array.shape != (ndim,) or array.dtype.kind not in "iuf" or not np.all(np.isfinite(array)) or np.any(array <= 0):
        raise ValueError(f"spacing must be {ndim} numbers above 0, one per axis; got {spacing!r}.")
    array = array.astype(np.float64)
    if array.max() > MAX_SPACING_RATIO * array.min():
        raise ValueError(f"spacing must differ by at most a factor of {MAX_SPACING_RATIO}; got {spacing!r}.")
    return array


def as_shape(shape: Any) -> tuple[int, int]:
    """Return rows and columns as two integers."""
    if isinstance(shape, str) or not isinstance(shape, Sequence) or len(shape) != 2:
        raise TypeError(f"shape must be (rows, columns); got {shape!r}.")
    return as_integer(shape[0], "shape[0]", minimum=1), as_integer(shape[1], "shape[1]", minimum=1)


def as_pixel_size(size: Any) -> tuple[float, float] | None:
    """Return height and width of a pixel as two floats that a TIFF file can say, or None."""
    if size is None:
        return None
    if isinstance(size, str) or not isinstance(size, Sequence | np.ndarray) or len(size) != 2:
        raise TypeError(f"pixel_size must be (height, width) in micrometres or None; got {size!r}.")
    low, high = PIXEL_SIZES
    height, width = (as_number(v, f"pixel_size[{i}]", low=low, high=high) for i, v in enumerate(size))
    return height, width


def as_workers(workers: Any) -> int:
    """Return the number of threads; None means all the cores this process may use."""
    number = as_integer(workers, "workers", minimum=1, none="all cores")
    if number is not None:
        return number
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def as_path(value: Any, name: str) -> Path:
    """Return a path."""
    try:
        return Path(value)
    except TypeError:
        raise TypeError(f"{name} must be a path; got {value!r}.") from None


def as_random_state(value: Any) -> np.random.RandomState:
    """Return what random numbers are drawn from."""
    from sklearn.utils import check_random_state

    expected = "None, an integer from 0 to 2**32 - 1 or a numpy.random.RandomState"
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"random_state must be {expected}; got {value!r}.")
    try:
        state: np.random.RandomState = check_random_state(value)
    except ValueError:
        kind = ValueError if isinstance(value, numbers.Integral) else TypeError
        raise kind(f"random_state must be {expected}; got {value!r}.") from None
    return state


def check_choice(value: Any, name: str, choices: Sequence[str]) -> None:
    """Raise ValueError unless ``value`` is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}.")


def as_filters(filters: Any) -> list[int]:
    """Return filters per level as a list of integers."""
    if isinstance(filters, str) or not isinstance(filters, Sequence | np.ndarray) or np.size(filters) == 0:
        raise TypeError(f"filters must be a sequence of integers, one per level; got {filters!r}.")
    if len(filters) > MAX_LEVELS:
        raise ValueError(f"filters must be for at most {MAX_LEVELS} levels; got {len(filters)}.")
    return [as_integer(width, f"filters[{i}]", minimum=1) for i, width in enumerate(filters)]


def check_flag(value: Any, name: str) -> None:
    """Raise TypeError unless ``value`` is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False; got {value!r}.")


# A parameter with this value is chosen by fit.
AUTO = "auto"


def is_auto(value: Any, name: str, others: str) -> bool:
    """Whether a parameter is left to fit; other words are refused, and ``others`` says what it can be."""
    if isinstance(value, str) and value != AUTO:
        raise ValueError(f"{name} must be {others} or {AUTO!r}; got {value!r}.")
    return isinstance(value, str)
