"""Objects of flows, block by block: bit for bit those of the whole image."""

import numpy as np
import pytest
from blocks import FlowBlocks
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import flowseg

SIZES = (64, 100, 257, 1000, 17)
NOISES = (0, 0.3, 0.6, 1.0)


def noisy(masks, level, seed=1):
    """Flows of masks with smooth noise of this standard deviation."""
    noise = np.random.default_rng(seed).standard_normal((masks.ndim, *masks.shape))
    noise = ndimage.gaussian_filter(noise, (0, *[1] * masks.ndim))
    return (flowseg.masks_to_flows(masks) + noise * (level / noise.std())).astype(np.float32)


def logits_of(foreground):
    return np.where(foreground, 5.0, -5.0).astype(np.float32)


def check(flows, cellprob, sizes, *, min_size=15, threshold=0.0, rng=None):
    """Compare with the whole image for every block size; return the masks."""
    flows, cellprob = np.asarray(flows, np.float32), np.asarray(cellprob, np.float32)
    whole = flowseg.flows_to_masks(
        flows, cellprob, flow_threshold=None, min_size=min_size, cellprob_threshold=threshold
    )
    for size in sizes:
        blocks = FlowBlocks(flows, cellprob, size, min_size=min_size, threshold=threshold, rng=rng)
        assert np.array_equal(blocks.masks(), whole), f"blocks of {size}"
        check_measures(blocks, whole)
    return whole


def check_measures(blocks, whole):
    """Compare what is known of each object with what its pixels give."""
    objects, flat, n = blocks.objects, whole.ravel(), int(whole.max())
    assert objects.n == n
    assert np.array_equal(objects.sizes, np.bincount(flat, minlength=n + 1)[1:])
    numbers, firsts = np.unique(flat, return_index=True)
    assert np.array_equal(objects.firsts, firsts[numbers > 0])
    units = np.rint(np.clip(blocks.cellprob.ravel(), -512, 512).astype(np.float64) * 65536)
    assert np.array_equal(objects.logits, np.bincount(flat, units, n + 1)[1:])
    for k, box in enumerate(ndimage.find_objects(whole.reshape(blocks.grid.shape))):
        assert objects.boxes[k].tolist() == [part.start for part in box] + [part.stop for part in box]


@pytest.mark.parametrize("level", NOISES)
def test_confluent_cells(voronoi, level):
    masks = voronoi((300, 400), 150)
    found = check(noisy(masks, level), np.full(masks.shape, 5.0), SIZES)
    assert found.max() > 100


@pytest.mark.parametrize("level", [0.6, 3.0])
def test_cells_with_background(level):
    _, masks = flowseg.synthetic.cells((300, 300), 60, rng=1)
    check(noisy(masks, level), logits_of(masks > 0), (64, 50), min_size=0)


def test_min_size_counts_pixels_of_all_blocks(voronoi):
    masks = voronoi((120, 120), 60)
    sizes = np.bincount(masks.ravel())[1:]
    for min_size in (0, 1, int(np.median(sizes)), int(sizes.max()), int(sizes.max()) + 1):
        found = check(noisy(masks, 0), np.full(masks.shape, 5.0), (16, 33), min_size=min_size)
    assert found.max() == 0


def disk(shape, center, radius):
    return np.hypot(*(axis - c for axis, c in zip(np.indices(shape), center, strict=True))) <= radius


def snake(side, width, gap):
    """One object that goes to and fro over the image."""
    mask = np.zeros((side, side), np.int32)
    step = width + gap
    for k, row in enumerate(range(gap, side - width, step)):
        mask[row : row + width, gap:-gap] = 1
        if row + step < side - width:
            columns = slice(side - gap - width, side - gap) if k % 2 == 0 else slice(gap, gap + width)
            mask[row : row + step + width, columns] = 1
    return mask


