"""MATLAB files element by element, built by hand: what is read, and what is refused just beyond."""

import struct
import zlib

import numpy as np
import pytest

from flowseg._system.invalid_file import InvalidFileError, StoredFile
from flowseg.io import _mat
from flowseg.io._mat import read_matrices

CODES_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
CODES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
ARRAY = np.arange(6).reshape(2, 3)


@pytest.fixture
def read(tmp_path):
    def work(*parts):
        (tmp_path / "a.mat").write_bytes(b"".join(parts))
        return read_matrices(StoredFile(tmp_path / "a.mat", "MATLAB file"))

    return work


def old(kind, array=ARRAY, name=b"x\0", order="<", is_complex=0, shape=(2, 3), n_name=None):
    code = CODES_4[kind // 10 % 10 % 6]
    head = struct.pack(f"{order}5i", kind, *shape, is_complex, len(name) if n_name is None else n_name)
    return head + name + array.astype(order + code).tobytes(order="F") * (1 + (is_complex == 1))


class TestVersion4:
    @pytest.mark.parametrize("code", range(6))
    @pytest.mark.parametrize("order", "<>")
    def test_numbers(self, code, order, read):
        kind = 10 * code + (1000 if order == ">" else 0)
        first, second = read(old(kind, order=order), old(kind, ARRAY * 2, b"second\0", order))
        assert (first.name, second.name) == ("x", "second")
        assert np.array_equal(first.read(), ARRAY)
        assert np.array_equal(second.read(), ARRAY * 2)
        assert first.read().dtype == np.dtype(CODES_4[code])

    def test_arrays_that_are_not_of_real_numbers(self, read):
        found = read(old(0, is_complex=1), old(51), old(2), old(3), old(1003, order=">"), old(0, name=b"\0"), old(0))
        assert [one.kind for one in found] == ["complex array", "text", "sparse array", "class", "class", ""]
        assert np.array_equal(found[-1].read(), ARRAY)
        for one, words in zip(found[:-1], ("complex array", "text", "sparse array", "class", "class"), strict=True):
            with pytest.raises(InvalidFileError, match=f"got: x, which is no array of real numbers but a {words}.$"):
                one.read()

    def test_damage(self, read):
        for bad in (old(60), old(100), old(999), old(1060, order=">"), old(0, shape=(-2, 3)), old(0, shape=(2, -3)),
                    old(0, n_name=-1), old(0, is_complex=2), old(0, is_complex=-1)):  # fmt: skip
            with pytest.raises(InvalidFileError, match="got: an array whose header is damaged.$"):
                read(bad)
        for kind, order in ((1000, "<"), (-1, "<"), (2000, ">"), (4052, ">"), (4053, ">"), (-1000, ">")):
            with pytest.raises(InvalidFileError, match="got: something that does not begin as a MATLAB file.$"):
                read(old(kind, order=order))
        whole = old(0)
        with pytest.raises(InvalidFileError, match=r"got: an array of shape \(2, 3\) that is cut short.$"):
            read(whole[:-1])
        with pytest.raises(InvalidFileError, match=r"got: an array of shape \(2, 3\) that is cut short.$"):
            read(old(0, is_complex=1)[:-1])
        for n in (1, 19):
            with pytest.raises(InvalidFileError, match="got: an array that is cut short.$"):
                read(whole, whole[:n])
        (found,) = read(old(0, np.zeros(0), shape=(0, 3), name=b"e"))
        assert found.read().shape == (0, 3)
        assert read() == []


def element(kind, data=b"", order="<", length=None, fill=True):
    raw = struct.pack(f"{order}II", kind, len(data) if length is None else length) + data
    return raw + bytes(-len(data) % 8 if fill else 0)


def small(kind, data, order="<", length=None):
    words = kind | (len(data) if length is None else length) << 16
    return struct.pack(f"{order}I", words) + data.ljust(4, b"\0")


def parts(order="<", what=6, flags=0, shape=(2, 3), name=b"x", type_=9, array=ARRAY, **others):
    """The elements of an array, of which each can be another."""
    usual = {
        "head": element(6, struct.pack(f"{order}II", what | flags, 0), order),
        "dims": element(5, struct.pack(f"{order}{len(shape)}i", *shape), order),
        "label": element(1, name, order),
        "numbers": element(type_, array.astype(order + CODES.get(type_, "f8")).tobytes(order="F"), order),
    }
    return b"".join((usual | others).values())


def file(*elements, order="<"):
    return b"MATLAB 5.0".ljust(124) + (b"\0\1IM" if order == "<" else b"\1\0MI") + b"".join(elements)


def packed(content, cut=0):
    raw = zlib.compress(content)
    return element(15, raw[: len(raw) - cut], fill=False)


class TestVersion5:
    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("type_", CODES)
    def test_numbers(self, type_, order, read):
        one = element(14, parts(order, type_=type_), order)
        found = read(file(one, element(14, parts(order, name=b"second"), order), order=order))
        assert [matrix.name for matrix in found] == ["x", "second"]
        assert np.array_equal(found[0].read(), ARRAY)
        assert found[0].read().dtype == np.dtype(CODES[type_])
        assert np.array_equal(found[1].read(), ARRAY)

    @pytest.mark.parametrize("compressed", [False, True])
    def test_classes(self, compressed, read):
        words = {1: "cell array", 2: "structure", 3: "object", 4: "text", 5: "sparse array", 16: "function",
                 17: "object", 18: "class 18", 0: "class 0"} | dict.fromkeys(range(6, 16), "")  # fmt: skip
        contents = [element(14, parts(what=what, name=b"n" * (what + 1))) for what in words]
        contents.append(element(14, parts(what=6, flags=1 << 11)))
        contents.append(element(14, parts(what=6, flags=0x700)))  # logical, global
        found = read(file(*(map(packed, contents) if compressed else contents)))
        assert [matrix.kind for matrix in found] == [*words.values(), "complex array", ""]
        assert [len(matrix.name) for matrix in found] == [what + 1 for what in words] + [1, 1]
        assert all(np.array_equal(matrix.read(), ARRAY) for matrix in found if not matrix.kind)

    def test_small_elements_and_other_types(self, read):
        for more in ({"label": small(1, b"x")}, {"label": small(16, b"xyzw")}, {"label": element(2, b"x")},
                     {"dims": element(6, struct.pack("<2i", 2, 3))}, {"label": element(1, b"x\0")},
                     {"dims": element(5, struct.pack("<3i", 2, 3, 1))}):  # fmt: skip
            (found,) = read(file(element(14, parts(**more))))
            assert found.name in ("x", "xyzw")
            assert np.array_equal(found.read().reshape(2, 3), ARRAY)
        (found,) = read(file(element(14, parts(numbers=small(2, b"\1\2\3\4"), shape=(2, 2)))))
        assert found.read().tolist() == [[1, 3], [2, 4]]
        assert (
            read(file(element(14, parts(name=b"")), element(1, b"other"), packed(element(1, b"x")), packed(b"x"))) == []
        )

    def test_damage(self, read):
        for more, words in (
            ({"head": small(6, b"abcd")}, "an array whose flags or shape are damaged"),
            ({"head": element(6, bytes(16))}, "an array whose flags or shape are damaged"),
            ({"dims": small(5, b"\1\0\0\0")}, "an array whose flags or shape are damaged"),
            ({"dims": element(5, bytes(9))}, "an array whose flags or shape are damaged"),
            ({"shape": (2, -3)}, r"an array of shape \(2, -3\)"),
            ({"head": element(5, bytes(8))}, "an element of type 5 and 8 bytes"),
            ({"dims": element(1, bytes(8))}, "an element of type 1 and 8 bytes"),
            ({"label": element(5, b"x")}, "an element of type 5 and 1 bytes"),
            ({"label": small(1, b"abcd", length=5)}, "a small element that is none"),
        ):
            with pytest.raises(InvalidFileError, match=f"got: {words}"):
                read(file(element(14, parts(**more))))
        whole = file(element(14, parts()))
        with pytest.raises(InvalidFileError, match="got: an element that is cut short.$"):
            read(whole, b"1234567")
        with pytest.raises(InvalidFileError, match="got: an element of type 14 and 104 bytes, where there are 103.$"):
            read(whole[:-1])
        with pytest.raises(InvalidFileError, match="got: an element of type 14 and 9 bytes, where there are 8.$"):
            read(file(element(14, bytes(8), length=9)))

    @pytest.mark.parametrize("compressed", [False, True])
    def test_numbers_that_are_none(self, compressed, read):
        for more, words in (
            ({"type_": 10}, "x, whose numbers are of the unknown type 10"),
            ({"shape": (2, 4)}, r"x of shape \(2, 4\) with 48 bytes of float64"),
            ({"numbers": element(2, b"\1\2\3\4\5")}, r"x of shape \(2, 3\) with 5 bytes of uint8"),
            ({"numbers": b""}, "an element that is cut short"),
        ):
            content = element(14, parts(**more))
            (found,) = read(file(packed(content) if compressed else content))
            with pytest.raises(InvalidFileError, match=f"got: {words}.$"):
                found.read()

    def test_compressed_arrays(self, read, monkeypatch):
        content = element(14, parts())
        for bad in (packed(content, cut=1), packed(content + bytes(200))):
            (found,) = read(file(bad))
            with pytest.raises(InvalidFileError, match="got: an array that is cut short, or longer than declared.$"):
                found.read()
        asked = []
        monkeypatch.setattr(_mat.memory, "check", lambda n, what="it", path=None: asked.append((n, what)))
        (found,) = read(file(packed(content)))
        asked.clear()
        found.read()
        # A tag for the array, 48 bytes of flags, shape and name, a tag for the numbers, eight bytes each, a rest.
        assert asked == [(2 * (8 + 48 + 8 + 8 * 6 + 8), "with x of shape (2, 3) it")]

    def test_which_version(self, read):
        for before in (b"", bytes(512), b"MATLAB 7.3".ljust(512)):
            with pytest.raises(InvalidFileError, match="got: version 7.3: save with "):
                read(before, b"\x89HDF\r\n\x1a\n")
        whole = file(element(14, parts()))
        assert len(read(whole)) == 1
        assert read(whole[:128]) == []
        for other in (whole[:127], b"MAT\0" + whole[4:], whole[:126] + b"XX" + whole[128:]):
            with pytest.raises(InvalidFileError, match="does not begin as a MATLAB file|header is damaged|cut short"):
                read(other)
