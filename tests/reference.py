"""Slow, plain NumPy versions of the kernels: what is right, written so that one can see it."""

import itertools

import numpy as np
from scipy import ndimage


def centre_of(coordinates, spacing=None):
    """The object pixel nearest to the per-axis median; ties: first in raster order."""
    spacing = np.ones(coordinates.shape[1]) if spacing is None else np.asarray(spacing)
    distance = np.sum(((coordinates - np.median(coordinates, axis=0)) * spacing) ** 2, axis=1)
    return tuple(coordinates[np.argmin(distance)])


def object_flow(inside, n_iter=None):
    """Flow of one object, given as a boolean image with a rim of background; steps 1 to 3 of the recipe."""
    coordinates = np.argwhere(inside)
    centre = centre_of(coordinates)
    if n_iter is None:
        n_iter = 2 * int(np.sum(coordinates.max(axis=0) - coordinates.min(axis=0)))
    heat = np.zeros(inside.shape)
    for _ in range(n_iter):
        heat[centre] += 1
        total = np.zeros_like(heat)
        for shift in itertools.product((-1, 0, 1), repeat=heat.ndim):
            total += np.roll(heat, shift, axis=tuple(range(heat.ndim)))
        heat = np.where(inside, total / 3**heat.ndim, 0)
    potential = np.log1p(heat)
    gradient = np.stack([np.roll(potential, -1, axis) - np.roll(potential, 1, axis) for axis in range(heat.ndim)])
    gradient[:, ~inside] = 0
    norm = np.sqrt(np.sum(gradient**2, axis=0))
    return gradient / np.where(norm > 0, norm, 1)


def masks_to_flows(masks):
    """Flows of a whole label image, object by object."""
    flows = np.zeros((masks.ndim, *masks.shape))
    full = np.ones((3,) * masks.ndim)
    for label in np.unique(masks[masks > 0]):
        pieces, n = ndimage.label(masks == label, structure=full)
        for k in range(1, n + 1):
            inside = np.pad(pieces == k, 1)
            crop = (slice(None),) + (slice(1, -1),) * masks.ndim
            flows += object_flow(inside)[crop]
    return flows


def follow(flows, inside, n_steps):
    """Euler steps of the linearly interpolated flow."""
    field = np.where(inside, flows, 0).astype(np.float64)
    points = np.argwhere(inside).astype(np.float64).T
    limits = np.array(inside.shape)[:, None] - 1
    for _ in range(n_steps):
        step = np.stack([ndimage.map_coordinates(f, points, order=1, mode="nearest") for f in field])
        step /= np.maximum(np.linalg.norm(step, axis=0), 1)
        points = np.clip(points + step, 0, limits)
    return points


def angles(a, b):
    """Angle in degrees between two fields of unit vectors, where both are not 0."""
    both = np.any(a != 0, axis=0) & np.any(b != 0, axis=0)
    chord = np.linalg.norm(a.astype(np.float64) - b.astype(np.float64), axis=0)[both]
    return np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1)))
