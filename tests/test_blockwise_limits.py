"""Limits from blocks are those of the whole image, bit for bit."""

import numpy as np
import pytest
from scipy import ndimage
from test_intensities import MARRED, OFFSET, SOUND

from flowseg import _padding, synthetic
from flowseg._intensities import find_limits_and_unpadded, find_ranks, interpolate, percentiles
from flowseg._padding import find_unpadded
from flowseg._segmenters import inputs
from flowseg.blockwise._limits.passes import MARGIN, first_pass, limits_of_source, next_pass, plan_next
from flowseg.blockwise._limits.radix_selection import Interval, as_keys, from_keys, key_dtype
from flowseg.blockwise._limits.search import LimitsRequest, LimitsSearch
from flowseg.blockwise._regions import BlockGrid

DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
RULE = ("percentiles", 1.0, 99.0)


def nasty(dtype):
    """Small arrays of a dtype that are hard to sort, to interpolate or to tell apart."""
    dtype, rng = np.dtype(dtype), np.random.default_rng(0)
    info = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    yield (
        "random bits",
        (rng.standard_normal(999) * 10 if dtype.kind == "f" else rng.integers(info.min, info.max, 999, dtype, True)),
    )
    yield "two values", rng.integers(3, 5, 999)
    yield "all equal but one", np.where(np.arange(999) == 7, 100, 99)
    yield "all equal but the least", np.where(np.arange(999) == 7, 98, 99)
    yield "ties", rng.integers(0, 5, 999) ** 2
    yield "one", np.array([5])
    yield "two", np.array([5, 7])
    yield "ends of the type", np.array([info.min, info.max] * 3 + [0] * 5, dtype=dtype)
    yield "near the largest", info.max - np.arange(50, dtype=dtype)
    if dtype.kind != "u":
        yield "negative", -rng.integers(0, 100, 999)
    if dtype.itemsize == 8 and dtype.kind in "iu":
        yield "beyond 2**53", rng.integers(2**60, 2**60 + 2000, 999, dtype)
    if dtype.kind == "f":
        yield "subnormal", np.arange(-20, 50).astype(dtype) * info.smallest_subnormal
        yield "zeros with signs", np.array([-0.0, 0.0, -0.0, 0.0, 0.0, -0.0, 1.0])
        yield "zeros only", np.array([-0.0, 0.0, -0.0, -0.0, 0.0])
        yield "every power", -1.5 * np.exp2(np.arange(np.log2(info.tiny) + 1, np.log2(info.max) - 1))


ARRAYS = [
    pytest.param(np.asarray(values).astype(dtype), id=f"{dtype} {name}")
    for dtype in DTYPES
    for name, values in nasty(dtype)
]


@pytest.mark.parametrize("values", ARRAYS)
def test_keys_sort_as_numbers_do(values):
    keys = as_keys(values)
    assert keys.dtype == key_dtype(values.dtype)
    order = np.argsort(keys, kind="stable")
    assert (np.diff(values[order].astype(object)) >= 0).all()
    assert np.array_equal(keys[:, None] == keys, values[:, None] == values)
    assert from_keys(keys.astype(np.uint64), values.dtype).tobytes() == (values + values.dtype.type(0)).tobytes()
    assert np.array_equal(as_keys(values.astype(values.dtype.newbyteorder())), keys)


@pytest.mark.parametrize("percents", [(1, 99), (0, 100), (0.1, 99.9), (33.3, 66.7), (50, 50.001), (0, 1e-9)])
@pytest.mark.parametrize("values", ARRAYS)
def test_percentiles_are_those_of_numpy(values, percents):
    exact = values if values.dtype.kind == "u" else values.astype(np.float64)
    with np.errstate(all="ignore"):
        expected = tuple(float(value) for value in np.percentile(exact, percents))
    if not expected[0] < expected[1]:
        expected = float(values.min()), float(values.max())
    found = percentiles(values, *percents)
    assert found == expected
    assert np.array(found).tobytes() == (np.array(expected) + 0.0).tobytes()  # no -0.0
    assert found == percentiles(values[::-1], *percents)


