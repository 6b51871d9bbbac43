"""Draw crowds of touching cells whose masks are known: for tests, for docs and for first steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label as connected_pieces

from flowseg import _checks

__all__ = ["cells"]

# Irregularity of an outline: relative amplitude of its harmonics 2..5 at most.
OUTLINE_AMPLITUDE = 0.12
# Distance of a cell from the neighbour it is set against, as a share of the sum of both radii.
CROWDING = 0.85
# Share of cells that start a new clump instead of joining one.
NEW_CLUMPS = 0.2
# Attempts to place one cell before the image counts as full.
MAX_ATTEMPTS = 2000


def cells(
    shape: tuple[int, int],
    n_cells: int,
    *,
    diameter: float = 24.0,
    rng: int | np.random.Generator | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Draw an image of irregular cells that crowd and touch.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    n_cells : int
        Number of cells.
    diameter : float
        Typical diameter in pixels; single cells have from 0.75 to 1.25 times as much.
    rng : int or numpy.random.Generator, optional
        Seed or source of chance; the same seed draws the same image.

    Returns
    -------
    image : ndarray of float32, shape (rows, columns)
        Uneven, blurred, noisy fluorescence: about 0.1 between cells and 0.3 to 1 inside.
    masks : ndarray of int32, shape (rows, columns)
        0 is background, 1..n_cells the cells, each one connected piece.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be, or the image has no room for so many cells.

    Examples
    --------
    >>> from flowseg import synthetic
    >>> image, masks = synthetic.cells((96, 128), 12, rng=0)
    >>> image.shape, int(masks.max())
    ((96, 128), 12)
    """
    if np.ndim(shape) != 1 or len(shape) != 2:
        raise ValueError(f"shape must be two numbers (rows, columns); got {shape!r}.")
    rows = _checks.as_integer(shape[0], "shape[0]", minimum=1)
    columns = _checks.as_integer(shape[1], "shape[1]", minimum=1)
    count = _checks.as_integer(n_cells, "n_cells", minimum=0)
    size = _checks.as_number(diameter, "diameter", low=4.0)
    try:
        generator = np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(f"rng must be an integer of at least 0, a Generator or None; got {rng!r}.") from None
    centres, radii = _place(rows, columns, count, size, generator)
    masks = _draw_masks((rows, columns), centres, radii, generator)
    return _draw_image(masks, size, generator), masks


def _place(
    rows: int, columns: int, count: int, diameter: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres and mean radii: most cells are set against one that is there already."""
    centres = np.zeros((count, 2))
    radii = 0.5 * diameter * rng.uniform(0.75, 1.25, count)
    for k in range(count):
        for _ in range(MAX_ATTEMPTS):
            if k == 0 or rng.random() < NEW_CLUMPS:
                place = rng.uniform((0, 0), (rows, columns)) * (rows > 1, columns > 1)  # the only place there is
            else:
                other = rng.integers(k)
                angle = rng.uniform(0, 2 * np.pi)
                distance = CROWDING * (radii[k] + radii[other])
                place = centres[other] + distance * np.array([np.sin(angle), np.cos(angle)])
            gaps = np.hypot(*(centres[:k] - place).T)
            inside = 0 <= place[0] <= rows - 1 and 0 <= place[1] <= columns - 1
            if inside and np.all(gaps >= 0.98 * CROWDING * (radii[:k] + radii[k])):
                centres[k] = place
                break
        else:
            raise ValueError(
                f"n_cells must fit into the image; got {count} cells of diameter {diameter:g} for "
                f"{rows} x {columns} pixels, which are full after {k}."
            )
    return centres, radii


def _draw_masks(
    shape: tuple[int, int],
    centres: NDArray[np.float64],
    radii: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Give each pixel to the cell in whose outline it lies deepest."""
    masks = np.zeros(shape, dtype=np.int32)
    depth = np.ones(shape)  # distance from the centre over the outline's radius in that direction
    for k, (centre, radius) in enumerate(zip(centres, radii, strict=True), start=1):
        reach = int(np.ceil(radius * (1 + 4 * OUTLINE_AMPLITUDE))) + 1
        low = np.maximum(np.floor(centre).astype(int) - reach, 0)
        high = np.minimum(np.floor(centre).astype(int) + reach + 2, shape)
        box = np.s_[low[0] : high[0], low[1] : high[1]]
        y = np.arange(low[0], high[0])[:, None] - centre[0]
        x = np.arange(low[1], high[1])[None, :] - centre[1]
        angle = np.arctan2(y, x)
        outline = np.ones_like(angle)
        for harmonic in range(2, 6):
            amplitude = rng.uniform(0, OUTLINE_AMPLITUDE) * 2 / harmonic
            outline += amplitude * np.cos(harmonic * angle + rng.uniform(0, 2 * np.pi))
        own = np.hypot(y, x) / (radius * outline)
        mine = own < depth[box]
        depth[box][mine] = own[mine]
        masks[box][mine] = k
    return _main_pieces(masks)


def _main_pieces(masks: NDArray[np.int32]) -> NDArray[np.int32]:
    """Keep the largest piece of every cell."""
    pieces = connected_pieces(masks, connectivity=1)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    cell_of = np.zeros(sizes.size, dtype=np.int32)
    cell_of[pieces] = masks
    largest = np.zeros(int(masks.max()) + 1, dtype=np.int64)
    np.maximum.at(largest, cell_of, sizes)
    return np.where(sizes[pieces] == largest[masks], masks, 0).astype(np.int32)


def _draw_image(masks: NDArray[Any], diameter: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Uneven light, a brightness and a grain for each cell, dimmer rims, blur and photon noise."""
    shape = masks.shape
    brightness = np.concatenate([[0.0], rng.uniform(0.35, 0.9, int(masks.max()))])
    grain = ndimage.gaussian_filter(rng.standard_normal(shape), diameter / 10)
    grain /= max(float(grain.std()), 1e-12)
    image = brightness[masks] * (1 + 0.15 * grain)
    rim = ndimage.grey_dilation(masks, size=3) != ndimage.grey_erosion(masks, size=3)
    image[rim & (masks > 0)] *= 0.6
    light = ndimage.gaussian_filter(rng.standard_normal(shape), max(shape) / 4)
    light = 1 + 0.2 * light / max(float(np.abs(light).max()), 1e-12)
    image = ndimage.gaussian_filter(0.1 + image, diameter / 24) * light
    photons = 200.0
    noisy = rng.poisson(np.maximum(image, 0) * photons) / photons + rng.normal(0, 0.01, shape)
    return noisy.astype(np.float32)
