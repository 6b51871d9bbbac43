"""Annotations: what our own files hold to the letter, and the limits of what is read, just within and just beyond."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import flowseg
from flowseg import io
from flowseg._system.invalid_file import StoredFile
from flowseg.io import _coco, _coco_segments
from flowseg.io._entries import UnreadableEntryError

MASKS = np.array([[0, 7, 7, 0, 0], [0, 7, 0, 3, 0], [0, 7, 7, 3, 7]])  # 3 is a column, 7 has two parts
COCO = StoredFile(Path("a.json"), "COCO file")


def square(low, high, top=2):
    return [[low, top], [high, top], [high, top + high - low], [low, top + high - low]]


class TestGeoJson:
    def read(self, folder, *features, shape=(20, 20), **chosen):
        (folder / "a.json").write_text(json.dumps(features[0] if len(features) == 1 else list(features)))
        return np.bincount(flowseg.io.read_geojson(folder / "a.json", shape, **chosen).ravel())[1:].tolist()

    def feature(self, low, high, top=2, plane=None, **said):
        return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [square(low, high, top)]}} | said

    def test_written_files(self, tmp_path):
        for name in ("a.geojson", "a.JSON"):
            io.write_geojson(tmp_path / name, MASKS)
        document = json.loads((tmp_path / "a.JSON").read_text())
        assert document == json.loads((tmp_path / "a.geojson").read_text())
        assert document.keys() == {"type", "features"}
        assert document["type"] == "FeatureCollection"
        three, seven = document["features"]
        ring = [[3, 1], [4, 1], [4, 3], [3, 3], [3, 1]]
        (found,) = three["geometry"].pop("coordinates")
        assert found[0] == found[-1]
        assert sorted(map(tuple, found[1:])) == sorted(map(tuple, ring[1:]))
        assert three == {
            "type": "Feature", "geometry": {"type": "Polygon"}, "properties": {"objectType": "detection", "name": "3"},
        }  # fmt: skip
        assert seven["geometry"]["type"] == "MultiPolygon"
        assert [len(polygon) for polygon in seven["geometry"]["coordinates"]] == [1, 1]

    def test_keys_of_a_plane(self, tmp_path):
        plane = {"c": 0, "z": 2, "t": 3}
        said = [{"plane": plane}, {"properties": {"plane": plane}}]
        said += [{"geometry": self.feature(0, 9)["geometry"] | {"plane": plane}, "plane": {"z": 7}}]
        for one in said:
            features = [self.feature(0, 9) | one, self.feature(0, 4)]
            assert self.read(tmp_path, *features, z=2, t=3) == [81]
            assert self.read(tmp_path, *features, z=0, t=0) == [16]
        features = [self.feature(0, 9, 0), self.feature(10, 14), self.feature(15, 18)]
        for feature, channel in zip(features, (0, 1, -1), strict=True):
            feature["plane"] = {"c": channel}
        assert self.read(tmp_path, *features, channel=0) == [81, 9]
        assert self.read(tmp_path, *features, channel=1) == [16, 9]

    def test_names_of_types_of_objects(self, tmp_path):
        cell, other = self.feature(0, 9), self.feature(10, 14)
        for kind in ({"properties": {"object_type": "cell"}}, {"id": "PathDetectionObject"}):
            with pytest.warns(UserWarning, match="1 of 2 entries .*an annotation beside detections or cells"):
                assert self.read(tmp_path, cell | kind, other) == [81]
        for kind, name in (("tile", "tile"), ("PathTileObject", "tile"), ("tma_core", "TMA core"), ("root", "root")):
            with pytest.warns(UserWarning, match=f"a {name}, which is no single object"):
                assert self.read(tmp_path, cell | {"properties": {"objectType": kind}}, other) == [16]
        missing = {"properties": {"isMissing": True}}
        with pytest.warns(UserWarning, match="1 of 2 entries .* a TMA core that is missing"):
            assert self.read(tmp_path, cell | missing, other) == [16]
        assert self.read(tmp_path, cell | {"properties": {"isMissing": False}}, other) == [81, 16]

    def test_names_of_classes(self, tmp_path):
        features = [
            self.feature(0, 9, properties={"classification": "Tumor"}),
            self.feature(10, 14, properties={"classification": {"names": ["A", 5]}}),
            self.feature(15, 18, properties={"classification": {"name": "Cell"}}),
            self.feature(0, 2, 15, properties={"classification": ["Tumor"]}),
        ]
        for name, size in (("Tumor", 81), ("A: 5", 16), ("Cell", 9)):
            with pytest.warns(UserWarning, match="an object of another class"):
                assert self.read(tmp_path, *features, classes=name) == [size]
        assert self.read(tmp_path, *features) == [81, 16, 9, 4]
        (features[0]["properties"]["classification"], both) = "Ignore*", self.feature(10, 14)
        with pytest.warns(UserWarning, match="one of QuPath's ignored class 'Ignore[*]'"):
            assert self.read(tmp_path, features[0], both) == [16]

    def test_collections_and_corners(self, tmp_path):
        geometry = self.feature(0, 9)["geometry"]
        nested = {"type": "GeometryCollection", "geometries": [{"type": "GeometryCollection", "geometries": [geometry]},
                                                               self.feature(10, 14)["geometry"]]}  # fmt: skip
        assert self.read(tmp_path, nested) == [81, 16]
        collection = {"type": "FeatureCollection", "features": [self.feature(0, 9)]}
        assert self.read(tmp_path, collection, [self.feature(10, 14)]) == [81, 16]
        high = [[*corner, 5] for corner in square(0, 9)]
        assert self.read(tmp_path, {"type": "Polygon", "coordinates": [high]}) == [81]
        assert self.read(tmp_path, {"type": "Polygon", "coordinates": [high[:3]]}) in ([36], [45])
        for rings, words in (
            ([], "not made of rings of corners"), ([[1, 2], [3, 4]], "not made of rings of corners"),
            ([[[1], [2], [3]]], "not made of rings of corners"), ([square(0, 9)[:2]], "of fewer than three corners"),
            ([square(0, 9), square(0, 9)[:2]], "of fewer than three corners"),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=f"got: a Polygon (that is )?{words}.$"):
                self.read(tmp_path, {"type": "Polygon", "coordinates": rings})


class TestCoco:
    def test_written_files(self, tmp_path):
        io.write_coco(tmp_path / "a.JSON", {"a.png": MASKS, "none": MASKS * 0, "b": MASKS[1:]}, category="nucleus")
        back = flowseg.io.read_coco(tmp_path / "a.JSON")
        assert back["a.png"].tolist() == [[0, 1, 1, 0, 0], [0, 1, 0, 2, 0], [0, 1, 1, 2, 1]]
        assert back["b"].tolist() == [[0, 1, 0, 2, 0], [0, 1, 1, 2, 1]]
        assert not back["none"].any()
        document = json.loads((tmp_path / "a.JSON").read_text())
        assert document["images"] == [
            {"id": 1, "file_name": "a.png", "height": 3, "width": 5},
            {"id": 2, "file_name": "none", "height": 3, "width": 5},
            {"id": 3, "file_name": "b", "height": 2, "width": 5},
        ]
        assert document["categories"] == [{"id": 1, "name": "nucleus"}]
        found = document["annotations"]
        runs = [one["segmentation"]["counts"] for one in found]
        assert [_coco_segments.unpack_runs(text).tolist() for text in runs] == [
            [10, 2, 3], [3, 4, 1, 1, 5, 1, 0], [6, 2, 2], [2, 2, 1, 1, 3, 1, 0],
        ]  # fmt: skip
        assert [one.pop("segmentation")["size"] for one in found] == [[3, 5], [3, 5], [2, 5], [2, 5]]
        common = {"category_id": 1, "iscrowd": 0}
        assert found == [
            {"id": 1, "image_id": 1, "area": 2, "bbox": [3, 1, 1, 2]} | common,
            {"id": 2, "image_id": 1, "area": 6, "bbox": [1, 0, 4, 3]} | common,
            {"id": 3, "image_id": 3, "area": 2, "bbox": [3, 0, 1, 2]} | common,
            {"id": 4, "image_id": 3, "area": 4, "bbox": [1, 0, 4, 2]} | common,
        ]
        with pytest.raises(TypeError, match="masks must be a mapping from file names to label images; got ndarray"):
            io.write_coco(tmp_path / "b.json", MASKS)
        with pytest.raises(ValueError, match="got shape"):
            io.write_coco(tmp_path / "b.json", {"a": np.ones((2, 2, 2), int)})

    def test_sizes_of_images(self, monkeypatch):
        assert _coco._shape_of({"height": 4.0, "width": 5}, COCO) == (4, 5)
        assert _coco.MAX_PIXELS == 2**31 - 1
        monkeypatch.setattr(_coco, "MAX_PIXELS", 20)
        assert _coco._shape_of({"height": 4, "width": 5}, COCO) == (4, 5)
        for height, width in ((3, 7), (4.5, 4), (4, 4.5)):
            with pytest.raises(ValueError, match=f"an image of {height} rows and {width} columns"):
                _coco._shape_of({"height": height, "width": width}, COCO)

    def test_all_images_together_must_fit(self, tmp_path, monkeypatch):
        io.write_coco(tmp_path / "a.json", {"a": MASKS, "b": MASKS[1:]})
        asked = []
        monkeypatch.setattr(_coco, "check_canvases", asked.append)
        flowseg.io.read_coco(tmp_path / "a.json")
        assert asked == [[(3, 5), (2, 5)]]

    def test_a_missing_package_is_named(self, tmp_path, monkeypatch):
        io.write_coco(tmp_path / "a.json", {"a": MASKS})
        monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
        with pytest.raises(ImportError, match="pip install pycocotools"):
            flowseg.io.read_coco(tmp_path / "a.json")
        with pytest.raises(ImportError, match="pip install pycocotools"):
            io.write_coco(tmp_path / "b.json", {"a": MASKS})

    def test_missing_parts_of_a_document(self, tmp_path):
        for document, words in (
            ([], "something without a list of images"), ({}, "something without a list of images"),
            ({"images": {}}, "something without a list of images"),
            ({"images": []}, "images without a list of annotations"),
            ({"images": [], "annotations": {}}, "images without a list of annotations"),
        ):  # fmt: skip
            (tmp_path / "a.json").write_text(json.dumps(document))
            with pytest.raises(ValueError, match=rf"must be a readable COCO file; got: {words}"):
                flowseg.io.read_coco(tmp_path / "a.json")
        (tmp_path / "a.json").write_text(json.dumps({"images": [], "annotations": [], "categories": None}))
        assert flowseg.io.read_coco(tmp_path / "a.json") == {}

    def test_run_lengths(self):
        assert _coco_segments.unpack_runs("52203").tolist() == [
            5,
            2,
            2,
            2,
            5,
        ]  # from the fourth on less the last but one
        assert _coco_segments.unpack_runs("P1").tolist() == [32]
        assert _coco_segments.unpack_runs("OO").tolist() == [-1, -1]
        assert _coco_segments.unpack_runs("PPPPPP1").tolist() == [1 << 30]
        for text in ("PPPPPPP1", "", "p", "/", "0P"):
            with pytest.raises(UnreadableEntryError, match=r"of more than 32 bits|cut off or no text of COCO's"):
                _coco_segments.unpack_runs(text)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (5, 4)])
    def test_boxes_are_as_small_as_their_content(self, shape):
        rng = np.random.default_rng(1)
        for share in (0.1, 0.3, 0.7, 0.7, 1.0, 0.0):
            mask = rng.random(shape) < share
            steps = np.flatnonzero(np.diff(mask.T.ravel(), prepend=False, append=False))
            edges = [0, *steps.tolist(), mask.size]
            counts = np.diff(edges).tolist()
            box, (top, left) = _coco_segments.decode_segmentation({"size": list(shape), "counts": counts}, shape)
            rows, columns = np.nonzero(mask)
            if rows.size:
                assert (top, left) == (rows.min(), columns.min())
                assert np.array_equal(box, mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
            else:
                assert box.size == 0

    @pytest.mark.parametrize(
        "counts", [[6, 1, 13], [3, 0, 3, 1, 13], [6, 1, 0, 0, 13], [0, 0, 6, 1, 5, 0, 8], [6, 1, 13, 0]]
    )
    def test_runs_of_no_pixel(self, counts):
        box, corner = _coco_segments.decode_segmentation({"size": [4, 5], "counts": counts}, (4, 5))
        assert (box.tolist(), corner) == ([[True]], (2, 1))

    def test_segmentations_of_other_kinds(self):
        for bad, kind in (("abc", "str"), (5, "int"), (None, "NoneType")):
            words = f"^a segmentation that is neither polygons nor run lengths but {kind}$"
            with pytest.raises(UnreadableEntryError, match=words):
                _coco_segments.decode_segmentation(bad, (4, 5))
        for bad in ([21], [19], [0, 21], [-1, 21], [[20]], [2.5, 17.5], 20, []):
            with pytest.raises(
                UnreadableEntryError, match="^run lengths that are (not those of an image of shape|no list)"
            ):
                _coco_segments.decode_segmentation({"size": [4, 5], "counts": bad}, (4, 5))
        assert _coco_segments.decode_segmentation({"size": [4, 5], "counts": [0, 20]}, (4, 5))[0].shape == (4, 5)

    def test_how_far_and_how_long(self, monkeypatch):
        monkeypatch.setattr(_coco_segments, "MAX_COORDINATE", 50)
        box, corner = _coco_segments.decode_segmentation([[-50, 0, 50, 0, 50, 3, -50, 3]], (4, 5))
        assert (box.shape, corner) == ((3, 5), (0, 0))
        for bad in (51, -51, np.nan):
            with pytest.raises(UnreadableEntryError, match="not three or more corners x, y near its image"):
                _coco_segments.decode_segmentation([[bad, 0, 50, 0, 50, 3, -50, 3]], (4, 5))
        monkeypatch.setattr(_coco_segments, "MAX_SIDES", 10)  # 4 * 5 + 10 * (4 + 5) pixels in all
        assert _coco_segments.decode_segmentation([[0, 0, 50, 0, 50, 5, 0, 5]], (4, 5))[0].all()  # 110 pixels
        _coco_segments.decode_segmentation([[0, 0, 50, 0, 50, 2, 0, 2], [0, 0, 1, 0, 0, 2]], (4, 5))  # 109
        with pytest.raises(UnreadableEntryError, match=r"polygons 111 pixels long in an image of shape \(4, 5\)"):
            _coco_segments.decode_segmentation([[0, 0, 50, 0, 50, 2, 0, 2], [0, 0, 1, 0, 0, 3]], (4, 5))
        asked = []
        monkeypatch.setattr(_coco_segments.memory, "check", lambda n, _: asked.append(n))
        _coco_segments.decode_segmentation([[0, 0, 3, 0, 3, 2, 0, 2]], (4, 5))
        assert asked == [1000, 4 * 3 * 3]  # a row more than the object has
