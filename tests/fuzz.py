"""Hammer the kernels with label images and flows of every shape, dtype, layout and value, for a given time.

    python tests/fuzz.py --seconds 60 [--seed 0]

Made for a build with sanitizers (see .ci/sanitize), where any access out of bounds ends the program; on any build every
result is checked to be valid as well.
"""

import argparse
import itertools
import time

import numpy as np
import reference
from layouts import LAYOUTS

import flowseg
from flowseg import _diffusion, metrics
from flowseg._labels.components import find_components

# Images of at most this many pixels are compared with the slow reference as well.
SMALL = 300

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", ">i4", ">u2"]


def draw_shape(rng: np.random.Generator) -> tuple[int, ...]:
    """Small images mostly, now and then a long, a wide or a large one."""
    ndim = int(rng.choice([2, 2, 2, 3]))
    longest = int(rng.choice([3, 12, 40, 40, 150 if ndim == 2 else 24]))
    shape = rng.integers(1, longest + 1, ndim)
    if rng.random() < 0.1:
        shape[rng.integers(ndim)] = rng.choice([1, 600])
    return tuple(int(n) for n in shape)


def change_layout(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """The same values in memory in another way: misaligned, read-only, in the other byte order, behind other strides."""
    names = list(LAYOUTS)
    return LAYOUTS[names[rng.integers(len(names))]](array)


def draw_masks(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Noise, nearest-point cells, stripes or one object; labels anywhere in the range of the dtype."""
    dtype = np.dtype(rng.choice(DTYPES))
    kind = rng.integers(4)
    if kind == 0:
        numbers = rng.integers(0, rng.integers(1, 5) + 1, shape)
    elif kind == 1:
        points = rng.random((int(rng.integers(1, 20)), len(shape), *(1,) * len(shape))) * np.reshape(
            shape, (-1, *(1,) * len(shape))
        )
        numbers = ((np.indices(shape)[np.newaxis] - points) ** 2).sum(axis=1).argmin(axis=0) + 1
    elif kind == 2:
        numbers = np.indices(shape).sum(axis=0) // int(rng.integers(1, 9)) % 4
    else:
        numbers = np.ones(shape, dtype=int)
    numbers = np.where(rng.random(shape) < rng.choice([0.0, 0.1, 0.6]), 0, numbers)
    limits = np.iinfo(dtype)
    values = rng.integers(1, limits.max, int(numbers.max()) + 1, dtype=np.uint64, endpoint=True)
    values[0] = 0
    masks = values[numbers].astype(dtype)
    if limits.min < 0 and rng.random() < 0.3:
        masks[rng.random(shape) < 0.1] = rng.choice([-1, limits.min])
    return change_layout(rng, masks)


def draw_flows(rng: np.random.Generator, masks: np.ndarray) -> np.ndarray:
    """True flows with noise of any size, or noise alone."""
    scale = float(rng.choice([0.0, 0.3, 1.0, 1e20, 1e-30]))
    flows = scale * rng.standard_normal((masks.ndim, *masks.shape))
    if rng.random() < 0.7:
        flows = flows + flowseg.masks_to_flows(masks)
    return change_layout(rng, flows.astype(rng.choice(["f4", "f8"])))


class Count:
    """Checks made so far."""

    checks = 0


def check(condition: bool, what: str) -> None:
    Count.checks += 1
    if not condition:
        raise AssertionError(what)


def check_flows(masks: np.ndarray, flows: np.ndarray) -> None:
    norm = np.linalg.norm(flows, axis=0)
    check(bool(np.all((np.abs(norm - 1) < 1e-5) | (norm == 0))), "flows are of length 1 or 0")
    check(not flows[:, masks <= 0].any(), "no flow in the background")
    components = find_components(masks)
    without = np.bincount(components.image.reshape(masks.shape)[(masks > 0) & (norm == 0)], minlength=components.n + 1)
    check(without.max(initial=0) <= 1, "only a center has no flow")
    if masks.size <= SMALL:
        expected, _, _ = reference.whole_flows(masks)
        check(bool(np.abs(flows - expected).max() < 1e-4), "flows are those of the reference")


def check_masks(found: np.ndarray, inside: np.ndarray, smallest: int) -> None:
    labels, first, sizes = np.unique(found[found > 0], return_index=True, return_counts=True)
    check(np.array_equal(labels, np.arange(1, len(labels) + 1)), "labels are 1..n")
    check(bool(np.all(np.diff(first) > 0)), "labels are in raster order")
    check(bool(np.all(sizes >= smallest)), "no object is too small")
    check(not found[~inside].any(), "no object outside the foreground")
    check(find_components(found).n == len(labels), "every object is one component")


def one_round(rng: np.random.Generator) -> None:
    """One image through everything."""
    masks = draw_masks(rng, draw_shape(rng))
    workers = int(rng.integers(1, 4))
    try:
        own = flowseg.masks_to_flows(masks, workers=workers)
    except ValueError as error:
        check("binary 0/255" in str(error), str(error))
        return
    check_flows(masks, own)
    flows = draw_flows(rng, masks)
    before = masks.copy(), flows.copy()
    errors = flowseg.flow_errors(masks, flows, workers=workers)
    check(bool(np.all(errors >= 0)), "errors are not negative")
    plain = np.array(masks, masks.dtype.newbyteorder("="), order="C")
    check(np.array_equal(flowseg.masks_to_flows(plain, workers=1), own), "layouts and workers do not matter")
    cellprob = rng.normal(rng.choice([-1.0, 1.0, 5.0]), 2.0, masks.shape)
    smallest = int(rng.choice([0, 1, 15]))
    n_iter = [None, None, 0, 3, 50][rng.integers(5)]
    options = {
        "min_size": smallest,
        "n_iter": n_iter,
        "flow_threshold": [None, 0.4][rng.integers(2)],
        "workers": workers,
    }
    found = flowseg.flows_to_masks(flows, change_layout(rng, cellprob), **options)
    check_masks(found, cellprob > 0, max(smallest, 1))
    ends = flowseg.follow_flows(flows, change_layout(rng, cellprob > 0), n_iter=n_iter, workers=workers)
    limits = np.reshape(masks.shape, (-1, 1)) - 1
    check(bool(np.all((ends >= 0) & (ends <= limits))), "points stay in the image")
    filled = flowseg.fill_holes(masks)
    check(np.array_equal(filled[masks != 0], masks[masks != 0]), "only background is filled")
    if masks.max() < 1 << 63 and found.any():
        check(0 <= metrics.aggregated_jaccard(masks, found) <= 1, "an index is from 0 to 1")
    check(all(np.array_equal(a, b) for a, b in zip(before, (masks, flows), strict=True)), "inputs are as they were")
    _, in_use, damaged = _diffusion.count_allocations()
    check((in_use, damaged) == (0, 0), "the kernels' memory is given back as it was taken")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="the first seed; every round has the next one")
    options = parser.parse_args()
    stop = time.monotonic() + options.seconds
    for seed in itertools.count(options.seed):
        if time.monotonic() > stop:
            print(f"{seed - options.seed} rounds, {Count.checks} checks, nothing found")  # noqa: T201
            return
        try:
            one_round(np.random.default_rng(seed))
        except BaseException:
            print(f"seed {seed}")  # noqa: T201
            raise


if __name__ == "__main__":
    main()
