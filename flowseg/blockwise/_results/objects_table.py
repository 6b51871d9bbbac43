"""The table of the objects of a run, beside its label image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flowseg._labels.measure import Table
from flowseg.blockwise._results.positions import Positions

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
    described: Table, positions: Positions, shape: tuple[int, int], pixel_size: tuple[float, float] | None
) -> Table:
    """Return the table of objects: the columns of positions, then those of `FlowSegmenter.predict_objects`.

    Parameters
    ----------
    described : dict of ndarray
        Columns of the objects 1..n, in order of their labels; empty if nothing was decoded.
    positions : Positions
        Their positions.
    shape : (int, int)
        Rows and columns of the image.
    pixel_size : (float, float), optional
        Height and width of a pixel in micrometers.
    """
    boxes = positions.boxes
    table = positions.columns(pixel_size)
    diameters = 2.0 * np.sqrt(positions.areas / np.pi)
    border = (boxes[:, :2] == 0).any(axis=1) | (boxes[:, 2:] == np.array(shape)).any(axis=1)
    return {**table, "diameter": diameters, **{k: v for k, v in described.items() if k not in table}} | {
        "touches_border": described.get("touches_border", border)
    }