def n_blocks_of_largest(masks, size):
    mask = masks == np.bincount(masks.ravel())[1:].argmax() + 1
    return len(np.unique(np.argwhere(mask) // size, axis=0))


@pytest.mark.parametrize("level", [0, 0.3])
def test_a_snake_through_more_than_twenty_blocks(level):
    mask = snake(330, 12, 30)
    found = check(noisy(mask, level), logits_of(mask > 0), SIZES)
    if level == 0:
        assert n_blocks_of_largest(found, 64) > 20


@pytest.mark.parametrize("level", NOISES)
def test_an_object_larger_than_four_blocks(level):
    mask = disk((300, 300), (149.5, 151.0), 140).astype(np.int32)
    found = check(noisy(mask, level), logits_of(mask > 0), (64, 100))
    if level == 0:
        assert n_blocks_of_largest(found, 100) == 9


def test_a_ring_around_a_block():
    shape, center = (230, 230), (96.0, 96.0)
    ring = disk(shape, center, 80) & ~disk(shape, center, 50)
    masks = np.where(ring, 1, np.where(disk(shape, center, 20), 2, 0))
    found = check(noisy(masks, 0), logits_of(masks > 0), (64, 100))
    assert found.max() == 2
    assert n_blocks_of_largest(found, 64) == 8
    assert not (found[64:128, 64:128] == 1).any()


@pytest.mark.parametrize("shape", [(150, 170), (1, 200), (200, 1), (1, 1), (5, 90), (6, 40, 50), (1, 30, 40)])
@pytest.mark.parametrize("foreground", [False, True])
def test_empty_and_all_foreground(shape, foreground):
    rng = np.random.default_rng(0)
    none = np.zeros((len(shape), *shape))
    cellprob = np.full(shape, 5.0 if foreground else -5.0)
    found = check(none, cellprob, (64, 17), min_size=0)
    assert found.max() == (np.prod(shape) if foreground else 0)
    for flows in (none + 1, rng.standard_normal(none.shape)):
        assert check(flows, cellprob, (64, 17), min_size=0).any() == foreground


@pytest.mark.parametrize("level", [0, 0.6])
@pytest.mark.parametrize("size", [(16, 16, 16), (10, 50, 20), (1, 64, 64), (30, 3, 50)])
def test_volumes(voronoi, level, size):
    masks = voronoi((30, 40, 50), 20)
    check(noisy(masks, level), logits_of(masks > 3), [size])


@pytest.mark.parametrize("level", NOISES)
def test_a_confluent_volume(voronoi, level):
    masks = voronoi((50, 60, 60), 80)
    found = check(noisy(masks, level), np.full(masks.shape, 5.0), (40, 17))
    assert found.max() > (60 if level < 1 else 5)  # so much noise joins nearly all


def coil(shape, turns, radius, width):
    """One object that winds through a volume like a spring."""
    planes, rows, columns = shape
    t = np.linspace(0, 1, 4000)
    angle = 2 * np.pi * turns * t
    path = np.stack([
        width + t * (planes - 1 - 2 * width),
        rows / 2 + radius * np.sin(angle),
        columns / 2 + radius * np.cos(angle),
    ])  # fmt: skip
    mask = np.zeros(shape, bool)
    mask[tuple(np.rint(path).astype(int))] = True
    return ndimage.distance_transform_edt(~mask) <= width


@pytest.mark.parametrize("level", [0, 0.3])
def test_a_coil_through_many_blocks(level):
    mask = coil((90, 70, 70), 2.5, 26, 4).astype(np.int32)
    found = check(noisy(mask, level), logits_of(mask > 0), (20, 40, 64))
    if level == 0:
        assert n_blocks_of_largest(found, 20) > 20


@pytest.mark.parametrize("shape", [(3, 90, 100), (150, 12, 14), (60, 1, 70)])
def test_flat_and_long_volumes(voronoi, shape):
    masks = voronoi(shape, 30)
    check(noisy(masks, 0.3), logits_of(masks > 3), (16, 40))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_path_over_a_gap_goes_four_pixels_far(axis, direction):
    # The first step is 0.4 long and the next ones 1, so the path ends 3.4 pixels away, nearest to a pixel behind a gap.
    # That pixel belongs to the basin, but not to its largest component, and is dropped.
    for edge in range(13, 20):
        flows, cellprob = np.zeros((2, 1, 33)), np.full((1, 33), -5.0)
        at = edge + direction * np.array([0, 1, 2, 4])
        cellprob[0, at] = 5
        flows[1, 0, at] = np.array([0.4, 100, 100, 0]) * direction
        if axis == 0:
            flows, cellprob = flows[::-1].transpose(0, 2, 1), cellprob.T
        found = check(flows, cellprob, (16, 3), min_size=0)
        assert found.ravel()[at].tolist() == [1, 1, 1, 0]


def test_threshold_of_the_foreground(voronoi):
    masks = voronoi((90, 110), 20)
    cellprob = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(masks.shape), 2) * 4
    for threshold in (-0.5, 0.0, 0.7):
        check(noisy(masks, 0.3), cellprob, (16, 37), threshold=threshold)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_blocks_has_no_effect(voronoi, seed):
    masks = voronoi((150, 130), 40)
    check(noisy(masks, 0.6), logits_of(masks > 5), (16, 50), rng=np.random.default_rng(seed))


KINDS = ("noise", "axes", "constant", "stripes", "vortices", "none")


def draw_flows(kind, shape, rng):
    """Flows of one kind; all but the first have many ties."""
    places = np.indices(shape)
    flows = np.zeros((len(shape), *shape))
    if kind == "noise":
        flows = rng.standard_normal(flows.shape) * rng.choice([0.1, 1, 3, 1e15])
    elif kind == "axes":
        flows = rng.integers(-1, 2, flows.shape).astype(float)
    elif kind == "constant":
        flows[rng.integers(len(shape))] = rng.choice([-1, -0.5, 0.25, 1])
    elif kind == "stripes":
        flows[-1] = np.where(places[-1] // rng.integers(2, 9) % 2, 1, -1)
    elif kind == "vortices":
        flows[0], flows[-1] = np.sin(places[-1] / rng.uniform(1, 9)), np.cos(places[0] / rng.uniform(1, 9))
    return flows


def draw_cellprob(kind, shape, rng):
    if kind == "noise":
        return rng.standard_normal(shape) + rng.choice([-1, 0, 2])
    if kind == "diagonals":  # contact at corners only
        return logits_of(np.indices(shape).sum(axis=0) % rng.integers(2, 5) == 0)
    return np.full(shape, 5.0)


SHAPES = st.one_of(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 14), st.integers(1, 20), st.integers(1, 20)),
)


