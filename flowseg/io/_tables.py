"""Writer of tables of measurements."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from flowseg._labels.measure import Table
from flowseg._system import files
from flowseg._system.optional_packages import need

StrPath = str | os.PathLike[str]

# Rows of a CSV that are Python objects at a time: some 50 MB.
ROWS_PER_PART = 1 << 16
# Rows of a group in Parquet, the default of Arrow.
ROWS_PER_GROUP = 1 << 20


def write_table(path: StrPath, table: Mapping[str, ArrayLike]) -> None:
    """Write a table of measurements as CSV or Parquet.

    Parameters
    ----------
    path : path
        File to write, ending in ``.csv`` or ``.parquet``; an existing one is replaced atomically.
    table : mapping of str to array_like, shape (n_rows,)
        One column per name, as from `measure`.

    Raises
    ------
    ImportError
        If the path ends in .parquet and the package pyarrow is not installed (``pip install pyarrow``).
    ValueError
        If the columns are not of the same length.

    Examples
    --------
    >>> import flowseg
    >>> image, masks = flowseg.synthetic.cells((64, 64), 5, rng=0)
    >>> flowseg.io.write_table("cells.csv", flowseg.measure(masks, image))
    """
    columns = {str(name): np.asarray(values) for name, values in table.items()}
    if len({column.shape for column in columns.values()}) > 1 or any(column.ndim != 1 for column in columns.values()):
        shapes = {name: column.shape for name, column in columns.items()}
        raise ValueError(f"table must have columns of one length; got {shapes}.")
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        files.write_atomically(Path(path), lambda beside: _write_csv(beside, columns))
    elif suffix == ".parquet":
        arrow, parquet = need("pyarrow", "formats"), need("pyarrow.parquet", "formats")
        files.write_atomically(
            Path(path),
            lambda beside: parquet.write_table(arrow.table(columns), beside, row_group_size=ROWS_PER_GROUP),
        )
    else:
        raise ValueError(f"path must end in .csv or .parquet; got {path}.")


def _write_csv(path: Path, columns: Table) -> None:
    n_rows = max((column.size for column in columns.values()), default=0)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for start in range(0, n_rows, ROWS_PER_PART):
            part = slice(start, start + ROWS_PER_PART)
            writer.writerows(zip(*(column[part].tolist() for column in columns.values()), strict=True))