@pytest.mark.parametrize("values", ARRAYS)
def test_any_rank_is_selected_exactly(values):
    keys = as_keys(values)
    for rank in {0, values.size // 3, values.size // 2, values.size - 1}:
        interval, n = Interval(0, int(np.iinfo(keys.dtype).max)), 0
        while interval.low < interval.high:
            parts = [interval.count(part) for part in np.array_split(keys, 3)]
            interval, n = interval.narrow(sum(parts), rank), n + 1
        assert interval.low == np.sort(keys)[rank]
        assert interval.below == np.count_nonzero(keys < interval.low)
        assert n <= max(1, values.dtype.itemsize // 2)


def run(image, rule=RULE, size=64, log=None):
    """Limits of (rows, columns, channels) from blocks; records and states go through dicts of arrays."""
    volume = image[np.newaxis] if image.ndim == 3 else image
    grid = BlockGrid(volume.shape[:3], tuple(min(size, n) if n > 1 else 1 for n in volume.shape[:3]))
    request = LimitsRequest(grid, image.dtype, image.shape[-1], rule, ndim=image.ndim - 1)
    blocks = [grid[index] for index in range(grid.n)]
    rng = np.random.default_rng(0)
    search, n = None, 0
    while search is None or not search.is_done:
        records = [None] * grid.n
        for index in rng.permutation(grid.n):
            block = blocks[index]
            if search is None:
                records[index] = first_pass(volume[block.slices], block, request)
            else:
                window = volume[block.window(MARGIN, grid.shape).slices]
                records[index] = next_pass(window, block, request, search)
            assert all(isinstance(array, np.ndarray) and array.dtype != object for array in records[index].values())
        search = LimitsSearch.from_arrays(plan_next(iter(records), request, search).as_arrays())
        n += 1
    if log is not None:
        log.append(n)
    return search.limits(request), [search.padding(c, request) for c in range(image.shape[-1])]


def whole(image, rule=RULE):
    return (None, None) if inputs.is_constant(image) else find_limits_and_unpadded(image, rule)


def check(image, rule=RULE, size=64, log=None):
    """Compare with the whole image; return whether padding was found in each channel."""
    expected, unpadded = whole(image, rule)
    found, ends = run(image, rule, size, log)
    if expected is None:
        assert found is None
        return None
    for name in ("low", "high", "bottom", "top"):
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes(), name
    if unpadded is not None:
        assert [pixels is not None for pixels in unpadded] == [bool(of_channel) for of_channel in ends]
    return [bool(of_channel) for of_channel in ends]


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_of_every_dtype(dtype):
    for _, values in nasty(dtype):
        image = np.resize(np.asarray(values).astype(dtype), (90, 70, 1))
        for percents in ((1.0, 99.0), (0.0, 100.0), (49.0, 49.01)):
            log = []
            check(image, ("percentiles", *percents), 64, log)
            check(image.astype(image.dtype.newbyteorder()), ("percentiles", *percents), 100)
            assert log[0] <= 6


IMAGE = np.clip(20 + 40 * synthetic.cells((160, 160), 12, rng=0)[0], 0, 255).astype(np.uint16)
CASES = MARRED | SOUND


@pytest.mark.parametrize("size", [64, 100, 257])
@pytest.mark.parametrize("limit", [None, 100 * 100, 50 * 50])
@pytest.mark.parametrize("name", CASES)
def test_padding(name, limit, size, monkeypatch):
    """The limit of the lattice makes its step 2 to 12."""
    if limit is not None:
        monkeypatch.setattr(_padding, "MAX_LATTICE", limit)
    image = CASES[name](IMAGE + (OFFSET if name in MARRED else 0))[..., None]
    found = check(image, size=size)
    if limit is None:
        assert found == [name in MARRED]


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("size", [64, 257])
def test_padding_of_every_dtype_at_a_step(dtype, size, monkeypatch):
    monkeypatch.setattr(_padding, "MAX_LATTICE", 80 * 80)
    image = ndimage.rotate(IMAGE.astype(np.float64), 20, order=1)[..., None]
    scaled = image * (255 / image.max()) if dtype == "u1" else image / 7 if dtype.startswith("f") else image
    frame = np.pad(IMAGE + OFFSET // 20, 60)[..., None].astype(dtype)
    check(scaled.astype(dtype), size=size)
    assert check(frame, size=size) == [True]


def test_a_lattice_that_misses_what_lies_between(monkeypatch):
    """Padding that is everywhere but on most of the lattice leaves nothing: then its neighbors count."""
    monkeypatch.setattr(_padding, "MAX_LATTICE", 50 * 50)
    image = np.zeros((200, 200, 1), dtype=np.uint16)
    image[::4, ::4, 0] = np.random.default_rng(0).integers(500, 600, (50, 50))
    image[:48] = image[:, :60] = 0
    assert _padding.lattice_step((200, 200)) == 4
    ends = _padding.find_ends(image[::4, ::4, 0], image.min(), image.max())
    assert [end.soft for end in ends] == [True]
    assert not _padding.mark_unpadded(image[..., 0], ends).any()
    for size in (64, 100):
        assert check(image, size=size) == [True]
    (inside,) = find_unpadded(image)
    assert np.array_equal(inside, image[..., 0] > 0)


def test_a_step_changes_nothing_in_images_up_to_the_limit():
    assert _padding.lattice_step((4096, 4096)) == 1
    assert _padding.lattice_step((1, 4096 * 4096)) == 1
    assert _padding.lattice_step((4096, 4097)) == 2
    assert _padding.lattice_step((1, 20_000, 20_000)) == 5
    assert _padding.lattice_step((100_000, 100_000)) == 25


@pytest.mark.parametrize("rule", [RULE, ("percentiles", 0.0, 100.0), ("limits", (0.0, 9.0)), None])
def test_channels(rule):
    channels = [
        np.pad(IMAGE + OFFSET, 40),
        np.pad(IMAGE, 40)[::-1] + 5,
        np.full((240, 240), 3),
        np.pad(IMAGE, 40, constant_values=9999),
        np.pad(IMAGE, 40, mode="reflect"),
    ]
    image = np.stack(channels, axis=-1)
    for dtype in ("u2", "f4", "i8"):
        found = check(image.astype(dtype), rule, 100)
        if rule == RULE:
            assert found == [True, True, False, True, False]
    assert run(np.full((90, 90, 2), 7) * [1, 2], rule)[0] is None
    assert run(np.where([True, False], -0.0, np.zeros((90, 90, 2))), rule)[0] is None


def test_volumes():
    volume = np.pad(np.stack([IMAGE + OFFSET] * 8), ((0, 0), (30, 30), (30, 30)))[..., None]
    assert check(volume, size=64) == [True]
    assert check(np.stack([IMAGE] * 3)[..., None], size=100) == [False]
    assert check((IMAGE + OFFSET)[np.newaxis, ..., None].repeat(1, axis=0), size=64) == [False]


def test_random_images_and_blocks():
    rng = np.random.default_rng(1)
    for _ in range(60):
        shape = tuple(rng.integers(1, 90, 2)) + (int(rng.integers(1, 3)),)
        dtype = np.dtype(rng.choice(DTYPES))
        image = (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 3)).clip(-100, 100)
        image = np.abs(image).astype(dtype) if dtype.kind == "u" else image.astype(dtype)
        if rng.random() < 0.5:
            image[: shape[0] // 2] = image.min() if rng.random() < 0.5 else image.max()
        low, high = np.sort(rng.random(2)) * 100
        check(image, ("percentiles", low, high), int(rng.integers(1, 50)))


def test_few_passes():
    for dtype, most in (("u1", 1), ("u2", 1), ("f4", 2), ("f8", 4), ("i4", 2), ("i8", 2)):
        log = []
        check((IMAGE * (1 / 7 if dtype.startswith("f") else 1)).astype(dtype)[..., None], size=100, log=log)
        assert log[0] <= most, dtype
        check(np.pad(IMAGE, 50)[..., None].astype(dtype), size=100, log=log)
        assert log[1] <= most + 2, dtype


def test_a_frequent_value_of_a_block_is_no_reason_for_another_pass():
    image = IMAGE.copy()
    for k, start in enumerate(range(150, 0, -30)):  # the smallest value of the image comes last
        image[start : start + 30] = np.maximum(image[start : start + 30], 30 + 5 * k)
    image[0, 0], image[-1, -1] = 0, 9999
    log = []
    check(image[::-1, :, None], size=30, log=log)
    assert log == [1]


def test_records_are_small():
    noise = np.random.default_rng(0).integers(0, 65536, (512, 512), dtype=np.uint16)
    for image in (noise, noise / 65536):
        grid = BlockGrid((1, 512, 512), (1, 512, 512))
        request = LimitsRequest(grid, image.dtype, 1, RULE)
        record = first_pass(image[np.newaxis, ..., None], grid[0], request)
        assert sum(array.nbytes for array in record.values()) < 250_000


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_images_that_are_not_finite(bad):
    image = np.resize(IMAGE, (90, 90, 2)).astype(np.float32)
    image[3, 4, 0] = image[80, 70, 1] = bad
    with pytest.raises(ValueError, match="must be finite") as expected:
        inputs.as_channels_last(image, 2, "image")
    for rule in (RULE, None):
        with pytest.raises(ValueError, match="must be finite") as found:
            run(image, rule)
        assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("dtype", [bool, complex, "U3"])
def test_images_that_are_no_numbers(dtype):
    image = np.zeros((9, 9, 1), dtype=dtype)
    with pytest.raises(TypeError) as expected:
        inputs.as_channels_last(image, 1, "image")
    with pytest.raises(TypeError) as found:
        LimitsRequest(BlockGrid((1, 9, 9), (1, 4, 4)), image.dtype, 1, RULE)
    assert str(found.value) == str(expected.value)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="no wider floats here")
def test_numbers_of_more_than_64_bits():
    with pytest.raises(TypeError, match="image must have numbers of at most 64 bits"):
        LimitsRequest(BlockGrid((1, 9, 9), (1, 4, 4)), np.dtype(np.longdouble), 1, RULE)


def test_one_call():
    image = np.pad(IMAGE + OFFSET, 40)[np.newaxis, ..., None]
    request = LimitsRequest(BlockGrid(image.shape[:3], (1, 100, 100)), image.dtype, 1, RULE)
    found, expected = limits_of_source(lambda box: image[box.slices], request), whole(image[0])[0]
    assert found.low == expected.low
    assert found.high == expected.high


def test_percentiles_from_order_statistics():
    values = np.sort(np.random.default_rng(0).integers(0, 1000, 77).astype(np.uint16))
    ranks = find_ranks(values.size, 3, 98)
    found = interpolate(values[ranks.below], values[ranks.above], ranks.weight, values[[0, -1]])
    assert found == tuple(np.percentile(values, [3, 98]))
