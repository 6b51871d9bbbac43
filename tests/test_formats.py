"""Annotations of other programs into masks, and masks into theirs, read back by their own libraries."""

import csv
import json
import pickle

import geojson
import numpy as np
import pytest
import roifile
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools.coco import COCO
from scipy.io import savemat
from skimage.draw import polygon2mask
from skimage.io import imsave

import flowseg
from flowseg import io, mend_masks, metrics
from flowseg._labels.polygons import fill, signed_area, trace


def same_objects(a, b):
    return metrics.average_precision([a], [b], thresholds=(1.0,))[0] == 1


@pytest.fixture(scope="module")
def real(shared):
    """Label images with touching, ring-shaped, cut and tiny objects: one of every set."""
    found = {}
    for samples in sorted(shared.glob("data/*/samples.csv")):
        with open(samples, newline="") as file:
            rows = list(csv.DictReader(file))
        masks = io.read_masks(samples.parent / rows[len(rows) // 2]["label"])
        if masks.ndim == 2:
            found[samples.parent.name] = masks
    odd = shared / "data" / "dsb2018"
    with open(odd / "samples.csv", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    for name in ("dsb_0402a81e", "dsb_f6863b83"):  # holes; an object in two components
        found[name] = io.read_masks(odd / rows[name]["label"])
    return found


@pytest.fixture
def odd():
    """An object with a hole that holds another, one in two parts, one whose pixels touch at corners, labels with gaps."""
    masks = np.zeros((30, 40), np.int64)
    masks[2:14, 2:14] = 5
    masks[5:11, 5:11] = 0
    masks[6:9, 6:9] = 70000
    masks[20:23, 20:25] = masks[20:23, 27:30] = 9
    masks[range(15, 20), range(30, 35)] = 12
    masks[29, 39] = 13
    return masks


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_polygons_lose_nothing(mask):
    polygons = trace(mask)
    rings = [ring for polygon in polygons for ring in polygon]
    assert np.array_equal(fill(rings, mask.shape), mask)
    assert sum(map(signed_area, rings)) == mask.sum()
    for outer, *holes in polygons:
        assert signed_area(outer) > 0
        assert all(signed_area(hole) < 0 for hole in holes)
        assert np.array_equal(fill([outer, *holes], mask.shape) & ~mask, np.zeros_like(mask))
    for ring in rings:  # no ring meets itself
        assert len({tuple(corner) for corner in ring}) == len(ring)


def test_roi_there_and_back(real, odd, tmp_path):
    for masks in [*real.values(), odd]:
        io.write_roi(tmp_path / "a.zip", masks)
        assert same_objects(masks, flowseg.io.read_roi(tmp_path / "a.zip", masks.shape))


def test_roi_as_its_own_library_reads_it(real, odd, tmp_path):
    for masks in [*real.values(), odd]:
        io.write_roi(tmp_path / "a.zip", masks)
        regions = roifile.roiread(tmp_path / "a.zip")
        assert [int(roi.name) for roi in regions] == np.unique(masks[masks > 0]).tolist()
        for roi in regions[:20]:
            inside = np.zeros(masks.shape, bool)
            for part in roi.coordinates(multi=True) if roi.composite else [roi.coordinates()]:
                inside ^= polygon2mask(masks.shape, np.asarray(part)[:, ::-1] - 0.5)
            assert np.array_equal(inside, masks == int(roi.name))


def test_regions_drawn_in_imagej(tmp_path):
    square = roifile.ImagejRoi.frompoints([[2, 3], [8, 3], [8, 7], [2, 7]])
    square.roitype = roifile.ROI_TYPE.POLYGON
    box = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=12, top=1, right=15, bottom=6)
    oval = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, left=1, top=10, right=11, bottom=20)
    roifile.roiwrite(tmp_path / "a.zip", [square, box, oval])
    masks = flowseg.io.read_roi(tmp_path / "a.zip", (24, 20))
    assert np.array_equal(masks[1:6, 12:15], np.ones((5, 3)))
    assert np.array_equal(masks[3:7, 2:8], np.full((4, 6), 2))
    assert np.bincount(masks.ravel())[1:3].tolist() == [15, 24]
    assert abs((masks == 3).sum() - np.pi * 25) < 5
    square.tofile(tmp_path / "b.roi")
    assert (flowseg.io.read_roi(tmp_path / "b.roi", (24, 20)) == 1).sum() == 24
    roifile.ImagejRoi.frompoints([[2, 3]]).tofile(tmp_path / "c.roi")
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, left=12, top=1, right=15, bottom=6)
    line.tofile(tmp_path / "c.roi")
    with pytest.raises(
        ValueError, match=r"c\.roi must be a readable ImageJ ROI file; got: a line, which has no area.$"
    ):
        flowseg.io.read_roi(tmp_path / "c.roi", (24, 20))
    roifile.ImagejRoi.frompoints([[2.5, np.nan], [8.5, 3.5], [8.5, 7.5]]).tofile(tmp_path / "d.roi")
    with pytest.raises(ValueError, match=r"d\.roi must be a readable ImageJ ROI file; got: corners"):
        flowseg.io.read_roi(tmp_path / "d.roi", (24, 20))


