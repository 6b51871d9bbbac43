"""Checks of arrays: the error names the argument, the expected and the given array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The largest label that a float32 image holds exactly (2 ** 24).
MAX_FLOAT32_LABEL = 1 << 24

_DIMENSIONS = {2: "2-D (rows, columns)", 3: "3-D (planes, rows, columns)"}


def as_masks(masks: ArrayLike, name: str = "masks", *, ndims: Sequence[int] = (2, 3)) -> NDArray[Any]:
    """Return ``masks`` as an integer array; raise TypeError or ValueError if it is no label image."""
    array = as_array(masks, name)
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


def as_array(values: ArrayLike, name: str) -> NDArray[Any]:
    """Return an aligned array; raise ValueError for masked arrays and rows of different lengths."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(
            f"{name} must have a value everywhere (pixels to ignore have negative labels); got a masked array with "
            f"{np.count_nonzero(np.ma.getmaskarray(values))} values masked."
        )
    try:
        return np.require(values, requirements=["ALIGNED", "ENSUREARRAY"])  # C reads aligned numbers
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
    array = as_array(flows, name)
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
    array = as_array(cellprob, "cellprob")
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"cellprob must be a float array of logits; got dtype {array.dtype}.")
    check_same_shape(array.shape, shape, "cellprob", "one component of flows")
    return _as_float32(array, "cellprob")


def _as_float32(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Return finite float32 values; values too large for float32 become infinite and are refused."""
    with np.errstate(over="ignore"):
        single = np.require(array, np.float32, ["C_CONTIGUOUS", "ALIGNED"])
    check_finite(single, name)
    return single


def as_foreground(foreground: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return ``foreground`` as a boolean array of the given shape; integers count where they are above 0."""
    array = as_array(foreground, "foreground")
    if array.dtype.kind not in "biu":
        raise TypeError(f"foreground must be a boolean or integer array; got dtype {array.dtype}.")
    check_same_shape(array.shape, shape, "foreground", "one component of flows")
    return array > 0


def as_image(image: ArrayLike, name: str = "image") -> NDArray[Any]:
    """Return ``image`` as a numeric array of finite numbers with at least one pixel."""
    array = as_array(image, name)
    check_image_dtype(array.dtype, name)
    if array.size == 0:
        raise ValueError(f"{name} must have at least one pixel; got shape {array.shape}.")
    check_finite(array, name)
    return array


def check_image_dtype(dtype: np.dtype[Any], name: str) -> None:
    """Raise TypeError unless an image of this dtype has real numbers."""
    if np.issubdtype(dtype, np.bool_) or not np.issubdtype(dtype, np.number):
        raise TypeError(f"{name} must be an array of numbers; got dtype {dtype}.")
    if np.issubdtype(dtype, np.complexfloating):
        raise TypeError(f"{name} must be an array of real numbers; got dtype {dtype}.")


def as_picture(picture: ArrayLike) -> NDArray[np.uint8]:
    """Return an RGB picture as an array, or raise an error if it is none."""
    array = as_array(picture, "picture")
    if array.dtype != np.uint8:
        raise TypeError(f"picture must be an array of uint8; got dtype {array.dtype}.")
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(f"picture must have shape (rows, columns, 3); got {array.shape}.")
    return array


def check_finite(array: NDArray[Any], name: str) -> None:
    """Raise ValueError when there is a NaN or an infinity."""
    if np.issubdtype(array.dtype, np.floating):
        check_all_finite(array.size - int(np.count_nonzero(np.isfinite(array))), array.size, name)


def check_all_finite(n_bad: int, size: int, name: str) -> None:
    """Raise ValueError when some of ``size`` values are NaN or infinite."""
    if n_bad:
        raise ValueError(f"{name} must be finite; got {n_bad} NaN or infinite values of {size}.")


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
    """Return objects that are like an array (of dask, zarr, xarray, pandas) as an array, and a series as a list."""
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
