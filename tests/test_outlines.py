"""Outlines become pixels: exact at corners on pixel centers, every pixel once, as ImageJ's own masks have them."""

import json
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import roifile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coding
from scipy.spatial import Delaunay

import flowseg
from flowseg._labels.canvas import Canvas
from flowseg._labels.polygons import fill, pixels_of, unite
from flowseg.io._coco_segments import decode_segmentation

eighths = st.integers(-16, 96).map(lambda k: k / 8)
corners = st.lists(st.tuples(eighths, eighths), min_size=3, max_size=9).map(np.array)


def square(low, high, first_row=None):
    """Corners (x, y)."""
    top = low if first_row is None else first_row
    return [[low, top], [high, top], [high, top + high - low], [low, top + high - low]]


def plain_fill(rings, shape):
    """Pixel by pixel in exact fractions: a ray to the left; an edge has its upper end and not its lower one."""
    inside = np.zeros(shape, bool)
    for row, column in np.ndindex(*shape):
        y, x = Fraction(2 * row + 1, 2), Fraction(2 * column + 1, 2)
        for ring in rings:
            ends = [(Fraction(r), Fraction(c)) for r, c in np.asarray(ring).tolist()]
            for (r0, c0), (r1, c1) in zip(ends, ends[1:] + ends[:1], strict=True):
                if min(r0, r1) <= y < max(r0, r1) and c0 + (y - r0) * (c1 - c0) / (r1 - r0) < x:
                    inside[row, column] ^= True
    return inside


@settings(deadline=None, max_examples=40)
@given(st.lists(corners, min_size=1, max_size=3))
def test_outlines_are_filled_exactly(rings):
    assert np.array_equal(fill(rings, (11, 12)), plain_fill(rings, (11, 12)))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(eighths, eighths), min_size=3, max_size=12, unique=True), st.data())
def test_polygons_that_tile_the_plane_cover_every_pixel_once(inner, data):
    frame = [(-3.0, -3.0), (-3.0, 14.0), (14.0, -3.0), (14.0, 14.0)]
    points = np.array(frame + inner)
    count = np.zeros((12, 13), int)
    for triangle in points[Delaunay(points).simplices]:
        r0, r1, r2 = triangle
        # A corner more on a side, as a neighbor may have it, and any order of corners.
        ring = np.array([r0, (r0 + r1) / 2, r1, r2])
        count += fill(
            [np.roll(ring, data.draw(st.integers(0, 3)), axis=0)[:: data.draw(st.sampled_from([1, -1]))]], (12, 13)
        )
    assert np.all(count == 1)


@given(st.lists(arrays(bool, 20), min_size=1, max_size=4))
def test_runs_are_united(masks):
    def runs(mask):
        steps = np.diff(np.pad(mask, 1).astype(int))
        return np.stack([np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)], axis=1)

    assert pixels_of(unite([runs(mask) for mask in masks])).tolist() == np.flatnonzero(np.any(masks, axis=0)).tolist()


def roi_masks(folder, *regions, shape=(24, 24), **plane):
    roifile.roiwrite(folder / "a.zip", regions, mode="w")
    return flowseg.io.read_roi(folder / "a.zip", shape, **plane)


