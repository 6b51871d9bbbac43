"""Flow check, scores, table and holes, block by block: bit for bit those of the whole image."""

import numpy as np
import pytest
from blocks import FlowBlocks
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import flowseg
from flowseg._segmenters.learned_decoding.find_objects import Decoding, find_masks, find_objects, score_objects
from flowseg._segmenters.learned_decoding.object_scores import Calibration
from flowseg._segmenters.learned_decoding.object_table import describe_objects
from flowseg._segmenters.learned_decoding.thresholds import Thresholds
from flowseg.blockwise._objects.checks import owned_objects

SCORES = Calibration(20.0, (0.4, -1.5, -0.7, 0.3, 1.1, -0.6), (-2.0, -0.5, 0.0, 1.0), (0.05, 0.3, 0.6, 0.95))
DECODINGS = {
    "no check": Decoding(Thresholds(flow_threshold=None)),
    "flow check": Decoding(Thresholds(flow_threshold=0.25)),
    "every object dropped": Decoding(Thresholds(flow_threshold=0.0, min_size=0)),
    "scores": Decoding(Thresholds(flow_threshold=0.4), SCORES),
    "score threshold": Decoding(Thresholds(flow_threshold=0.4, score_threshold=0.5), SCORES),
    "scores alone": Decoding(Thresholds(flow_threshold=None, score_threshold=0.55), SCORES),
}


