"""Files of annotations in which not everything is an object of the image: chosen, left out with numbers, or refused."""

import json
import warnings
import zipfile

import numpy as np
import pytest
import roifile
import tifffile

import flowseg
from flowseg.io._documents import KINDS

SHAPE = (20, 20)


def square(low, high, top=2):
    return [[low, top], [high, top], [high, top + high - low], [low, top + high - low], [low, top]]


def feature(ring, *, type="Polygon", plane=None, **properties):
    geometry = {"type": type, "coordinates": [ring] if type == "Polygon" else ring}
    return {"type": "Feature", "properties": properties, "geometry": geometry | ({"plane": plane} if plane else {})}


def sizes(masks):
    return np.bincount(np.ravel(masks))[1:].tolist()


def read_quietly(read, *args, **chosen):
    """The result; any warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(*args, **chosen)


def read_and_say(read, *args, **chosen):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        found = read(*args, **chosen)
    (warning,) = caught
    assert warning.filename == __file__
    return found, str(warning.message)


@pytest.fixture
def geojson(tmp_path):
    def write(*features, encoding="utf-8"):
        text = json.dumps({"type": "FeatureCollection", "features": list(features)})
        (tmp_path / "a.geojson").write_text(text, encoding=encoding)
        return tmp_path / "a.geojson"

    return write


@pytest.fixture
def coco(tmp_path):
    def write(*annotations, images=("a.png",)):
        found = [{"id": k, "file_name": name, "height": 20, "width": 20} for k, name in enumerate(images, start=1)]
        categories = [{"id": 1, "name": "cell"}, {"id": 2, "name": "debris"}]
        document = {"images": found, "annotations": annotations, "categories": categories}
        (tmp_path / "a.json").write_text(json.dumps(document))
        return tmp_path / "a.json"

    return write


def outline(low, high, image=1, **more):
    return {"image_id": image, "category_id": 1, "segmentation": [np.ravel(square(low, high)[:4]).tolist()], **more}


def test_planes_of_geojson(geojson):
    file = geojson(
        feature(square(2, 10)),  # QuPath leaves out the first plane
        feature(square(4, 15), plane={"c": -1, "z": 1, "t": 0}),
        feature(square(1, 3), plane={"c": -1, "z": 1, "t": 2}),
    )
    with pytest.raises(ValueError, match=r"z must be given for .*a\.geojson, whose outlines lie in z 0, 1; got None"):
        flowseg.io.read_geojson(file, SHAPE)
    with pytest.raises(ValueError, match=r"t must be given for .*, whose outlines lie in t 0, 2; got None"):
        flowseg.io.read_geojson(file, SHAPE, z=1)
    assert sizes(read_quietly(flowseg.io.read_geojson, file, SHAPE, z=0, t=0)) == [64]
    assert sizes(read_quietly(flowseg.io.read_geojson, file, SHAPE, z=1, t=0)) == [121]
    masks, said = read_and_say(flowseg.io.read_geojson, file, SHAPE, z=5, t=0)
    assert not masks.any()
    assert said == f"No outline in {file} lies in z 5, t 0: the masks are empty."
    for bad, kind in ((-1, ValueError), ("1", TypeError), (True, TypeError), (1.5, TypeError)):
        with pytest.raises(kind, match="z must be an integer of at least 0"):
            flowseg.io.read_geojson(file, SHAPE, z=bad)
    file = geojson(*(feature(square(2 * c, 8 * c + 4), plane={"c": c, "z": 0, "t": 0}) for c in (0, 1)))
    with pytest.raises(ValueError, match="channel must be given"):
        flowseg.io.read_geojson(file, SHAPE)
    assert sizes(flowseg.io.read_geojson(file, SHAPE, channel=1)) == [100]
    file = geojson(*(feature(square(2, 10), plane={"c": -1, "z": 3, "t": 0}) for _ in range(1)))
    assert sizes(read_quietly(flowseg.io.read_geojson, file, SHAPE)) == [64]  # one plane is no question


def test_planes_of_regions(tmp_path):
    def read(*regions, **plane):
        roifile.roiwrite(tmp_path / "a.zip", regions, mode="w")
        return sizes(read_quietly(flowseg.io.read_roi, tmp_path / "a.zip", SHAPE, **plane))

    make = roifile.ImagejRoi.frompoints  # writes numbers from 0 as ImageJ counts, from 1
    stack = [make(square(2, 10)[:4], z=0, t=0), make(square(4, 15)[:4], z=1, t=0), make(square(16, 18, 16)[:4])]
    with pytest.raises(ValueError, match=r"z must be given for .*a\.zip, whose outlines lie in z 0, 1; got None"):
        read(*stack)
    assert read(*stack, z=0) == [64, 4]  # the one without a position is in every plane
    assert read(*stack, z=1) == [121, 4]
    assert read(*stack[1:]) == [121, 4]
    old = [make(square(2, 10)[:4], position=0), make(square(4, 15)[:4], position=1)]
    assert read(*old, z=0) == read(*old, t=0) == read(*old, channel=0) == [64]
    assert read(*old, t=1) == [121]
    with pytest.raises(ValueError, match="z, t and channel must be one number for .*, whose .* got z 0, t 1"):
        read(*old, z=0, t=1)
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, z_position=9)
    roifile.roiwrite(tmp_path / "a.zip", [line, stack[0]], mode="w")
    masks, said = read_and_say(flowseg.io.read_roi, tmp_path / "a.zip", SHAPE)  # its plane is no question
    assert sizes(masks) == [64]
    assert said.endswith("a.zip are left out: a line, which has no area.")


def test_annotations_beside_detections_are_no_objects(geojson):
    cell = feature(square(2, 10), objectType="detection")
    tissue = feature(square(0, 18, 0), objectType="annotation")
    old = {**feature(square(0, 18, 0)), "id": "PathAnnotationObject"}
    masks, said = read_and_say(flowseg.io.read_geojson, geojson(tissue, old, cell), SHAPE)
    assert sizes(masks) == [64]
    assert said.endswith("2 of 3 entries in " + str(geojson(tissue, old, cell)) + " are left out: an annotation beside "
                         "detections or cells (2).")  # fmt: skip
    assert sizes(read_quietly(flowseg.io.read_geojson, geojson(tissue), SHAPE)) == [324]  # all that was drawn
    nucleus = {"nucleusGeometry": {"type": "Polygon", "coordinates": [square(4, 6)]}}
    cells = feature(square(2, 10), objectType="cell") | nucleus
    assert sizes(read_quietly(flowseg.io.read_geojson, geojson(cells), SHAPE)) == [64]


def test_ignored_classes_and_a_choice(geojson):
    region = feature(square(0, 18, 0), objectType="annotation", classification={"name": "Region*"})
    tumor = feature(square(2, 10), objectType="annotation", classification={"names": ["Tumor", "Positive"]})
    plain = feature(square(11, 15), objectType="annotation")
    file = geojson(region, tumor, plain)
    masks, said = read_and_say(flowseg.io.read_geojson, file, SHAPE)
    assert sizes(masks) == [64, 16]
    assert "are left out: one of QuPath's ignored class 'Region*'." in said
    masks, said = read_and_say(flowseg.io.read_geojson, file, SHAPE, classes="Tumor: Positive")
    assert sizes(masks) == [64]
    assert "2 of 3 entries" in said
    assert "an object of another class (2)" in said
    assert sizes(read_and_say(flowseg.io.read_geojson, file, SHAPE, classes=["Region*"])[0]) == [324]
    with pytest.raises(
        ValueError, match=r"classes must be among those in .*, 'Region\*', 'Tumor: Positive'; got 'tumor'"
    ):
        flowseg.io.read_geojson(file, SHAPE, classes=["tumor"])
    for bad in (3, [], [3]):
        with pytest.raises(TypeError, match="classes must be one or more names, or None"):
            flowseg.io.read_geojson(file, SHAPE, classes=bad)
    masks, said = read_and_say(flowseg.io.read_geojson, geojson(region), SHAPE)  # an image without objects
    assert not masks.any()


def test_outlines_of_regions_are_reported(geojson):
    file = geojson(feature(square(0, 18, 0)), feature(square(2, 6)), feature(square(8, 12)))
    masks, said = read_and_say(flowseg.io.read_geojson, file, SHAPE)
    assert len(sizes(masks)) == 3
    assert said.startswith("1 of 3 objects have others inside, 2 or more, as outlines of regions have")
    file = geojson(feature(square(0, 18, 0)), feature(square(2, 6)))  # a cell and its nucleus
    assert len(sizes(read_quietly(flowseg.io.read_geojson, file, SHAPE))) == 2


def test_odd_entries_of_geojson(geojson):
    good = feature(square(2, 10))
    nothing = {"type": "Feature", "geometry": None, "properties": None}
    odd = [
        nothing,
        nothing,
        feature([1, 2], type="Point"),
        feature([[1, 2], [3, 4]]),
        feature([[1, 2], [np.nan, 4], [5, 6]]),
    ]
    masks, said = read_and_say(flowseg.io.read_geojson, geojson(*odd, good), SHAPE)
    assert sizes(masks) == [64]
    for part in ("5 of 6 entries", "an object without a geometry (2)", "a Point, which has no area (1)", "corners (1)"):
        assert part in said
    with pytest.raises(ValueError, match="must be a readable GeoJSON file; got: an object without a geometry.$"):
        flowseg.io.read_geojson(geojson(nothing), SHAPE)
    assert not read_quietly(flowseg.io.read_geojson, geojson(), SHAPE).any()
    for encoding in ("utf-8-sig", "utf-16"):
        assert sizes(read_quietly(flowseg.io.read_geojson, geojson(good, encoding=encoding), SHAPE)) == [64]
    file = geojson(good)
    for raw, said in (
        (b"\xac\xed\x00\x05sr", "in QuPath, File > Export objects as GeoJSON"),
        (b'{"name": "\xfc"}', r"no text in UTF-8 \(from byte 10 on\)"),
        (b"{", "text that is no JSON"),
    ):
        file.write_bytes(raw)
        with pytest.raises(ValueError, match=f"must be a readable GeoJSON file; got: .*{said}"):
            flowseg.io.read_geojson(file, SHAPE)


@pytest.mark.parametrize("keys_and_kind", KINDS, ids=lambda item: " ".join(sorted(item[0])))
def test_json_of_other_kinds_is_named(keys_and_kind, tmp_path):
    keys, kind = keys_and_kind
    file = tmp_path / "a.json"
    file.write_text(json.dumps([dict.fromkeys(keys)] if "image_id" in keys else dict.fromkeys(keys)))
    readers = {"COCO": flowseg.io.read_coco, "Labkit": flowseg.io.read_labkit}
    readers["GeoJSON"] = lambda file: flowseg.io.read_geojson(file, SHAPE)
    for name, read in readers.items():
        if f"a {name} " not in kind:
            with pytest.raises(ValueError, match=r"a\.json must be a readable (COCO|Labkit|GeoJSON)") as caught:
                read(file)
            if name != "GeoJSON" or "type" not in keys:
                assert kind in str(caught.value)


def test_odd_entries_of_coco(coco):
    odd = [
        {"image_id": 1, "bbox": [1, 1, 3, 3]}, {"image_id": 1, "bbox": [1, 1, 3, 3], "segmentation": []},
        {"image_id": 1, "keypoints": [1, 1, 2]}, {"image_id": 1}, outline(2, 5, image=7), outline(3, 6, iscrowd=1), "x",
        {"image_id": 1, "segmentation": {"size": [3, 3], "counts": [9]}},
    ]  # fmt: skip
    found, said = read_and_say(flowseg.io.read_coco, coco(*odd, outline(2, 10)))
    assert sizes(found["a.png"]) == [64]
    for part in ("8 of 9 entries", "a box without an outline (2)", "of an image that the file does not have"):
        assert part in said
    assert "a crowd" in flowseg_warning(coco(outline(3, 6, iscrowd=1), outline(2, 10)))
    for entry, reason in ((odd[0], "a box"), (odd[2], "keypoints"), (odd[3], "an annotation")):
        with pytest.raises(ValueError, match=rf"must be a readable COCO file; got: {reason} without an outline.$"):
            flowseg.io.read_coco(coco(entry))


def flowseg_warning(file):
    return read_and_say(flowseg.io.read_coco, file)[1]


def test_images_of_coco_keep_their_folders_and_their_categories(coco):
    file = coco(outline(2, 10), outline(2, 5, image=2, category_id=2), images=("a/x.png", "b/x.png"))
    found = read_quietly(flowseg.io.read_coco, file)
    assert {name: sizes(masks) for name, masks in found.items()} == {"a/x.png": [64], "b/x.png": [9]}
    found, said = read_and_say(flowseg.io.read_coco, file, classes=["debris"])
    assert {name: sizes(masks) for name, masks in found.items()} == {"a/x.png": [], "b/x.png": [9]}
    assert "1 of 2 entries" in said
    with pytest.raises(ValueError, match=r"classes must be among those in .*a\.json, 'cell', 'debris'; got 'Cell'"):
        flowseg.io.read_coco(file, classes="Cell")


def cvat(folder, *images):
    (folder / "a.xml").write_text(f"<annotations>{''.join(images)}</annotations>", encoding="utf-8-sig")
    return folder / "a.xml"


def test_odd_entries_of_cvat(tmp_path):
    image = '<image name="a.png" {} width="20" height="20">{}</image>'
    box = '<box label="{}" xtl="2" ytl="2" xbr="{}" ybr="10"/>'
    shapes = box.format("cell", 10) + box.format("debris", 4) + '<points label="cell" points="1,1"/><tag label="bad"/>'
    found, said = read_and_say(flowseg.io.read_cvat, cvat(tmp_path, image.format("", shapes)))
    assert sizes(found["a.png"]) == [16, 48]
    assert "1 of 3 entries" in said
    assert "a shape of the kind points, which has no area" in said
    found, said = read_and_say(flowseg.io.read_cvat, cvat(tmp_path, image.format("", shapes)), classes="debris")
    assert sizes(found["a.png"]) == [16]
    two = [image.format(f'subset="{name}"', box.format("cell", 10)) for name in ("Train", "Test")]
    assert list(read_quietly(flowseg.io.read_cvat, cvat(tmp_path, *two))) == ["Train/a.png", "Test/a.png"]
    with pytest.raises(ValueError, match="got: tracks of a video: export it as 'CVAT for images 1.1'.$"):
        flowseg.io.read_cvat(cvat(tmp_path, '<track id="0"/>'))


def test_labels_of_labkit(tmp_path):
    file = tmp_path / "a.labeling"
    labels = {"background": [[9, 9]], "cell": [[0, 0], [1, 0], [5, 5]], "nucleus": [[1, 0]], "empty": []}
    file.write_text(json.dumps({"interval": {"min": [0, 0], "max": [19, 19]}, "labels": labels}))
    masks, said = read_and_say(flowseg.io.read_labkit, file)
    assert masks[0, :3].tolist() == [1, 2, 0]  # the label with fewer pixels is seen
    assert sizes(masks) == [1, 1, 1]
    assert said == f"1 of 3 entries in {file} are left out: the label 'background'."
    assert sizes(read_and_say(flowseg.io.read_labkit, file, classes=["background"])[0]) == [1]
    with pytest.raises(ValueError, match="classes must be among those in .*, 'background', 'cell', 'nucleus'; got 'x'"):
        flowseg.io.read_labkit(file, classes="x")
    tifffile.imwrite(tmp_path / "b.tif", np.eye(3, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"classes must be None for .*b\.tif, which holds no names of labels"):
        flowseg.io.read_labkit(tmp_path / "b.tif", classes="x")
    (tmp_path / "b.bson").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"path must end in .labeling, .json or .tif; got .*b\.bson.*save as .labeling"
    ):
        flowseg.io.read_labkit(tmp_path / "b.bson")
    with pytest.raises(ValueError, match=r"b\.tif must be a TIFF of label numbers; got numbers of sets .* b\.bson"):
        flowseg.io.read_labkit(tmp_path / "b.tif")


def test_odd_entries_of_a_roi_archive(tmp_path):
    file = tmp_path / "a.zip"
    kinds, subtypes = roifile.ROI_TYPE, roifile.ROI_SUBTYPE
    good = roifile.ImagejRoi.frompoints(square(2, 10)[:4])
    spline = roifile.ImagejRoi.frompoints(square(2, 10)[:4])
    spline.options |= roifile.ROI_OPTIONS.SPLINE_FIT
    text = roifile.ImagejRoi(roitype=kinds.RECT, subtype=subtypes.TEXT, right=9, bottom=9, name="text")
    empty = roifile.ImagejRoi(roitype=kinds.OVAL, left=3, right=3, bottom=9, name="empty")
    roifile.roiwrite(file, [good, spline, text, empty], mode="w")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("__MACOSX/._a.roi", b"x")
        archive.writestr("broken.roi", b"Iout")
        archive.writestr("notes.txt", b"x")
    masks, said = read_and_say(flowseg.io.read_roi, file, SHAPE)
    assert sizes(masks) == [64]
    for part in (
        "4 of 5 entries",
        "a region with a fitted spline",
        "a region that is a text",
        "an oval of 9 rows and 0 columns",
    ):
        assert part in said
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cells.geojson", b"{}")
    with pytest.raises(
        ValueError, match=r"a\.zip must be a readable ImageJ ROI file; got: 1 parts?, none of which ends"
    ):
        flowseg.io.read_roi(file, SHAPE)


def test_real_regions_have_an_area_or_are_refused(shared):
    """Numbers of pixels are those of ImageJ 1.53t's own masks of these files (RoiDecoder, ImageProcessor.fill)."""
    folder = shared / "data" / "readers_files"
    files = sorted(folder.glob("*/*.roi"))
    if not files:
        pytest.skip("no such files")
    found = {}
    for file in files:
        try:
            found[file.stem] = int((flowseg.io.read_roi(file, (300, 300)) > 0).sum())
        except ValueError as error:
            assert str(error).endswith("which has no area."), error  # noqa: PT017
    assert found == IMAGEJ


IMAGEJ = {
    "composite-brush-donut": 18,
    "composite-brush-yin-yang": 545,
    "composite-oval-in-rect": 938,
    "composite-rect-in-rect": 2004,
    "composite-two-ellipses": 1389,
    "composite-two-ovals": 685,
    "ellipse": 24,
    "ellipse-left": 11,
    "ellipse-top": 16,
    "freehand": 2056,
    "freehand_circle": 4,
    "freehand_integer": 36,
    "integer_rectangle": 20,
    "oval": 994,
    "oval-left": 16,
    "oval-top": 12,
    "polygon": 7164,
    "polygon-left": 6,
    "polygon-top": 14,
    "polygon_circle": 4,
    "polygon_integer": 36,
    "rectangle": 1548,
    "subpixel_rectangle": 20,
    "unit_rectangle": 1,
}
