"""Values of options, parsed from their text."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar

from flowseg import _checks
from flowseg._intensities import LIMITS, PERCENTILES, as_rule

# The word that switches a threshold off.
NONE: Literal["none"] = "none"

Word = TypeVar("Word", bound=str)


def parse_number(text: str | None, option: str, word: Word) -> float | Word | None:
    """Return a number, or the one word that the option takes in its place."""
    try:
        return None if text is None else float(text)
    except ValueError:
        if text == word:
            return word
        raise ValueError(f"{option} must be a number or '{word}'; got '{text}'.") from None


def parse_normalize(text: str | None) -> tuple[Any, ...] | str | None:
    """Return the segmenters' parameter `normalize` from text such as limits:0,4095; "none" stays that word."""
    if text is None or text == NONE:
        return text
    kind, _, rest = text.partition(":")
    try:
        numbers = [float(part) for part in rest.split(",")]
    except ValueError:
        numbers = []
    if kind not in (PERCENTILES, LIMITS) or not numbers or len(numbers) % 2:
        raise ValueError(
            f"--normalize must be percentiles:LOW,HIGH, limits:LOW,HIGH or none; got '{text}'. Limits of several "
            "channels are pairs, one after the other: limits:0,4095,100,2000."
        )
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return as_rule((kind, *pairs[0]) if len(pairs) == 1 else (kind, *pairs))


def parse_channel(text: str | None) -> int | tuple[int, ...] | None:
    """Return one channel or several from text such as 0 or 0,2."""
    if text is None:
        return None
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--channel must be a number from 0, or several such as 0,2; got {text!r}.") from None
    if min(numbers) < 0:
        raise ValueError(f"--channel must be a number from 0, or several such as 0,2; got {text!r}.")
    return numbers[0] if len(numbers) == 1 else numbers


def parse_spacing(text: str | None) -> tuple[float, ...] | None:
    """Return the distance between pixels along each axis from text such as 0.28,0.13,0.13."""
    if text is None:
        return None
    low, high = _checks.PIXEL_SIZES
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (2, 3) or not all(math.isfinite(n) and low <= n <= high for n in numbers):
        raise ValueError(
            "--spacing must be one number of micrometers per axis, planes first, with commas between, such as "
            f"0.28,0.13,0.13, each from {low:g} to {high:g}; got {text!r}."
        )
    return numbers


def parse_filters(text: str | None) -> tuple[int, ...] | None:
    """Return filters per level from text such as 32,64,128."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--filters must be whole numbers with commas between, such as 32,64,128; got {text!r}."
        ) from None


def parse_train_sizes(text: str | None) -> list[float] | None:
    """Return numbers of images from text such as 4,8,16, or shares of them from text such as 0.5,1.0."""
    if text is None:
        return None
    try:
        return [float(part) if "." in part else int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--train-sizes must be numbers with commas between, such as 4,8,16 or 0.5,1.0; got {text!r}."
        ) from None


def parse_part(text: str) -> tuple[int, int]:
    """Return the number of a part and that of all parts from text such as 17/200."""
    try:
        part, n_parts = (int(number) for number in text.split("/"))
    except ValueError:
        raise ValueError(f"--part must be a part and the number of parts, such as 17/200; got {text!r}.") from None
    if not 1 <= part <= n_parts:
        raise ValueError(
            f"--part must be from 1/{max(n_parts, 1)} to {max(n_parts, 1)}/{max(n_parts, 1)}; got {text!r}."
        )
    return part, n_parts
