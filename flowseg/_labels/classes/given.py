"""The classes of objects as users give them, checked: a dict or a table for each image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg import _checks
from flowseg._labels.overlaps import number_objects

# Class of each object by its label; objects of unknown class are left out.
Known = dict[int, str]

# Columns of a table of classes, as in that of `FlowSegmenter.predict_objects`.
LABEL, CLASS = "label", "class"


def as_classes(
    classes: Any, masks: Sequence[NDArray[Any]], names: tuple[str, str] = ("classes", "masks")
) -> list[Known]:
    """Return the classes of the objects of each image; raise unless every object has one, or None for unknown.

    ``names`` are those of both arguments in errors.
    """
    name = names[0]
    if isinstance(classes, str | Mapping) or not isinstance(classes, Iterable):
        raise TypeError(
            f"{name} must be a list with a dict of labels and class names for each image; got {type(classes).__name__}."
        )
    items = list(classes)
    if len(items) != len(masks):
        raise ValueError(f"{name} must be one for each image, {len(masks)}; got {len(items)}.")
    return [
        {} if item is None else classes_of_image(item, labels, f"{name}[{i}]", f"{names[1]}[{i}]")
        for i, (item, labels) in enumerate(zip(items, masks, strict=True))
    ]


def find_class_names(given: Sequence[Known], known: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of all classes, in the order of the network's outputs.

    ``known`` are those of a segmenter that is trained further, which has no outputs for others.
    """
    found = sorted({name for one in given for name in one.values()})
    if known:
        others = [name for name in found if name not in known]
        if others:
            raise ValueError(
                f"classes must be among those that the segmenter was trained on, {_list(known)}; got {_list(others)}. "
                "For other classes train from scratch (warm_start=False)."
            )
        return tuple(known)
    if len(found) < 2:
        raise ValueError(
            f"classes must be at least two, so that there is one to choose; got {_list(found) or 'none'}. Without "
            "classes leave the argument out."
        )
    return tuple(found)


def as_columns(classes: Mapping[int, str | None] | None) -> dict[str, NDArray[Any]] | None:
    """Return classes by label as columns of a table of objects; None for None."""
    if classes is None:
        return None
    return {LABEL: np.array([*classes], dtype=np.int64), CLASS: np.array([*classes.values()], dtype=object)}


def _as_dict(item: Any, name: str) -> Known:
    """Return the classes of one image by label, from a dict or a table."""
    columns = getattr(item, "columns", item)  # of a pandas.DataFrame
    if not isinstance(item, Mapping) and columns is item:
        raise TypeError(
            f"{name} must be a dict of labels and class names, a table, or None; got {type(item).__name__}."
        )
    if not isinstance(item, Mapping) or {LABEL, CLASS} <= {*item}:
        missing = [column for column in (LABEL, CLASS) if column not in columns]
        if missing:
            raise ValueError(f"{name} must have the columns {LABEL} and {CLASS}; got none named {_list(missing)}.")
        labels, values = list(item[LABEL]), list(item[CLASS])
        if len(labels) != len(values):
            raise ValueError(f"{name} must have one class per label; got {len(labels)} labels, {len(values)} classes.")
        pairs: Iterable[tuple[Any, Any]] = zip(labels, values, strict=True)
    else:
        pairs = item.items()
    found: dict[int, Any] = {}
    for label, value in pairs:
        number = _checks.as_integer(label, f"a label in {name}", minimum=1)
        if number in found:
            raise ValueError(f"{name} must have each label once; got {number} twice.")
        found[number] = value
    return {label: _as_name(value, label, name) for label, value in found.items()}


def _as_name(value: Any, label: int, name: str) -> Any:
    """Return the name of a class; None where it is unknown: None, or a missing value of pandas."""
    if value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{name} must hold class names as text, or None for unknown; got {value!r} for label {label}.")
    return str(value)


def classes_of_image(item: Any, masks: NDArray[Any], name: str, of: str) -> Known:
    """Return the classes that are known; raise unless the labels are those of the objects."""
    given = _as_dict(item, name)
    labels = {int(label) for label in number_objects(masks)[0]}
    extra, missing = sorted(given.keys() - labels), sorted(labels - given.keys())
    if extra:
        raise ValueError(f"{name} must be of objects in {of}; got a class for {_count(extra)}, which is none there.")
    if missing:
        raise ValueError(
            f"{name} must hold every object of {of}, with None where its class is unknown; got none for "
            f"{_count(missing)}."
        )
    return {label: value for label, value in given.items() if value is not None}


def _count(labels: Sequence[int]) -> str:
    return f"label {labels[0]}" + (f" and {len(labels) - 1} more" if len(labels) > 1 else "")


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
