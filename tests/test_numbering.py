"""Unique values and counts are those of NumPy, with a table and without, in one part or in several."""

import numpy as np
import pytest

from flowseg._labels import numbering
from flowseg._labels.numbering import number_values, parts_of, sum_by_key, values_of

ARRAYS = [
    np.array([], np.int32),
    np.array([-7], np.int8),
    np.array([[5, 3], [3, 9]], np.uint16),
    np.array([127, -128, 0, 127], np.int8),
    np.array([255, 0, 254], np.uint8),
    np.arange(-128, 128).astype(np.int8)[::-1],
    np.arange(2**63 - 2, 2**63 + 3, dtype=np.uint64),
    np.array([2**64 - 1, 2**64 - 3, 2**64 - 1], np.uint64),
    np.array([2**63, 2**63 + 1], np.uint64),
    np.array([-(2**63), 2**63 - 1, 0], np.int64),
    np.array([10**12, 10**12 + 2, 10**12, 7]),
    np.random.default_rng(0).integers(-5, 40, (7, 9)),
]


@pytest.mark.parametrize("part", [1, 3, 1 << 20])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype} {a.size}")
def test_values_are_those_of_numpy(array, part, monkeypatch):
    monkeypatch.setattr(numbering, "PART", part)
    expected = np.unique(array, return_inverse=True, return_counts=True)
    values, number, counts = number_values(array)
    for found, right in zip((values, number, counts), expected, strict=True):
        assert np.array_equal(found, right.ravel())
    assert (values.dtype, number.dtype, counts.dtype) == (array.dtype, np.int64, np.int64)
    assert np.array_equal(values_of(array), expected[0])


def test_a_table_is_used_for_values_close_together(monkeypatch):
    looked_up = []
    search = np.searchsorted
    monkeypatch.setattr(np, "searchsorted", lambda *args: looked_up.append(args) or search(*args))
    for low in (0, 100, -100):
        for span, table in ((7, True), (8, False)):  # twice as many as the elements
            looked_up.clear()
            assert number_values(np.array([0, span, 3, 3]) + low)[1].tolist() == [0, 2, 1, 1]
            assert (not looked_up) == table


def test_parts(monkeypatch):
    called = []
    monkeypatch.setattr(numbering, "check_canceled", lambda: called.append(1))
    monkeypatch.setattr(numbering, "PART", 1)
    assert [len(list(parts_of(size))) for size in range(4)] == [1, 1, 2, 3]
    monkeypatch.setattr(numbering, "PART", 4)
    for size, n in ((0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3)):
        called.clear()
        parts = list(parts_of(size))
        assert len(parts) == len(called) == n
        assert [k for part in parts for k in np.arange(size)[part]] == list(range(size))


def test_sums_by_key():
    keys, counts = np.array([2**40, 3, 2**40, -1]), np.array([5, 1, 7, 2**60])
    different, sums = sum_by_key(keys, counts)
    assert different.tolist() == [-1, 3, 2**40]
    assert sums.tolist() == [2**60, 1, 12]
