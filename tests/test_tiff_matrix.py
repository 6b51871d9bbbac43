"""TIFF as the world writes it: every file of a matrix is read as it was written, or refused in a sentence."""

import itertools
from collections import Counter

import numpy as np
import pytest
import tifffile

from flowseg import io

COMPRESSIONS = (None, "lzw", "zlib", "zstd", "packbits", "lzma", "png", "webp", "jpeg2000", "jpegxl", "lerc")
DTYPES = ("u1", "u2", "i4", "f4")
# Which dtypes a codec keeps exactly; no entry: all.
EXACT = {"png": ("u1", "u2"), "webp": ("u1",), "jpeg2000": ("u1", "u2"), "jpegxl": ("u1", "u2"), "packbits": ("u1",)}
PREDICTED = ("lzw", "zlib", "zstd")
# Name -> shape of the array that is written, axes, whether it is of ImageJ or OME, options of the writer.
LAYOUTS = {
    "gray": ((33, 40), "YX", None, {}),
    "rgb": ((33, 40, 3), "YXS", None, {"photometric": "rgb"}),
    "rgb planar": ((3, 33, 40), "SYX", None, {"photometric": "rgb", "planarconfig": "separate"}),
    "2 samples": ((33, 40, 2), "YXS", None, {"photometric": "minisblack", "planarconfig": "contig"}),
    "4 samples": ((33, 40, 4), "YXS", None, {"photometric": "minisblack", "planarconfig": "contig"}),
    "planes": ((3, 33, 40), "ZYX", None, {"photometric": "minisblack", "metadata": {"axes": "ZYX"}}),
    "channels": ((4, 33, 40), "CYX", None, {"photometric": "minisblack", "metadata": {"axes": "CYX"}}),
    "imagej": ((2, 3, 2, 33, 40), "TZCYX", "imagej", {"metadata": {"axes": "TZCYX"}}),
    "ome": ((2, 3, 33, 40), "ZCYX", "ome", {"metadata": {"axes": "ZCYX"}}),
}
WRITTEN = 700  # at least


def combinations():
    """Everything that tifffile can write of the matrix."""
    for compression, dtype, layout, order, tiled, predictor in itertools.product(
        COMPRESSIONS, DTYPES, LAYOUTS, "<>", (False, True), (False, True)
    ):
        kind = LAYOUTS[layout][2]
        if predictor and compression not in PREDICTED:
            continue
        if dtype not in EXACT.get(compression, DTYPES) or (compression == "webp" and not layout.startswith("rgb")):
            continue
        if kind == "imagej" and (compression or tiled or dtype == "i4"):
            continue
        if order == ">" and compression not in (None, *PREDICTED):  # tifffile swaps before it encodes, or refuses
            continue
        yield compression, dtype, layout, order, tiled, predictor


def values(shape, dtype, seed):
    """Every bit is used; colors are never equal, opacity never constant."""
    raw = np.random.default_rng(seed).integers(0, 256, (*shape, np.dtype(dtype).itemsize), dtype=np.uint8)
    array = raw.view(dtype)[..., 0]
    return np.nan_to_num(array, nan=1, posinf=2, neginf=3) if dtype == "f4" else array


def expected(array, axes, chosen):
    """What is chosen of an array, channels last."""
    for axis, number in chosen.items():
        array, axes = np.take(array, number, axes.index(axis)), axes.replace(axis, "")
    return array.transpose([axes.index(axis) for axis in "YXCS" if axis in axes])


def write(file, array, combination):
    compression, _, layout, order, tiled, predictor = combination
    _, _, kind, options = LAYOUTS[layout]
    said = dict(options, byteorder=order, compression=compression, rowsperstrip=None if tiled else 7)
    if tiled:
        said["tile"] = (16, 16)
    if predictor:
        said["predictor"] = True
    if kind is not None:
        said[kind] = True
    tifffile.imwrite(file, array, **said)


def test_matrix(tmp_path, capsys):
    count, wrong, sentences = Counter(), [], Counter()
    for number, combination in enumerate(combinations()):
        shape, axes, kind, _ = LAYOUTS[combination[2]]
        array = values(shape, combination[1], number)
        file = tmp_path / f"{number}{'.ome' if kind == 'ome' else ''}.tif"
        try:
            write(file, array, combination)
        except Exception:  # noqa: BLE001  (no file that the world writes)
            count["not written"] += 1
            continue
        count["written"] += 1
        chosen = {axis: length - 1 for axis, length in zip(axes, shape) if axis in "TZ"}
        try:
            read = io.read_image(file, **{axis.lower(): index for axis, index in chosen.items()})
        except ValueError as error:
            count["refused"] += 1
            sentences[str(error).replace(str(file), "FILE")] += 1
            continue
        right = expected(array, axes, chosen)
        same = read.dtype == right.dtype and np.array_equal(read, right)
        count["right" if same else "wrong"] += 1
        if not same:
            wrong.append((combination, read.dtype, read.shape))
        file.unlink()
    with capsys.disabled():
        print(f"\nTIFF matrix: {dict(count)} {dict(sentences)}")  # noqa: T201
    assert not wrong, (len(wrong), wrong[:10])
    assert count["written"] >= WRITTEN
    assert count["right"] == count["written"]


@pytest.mark.parametrize("layout", ["gray", "planes"])
@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", None])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "i8"])
def test_labels_are_read_by_the_same_way(compression, dtype, layout, tmp_path):
    shape, _, _, options = LAYOUTS[layout]
    for order, predictor in itertools.product("<>", (False, True)):
        array = values(shape, dtype, 0)
        predicted = {"predictor": True} if predictor and compression and dtype != "i8" else {}
        tifffile.imwrite(tmp_path / "a.tif", array, byteorder=order, compression=compression, **predicted, **options)
        read = io.read_masks(tmp_path / "a.tif")
        assert read.dtype == array.dtype
        assert np.array_equal(read, array)