def noisy_cells(masks, level=0.6, seed=1):
    """Flows of cells with noise, of which a third is turned around in places, and cellprob."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.standard_normal((masks.ndim, *masks.shape)), (0, *[1] * masks.ndim))
    turn = np.where(rng.random(masks.max() + 1) < 0.3, 0.6, 0.0)[masks]
    flows = flowseg.masks_to_flows(masks) * (1 - turn) + noise * (level / noise.std()) * (1 + turn)
    cellprob = np.where(masks > 0, 3.0, -3.0) + ndimage.gaussian_filter(rng.standard_normal(masks.shape), 2)
    return flows.astype(np.float32), cellprob.astype(np.float32)


def whole_table(masks, flows, cellprob, decoding):
    """Masks and table of the whole image, with mean logits of whole numbers."""
    objects = describe_objects(masks, flows, cellprob, workers=1)
    units = np.rint(np.clip(cellprob.astype(np.float64), -512, 512) * 65536)
    sums = np.bincount(masks.ravel(), units.ravel(), masks.max() + 1)[1:]
    number, table = score_objects(objects | {"cellprob": sums / 65536 / np.bincount(masks.ravel())[1:]}, decoding)
    return number[masks], table


def check(flows, cellprob, size, decoding, *, rng=None):
    """Compare with the whole image; return the number of objects before and after the checks."""
    thresholds = decoding.thresholds
    blocks = FlowBlocks(flows, cellprob, size, min_size=thresholds.min_size, rng=rng)
    labels, table = blocks.decode(decoding)
    found = blocks.masks(labels)
    checked = flowseg.flows_to_masks(
        flows, cellprob, flow_threshold=thresholds.flow_threshold, min_size=thresholds.min_size
    )
    masks, expected = whole_table(checked, flows, cellprob, decoding)
    assert np.array_equal(found, masks)
    assert np.array_equal(found, find_masks(flows, cellprob, decoding, n_iter=None, workers=1))
    assert list(table) == list(expected)
    for name, column in expected.items():
        assert table[name].dtype == column.dtype
        assert np.array_equal(table[name], column, equal_nan=True), name
    assert list(table) == list(find_objects(flows, cellprob, decoding, n_iter=None, workers=1)[1])
    if thresholds.score_threshold is None:  # then errors at the border are not needed for the masks
        assert np.array_equal(blocks.decode(decoding, every_error=False)[0], labels)
    return blocks.objects.n, int(found.max())


@pytest.mark.parametrize("decoding", DECODINGS.values(), ids=DECODINGS)
@pytest.mark.parametrize("size", [64, 257])
def test_cells(voronoi, decoding, size):
    masks = voronoi((260, 280), 90)
    flows, cellprob = noisy_cells(np.where(masks % 7 == 0, 0, masks))
    before, after = check(flows, cellprob, size, decoding, rng=np.random.default_rng(0))
    assert before > 40
    assert (after < before) == (decoding != DECODINGS["no check"])


@pytest.mark.parametrize("decoding", ["flow check", "score threshold"])
@pytest.mark.parametrize("shape", [(24, 40, 44), (1, 90, 100), (60, 1, 70)], ids=["volume", "one plane", "one row"])
def test_volumes(voronoi, decoding, shape):
    masks = voronoi(shape, 14)
    assert check(*noisy_cells(masks, 0.3), (16, 20, 44), DECODINGS[decoding])[0] > 5


def test_without_objects():
    flows, cellprob = np.zeros((2, 40, 50), np.float32), np.full((40, 50), -1, np.float32)
    for decoding in DECODINGS.values():
        assert check(flows, cellprob, 16, decoding) == (0, 0)


@given(
    shape=st.one_of(st.tuples(*[st.integers(1, 70)] * 2), st.tuples(*[st.integers(1, 14)] * 3)),
    size=st.tuples(*[st.integers(3, 40)] * 3),
    limits=st.tuples(st.sampled_from([None, 0.1, 0.4, 1.5]), st.integers(0, 9), st.sampled_from([None, 0.3, 0.6])),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_any_fields_and_blocks(shape, size, limits, seed):
    rng = np.random.default_rng(seed)
    scale = (rng.choice([0.01, 1, 2]),) * len(shape)
    flows = ndimage.gaussian_filter(rng.standard_normal((len(shape), *shape)), (0, *scale)).astype(np.float32)
    cellprob = ndimage.gaussian_filter(rng.standard_normal(shape) + 0.5, scale).astype(np.float32)
    thresholds = Thresholds(flow_threshold=limits[0], min_size=limits[1], score_threshold=limits[2])
    check(flows, cellprob, size[: len(shape)], Decoding(thresholds, SCORES), rng=rng)


def test_errors_of_objects_in_one_block_and_in_many(voronoi):
    flows, cellprob = noisy_cells(voronoi((130, 130), 20))
    blocks = FlowBlocks(flows, cellprob, 64)
    n = blocks.objects.n
    owners = [owned_objects(blocks.objects, blocks.windows, k) for k in range(blocks.grid.n)]
    assert np.array_equal(np.sort(np.concatenate(owners)), np.arange(1, n + 1))
    chosen = np.arange(n) % 3 == 0
    errors = blocks.errors(chosen)
    everything = flowseg.flow_errors(blocks.masks(), flows)
    sizes = blocks.objects.sizes
    assert np.array_equal((errors * sizes / sizes)[chosen], everything[chosen])


def read_boxes(blocks):
    """Boxes whose flows are read, while errors of all objects are computed."""
    boxes, read = [], blocks.read_flows
    blocks.read_flows = lambda box: boxes.append(box) or read(box)
    blocks.errors(np.ones(blocks.objects.n, bool))
    return boxes


def test_no_more_than_a_block_or_an_object_is_read(voronoi):
    flows, cellprob = noisy_cells(voronoi((200, 200), 100))
    blocks = FlowBlocks(flows, cellprob, 64)
    extents = (blocks.objects.boxes[:, 3:] - blocks.objects.boxes[:, :3]).prod(axis=1)
    assert max(np.prod(box.shape) for box in read_boxes(blocks)) <= max(64 * 64, extents.max())


def rings(n, step):
    """Flows and cellprob of rings around one another, with dots between them."""
    side = 2 * n * step + 11
    radius = np.hypot(*(np.indices((side, side)) - side // 2))
    masks = np.where(radius // (step / 2) % 2 == 1, (radius / step).astype(int) + 1, 0)
    masks[radius >= n * step] = 0
    rows, columns = np.indices(masks.shape)
    dots = (masks == 0) & (rows % 25 < 3) & (columns % 25 < 3) & (ndimage.distance_transform_edt(masks == 0) > 3)
    numbers, _ = ndimage.label(dots)
    masks = np.where(numbers > 0, numbers + n + 1, masks)
    return flowseg.masks_to_flows(masks), np.where(masks > 0, 5.0, -5.0).astype(np.float32), masks


def check_holes(flows, cellprob, size, decoding, rng=None):
    blocks = FlowBlocks(flows, cellprob, size, min_size=decoding.thresholds.min_size, rng=rng)
    labels, _ = blocks.decode(decoding)
    filled = blocks.filled(labels)
    expected = flowseg.flows_to_masks(
        flows,
        cellprob,
        flow_threshold=decoding.thresholds.flow_threshold,
        min_size=decoding.thresholds.min_size,
        fill_holes=True,
    )
    assert np.array_equal(filled, expected)
    return np.count_nonzero(filled != blocks.masks(labels))


@pytest.mark.parametrize("size", [40, 64, 1000])
@pytest.mark.parametrize("min_size", [0, 15])
def test_holes_of_rings(size, min_size):
    flows, cellprob, masks = rings(4, 30)
    decoding = Decoding(Thresholds(flow_threshold=None, min_size=min_size))
    assert check_holes(flows, cellprob, size, decoding) > 1000


@pytest.mark.parametrize("shape", [(90, 110), (12, 40, 44), (1, 50, 60)])
@pytest.mark.parametrize("limit", [None, 0.3])
def test_holes_of_perforated_cells(voronoi, shape, limit):
    flows, cellprob = noisy_cells(voronoi(shape, 6), 0.2)
    rng = np.random.default_rng(2)
    cellprob[rng.random(shape) < 0.1] = -5
    flat = shape[0] == 1  # in a volume of one plane every hole is open
    filled = check_holes(flows, cellprob, 16, Decoding(Thresholds(flow_threshold=limit, min_size=4)), rng)
    assert (filled > 0) != flat
