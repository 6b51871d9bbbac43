"""The table of the objects of a run, beside its label image."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowseg._labels.diameters import diameters_of_sizes
from flowseg._labels.measure import Table
from flowseg.blockwise._results.positions import Positions
from flowseg.io._tables import ROWS_PER_PART

# Endings of the name of an output that the name of its table is without.
ZARR_SUFFIXES = (".ome.zarr", ".zarr")
# Results of `flowseg predict`: NAME_masks.ome.zarr and NAME_objects.csv.
MASKS_ENDING, OBJECTS_ENDING = "_masks", "_objects"


def table_path(output: Path) -> Path:
    """Return the table of an output: ``a.csv`` for ``a.ome.zarr``, ``a_objects.csv`` for ``a_masks.ome.zarr``."""
    name = next((output.name[: -len(end)] for end in ZARR_SUFFIXES if output.name.endswith(end)), output.name)
    if name.endswith(MASKS_ENDING):
        name = name.removesuffix(MASKS_ENDING) + OBJECTS_ENDING
    return output.with_name(f"{name}.csv")


def check_no_table(output: Path) -> None:
    """Raise FileExistsError if there is a file at the place of the table."""
    table = table_path(output)
    if table.exists() or table.is_symlink():
        raise FileExistsError(f"output must have no table of objects beside it yet; {table} exists. Move or delete it.")


def make_objects_table(
    described: Table, positions: Positions, shape: tuple[int, ...], pixel_size: tuple[float, ...] | None
) -> Table:
    """Return the table of objects: the columns of positions, then those of `FlowSegmenter.predict_objects`.

    Parameters
    ----------
    described : dict of ndarray
        Columns of the objects 1..n, in order of their labels; empty if nothing was decoded.
    positions : Positions
        Their positions.
    shape : tuple of int
        Shape of the image.
    pixel_size : tuple of float, optional
        Length of a pixel along each axis in micrometers.
    """
    low, high = np.split(positions.boxes, 2, axis=1)
    table = positions.columns(pixel_size)
    diameters = diameters_of_sizes(positions.areas, (1.0,) * len(shape))
    border = (low == 0).any(axis=1) | (high == np.array(shape)).any(axis=1)
    return {**table, "diameter": diameters, **{k: v for k, v in described.items() if k not in table}} | {
        "touches_border": described.get("touches_border", border)
    }


def read_objects_table(path: Path) -> Table:
    """Return a table of objects that `flowseg.io.write_table` wrote as CSV, one column per name."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        names = next(rows)
        parts = [np.array(part) for part in iter(lambda: list(islice(rows, ROWS_PER_PART)), [])]
    columns = [[_numbers(part[:, k]) for part in parts] for k in range(len(names))]
    return {
        name: np.concatenate(column) if column else np.zeros(0, dtype=np.int64)
        for name, column in zip(names, columns, strict=True)
    }


def _numbers(texts: NDArray[np.str_]) -> NDArray[Any]:
    """Return truth values, integers or floats, as the texts are."""
    if np.isin(texts, ("True", "False")).all():
        return np.asarray(texts == "True")
    try:
        return texts.astype(np.int64)
    except ValueError:
        return texts.astype(np.float64)
