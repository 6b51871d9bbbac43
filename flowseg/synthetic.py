"""Draw images and volumes of touching cells with their masks, for tests, examples and first steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.measure import label as connected_components

from flowseg import _checks

__all__ = ["cells"]

# All constants are chosen so that images look like fluorescence of touching cells, and volumes like confocal stacks.
# Amplitude of each of the harmonics 2..5 of an outline, at most, relative to the radius.
OUTLINE_AMPLITUDE = 0.12
# Factor of these amplitudes in volumes, where a harmonic vanishes at the poles of its axis.
VOLUME_AMPLITUDE = 1.5
# Distance of a cell from the neighbor that it touches, as a share of the sum of both radii.
CROWDING = 0.85
# Share of cells that start a new clump instead of joining one.
NEW_CLUMPS = 0.2
# Attempts to place one cell before the image is full.
MAX_ATTEMPTS = 2000
# Photons per pixel of brightness 1.
PHOTONS = 200.0
# Smallest diameter, in pixels of the coarsest axis.
MIN_DIAMETER = 4.0
# Blur along the optical axis, relative to that within a plane.
AXIAL_BLUR = 3.0
# Depth at which light has fallen to 1 / e, in diameters.
ATTENUATION_LENGTH = 10.0


def cells(
    shape: tuple[int, ...],
    n_cells: int,
    *,
    diameter: float = 24.0,
    spacing: ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Draw an image of irregular cells that touch each other, and its masks.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns, or planes, rows and columns.
    n_cells : int
        Number of cells.
    diameter : float
        Typical diameter in pixels, of the finest axis. Single cells have from 0.75 to 1.25 times this diameter.
    spacing : sequence of float, optional
        Distance between pixels along each axis, in any unit. Cells are as long along each axis in this unit.
    rng : int or numpy.random.Generator, optional
        Seed or generator of random numbers. The same seed draws the same image.

    Returns
    -------
    image : ndarray of float32, shape `shape`
        Uneven, blurred, noisy fluorescence, about 0.1 between cells and 0.3 to 1 inside. A volume is blurred more along
        the planes' axis than within a plane, and becomes darker from plane to plane.
    masks : ndarray of int32, shape `shape`
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

    A volume whose planes are twice as far apart as its rows and columns:

    >>> volume, masks = synthetic.cells((24, 64, 64), 12, diameter=16, spacing=(2, 1, 1), rng=0)
    >>> volume.shape, int(masks.max())
    ((24, 64, 64), 12)
    """
    if np.ndim(shape) != 1 or len(shape) not in (2, 3):
        raise ValueError(f"shape must be two numbers (rows, columns) or three (planes, rows, columns); got {shape!r}.")
    lengths = tuple(_checks.as_integer(n, f"shape[{axis}]", minimum=1) for axis, n in enumerate(shape))
    count = _checks.as_integer(n_cells, "n_cells", minimum=0)
    steps = _checks.as_spacing(spacing, len(lengths))
    steps = steps / steps.min()  # pixels of the finest axis
    size = _checks.as_number(diameter, "diameter", low=MIN_DIAMETER)
    if size < MIN_DIAMETER * steps.max():
        raise ValueError(
            f"diameter must be at least {MIN_DIAMETER:g} pixels of the axis of largest spacing, "
            f"{MIN_DIAMETER * steps.max():g} of the finest; got {diameter!r}."
        )
    try:
        generator = np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(f"rng must be an integer of at least 0, a Generator or None; got {rng!r}.") from None
    centers, radii = _place_cells(lengths, steps, count, size, generator)
    masks = _draw_masks(lengths, steps, centers, radii, generator)
    return _draw_image(masks, steps, size, generator), masks