def geojson_masks(folder, *rings, shape=(24, 24)):
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}}
        for ring in rings
    ]
    (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return flowseg.io.read_geojson(folder / "a.geojson", shape)


def coco_masks(folder, *rings, shape=(24, 24)):
    image = {"id": 1, "file_name": "a", "height": shape[0], "width": shape[1]}
    annotations = [{"image_id": 1, "segmentation": [np.ravel(ring).tolist()]} for ring in rings]
    (folder / "a.json").write_text(json.dumps({"images": [image], "annotations": annotations}))
    return flowseg.io.read_coco(folder / "a.json")["a"]


def cvat_masks(folder, *rings, shape=(24, 24)):
    shapes = "".join(f'<polygon points="{";".join(f"{x},{y}" for x, y in ring)}"/>' for ring in rings)
    text = f'<annotations><image name="a" height="{shape[0]}" width="{shape[1]}">{shapes}</image></annotations>'
    (folder / "a.xml").write_text(text)
    return flowseg.io.read_cvat(folder / "a.xml")["a"]


def roi_outlines(folder, *rings, shape=(24, 24)):
    return roi_masks(folder, *map(roifile.ImagejRoi.frompoints, rings), shape=shape)


READERS = [roi_outlines, geojson_masks, coco_masks, cvat_masks]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("start", [2, 2.5])
def test_adjacent_squares_have_their_pixels(read, start, tmp_path):
    rings = [square(start + 8 * i, start + 8 * i + 8, start + 8 * j) for j in range(2) for i in range(2)]
    masks = read(tmp_path, *rings)
    assert np.bincount(masks.ravel()).tolist() == [24 * 24 - 256, 64, 64, 64, 64]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_coco_polygons_are_those_of_pycocotools():
    rng = np.random.default_rng(0)
    for k in range(60):
        height, width = (int(n) for n in rng.integers(1, 40, 2))
        polygons = [(rng.uniform(-9, 49, 2 * rng.integers(3, 7)).round(k % 3)).tolist() for _ in range(1 + k % 2)]
        expected = coding.decode(coding.merge(coding.frPyObjects(polygons, height, width)))
        box, (top, left) = decode_segmentation(polygons, (height, width))
        found = np.zeros((height, width), int)
        found[top : top + box.shape[0], left : left + box.shape[1]] = box
        assert np.array_equal(found, expected)


def test_holes_lose_no_pixel(tmp_path):
    outer, inner = square(2.5, 14.5), square(5.5, 9.5)
    polygon = {"type": "Polygon", "coordinates": [outer, inner]}
    (tmp_path / "a.json").write_text(json.dumps([polygon, {"type": "Polygon", "coordinates": [inner]}]))
    masks = flowseg.io.read_geojson(tmp_path / "a.json", (20, 20))
    assert np.bincount(masks.ravel())[1:].tolist() == [144 - 16, 16]


def test_parts_of_an_object_that_overlap_are_one(tmp_path):
    parts = {"type": "MultiPolygon", "coordinates": [[square(1, 9)], [square(4, 12)]]}
    (tmp_path / "a.json").write_text(json.dumps(parts))
    assert (flowseg.io.read_geojson(tmp_path / "a.json", (20, 20)) == 1).sum() == 64 + 64 - 25


def test_ovals_are_those_of_imagej(tmp_path):
    for height, width in ((1, 1), (3, 3), (4, 7), (10, 10)):
        oval = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, left=2, top=3, right=2 + width, bottom=3 + height)
        row, column = np.mgrid[:20, :20] + 0.5
        expected = ((row - 3 - height / 2) / (height / 2)) ** 2 + ((column - 2 - width / 2) / (width / 2)) ** 2 <= 1
        assert np.array_equal(roi_masks(tmp_path, oval, shape=(20, 20)), expected)


def test_regions_between_pixels_have_integer_pixels(tmp_path):
    kinds = roifile.ROI_TYPE
    for kind in (kinds.RECT, kinds.OVAL):
        options = roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION
        roi = roifile.ImagejRoi(roitype=kind, options=options, xd=2.75, yd=3.5, widthd=4.25, heightd=6.0)
        whole = roifile.ImagejRoi(roitype=kind, left=2, top=3, right=7, bottom=9)
        assert np.array_equal(roi_masks(tmp_path, roi), roi_masks(tmp_path, whole))


