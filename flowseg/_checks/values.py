"""Checks of numbers, words, paths and tuples: the error names the argument, the expected and the given value."""

from __future__ import annotations

import numbers
import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowseg._checks.arrays import as_array

# The largest integer that any argument may have: kernels count in 64 bits.
MAX_INTEGER = (1 << 62) - 1

# The largest ratio of spacings: beyond, the axis of larger spacing passes on no noticeable heat.
MAX_SPACING_RATIO = 1000

# Levels of a network at most: each but the first halves the image, and tiles start on multiples of 64 pixels.
MAX_LEVELS = 7

# Micrometers: the smallest and the largest pixel whose resolution is a fraction of two 32-bit numbers, as in TIFF.
PIXEL_SIZES = (1e-5, 1e9)

# The value of a parameter that fit chooses.
AUTO = "auto"


@overload
def as_integer(value: Any, name: str, *, minimum: int) -> int: ...
@overload
def as_integer(value: Any, name: str, *, minimum: int, none: str) -> int | None: ...
def as_integer(value: Any, name: str, *, minimum: int, none: str | None = None) -> int | None:
    """Return an integer of at least ``minimum``; None passes where ``none`` gives its meaning."""
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
    """Return a float from ``low`` to ``high``; None passes where ``none`` gives its meaning."""
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


def as_spacing(spacing: ArrayLike | None, ndim: int, name: str = "spacing") -> NDArray[np.float64]:
    """Return the distance between pixels along each axis; None means 1 everywhere."""
    if spacing is None:
        return np.ones(ndim)
    array = as_array(spacing, name)
    if (
        any(isinstance(length, bool | np.bool_) for length in np.asarray(spacing, dtype=object).ravel())
        or array.shape != (ndim,)
        or array.dtype.kind not in "iuf"
        or not np.all(np.isfinite(array))
        or np.any(array <= 0)
    ):
        raise ValueError(f"{name} must be {ndim} numbers above 0, one per axis; got {spacing!r}.")
    array = array.astype(np.float64)
    if array.max() > MAX_SPACING_RATIO * array.min():
        raise ValueError(f"{name} must differ by at most a factor of {MAX_SPACING_RATIO}; got {spacing!r}.")
    return array


def as_shape(shape: Any) -> tuple[int, int]:
    """Return rows and columns as two integers."""
    if isinstance(shape, str) or not isinstance(shape, Sequence) or len(shape) != 2:
        raise TypeError(f"shape must be (rows, columns); got {shape!r}.")
    return as_integer(shape[0], "shape[0]", minimum=1), as_integer(shape[1], "shape[1]", minimum=1)


def as_pixel_size(size: Any) -> tuple[float, float] | None:
    """Return height and width of a pixel as two floats that a TIFF file can hold, or None."""
    if size is None:
        return None
    if isinstance(size, str) or not isinstance(size, Sequence | np.ndarray) or len(size) != 2:
        raise TypeError(f"pixel_size must be (height, width) in micrometers or None; got {size!r}.")
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
    """Return a generator of random numbers."""
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


def is_auto(value: Any, name: str, others: str) -> bool:
    """Return whether fit is to choose a parameter; other words are refused, and ``others`` names what it can be."""
    if isinstance(value, str) and value != AUTO:
        raise ValueError(f"{name} must be {others} or {AUTO!r}; got {value!r}.")
    return isinstance(value, str)
