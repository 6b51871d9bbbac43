"""Real annotations in, real masks out: what must be the same to the pixel, on all the real data that there is."""

import json

import geojson
import numpy as np
import pytest
import roifile
import tifffile
from PIL import Image
from pycocotools.coco import COCO
from real_data import SETS, label_images
from scipy import ndimage
from skimage.draw import polygon2mask

import flowseg
from flowseg import io

# Masks of polygons that another library fills must be as like as this.
POLYGON_IOU = 0.98


@pytest.mark.parametrize("channel", ["d0", "d1"])
def test_colored_annotations_become_exactly_the_instance_maps(shared, channel):
    folder = shared / "data" / "aitslab" / "seed_example"
    (file,) = (folder / "raw_annotation").glob(f"*{channel}.png")
    instances = flowseg.io.read_mat(folder / "inst_map_mat" / f"{file.stem}.mat")
    masks = flowseg.masks_from_rgb(io.read_image(file), one_per_color=True)
    assert masks.max() == {"d0": 41, "d1": 35}[channel]
    assert np.array_equal(masks, instances)
    (labels,) = (shared / "data" / "aitslab").glob(f"*/*/labels/{file.stem}.tif")
    assert np.array_equal(masks, tifffile.imread(labels))
    # By default every component is an object: one cell of d1 is cut in two by the border of the image.
    assert flowseg.masks_from_rgb(io.read_image(file)).max() == {"d0": 41, "d1": 36}[channel]


@pytest.mark.parametrize("name", ["dsb2018", "dsb2018_brightfield", "dsb2018_histology"])
def test_one_file_per_object_gives_exactly_the_labels(shared, name, tmp_path):
    # The folders of the Data Science Bowl, made again: one 8-bit PNG of 0 and 255 per object, names in no order.
    rng = np.random.default_rng(0)
    for image, labels in label_images(shared, name):
        folder = tmp_path / image
        folder.mkdir()
        for k, label in zip(rng.permutation(labels.max()), np.unique(labels[labels > 0]), strict=True):
            mask = Image.fromarray(np.where(labels == label, 255, 0).astype(np.uint8))
            mask.save(folder / f"{k:08x}.png", compress_level=1)
        assert np.array_equal(flowseg.io.read_object_files(folder), labels), image


def boxes_of(masks):
    """Label, box and the object's pixels in it, for every object."""
    for label, box in enumerate(ndimage.find_objects(masks), start=1):
        if box is not None:
            yield label, box, masks[box] == label


def check_polygons(parts, box, expected):
    """The polygons (x, y) of one object, filled by scikit-image, are the object."""
    inside = np.zeros(expected.shape, bool)
    for part in parts:
        corners = np.asarray(part, float)[:, ::-1] - (box[0].start, box[1].start)
        inside ^= polygon2mask(expected.shape, corners - 0.5)
    iou = np.sum(inside & expected) / np.sum(inside | expected)
    assert iou > POLYGON_IOU
    return iou


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@pytest.mark.parametrize("name", SETS)
def test_other_libraries_read_the_same_masks(shared, name, tmp_path):
    named = {image: masks for image, masks in label_images(shared, name) if masks.ndim == 2}
    if not named:
        pytest.skip("only volumes, which these formats do not hold")
    ious = []
    for masks in named.values():
        objects = list(boxes_of(masks))
        io.write_masks(tmp_path / "a.tif", masks)
        assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), masks)
        io.write_roi(tmp_path / "a.zip", masks)
        regions = {int(roi.name): roi for roi in roifile.roiread(tmp_path / "a.zip")}
        io.write_geojson(tmp_path / "a.geojson", masks)
        collection = geojson.loads((tmp_path / "a.geojson").read_text())
        assert collection.is_valid, collection.errors()
        features = {int(feature.properties["name"]): feature.geometry for feature in collection.features}
        assert set(regions) == set(features) == {label for label, _, _ in objects}
        for label, box, expected in objects:
            roi, geometry = regions[label], features[label]
            parts = roi.coordinates(multi=True) if roi.composite else [roi.coordinates()]
            ious.append(check_polygons(parts, box, expected))
            polygons = [geometry.coordinates] if geometry.type == "Polygon" else geometry.coordinates
            ious.append(check_polygons([ring for polygon in polygons for ring in polygon], box, expected))
    assert min(ious) == 1  # more than was asked for: the same to the pixel
    io.write_coco(tmp_path / "a.json", named)
    theirs = COCO(tmp_path / "a.json")
    assert len(json.loads((tmp_path / "a.json").read_text())["annotations"]) == len(ious) // 2
    for image in theirs.loadImgs(theirs.getImgIds()):
        masks = named[image["file_name"]]
        annotations = theirs.loadAnns(theirs.getAnnIds(imgIds=image["id"]))
        for (_, box, expected), annotation in zip(boxes_of(masks), annotations, strict=True):
            mask = theirs.annToMask(annotation)
            assert mask.sum() == expected.sum()
            assert np.array_equal(mask[box], expected)