def _place_cells(
    shape: tuple[int, ...], steps: NDArray[np.float64], count: int, diameter: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centers and mean radii, in pixels of the finest axis; most cells touch one that was placed before."""
    centers = np.zeros((count, len(shape)))
    radii = 0.5 * diameter * rng.uniform(0.75, 1.25, count)
    last = (np.array(shape) - 1) * steps
    for k in range(count):
        for _ in range(MAX_ATTEMPTS):
            if k == 0 or rng.random() < NEW_CLUMPS:
                place = rng.uniform(0, shape * steps) * (last > 0)  # one pixel is the only choice
            else:
                other = rng.integers(k)
                place = centers[other] + _draw_direction(len(shape), rng) * (CROWDING * (radii[k] + radii[other]))
            gaps = reduce(np.hypot, (centers[:k] - place).T)
            inside = np.all((place >= 0) & (place <= last))
            if inside and np.all(gaps >= 0.98 * CROWDING * (radii[:k] + radii[k])):
                centers[k] = place
                break
        else:
            raise ValueError(
                f"n_cells must fit into the image; got {count} cells of diameter {diameter:g} for "
                f"{' x '.join(map(str, shape))} pixels, which are full after {k}."
            )
    return centers, radii


def _draw_direction(ndim: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a random vector of unit length."""
    if ndim == 2:
        angle = rng.uniform(0, 2 * np.pi)
        return np.array([np.sin(angle), np.cos(angle)])
    vector = rng.standard_normal(ndim)
    return np.asarray(vector / np.linalg.norm(vector))


def _draw_masks(
    shape: tuple[int, ...],
    steps: NDArray[np.float64],
    centers: NDArray[np.float64],
    radii: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Draw the masks; a pixel belongs to the cell in whose outline it is deepest."""
    masks = np.zeros(shape, dtype=np.int32)
    depth = np.ones(shape)  # distance from the center over the outline's radius in that direction
    for k, (center, radius) in enumerate(zip(centers, radii, strict=True), start=1):
        reach = np.ceil(radius * (1 + 4 * OUTLINE_AMPLITUDE) / steps).astype(int) + 1
        pixel = np.floor(center / steps).astype(int)
        low, high = np.maximum(pixel - reach, 0), np.minimum(pixel + reach + 2, shape)
        box = tuple(map(slice, low, high))
        axes = [np.arange(a, b) * step - c for a, b, step, c in zip(low, high, steps, center, strict=True)]
        offsets = np.meshgrid(*axes, indexing="ij", sparse=True)
        own = reduce(np.hypot, offsets) / (radius * _draw_outline(offsets, rng))
        mine = own < depth[box]
        depth[box][mine] = own[mine]
        masks[box][mine] = k
    return _keep_largest_components(masks)


def _draw_outline(offsets: Sequence[NDArray[np.float64]], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the radius of an irregular outline in the direction of every pixel, relative to the mean radius.

    In a volume every harmonic has an axis of its own: it is the sectoral spherical harmonic around this axis.
    """
    outline = np.ones(np.broadcast_shapes(*(offset.shape for offset in offsets)))
    for harmonic in range(2, 6):
        amplitude = rng.uniform(0, OUTLINE_AMPLITUDE) * 2 / harmonic
        phase = rng.uniform(0, 2 * np.pi)
        if len(offsets) == 2:
            y, x = offsets
            outline += amplitude * np.cos(harmonic * np.arctan2(y, x) + phase)
            continue
        axes = np.linalg.qr(rng.standard_normal((3, 2)))[0].T
        y, x = (sum(a * offset for a, offset in zip(axis, offsets, strict=True)) for axis in axes)
        sine = np.hypot(y, x) / np.maximum(reduce(np.hypot, offsets), 1e-12)
        wave = np.cos(harmonic * np.arctan2(y, x) + phase)
        outline += VOLUME_AMPLITUDE * amplitude * sine**harmonic * wave
    return outline


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


def _draw_image(
    masks: NDArray[Any], steps: NDArray[np.float64], diameter: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw the image: uneven light, cells of different brightness and texture with darker rims, blur, photon noise."""
    shape = masks.shape
    brightness = np.concatenate([[0.0], rng.uniform(0.35, 0.9, int(masks.max()))])
    grain = ndimage.gaussian_filter(rng.standard_normal(shape), diameter / 10 / steps)
    grain /= max(float(grain.std()), 1e-12)
    image = brightness[masks] * (1 + 0.15 * grain)
    size = np.where(steps < 2, 3, 1)  # rims are two pixels of the finest axis wide, as far as pixels are as small
    rim = ndimage.grey_dilation(masks, size=size) != ndimage.grey_erosion(masks, size=size)
    image[rim & (masks > 0)] *= 0.6
    light = ndimage.gaussian_filter(rng.standard_normal(shape), np.max(shape * steps) / 4 / steps)
    light = 1 + 0.2 * light / max(float(np.abs(light).max()), 1e-12)
    blur = diameter / 24 / steps
    if masks.ndim == 3:
        blur[0] *= AXIAL_BLUR
        light *= np.exp(-np.arange(shape[0]) * steps[0] / (ATTENUATION_LENGTH * diameter))[:, None, None]
    image = ndimage.gaussian_filter(0.1 + image, blur) * light
    noisy = rng.poisson(np.maximum(image, 0) * PHOTONS) / PHOTONS + rng.normal(0, 0.01, shape)
    return np.asarray(noisy, dtype=np.float32)