def test_geojson_there_and_back(real, odd, tmp_path):
    for masks in [*real.values(), odd]:
        io.write_geojson(tmp_path / "a.geojson", masks)
        assert same_objects(masks, flowseg.io.read_geojson(tmp_path / "a.geojson", masks.shape))


def test_geojson_is_valid(real, odd, tmp_path):
    for masks in [*real.values(), odd]:
        io.write_geojson(tmp_path / "a.geojson", masks)
        collection = geojson.loads((tmp_path / "a.geojson").read_text())
        assert collection.is_valid, collection.errors()
        assert len(collection.features) == np.unique(masks[masks > 0]).size
        names = [int(feature.properties["name"]) for feature in collection.features]
        assert names == np.unique(masks[masks > 0]).tolist()


def test_geojson_of_other_programs(tmp_path):
    ring = [[2.5, 3], [8, 3], [8, 7], [2.5, 7], [2.5, 3]]
    polygon = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "geometry": polygon, "properties": {}}
    for document in (polygon, feature, [feature], {"type": "GeometryCollection", "geometries": [polygon]}):
        (tmp_path / "a.json").write_text(json.dumps(document))
        masks = flowseg.io.read_geojson(tmp_path / "a.json", (10, 10))
        assert masks[3:7, 3:8].all()
        assert masks.sum() - masks[3:7, 3:8].sum() in (0, 4)  # the centers of four pixels are on the edge
    for broken in ("{", "3", '{"a": 1}', '{"type": "Point", "coordinates": [1, 2]}', '{"type": "Polygon"}', "[[1, 2]]"):
        (tmp_path / "a.json").write_text(broken)
        with pytest.raises(ValueError, match=r"a\.json must be a readable GeoJSON file; got"):
            flowseg.io.read_geojson(tmp_path / "a.json", (10, 10))


