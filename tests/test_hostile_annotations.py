"""Annotations that are damaged or meant to harm: one sentence, no crash, nothing lost, nothing made up."""

import json
import pickle

import numpy as np
import pytest
import tifffile
from pycocotools import mask as coding
from scipy.io import savemat

import flowseg

RECONSTRUCT = np.array(0).__reduce__()[0]


def write_seg(path, data):
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(data)


class Says:
    """Pickled as a call, and a state if there is one."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


def array_of(shape, dtype, data):
    return Says(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, shape, dtype, False, data))


def lying(fields, flags=0):
    """A type of eight bytes that says of its fields what is not so."""
    return Says(np.dtype, ("V8", False, True), (3, "|", None, tuple(fields), fields, 8, 1, flags))


ATTACKS = {
    "out of bounds": {"masks": Says(np.ndarray, ((1, 1), np.dtype("i4"), b"A" * 8, -(10**9)))},
    "uninitialised": {"masks": Says(np.ndarray, ((30, 30), np.dtype("i4")))},
    "all one byte": {"masks": Says(np.ndarray, ((9, 9), np.dtype("i4"), b"A" * 8, 0, (0, 0)))},
    "too short": {"masks": array_of((1000, 1000), np.dtype("i4"), b"A" * 8)},
    "a pointer": {"masks": array_of((1, 1), np.dtype("O"), b"A" * 8)},
    "a pointer inside": {"masks": array_of((1, 1), lying({"f0": (np.dtype("O"), 0)}), b"A" * 8)},
    "a field far away": {"masks": array_of((1, 1), lying({"f0": (np.dtype("i8"), 10**9)}), b"A" * 8)},
    "a pointer itself": array_of((), lying({"f0": (np.dtype("O"), 0)}), b"A" * 8),
    "another's state": {"masks": array_of((1, 1), Says(np.dtype, ("i4", False, True), (3, "<i4,O")), b"A" * 8)},
    "no state": {"masks": Says(RECONSTRUCT, (np.ndarray, (0,), b"b"))},
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("attack", ATTACKS)
def test_cellpose_pickles_do_no_harm(attack, protocol, tmp_path):
    write_seg(tmp_path / "a_seg.npy", pickle.dumps(ATTACKS[attack], protocol=protocol))
    with pytest.raises(ValueError, match=r"a_seg\.npy must be a readable file of Cellpose's \(_seg\.npy\); got: "):
        flowseg.io.read_cellpose(tmp_path / "a_seg.npy")


def test_cellpose_pickles_leave_nothing_behind(tmp_path):
    for name in (b"numpy\ndtype", b"numpy\nndarray", b"_codecs\nencode"):
        state = b"(N}X\x08\x00\x00\x00__init__K\x05st"  # (None, {"__init__": 5}): attributes to set
        write_seg(tmp_path / "a_seg.npy", b"\x80\x02c" + name + b"\n" + state + b"b.")
        with pytest.raises(ValueError, match=r"a_seg\.npy must be a readable file of Cellpose's"):
            flowseg.io.read_cellpose(tmp_path / "a_seg.npy")
    write_seg(tmp_path / "a_seg.npy", pickle.dumps({"masks": np.array([[0, 1]])}, protocol=2))
    assert flowseg.io.read_cellpose(tmp_path / "a_seg.npy").tolist() == [[0, 1]]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["i1", "<i2", ">i2", "<i4", ">i8", "u1", "<u2", ">u2", "<u4", "<u8"])
def test_cellpose_arrays_of_every_kind(protocol, dtype, tmp_path):
    volume = np.arange(24).reshape(2, 3, 4).astype(dtype)
    other = [
        np.float64(1.5),
        np.bool_(1),
        np.array(["a", None], dtype=object),
        np.array(["ab"]),
        {"k": (1, b"b", None)},
    ]
    for masks in (volume[0], np.asfortranarray(volume[0]), volume[0, ::2, ::-1], volume, volume.transpose(1, 0, 2)):
        content = {"masks": masks, "flows": [volume.astype("f4"), None], "other": other}
        old = pickle.dumps(np.array(content, dtype=object), protocol=protocol)
        if protocol < 4:  # as NumPy 1 says its names, and as NumPy 2 does
            old = old.replace(b"numpy._core.", b"numpy.core.")
            write_seg(tmp_path / "b_seg.npy", old.replace(b"numpy.core.", b"numpy._core."))
            assert np.array_equal(flowseg.io.read_cellpose(tmp_path / "b_seg.npy"), masks)
        write_seg(tmp_path / "a_seg.npy", old)
        found = flowseg.io.read_cellpose(tmp_path / "a_seg.npy")
        assert np.array_equal(found, masks)
        assert found.dtype == masks.dtype
        assert found.flags.writeable


def write_coco(path, segmentation, height=4, width=5):
    image = {"id": 1, "file_name": "a.png", "height": height, "width": width}
    annotation = {"id": 1, "image_id": 1, "segmentation": segmentation}
    path.write_text(json.dumps({"images": [image], "annotations": [annotation]}))


FAR = float(2**27)
POLYGONS = [[], [[]], [[1, 1, 2, 2]], [[1, 1, 3, 1, 3]], [1, 1, 3, 1, 3, 3], [[[1, 1], [3, 1], [3, 3]]], [["a"] * 6]]
POLYGONS += [[[bad, 1, 2, 2, 3, 1]] for bad in (np.nan, np.inf, -np.inf, 1e9, -5e8, 1e30, 10**400, FAR, -1e5)]
POLYGONS += [[[0, 0, 1e7, 0, 1e7, 1e7]], [[-300, 1, 300, 1, 300, 3]], [[1, 1, 3, 1, 3, 3], [np.nan, 1, 2, 2, 3, 1]]]


@pytest.mark.parametrize("polygons", POLYGONS)
def test_coco_polygons_that_are_none(polygons, tmp_path):
    write_coco(tmp_path / "a.json", polygons)
    with pytest.raises(ValueError, match=r"a\.json must be a readable COCO file; got: "):
        flowseg.io.read_coco(tmp_path / "a.json")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_coco_polygons_may_leave_their_image(tmp_path):
    write_coco(tmp_path / "a.json", [[-80, 1, 80, 1, 80, 3, -80, 3]])
    rows = [[0] * 5, [1] * 5, [1] * 5, [0] * 5]
    assert flowseg.io.read_coco(tmp_path / "a.json")["a.png"].tolist() == rows


COUNTS = [[], [21], [2, 2], [0, 100000000], [-5, 25], [5, 15, 2**32 - 1, 1], [2.5, 17.5], [[20]], ["20"], [2**70]]
COUNTS += ["", "o", "0o", "d", "d\x00", "\x7f\x7f", "ä", "\ud800", "oooooooooo0", "d0d0", "?", None, 20]


@pytest.mark.parametrize("counts", COUNTS)
def test_coco_runs_that_are_none(counts, tmp_path):
    write_coco(tmp_path / "a.json", {"size": [4, 5], "counts": counts})
    with pytest.raises(ValueError, match=r"a\.json must be a readable COCO file; got: "):
        flowseg.io.read_coco(tmp_path / "a.json")


def test_coco_runs_are_read_as_pycocotools_reads_them(tmp_path):
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (1, 7), (7, 1), (40, 30), (300, 200)):
        for share in (0.01, 0.5, 1.0):
            mask = rng.random(shape) < share
            mask[0, 0] = True
            runs = coding.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
            write_coco(tmp_path / "a.json", {"size": list(shape), "counts": runs}, *shape)
            assert np.array_equal(flowseg.io.read_coco(tmp_path / "a.json")["a.png"], mask)


@pytest.mark.parametrize("shape", [(0, 5), (4, 0), (-4, -5), (4.5, 5), (np.nan, 5), (np.inf, 5), (10**6, 10**6)])
@pytest.mark.parametrize("polygon", [True, False])
def test_coco_images_of_no_size(shape, polygon, tmp_path):
    runs = {"size": list(shape), "counts": [0, 16]}
    write_coco(tmp_path / "a.json", [[1, 1, 3, 1, 3, 3]] if polygon else runs, *shape)
    with pytest.raises(ValueError, match=r"a\.json must be a readable COCO file; got: an image of "):
        flowseg.io.read_coco(tmp_path / "a.json")


def test_coco_sizes_are_those_of_the_image(tmp_path):
    for size in ([5, 4], [10**6, 10**6], [-4, -5], [4], None):
        write_coco(tmp_path / "a.json", {"size": size, "counts": [0, 20]})
        with pytest.raises(ValueError, match=r"got: a segmentation of shape .* in an image of shape \(4, 5\).$"):
            flowseg.io.read_coco(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("other", "said"), [((1, "b.png"), "id 1"), ((2, "a.png"), "file name 'a.png'"), ((1.0, "b"), r"id 1(\.0)?")]
)
def test_coco_images_are_unique(other, said, tmp_path):
    images = [{"id": k, "file_name": name, "height": 2, "width": 2} for k, name in ((1, "a.png"), other)]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": []}))
    with pytest.raises(ValueError, match=rf"a\.json must be a readable COCO file; got: several images of {said}.$"):
        flowseg.io.read_coco(tmp_path / "a.json")


def read_cvat(folder, shapes, size='width="12" height="12"'):
    (folder / "a.xml").write_text(f'<annotations><image name="a.png" {size}>{shapes}</image></annotations>')
    return flowseg.io.read_cvat(folder / "a.xml")["a.png"]


def test_cvat_boxes_turn_clockwise(tmp_path):
    box = '<box xtl="{}" ytl="{}" xbr="{}" ybr="{}" rotation="{}"/>'
    upright = np.zeros((12, 12), int)
    upright[2:10, 5:7] = 1
    assert np.array_equal(read_cvat(tmp_path, box.format(2, 5, 10, 7, 90)), upright)
    assert np.array_equal(read_cvat(tmp_path, box.format(2, 5, 10, 7, 180)), upright.T)
    # The right end goes down. About (6, 5.5), in a row dy below it, with cos 30 = 0.866 and sin 30 = 0.5:
    # 1.732 dy - 3 < dx < 1.732 dy + 3 (the long sides) and -4.619 - 0.577 dy < dx < 4.619 - 0.577 dy (the short ones).
    turned = [(3, 3), (3, 5), (2, 6), (3, 8), (5, 9), (6, 8), (8, 8)]  # first and last column of rows 2 to 8
    expected = np.zeros((12, 12), int)
    for row, (first, last) in enumerate(turned, start=2):
        expected[row, first : last + 1] = 1
    assert np.array_equal(read_cvat(tmp_path, box.format(2, 4, 10, 7, "30.00")), expected)
    assert np.array_equal(read_cvat(tmp_path, box.format(2, 4, 10, 7, 330)), expected[:, ::-1])


def test_cvat_ellipses_turn_clockwise(tmp_path):
    found = read_cvat(tmp_path, '<ellipse cx="6" cy="5.5" rx="5.2" ry="2.1" rotation="30"/>')
    dy, dx = np.mgrid[:12, :12] + np.array([0.5 - 5.5, 0.5 - 6])[:, None, None]
    along, across = dx * 0.75**0.5 + dy * 0.5, dy * 0.75**0.5 - dx * 0.5
    assert np.array_equal(found, (along / 5.2) ** 2 + (across / 2.1) ** 2 < 1)
    assert found[7, 9] > found[3, 9]


@pytest.mark.parametrize(
    "shape",
    [
        '<box xtl="2" ytl="5" xbr="10" ybr="7" rotation="nan"/>',
        '<ellipse cx="6" cy="6" rx="5" ry="2" rotation="inf"/>',
        '<box xtl="2" ytl="5" xbr="10" ybr="7" rotation="much"/>',
        '<box xtl="nan" ytl="5" xbr="10" ybr="7"/>',
        '<ellipse cx="6" cy="inf" rx="5" ry="2"/>',
        '<polygon points="1,1;nan,1;3,3"/>',
        '<mask rle="0,4" top="-3" left="0" height="2" width="2"/>',
        '<mask rle="0,4" top="0" left="-3" height="2" width="2"/>',
        '<mask rle="0,4" top="11" left="0" height="2" width="2"/>',
        '<mask rle="0,4" top="0" left="11" height="2" width="2"/>',
        '<mask rle="0,4" top="3" left="3" height="-1" width="2"/>',
        '<mask rle="0,3" top="3" left="3" height="2" width="2"/>',
        '<mask rle="0,1000000000000" top="3" left="3" height="2" width="2"/>',
        '<mask rle="5,-1" top="3" left="3" height="2" width="2"/>',
    ],
)
def test_cvat_shapes_that_are_none(shape, tmp_path):
    with pytest.raises(ValueError, match=r"a\.xml must be a readable CVAT export \(for images 1\.1\); got: "):
        read_cvat(tmp_path, shape)


def test_cvat_images_have_a_size_and_a_unique_name(tmp_path):
    for size in ('width="0" height="6"', 'width="6" height="0"', 'width="6" height="-6"'):
        with pytest.raises(ValueError, match=r"a\.xml must be a readable CVAT export .*; got: an image of -?\d rows"):
            read_cvat(tmp_path, "", size)
    with pytest.raises(ValueError, match=r"; got: several images named 'a\.png'.$"):
        read_cvat(
            tmp_path, '</image><image name="b.png" width="1" height="1"/><image name="a.png" width="1" height="1">'
        )


@pytest.mark.parametrize("largest", [np.nan, np.inf, -np.inf, 1e19, -1e19, 2.0**53 + 2, np.float32(2**24 + 2)])
def test_matlab_floats_that_are_no_labels(largest, tmp_path):
    savemat(tmp_path / "a.mat", {"inst_map": np.array([[0, largest]], dtype=np.asarray(largest).dtype)})
    with pytest.raises(
        ValueError,
        match=r"inst_map in .*a\.mat must (be finite|have labels of at most \d+ when stored as floats); got ",
    ):
        flowseg.io.read_mat(tmp_path / "a.mat")


@pytest.mark.parametrize("label", [2**31 - 1, -(2**31), 2**31, -(2**31) - 1, 7 - 2**32, -1, 2**53, -(2**53)])
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_matlab_labels_stay_as_they_are(label, dtype, tmp_path):
    savemat(tmp_path / "a.mat", {"inst_map": np.array([[0, label]], dtype=dtype)})
    found = flowseg.io.read_mat(tmp_path / "a.mat")
    assert found.tolist() == [[0, label]]
    assert found.dtype == (np.int32 if -(2**31) <= label < 2**31 else np.int64)


@pytest.mark.parametrize("pixel", [[-1, -1], [9, 13], [10, 12], [15, 13], [10, 19], [10], [10, 13, 0], [10.5, 13]])
def test_labkit_pixels_outside_of_the_interval(pixel, tmp_path):
    document = {"interval": {"min": [10, 13], "max": [14, 18]}, "labels": {"a": [[10, 13], [14, 18]], "b": [[11, 13]]}}
    (tmp_path / "a.labeling").write_text(json.dumps(document))
    expected = np.zeros((6, 5), int)
    expected[0, :2], expected[5, 4] = (1, 2), 3
    assert np.array_equal(flowseg.io.read_labkit(tmp_path / "a.labeling"), expected)
    document["labels"]["b"] += [pixel]
    (tmp_path / "a.labeling").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"a\.labeling must be a readable Labkit labeling; got: "):
        flowseg.io.read_labkit(tmp_path / "a.labeling")


def read_geojson(folder, coordinates, kind="Polygon"):
    (folder / "a.json").write_text(json.dumps({"type": kind, "coordinates": coordinates}))
    return flowseg.io.read_geojson(folder / "a.json", (10, 10))


@pytest.mark.parametrize("kind", ["Polygon", "MultiPolygon"])
def test_geojson_coordinates_that_are_none(kind, tmp_path):
    square = [[1, 1], [5, 1], [5, 5], [1, 5]]
    rings = [[], [[]], [[1, 2, 3]], [[[1], [5], [5]]], [[]], [square, []]]
    rings += [[[*square, [bad, 3]]] for bad in (np.nan, np.inf, -np.inf)]
    for polygon in rings:
        with pytest.raises(
            ValueError, match=r"a\.json must be a readable GeoJSON file; got: (a \w+ that|corners that)"
        ):
            read_geojson(tmp_path, polygon if kind == "Polygon" else [polygon] if polygon else [], kind)


@pytest.mark.parametrize("far", [1e6, 1e12, 1e18, 1e30, 1e300])
def test_geojson_corners_far_away(far, tmp_path):
    expected = np.zeros((10, 10), int)
    expected[1:5, 1:] = 1
    assert np.array_equal(read_geojson(tmp_path, [[[1, 1], [far, 1], [far, 5], [1, 5]]]), expected)
    expected[:] = 1
    assert np.array_equal(read_geojson(tmp_path, [[[-far, -far], [far, -far], [far, far], [-far, far]]]), expected)
    with pytest.warns(UserWarning, match="1 of 1 objects have no pixel"):
        assert not read_geojson(tmp_path, [[[far, 1], [2 * far, 1], [2 * far, 5]]]).any()


@pytest.mark.parametrize("corner", ["nan", "inf", "-1", "6", "1e30", "-1e30"])
def test_cellpose_outlines_beyond_the_image(corner, tmp_path):
    (tmp_path / "a_cp_outlines.txt").write_text(f"1,1,3,1,3,{corner}\n")
    with pytest.raises(ValueError, match=r"a_cp_outlines\.txt must be a readable text file of outlines; got: "):
        flowseg.io.read_cellpose(tmp_path / "a_cp_outlines.txt", (6, 6))


def test_cellpose_labels_out_of_range(tmp_path):
    for label in (-(2**63), 2**40):
        tifffile.imwrite(tmp_path / "a_flows.tif", np.full((4, 5, 6), label), photometric="minisblack")
        with pytest.raises(ValueError, match=r"a_flows\.tif must hold labels in its first plane"):
            flowseg.io.read_cellpose(tmp_path / "a_flows.tif")