@given(
    shape=SHAPES,
    sizes=st.tuples(*[st.integers(1, 40)] * 3),
    kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(("noise", "diagonals", "all"))),
    min_size=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=80, deadline=None)
def test_any_fields_and_blocks(shape, sizes, kinds, min_size, seed):
    rng = np.random.default_rng(seed)
    size = tuple(max(k, 4) for k in sizes[: len(shape)]) if np.prod(shape) > 400 else sizes[: len(shape)]
    flows, cellprob = draw_flows(kinds[0], shape, rng), draw_cellprob(kinds[1], shape, rng)
    check(flows, cellprob, [size], min_size=min_size, rng=rng)


def flipped(flows, cellprob, axes):
    """Outputs for the image flipped along some axes."""
    signs = np.array([-1.0 if axis in axes else 1.0 for axis in range(2)], np.float32)
    flows = np.flip(flows, tuple(axis + 1 for axis in axes)) * signs[:, np.newaxis, np.newaxis]
    return flows, np.flip(cellprob, tuple(axes))


def test_predictions_of_nuclei_on_real_images(shared):
    """Outputs for a few real images, put side by side with flips to 1500 x 1500."""
    from real_data import rows_of
    from skimage.io import imread

    side, size, rng = 1500, 256, np.random.default_rng(0)
    folder, _ = rows_of(shared, "dsb2018")
    files = sorted((folder / "test_open" / "images").iterdir())[:16]
    images = [image for image in map(imread, files) if image.shape[:2] == (size, size)][:5]
    outputs = [flowseg.FlowSegmenter.from_pretrained("nuclei").predict_flows(image) for image in images]
    flows, cellprob = np.zeros((2, side, side), np.float32), np.zeros((side, side), np.float32)
    for row in range(0, side, size):
        for column in range(0, side, size):
            axes = [axis for axis in (0, 1) if rng.random() < 0.5]
            flowed, logits = flipped(*outputs[rng.integers(len(outputs))], axes)
            height, width = min(size, side - row), min(size, side - column)
            flows[:, row : row + height, column : column + width] = flowed[:, :height, :width]
            cellprob[row : row + height, column : column + width] = logits[:height, :width]
    found = check(flows, cellprob, (100, 257))
    assert found.max() > 250
