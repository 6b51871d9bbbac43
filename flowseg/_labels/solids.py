"""Surfaces and convex hulls of the objects of a volume."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from flowseg._system.threads import check_canceled

# Directions from a voxel to its 26 neighbors, one of each pair of opposite ones.
DIRECTIONS = [step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]

# Normals of surfaces for which directions are weighted. Source: chosen; more change no weight by more than 0.001.
N_NORMALS = 2000

# Weight of "the weights have a sum of 1", which keeps the area of a ball right.
SUM_WEIGHT = 1e3


def surface_areas(objects: NDArray[np.integer], n: int, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area of the surface of every object 1..n of a volume, in square units of ``spacing``.

    A line through an object crosses its surface; the mean number of crossings over lines of all directions gives the
    area (Crofton's formula, here with 13 directions). Of balls the area is right within 4 % from 5 voxels of radius on,
    within 1 % from 10 on. That of a mesh by marching cubes would be 8 % too large, with planes four times as far apart
    as rows 19 %.
    """
    padded = np.pad(objects, 1)
    areas = np.zeros(n + 1)
    lengths = np.linalg.norm(DIRECTIONS * spacing, axis=1)
    for step, length, weight in zip(DIRECTIONS, lengths, _weights(spacing), strict=True):
        check_canceled()
        if weight == 0:
            continue
        here, there = (
            padded[
                tuple(
                    slice(max(-s, 0), m - max(s, 0)) for s, m in zip(sign * np.array(step), padded.shape, strict=True)
                )
            ]
            for sign in (1, -1)
        )
        differ = here != there
        crossings = sum(np.bincount(side[differ], minlength=n + 1) for side in (here, there))
        areas += 2 * weight * crossings * spacing.prod() / length
    return areas[1:]


def _weights(spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights of the directions, of sum 1, with which surfaces of any normal have about the right area."""
    from scipy.optimize import nnls  # takes a quarter of a second

    k = np.arange(N_NORMALS) + 0.5
    height, angle = 1 - k / N_NORMALS, np.pi * (1 + np.sqrt(5)) * k  # even on the upper half of the sphere
    radius = np.sqrt(1 - height**2)
    normals = np.stack([height, radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    steps = DIRECTIONS * spacing
    crossed = 2 * np.abs(normals @ (steps / np.linalg.norm(steps, axis=1, keepdims=True)).T)
    system = np.vstack([crossed, np.full((1, len(DIRECTIONS)), SUM_WEIGHT)])
    weights, _ = nnls(system, np.append(np.ones(N_NORMALS), SUM_WEIGHT))
    return np.asarray(weights / weights.sum())


def measure_hulls(objects: NDArray[np.integer], n: int, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return volume and largest diameter of the convex hull of every object 1..n, in units of ``spacing``."""
    measured = np.zeros((n, 2))
    faces = 0.5 * np.concatenate([np.eye(3), -np.eye(3)])  # from the center of a voxel to those of its faces
    for k, box in enumerate(ndimage.find_objects(objects)[:n]):
        check_canceled()
        mask = objects[box] == k + 1
        plane, row = np.nonzero(mask.any(axis=2))
        first, last = mask.argmax(axis=2)[plane, row], mask.shape[2] - 1 - mask[:, :, ::-1].argmax(axis=2)[plane, row]
        ends = np.concatenate([np.stack([plane, row, column], axis=1) for column in (first, last)])
        hull = ConvexHull((ends[:, np.newaxis] + faces).reshape(-1, 3) * spacing)
        measured[k] = hull.volume, pdist(hull.points[hull.vertices]).max()
    return measured