def test_composites_may_have_curves(tmp_path):
    k = 4 * (np.sqrt(2) - 1) / 3  # quarters of a circle about (10, 10)
    path = [0, 18, 10]
    for quarter in range(4):
        turn = np.array([[0, -1], [1, 0]])
        ends = np.array([[8, 8 * k], [8 * k, 8], [0, 8]]) @ np.linalg.matrix_power(turn, quarter).T
        path += [3, *(ends + 10).ravel()]
    roi = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=2, top=2, right=18, bottom=18)
    roi.multi_coordinates = np.array([*path, 4, 0, 9, 9, 2, 11, 9, 11, 11, 1, 9, 11, 4], np.float32)
    roi.shape_roi_size = roi.multi_coordinates.size
    row, column = np.mgrid[:24, :24] + 0.5 - 10
    circle = row**2 + column**2 <= 64
    masks = roi_masks(tmp_path, roi) > 0
    assert np.array_equal(masks | (np.abs(row) < 1) & (np.abs(column) < 1), circle)
    assert circle.sum() - masks.sum() in (3, 4)
    roi.multi_coordinates[0] = 7
    with pytest.raises(ValueError, match="got: a composite whose path is damaged"):
        roi_masks(tmp_path, roi)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=7))
def test_outlines_through_centers_hold_their_edges(places):
    canvas = Canvas((12, 12))
    ring = np.array(places, float) + 0.5
    canvas.add_outline(ring)
    inside = plain_fill([ring], (12, 12))
    for (r0, c0), (r1, c1) in zip(places, places[1:] + places[:1], strict=True):
        for row, column in np.ndindex(12, 12):
            on_line = (row - r0) * (c1 - c0) == (column - c0) * (r1 - r0)
            if on_line and min(r0, r1) <= row <= max(r0, r1) and min(c0, c1) <= column <= max(c0, c1):
                inside[row, column] = True
    assert np.array_equal(canvas.paint() > 0, inside)


def test_edited_outline_text(tmp_path):
    file = tmp_path / "a_cp_outlines.txt"
    file.write_text("1,1,6,1,6,4,1,4\n")
    expected = flowseg.io.read_cellpose(file, (9, 9))
    assert (expected == 1).sum() == 24
    for text in (
        "1,1,6,1,6,4,1,4,\r\n\r\n",
        "\ufeff1, 1, 6, 1, 6, 4, 1, 4 ,\n \n",
        "1 1 6 1 6 4 1 4",
        "1.0,1,6,1,6,4,1,4",
    ):
        file.write_text(text, encoding="utf-8")
        assert np.array_equal(flowseg.io.read_cellpose(file, (9, 9)), expected)
    for text, said in (("1,1,6,1,6", "a line of 5 numbers"), ("1,1,6,one", "could not convert string to float: 'one'")):
        file.write_text(text)
        with pytest.raises(ValueError, match=rf"outlines\.txt must be a readable text file of outlines; got: {said}"):
            flowseg.io.read_cellpose(file, (9, 9))


@pytest.mark.parametrize("read", READERS)
def test_an_object_needs_memory_for_its_rows_only(read, tmp_path):
    """A hundred large boxes: as indices of pixels they were 0.6 GB."""
    rings = [square(k, k + 900) for k in range(100)]
    tracemalloc.start()
    masks = read(tmp_path, *rings, shape=(1000, 1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.unique(masks).tolist() == list(range(101))
    assert peak < 100e6


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 11)), min_size=3, max_size=3, unique=True))
def test_oblique_outlines_of_cellpose_hold_the_pixels_on_them(corners):
    rows, columns = np.mgrid[:10, :12]
    twice = [  # areas beside each edge, of the triangle's sign or 0 for what is inside or on the outline
        (b[1] - a[1]) * (rows - a[0]) - (b[0] - a[0]) * (columns - a[1])
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    right = np.all(np.array(twice) >= 0, axis=0) | np.all(np.array(twice) <= 0, axis=0)
    box = np.array(corners)
    for axis, places in enumerate((rows, columns)):  # three corners on a line have no other side
        right &= (places >= box[:, axis].min()) & (places <= box[:, axis].max())
    canvas = Canvas((10, 12))
    canvas.add_outline(np.array(corners) + 0.5)
    assert np.array_equal(canvas.paint() > 0, right)
