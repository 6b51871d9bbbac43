"""Draw images of touching cells with their masks, for tests, examples and first steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label as connected_components

from flowseg import _checks

__all__ = ["cells"]

# All constants are chosen so that images look like fluorescence of touching cells.
# Amplitude of each of the harmonics 2..5 of an outline, at most, relative to the radius.
OUTLINE_AMPLITUDE = 0.12
# Distance of a cell from the neighbor that it touches, as a share of the sum of both radii.
CROWDING = 0.85
# Share of cells that start a new clump instead of joining one.
NEW_CLUMPS = 0.2
# Attempts to place one cell before the image is full.
MAX_ATTEMPTS = 2000
# Photons per pixel of brightness 1.
PHOTONS = 200.0


def cells(
    shape: tuple[int, int],
    n_cells: int,
    *,
    diameter: float = 24.0,
    rng: int | np.random.Generator | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Draw an image of irregular cells that touch each other, and its masks.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    n_cells : int
        Number of cells.
    diameter : float
        Typical diameter in pixels. Single cells have from 0.75 to 1.25 times this diameter.
    rng : int or numpy.random.Generator, optional
        Seed or generator of random numbers. The same seed draws the same image.

    Returns
    -------
    image : ndarray of float32, shape (rows, columns)
        Uneven, blurred, noisy fluorescence, about 0.1 between cells and 0.3 to 1 inside.
    masks : ndarray of int32, shape (rows, columns)
        0 is background, 1..n_cells are the cells. Each is one connected component.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or the cells do not fit into the image.

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
    centers, radii = _place_cells(rows, columns, count, size, generator)
    masks = _draw_masks((rows, columns), centers, radii, generator)
    return _draw_image(masks, size, generator), masks


def _place_cells(
    rows: int, columns: int, count: int, diameter: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centers and mean radii; most cells touch one that was placed before."""
    centers = np.zeros((count, 2))
    radii = 0.5 * diameter * rng.uniform(0.75, 1.25, count)
    for k in range(count):
        for _ in range(MAX_ATTEMPTS):
            if k == 0 or rng.random() < NEW_CLUMPS:
                place = rng.uniform((0, 0), (rows, columns)) * (rows > 1, columns > 1)  # one pixel is the only choice
            else:
                other = rng.integers(k)
                angle = rng.uniform(0, 2 * np.pi)
                distance = CROWDING * (radii[k] + radii[other])
                place = centers[other] + distance * np.array([np.sin(angle), np.cos(angle)])
            gaps = np.hypot(*(centers[:k] - place).T)
            inside = 0 <= place[0] <= rows - 1 and 0 <= place[1] <= columns - 1
            if inside and np.all(gaps >= 0.98 * CROWDING * (radii[:k] + radii[k])):
                centers[k] = place
                break
        else:
            raise ValueError(
                f"n_cells must fit into the image; got {count} cells of diameter {diameter:g} for "
                f"{rows} x {columns} pixels, which are full after {k}."
            )
    return centers, radii


def _draw_masks(
    shape: tuple[int, int],
    centers: NDArray[np.float64],
    radii: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Draw the masks; a pixel belongs to the cell in whose outline it is deepest."""
    masks = np.zeros(shape, dtype=np.int32)
    depth = np.ones(shape)  # distance from the center over the outline's radius in that direction
    for k, (center, radius) in enumerate(zip(centers, radii, strict=True), start=1):
        reach = int(np.ceil(radius * (1 + 4 * OUTLINE_AMPLITUDE))) + 1
        low = np.maximum(np.floor(center).astype(int) - reach, 0)
        high = np.minimum(np.floor(center).astype(int) + reach + 2, shape)
        box = np.s_[low[0] : high[0], low[1] : high[1]]
        y = np.arange(low[0], high[0])[:, None] - center[0]
        x = np.arange(low[1], high[1])[None, :] - center[1]
        angle = np.arctan2(y, x)
        outline = np.ones_like(angle)
        for harmonic in range(2, 6):
            amplitude = rng.uniform(0, OUTLINE_AMPLITUDE) * 2 / harmonic
            outline += amplitude * np.cos(harmonic * angle + rng.uniform(0, 2 * np.pi))
        own = np.hypot(y, x) / (radius * outline)
        mine = own < depth[box]
        depth[box][mine] = own[mine]
        masks[box][mine] = k
    return _keep_largest_components(masks)


def _keep_largest_components(masks: NDArray[np.int32]) -> NDArray[np.int32]:
    """Keep the largest connected component of every cell."""
    components = connected_components(masks, connectivity=1)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    cell_of = np.zeros(sizes.size, dtype=np.int32)
    cell_of[components] = masks
    largest = np.zeros(int(masks.max()) + 1, dtype=np.int64)
    np.maximum.at(largest, cell_of, sizes)
    return np.where(sizes[components] == largest[masks], masks, 0).astype(np.int32)


def _draw_image(masks: NDArray[Any], diameter: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the image: uneven light, cells of different brightness and texture with darker rims, blur, photon noise."""
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
    noisy = rng.poisson(np.maximum(image, 0) * PHOTONS) / PHOTONS + rng.normal(0, 0.01, shape)
    return np.asarray(noisy, dtype=np.float32)