def test_coco_there_and_back(real, odd, tmp_path, capsys):
    named = {**real, "odd": odd}
    io.write_coco(tmp_path / "a.json", named, category="nucleus")
    back = flowseg.io.read_coco(tmp_path / "a.json")
    assert list(back) == list(named)
    assert all(same_objects(named[name], back[name]) for name in named)
    theirs = COCO(tmp_path / "a.json")
    assert [c["name"] for c in theirs.loadCats(theirs.getCatIds())] == ["nucleus"]
    for image in theirs.loadImgs(theirs.getImgIds()):
        masks = named[image["file_name"]]
        labels = np.unique(masks[masks > 0])
        annotations = theirs.loadAnns(theirs.getAnnIds(imgIds=image["id"]))
        assert len(annotations) == labels.size
        for label, annotation in list(zip(labels, annotations))[:20]:
            assert np.array_equal(theirs.annToMask(annotation), masks == label)
            rows, columns = np.nonzero(masks == label)
            size = [np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert annotation["bbox"] == [columns.min(), rows.min(), *size]
            assert annotation["area"] == rows.size


def test_coco_polygons_and_plain_runs(tmp_path):
    image = {"id": 7, "file_name": "a b.png", "height": 10, "width": 12}
    square = {"id": 1, "image_id": 7, "category_id": 1, "segmentation": [[2, 3, 8, 3, 8, 7, 2, 7]]}
    runs = {"id": 2, "image_id": 7, "category_id": 1, "segmentation": {"size": [10, 12], "counts": [90, 5, 25]}}
    (tmp_path / "a.json").write_text(json.dumps({"images": [image], "annotations": [square, runs]}))
    masks = flowseg.io.read_coco(tmp_path / "a.json")["a b.png"]
    assert np.array_equal(masks[:5, 9], np.ones(5))
    assert np.array_equal(masks[3:7, 2:8], np.full((4, 6), 2))
    runs["segmentation"]["size"] = [12, 10]
    (tmp_path / "a.json").write_text(json.dumps({"images": [image], "annotations": [runs]}))
    with pytest.raises(ValueError, match=r"a\.json must be a readable COCO file; got: a segmentation of shape"):
        flowseg.io.read_coco(tmp_path / "a.json")


def test_one_file_per_object(real, tmp_path):
    for name in ("dsb2018", "dsb_0402a81e"):
        masks = mend_masks(real[name]).masks
        folder = tmp_path / name
        folder.mkdir()
        for label in np.random.default_rng(0).permutation(masks.max()) + 1:
            imsave(folder / f"{label:05d}.png", (masks == label).astype(np.uint8) * 255, check_contrast=False)
        assert np.array_equal(flowseg.io.read_object_files(folder), masks)


def test_where_objects_overlap_the_smaller_one_is_seen(tmp_path):
    large, small = np.zeros((2, 20, 20), np.uint8)
    large[2:18, 2:18] = small[5:8, 5:8] = 255
    for name, mask in (("a", small), ("b", large)):
        imsave(tmp_path / f"{name}.png", mask, check_contrast=False)
    masks = flowseg.io.read_object_files([tmp_path / "a.png", tmp_path / "b.png"])
    assert np.array_equal(masks == 2, small > 0)
    assert np.array_equal(masks > 0, large > 0)
    imsave(tmp_path / "c.png", small, check_contrast=False)
    with pytest.warns(UserWarning, match="1 of 3 objects have no pixel of their own"):
        flowseg.io.read_object_files(tmp_path)
    imsave(tmp_path / "d.png", 0 * small, check_contrast=False)
    with pytest.raises(ValueError, match=r"d\.png must hold an object"):
        flowseg.io.read_object_files(tmp_path)


def test_colored_annotations_are_the_instance_maps(shared):
    folder = shared / "data" / "aitslab" / "seed_example"
    for file in sorted((folder / "raw_annotation").glob("*.png")):
        masks = flowseg.masks_from_rgb(io.read_image(file))
        instances = flowseg.io.read_mat(folder / "inst_map_mat" / f"{file.stem}.mat")
        assert same_objects(mend_masks(instances).masks, masks)
        assert np.array_equal(masks > 0, instances > 0)


def test_matlab_files(tmp_path):
    masks = np.array([[0, 3, 3], [0, 0, 7]])
    savemat(tmp_path / "a.mat", {"inst_map": masks.astype(float), "other": 3})
    assert np.array_equal(flowseg.io.read_mat(tmp_path / "a.mat"), masks)
    with pytest.raises(ValueError, match=r"key must be one of the arrays in .*a\.mat, inst_map, other; got 'map'"):
        flowseg.io.read_mat(tmp_path / "a.mat", key="map")
    (tmp_path / "b.mat").write_bytes(b"MATLAB 5.0" * 30)
    with pytest.raises(ValueError, match=r"b\.mat must be a readable MATLAB file"):
        flowseg.io.read_mat(tmp_path / "b.mat")


def test_binary_masks(real):
    masks = real["dsb2018"]
    assert flowseg.masks_from_binary(masks > 0).max() == flowseg.masks_from_binary((masks > 0) * 255).max() > 0
    with pytest.raises(ValueError, match="mask must have two values, one of them 0; got"):
        flowseg.masks_from_binary(masks)
    with pytest.raises(TypeError, match="mask must be of booleans or integers; got dtype float64"):
        flowseg.masks_from_binary(masks * 1.0)


def test_labkit(tmp_path):
    masks = np.zeros((20, 30), np.int32)
    masks[3:6, 4:9], masks[3:6, 9:12], masks[15:18, 20:29] = 1, 2, 3
    labels = {str(k): np.argwhere(masks == k)[:, ::-1].tolist() for k in (1, 2)}
    labels["1"] += np.argwhere(masks == 3)[:, ::-1].tolist()  # one name on two objects
    document = {"interval": {"min": [0, 0], "max": [29, 19], "n": 2}, "labels": labels, "colors": {}}
    (tmp_path / "a.labeling").write_text(json.dumps(document))
    assert np.array_equal(flowseg.io.read_labkit(tmp_path / "a.labeling"), masks)
    tifffile.imwrite(tmp_path / "a.tif", np.where(masks == 3, 1, masks).astype(np.uint8))
    assert np.array_equal(flowseg.io.read_labkit(tmp_path / "a.tif"), masks)
    (tmp_path / "a.labeling").write_text('{"interval": 3}')
    with pytest.raises(ValueError, match=r"a\.labeling must be a readable Labkit labeling; got"):
        flowseg.io.read_labkit(tmp_path / "a.labeling")


def test_cvat(tmp_path):
    (tmp_path / "a.xml").write_text(
        """<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta/>
        <image id="0" name="ü.png" width="30" height="20">
          <polygon label="cell" occluded="0" points="2.00,3.00;8.00,3.00;8.00,7.00;2.00,7.00" z_order="0"/>
          <mask label="cell" occluded="0" rle="1, 2, 2, 1" left="20" top="10" width="3" height="2" z_order="0"/>
          <box label="cell" xtl="12" ytl="1" xbr="15" ybr="6"/>
          <points label="center" points="3,3"/>
        </image><image id="1" name="empty.png" width="5" height="4"/></annotations>"""
    )
    found = flowseg.io.read_cvat(tmp_path / "a.xml")
    masks = found["ü.png"]
    assert np.bincount(masks.ravel())[1:].tolist() == [15, 24, 3]
    assert np.array_equal(masks[3:7, 2:8], np.full((4, 6), 2))
    assert masks[10:12, 20:23].tolist() == [[0, 3, 3], [0, 0, 3]]
    assert found["empty.png"].shape == (4, 5)
    for broken in ("<annotations/>", "<a", '<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>'):
        (tmp_path / "a.xml").write_text(broken)
        with pytest.raises(ValueError, match=r"a\.xml must be a readable CVAT export"):
            flowseg.io.read_cvat(tmp_path / "a.xml")


def test_cellpose_files(real, tmp_path):
    masks = real["dsb2018"].astype(np.uint16)
    content = {"masks": masks, "outlines": masks * 0, "est_diam": np.float64(20), "flows": [np.zeros((2, 3)), None]}
    for protocol in (2, 3, 4):
        with open(tmp_path / "a_seg.npy", "wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
            pickle.dump(np.array(content, dtype=object), file, protocol=protocol)
        assert np.array_equal(flowseg.io.read_cellpose(tmp_path / "a_seg.npy"), masks)
    np.save(tmp_path / "a_seg.npy", content)
    assert np.array_equal(flowseg.io.read_cellpose(tmp_path / "a_seg.npy"), masks)
    io.write_masks(tmp_path / "plain.tif", masks)
    flows = flowseg.labels_to_flows([masks])[0]
    tifffile.imwrite(tmp_path / "a_flows.tif", flows)
    assert np.array_equal(flowseg.io.read_cellpose(tmp_path / "a_flows.tif"), masks)
    with pytest.raises(ValueError, match=r"plain\.tif must hold labels, foreground and flows"):
        flowseg.io.read_cellpose(tmp_path / "plain.tif")


class Harmful:
    def __reduce__(self):
        return (exec, ("raise SystemExit('run!')",))


@pytest.mark.parametrize(
    "content", [{"masks": Harmful()}, Harmful(), {"img": 3}, 5], ids=["inside", "itself", "no masks", "number"]
)
def test_cellpose_pickles_are_not_run(content, tmp_path):
    np.save(tmp_path / "a_seg.npy", np.array(content, dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a_seg\.npy must be a readable file of Cellpose's"):
        flowseg.io.read_cellpose(tmp_path / "a_seg.npy")


def test_cellpose_outlines(tmp_path):

    masks = np.zeros((60, 60), np.int32)
    masks[5:20, 5:30] = 1
    masks[20:40, 5:25] = 2
    lines = []
    for label in (1, 2):  # corners of the rectangles through the centers of their outermost pixels
        (r0, c0), (r1, c1) = np.argwhere(masks == label)[[0, -1]]
        ring = [(c, r0) for c in range(c0, c1 + 1)] + [(c1, r) for r in range(r0, r1 + 1)]
        ring += [(c, r1) for c in range(c1, c0 - 1, -1)] + [(c0, r) for r in range(r1, r0 - 1, -1)]
        lines.append(",".join(f"{x},{y}" for x, y in ring))
    (tmp_path / "a_cp_outlines.txt").write_text("\n".join(lines) + "\n")
    assert np.array_equal(flowseg.io.read_cellpose(tmp_path / "a_cp_outlines.txt", (60, 60)), masks)
    with pytest.raises(ValueError, match="shape must be given for outlines"):
        flowseg.io.read_cellpose(tmp_path / "a_cp_outlines.txt")
    with pytest.raises(ValueError, match=r"outlines\.txt must be a readable text file of outlines"):
        flowseg.io.read_cellpose(tmp_path / "a_cp_outlines.txt", (20, 20))


@pytest.mark.parametrize("write", [io.write_roi, io.write_geojson, lambda path, m: io.write_coco(path, {"a": m})])
def test_other_endings_and_bad_masks_are_refused(write, tmp_path):
    with pytest.raises(ValueError, match="path must end in"):
        write(tmp_path / "a.txt", np.ones((3, 3), int))
    for suffix in ("zip", "json"):
        with pytest.raises((ValueError, TypeError), match=r"masks|path"):
            write(tmp_path / f"a.{suffix}", np.ones((3, 3)))
    assert not list(tmp_path.iterdir())


def test_shape_is_rows_and_columns(tmp_path):
    io.write_geojson(tmp_path / "a.json", np.ones((3, 3), int))
    for shape in (3, "ab", (3,), (3, 3, 3)):
        with pytest.raises(TypeError, match=r"shape must be \(rows, columns\); got"):
            flowseg.io.read_geojson(tmp_path / "a.json", shape)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "roifile", None)
    with pytest.raises(ImportError, match=r"needs the package roifile; install it with: pip install roifile$"):
        io.write_roi(tmp_path / "a.zip", np.ones((3, 3), int))
