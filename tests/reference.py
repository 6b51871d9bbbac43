"""Slow, plain NumPy versions of the kernels: what is right, written so that one can see it."""

import itertools
from collections import deque

import numpy as np
from scipy import ndimage

# A gradient below this part of the potential is rounding.
STATIONARY = 1e-13

# Means of unit vectors shorter than this are 0.
CANCEL = 1e-9


def center_of(coordinates, spacing=None):
    """The object pixel nearest to the per-axis median; ties: first in raster order."""
    spacing = np.ones(coordinates.shape[1]) if spacing is None else np.asarray(spacing)
    distance = np.sum(((coordinates - np.median(coordinates, axis=0)) * spacing) ** 2, axis=1)
    return tuple(coordinates[np.argmin(distance)])


def object_flow(inside, n_iter=None):
    """Flow of one object, given as a boolean image with a rim of background; steps 1 to 3 of the recipe."""
    coordinates = np.argwhere(inside)
    center = center_of(coordinates)
    if n_iter is None:
        n_iter = 2 * int(np.sum(coordinates.max(axis=0) - coordinates.min(axis=0)))
    heat = np.zeros(inside.shape)
    for _ in range(n_iter):
        heat[center] += 1
        total = np.zeros_like(heat)
        for shift in itertools.product((-1, 0, 1), repeat=heat.ndim):
            total += np.roll(heat, shift, axis=tuple(range(heat.ndim)))
        heat = np.where(inside, total / 3**heat.ndim, 0)
    potential = np.log1p(heat)
    gradient = np.stack([np.roll(potential, -1, axis) - np.roll(potential, 1, axis) for axis in range(heat.ndim)])
    gradient[:, ~inside] = 0
    norm = np.sqrt(np.sum(gradient**2, axis=0))
    known = (norm > 0) & (np.abs(gradient).max(axis=0) >= STATIONARY * potential)
    return np.where(known, gradient / np.where(known, norm, 1), 0)


def count_steps(inside, center):
    """Steps from the center to every pixel of the object, breadth first; -1 elsewhere."""
    steps = np.full(inside.shape, -1)
    steps[center] = 0
    queue = deque([center])
    while queue:
        here = queue.popleft()
        for step in neighbors(inside.ndim):
            there = tuple(np.add(here, step))
            if inside[there] and steps[there] < 0:
                steps[there] = steps[here] + 1
                queue.append(there)
    return steps


def neighbors(ndim):
    """Steps to all neighbors, in raster order."""
    return [step for step in itertools.product((-1, 0, 1), repeat=ndim) if any(step)]


def whole_object_flow(inside):
    """Step 4 as well: the flow of one object with a rim, and where it depends on the order of the pixels.

    There the shortest paths to the center cancel, and the first of them in raster order is taken.
    """
    flow = object_flow(inside)
    center = center_of(np.argwhere(inside))
    steps = count_steps(inside, center)
    tied = np.zeros(inside.shape, dtype=bool)
    for pixel in map(tuple, np.argwhere(inside & ~flow.any(axis=0))):
        if pixel == center:
            continue
        directions = [w for w in neighbors(inside.ndim) if steps[tuple(np.add(pixel, w))] == steps[pixel] - 1]
        mean = np.mean([np.array(w) / np.linalg.norm(w) for w in directions], axis=0)
        tied[pixel] = np.linalg.norm(mean) < CANCEL
        mean = np.array(directions[0]) if tied[pixel] else mean
        flow[(slice(None), *pixel)] = mean / np.linalg.norm(mean)
    return flow, tied


def whole_flows(masks):
    """Flows of all steps of a label image, where they depend on the order of pixels, and the objects by number.

    A volume of one plane, row or column is a 2-D image.
    """
    if masks.ndim == 3 and 1 in masks.shape:
        axis = masks.shape.index(1)
        flows, *others = whole_flows(masks.squeeze(axis))
        return (
            np.insert(flows.reshape(2, *masks.shape), axis, 0, axis=0),
            *(image.reshape(masks.shape) for image in others),
        )
    flows = np.zeros((masks.ndim, *masks.shape))
    tied = np.zeros(masks.shape, dtype=bool)
    objects = np.zeros(masks.shape, dtype=int)
    done = {}  # the small objects of noise come again and again
    for label in np.unique(masks[masks > 0]):
        components, n = ndimage.label(masks == label, structure=np.ones((3,) * masks.ndim))
        for k, box in enumerate(ndimage.find_objects(components), start=1):
            inside = components[box] == k
            key = inside.shape, inside.tobytes()
            if key not in done:
                core = (slice(1, -1),) * masks.ndim
                flow, ties = whole_object_flow(np.pad(inside, 1))
                done[key] = flow[(slice(None), *core)], ties[core]
            flows[(slice(None), *box)] += done[key][0]
            tied[box] |= done[key][1]
            objects[box][inside] = objects.max() + 1
    return flows, tied, objects


def has_one_center(coordinates):
    """Whether one pixel is nearest to the median, so that flips and rotations keep the center."""
    distance = np.sum((coordinates - np.median(coordinates, axis=0)) ** 2, axis=1)
    return np.count_nonzero(distance <= distance.min() + 1e-9) == 1


def masks_to_flows(masks):
    """Return the flows of a label image, object by object."""
    flows = np.zeros((masks.ndim, *masks.shape))
    full = np.ones((3,) * masks.ndim)
    for label in np.unique(masks[masks > 0]):
        components, n = ndimage.label(masks == label, structure=full)
        for k in range(1, n + 1):
            inside = np.pad(components == k, 1)
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
