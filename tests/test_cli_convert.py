"""`flowseg convert`, `mend`, `measure` and `predict --also`: files in, files out."""

import csv
import json
import os
import sys

import numpy as np
import pytest
import tifffile
from cli_tools import contents, invoke, run_here
from skimage.io import imread, imsave

import flowseg
from flowseg import io, plot, synthetic


@pytest.fixture
def masks(tmp_path):
    """Three label images of different shapes, numbered in raster order, in a folder with their images."""
    (tmp_path / "masks").mkdir()
    (tmp_path / "images").mkdir()
    drawn = {}
    for k in range(3):
        image, labels = synthetic.cells((64, 80 + k), 6, rng=k)
        drawn[f"cell {k}"] = flowseg.mend_masks(labels, min_size=0).masks
        io.write_masks(tmp_path / "masks" / f"cell {k}_masks.tif", drawn[f"cell {k}"], pixel_size=(0.5, 0.25))
        tifffile.imwrite(tmp_path / "images" / f"cell {k}.tif", image.astype(np.float32))
    return drawn


def assert_same(folder, masks):
    assert {file.name for file in folder.glob("*_masks.tif")} == {f"{name}_masks.tif" for name in masks}
    for name, labels in masks.items():
        assert np.array_equal(io.read_masks(folder / f"{name}_masks.tif"), labels)


def test_there_and_back(masks, tmp_path):
    every = tmp_path / "every"
    result = invoke(
        "convert", tmp_path / "masks", "-o", every, "--to", "roi,geojson,coco", "--to", "png,csv,parquet,tif"
    )
    assert f"{sum(m.max() for m in masks.values())} objects in 3 images" in result.output
    ends = ("_rois.zip", ".geojson", "_masks.png", "_objects.csv", "_objects.parquet", "_masks.tif")
    assert set(contents(every)) == {f"{n}{end}" for n in masks for end in ends} | {"coco.json", "flowseg-run.jsonl"}
    assert_same(every, masks)
    assert io.read_pixel_size(every / "cell 1_masks.tif") == pytest.approx((0.5, 0.25))
    for k, (where, options) in enumerate(
        [
            ("*_rois.zip", ["--images", tmp_path / "images"]),
            ("*.geojson", ["--images", tmp_path / "images"]),
            ("*_masks.png", []),
            ("", ["--from", "labels"]),
        ]
    ):
        invoke("convert", every / where, "-o", tmp_path / f"back {k}", *options)
        assert_same(tmp_path / f"back {k}", masks)
    result = invoke("convert", every / "*_rois.zip", "-o", tmp_path / "x", status=1)
    assert "--images must be given for" in result.output
    assert "3 of 3 files failed" in result.output
    message = str(invoke("convert", every, "-o", tmp_path / "x", status=1).exception)
    assert "--from must be given to choose among annotations" in message
    assert "geojson, labels, roi" in message


def test_coco(masks, tmp_path):
    invoke("convert", tmp_path / "masks", "-o", tmp_path / "a", "--to", "coco", "--images", tmp_path / "images")
    assert set(flowseg.io.read_coco(tmp_path / "a" / "coco.json")) == {f"{name}.tif" for name in masks}
    invoke("convert", tmp_path / "a" / "coco.json", "-o", tmp_path / "b")
    assert_same(tmp_path / "b", masks)
    again = ("convert", tmp_path / "a" / "coco.json", "-o", tmp_path / "b", "--resume", "--json")
    said = json.loads(invoke(*again).stdout)
    assert [file["kept"] for file in said["files"]] == [True] * 3
    assert said["files"][0]["file"] == f"{tmp_path / 'a' / 'coco.json'}, cell 0.tif"


def test_other_annotations(masks, tmp_path):
    from scipy.io import savemat

    labels = masks["cell 0"]
    folder = tmp_path / "in"
    folder.mkdir()
    savemat(folder / "a.mat", {"inst_map": labels.astype(np.float64)})
    imsave(folder / "b.png", plot.mask_colors(labels), check_contrast=False)
    xml = '<annotations><image name="c.png" width="80" height="64"><box xtl="1" ytl="2" xbr="5" ybr="4"/></image></annotations>'
    (folder / "c.xml").write_text(xml)
    labkit = {"interval": {"min": [0, 0], "max": [79, 63]}, "labels": {"x": [[3, 4], [4, 4]], "y": [[50, 50]]}}
    (folder / "d.labeling").write_text(json.dumps(labkit))
    np.save(folder / "e_seg.npy", {"masks": labels})
    tifffile.imwrite(folder / "f.tif", ((labels == 1) | (labels == labels.max())).astype(np.uint8) * 255)
    for k in range(1, labels.max() + 1):
        (folder / "g" / "masks").mkdir(parents=True, exist_ok=True)
        imsave(folder / "g" / "masks" / f"{k}.png", (labels == k).astype(np.uint8) * 255, check_contrast=False)
    results = {}
    for name, options in {
        "a.mat": [], "b.png": [], "c.xml": [], "d.labeling": [], "e_seg.npy": [],
        "f.tif": ["--from", "binary"], "*/masks": ["--from", "files"],
    }.items():  # fmt: skip
        output = tmp_path / f"out {name[0].replace('*', 'g')}"
        invoke("convert", folder / name, "-o", output, *options)
        (file,) = output.glob("*_masks.tif")
        results[file.name.removesuffix("_masks.tif")] = io.read_masks(file)
    assert sorted(results) == list("abcdefg")
    for name in "abeg":
        assert np.array_equal(results[name], labels), name
    assert np.argwhere(results["c"]).tolist() == [[row, column] for row in (2, 3) for column in (1, 2, 3, 4)]
    assert np.argwhere(results["d"]).tolist() == [[4, 3], [4, 4], [50, 50]]
    assert results["f"].max() == 2
    assert "got none" in str(invoke("convert", folder / "*.nothing", "-o", tmp_path / "x", status=1).exception)
    assert "--from must be one of" in str(invoke("convert", folder, "-o", tmp_path, "--from", "x", status=1).exception)


def test_classes_and_planes_are_chosen(tmp_path):
    def feature(low, high, name, z):
        ring = [[low, low], [high, low], [high, high], [low, high], [low, low]]
        geometry = {"type": "Polygon", "coordinates": [ring], "plane": {"c": -1, "z": z, "t": 0}}
        return {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}}

    features = [feature(0, 3, "cell, large", 0), feature(4, 6, "nucleus", 0), feature(7, 8, "nucleus", 1)]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), np.float32))

    def convert(*options, status=0, source="a.geojson"):
        images = ["--images", tmp_path / "a.tif"] if source == "a.geojson" else []
        output = tmp_path / f"out {len(list(tmp_path.iterdir()))}"
        result = run_here("convert", tmp_path / source, "-o", output, *images, *options, status=status)
        return result.stderr if status else np.bincount(io.read_masks(output / "a_masks.tif").ravel())[1:].tolist()

    assert "z must be given" in convert(status=1)
    assert convert("--z", "0") == [9, 4]
    assert convert("--z", "1", "--t", "0") == [1]
    assert convert("--classes", "nucleus", "--z", "0") == [4]
    assert "classes must be among those in" in convert("--classes", "nuclei", status=1)
    assert "--classes must be one or more names" in convert("--classes", " , ", status=1)
    assert "--z must be left out for annotations of labels" in convert("--z", "0", source="a.tif", status=1)
    labelme = {"shapes": [], "imageHeight": 3}
    (tmp_path / "b.json").write_text(json.dumps(labelme))
    assert "got a Labelme file: turn it into COCO" in convert(source="b.json", status=1)


def test_folders_of_objects_among_others(masks, tmp_path):
    labels = masks["cell 0"]
    for name in ("a", "b"):
        (tmp_path / "in" / name / ".ipynb_checkpoints").mkdir(parents=True)
        for k in range(1, labels.max() + 1):
            imsave(tmp_path / "in" / name / f"{k}.png", (labels == k).astype(np.uint8), check_contrast=False)
    (tmp_path / "in" / ".git").mkdir()
    for where, names in (("in", ["a", "b"]), ("in/[ab]", ["a", "b"]), ("in/a", ["a"])):
        output = tmp_path / f"out {where[-1]}"
        invoke("convert", tmp_path / where, "--from", "files", "-o", output)
        assert_same(output, dict.fromkeys(names, labels))
    again = ("convert", tmp_path / "in", "--from", "files", "-o", tmp_path / "out n", "--resume")
    (tmp_path / "in" / "a" / ".hidden").touch()
    assert "(2 of them done before)" in invoke(*again).stdout
    (tmp_path / "in" / "a" / "1.png").unlink()
    assert "(1 of them done before)" in invoke(*again).stdout
    message = str(
        invoke("convert", tmp_path / "in", "--from", "files", "-o", tmp_path / "in" / "a", status=1).exception
    )
    assert "--output must be another folder than that of" in message


def test_images_are_not_overwritten(masks, tmp_path):
    invoke("convert", tmp_path / "masks", "-o", tmp_path / "rois", "--to", "roi")
    (tmp_path / "links").mkdir()
    for file in (tmp_path / "masks").iterdir():
        (tmp_path / "links" / file.name.replace("_masks", "")).symlink_to(file)
    before = contents(tmp_path / "masks")
    for images, output in (("masks", "masks"), ("links", "masks"), ("links", "links")):
        arguments = ("convert", tmp_path / "rois" / "*0_rois.zip", "--images", tmp_path / images / "*0*.tif")
        message = str(invoke(*arguments, "-o", tmp_path / output, "--overwrite", status=1).exception)
        assert "--output must be another folder than that of" in message
        assert contents(tmp_path / "masks") == before


def test_convert_names_what_fails_and_does_the_rest(masks, tmp_path):
    (tmp_path / "masks" / "broken_masks.tif").write_bytes(b"nothing")
    result = invoke("convert", tmp_path / "masks", "-o", tmp_path / "out", "--to", "roi,coco", "--json", status=1)
    said = json.loads(result.stdout)
    assert [file["objects"] for file in said["files"]] == [int(m.max()) for m in masks.values()]
    assert len(said["failures"]) == 1
    assert len(json.loads((tmp_path / "out" / "coco.json").read_text())["images"]) == 3
    (tmp_path / "coco.json").write_text('{"images": [], ')
    result = invoke("convert", tmp_path / "coco.json", "-o", tmp_path / "x", "--from", "coco", status=1)
    assert "1 of 1 files failed" in result.output


def test_packages_that_are_missing_are_asked_for_at_once(masks, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "roifile", None)
    result = invoke("convert", tmp_path / "masks", "-o", tmp_path / "out", "--to", "roi", status=1)
    assert "pip install " in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_mend(masks, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    labels = masks["cell 0"].copy()
    labels[labels == 2] = 1
    tifffile.imwrite(folder / "a_masks.tif", labels)
    tifffile.imwrite(folder / "b.tif", masks["cell 1"])
    (folder / "c.png").touch()
    result = invoke("mend", folder, "--output", tmp_path / "out", status=1)
    assert f"{folder / 'a_masks.tif'}: 1 label in several components became 2 objects." in result.output
    assert "1 of 3 files failed" in result.output
    assert np.array_equal(io.read_masks(tmp_path / "out" / "a_masks.tif"), flowseg.mend_masks(labels).masks)
    assert np.array_equal(io.read_masks(tmp_path / "out" / "b_masks.tif"), masks["cell 1"])


def test_measure(masks, tmp_path):
    table = tmp_path / "objects.csv"
    result = invoke("measure", tmp_path / "masks", tmp_path / "images", "--output", table)
    n = sum(m.max() for m in masks.values())
    assert f"{n} objects of 3 files" in result.output
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == n
    image = io.read_image(tmp_path / "images" / "cell 1.tif")
    expected = flowseg.measure(masks["cell 1"], image)
    mine = [row for row in rows if row["file"] == "cell 1_masks.tif"]
    for name in ("label", "area", "centroid-1", "intensity_mean"):
        assert [float(row[name]) for row in mine] == pytest.approx(expected[name].tolist())
    color = np.broadcast_to(np.array([1, 2, 3], dtype=np.uint8), (64, 82, 3))
    tifffile.imwrite(tmp_path / "images" / "cell 2.tif", color, photometric="rgb")
    (tmp_path / "masks" / "cell 0_masks.tif").write_bytes(b"")
    arguments = ("measure", tmp_path / "masks", tmp_path / "images", "--json", "--output")
    said = json.loads(invoke(*arguments, tmp_path / "a.parquet", status=1).stdout)
    assert said["files"] == [str(tmp_path / "masks" / "cell 1_masks.tif")]
    assert [failure["file"][-16:] for failure in said["failures"]] == ["cell 0_masks.tif", "cell 2_masks.tif"]
    import pandas

    assert pandas.read_parquet(tmp_path / "a.parquet")["file"].tolist() == ["cell 1_masks.tif"] * masks["cell 1"].max()
    said = json.loads(invoke(*arguments, tmp_path / "b.csv", "--channel", 0, status=1).stdout)
    assert len(said["files"]) == 2
    message = str(invoke("measure", tmp_path / "masks", "-o", tmp_path / "x.txt", status=1).exception)
    assert "--output must end in .csv or .parquet" in message


def test_measure_of_nothing_that_can_be_read(masks, tmp_path):
    for file in (tmp_path / "masks").iterdir():
        file.write_bytes(b"")
    result = invoke("measure", tmp_path / "masks", "-o", tmp_path / "a.csv", status=1)
    assert "measured into" not in result.output
    assert "3 of 3 files failed" in result.output
    said = json.loads(invoke("measure", tmp_path / "masks", "-o", tmp_path / "a.csv", "--json", status=1).stdout)
    assert (said["output"], said["files"]) == (None, [])
    assert not (tmp_path / "a.csv").exists()


def test_measure_replaces_no_input(masks, tmp_path):
    table = tmp_path / "masks.csv"
    table.write_bytes((tmp_path / "masks" / "cell 0_masks.tif").read_bytes())
    for arguments in ((table,), (tmp_path / "masks" / "cell 0_masks.tif", table)):
        message = str(invoke("measure", *arguments, "-o", table, status=1).exception)
        assert message == f"--output must be another file than those that are read; got {table}."


def test_measure_a_name_that_is_no_text(masks, tmp_path):
    names = [os.fsencode(tmp_path) + b"/masks/\xff\xc3\xa4.tif", tmp_path / "masks" / "cell 0_masks.tif"]
    try:
        os.rename(names[1], names[0])
    except OSError:
        pytest.skip("this file system wants names to be text")
    for name in ("x.csv", "x.parquet"):
        invoke("measure", tmp_path / "masks", "-o", tmp_path / name)
    import pandas

    for table in (pandas.read_csv(tmp_path / "x.csv"), pandas.read_parquet(tmp_path / "x.parquet")):
        assert sorted(set(table["file"])) == ["\\xffä.tif", "cell 1_masks.tif", "cell 2_masks.tif"]


def test_a_file_that_is_named_outright_is_not_left_out(masks, tmp_path):
    _, labels, _ = masks.values()
    folder = tmp_path / "in"
    folder.mkdir()
    tifffile.imwrite(folder / "a_overlay.tif", labels)
    tifffile.imwrite(folder / "a_flows.tif", labels)
    for name in ("a_overlay.tif", "a_flows.tif"):
        invoke("mend", folder / name, "-o", tmp_path / f"mended {name}")
        assert len([*(tmp_path / f"mended {name}").glob("a*_masks.tif")]) == 1
        invoke("flows", folder / name, "-o", tmp_path / f"flows {name}")
        assert (tmp_path / f"flows {name}" / name.replace(".tif", "_flows.tif")).is_file()
        assert f"{labels.max()} objects of 1 files" in invoke("measure", folder / name, "-o", tmp_path / "x.csv").output
        copy = tmp_path / "copy.tif"
        copy.write_bytes((folder / name).read_bytes())
        assert "1 images" in invoke("evaluate", copy, folder / name).output
    for where in (folder, folder / "*.tif"):
        for command in ("mend", "flows", "measure"):
            result = invoke(command, where, "-o", tmp_path / "none.csv", status=1)
            assert isinstance(result.exception, FileNotFoundError)
            assert "there are only images, pictures and flows of them" in str(result.exception)
        result = invoke("convert", where, "-o", tmp_path / "none", "--from", "labels", status=1)
        assert isinstance(result.exception, FileNotFoundError)
    assert not (tmp_path / "none").exists()


def test_masks_without_objects(tmp_path):
    io.write_masks(tmp_path / "a.tif", np.zeros((9, 9), np.int32))
    invoke("measure", tmp_path / "a.tif", "-o", tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().startswith("file,label,area")
    invoke("convert", tmp_path / "a.tif", "-o", tmp_path / "out", "--to", "roi,geojson,coco,csv,png,tif")
    assert not io.read_masks(tmp_path / "out" / "a_masks.png").any()


def test_predict_also(fitted, pairs, tmp_path):
    fitted["FlowSegmenter"].save(tmp_path / "model.safetensors")
    image = pairs[0][0]
    tifffile.imwrite(tmp_path / "a.tif", image)
    output = tmp_path / "out"
    arguments = ("predict", tmp_path / "a.tif", "-m", tmp_path / "model.safetensors", "-o", output)
    invoke(*arguments, "--also", "roi,geojson,coco,png", "--also", "csv, parquet,flows", "--min-size", 3)
    segmenter = fitted["FlowSegmenter"].__class__.load(tmp_path / "model.safetensors").set_params(min_size=3)
    masks, objects = segmenter.predict_objects(image)
    flows, cellprob = segmenter.predict_flows(image)
    assert masks.max() > 0
    assert np.array_equal(imread(output / "a_masks.png"), masks)
    assert np.array_equal(io.read_masks(output / "a_masks.tif"), masks)
    assert np.array_equal(tifffile.imread(output / "a_flows.tif"), np.concatenate([cellprob[None], flows]))
    shape = masks.shape
    for found in (
        flowseg.io.read_roi(output / "a_rois.zip", shape),
        flowseg.io.read_geojson(output / "a.geojson", shape),
        flowseg.io.read_coco(output / "coco.json")["a.tif"],
    ):
        assert np.array_equal(found > 0, masks > 0)
        assert found.max() == masks.max()
    with open(output / "a_objects.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("flow_error", "cellprob", "diameter"):
        assert [float(row[name]) for row in rows] == pytest.approx(objects[name].tolist())
    assert "--also must be one or more of roi," in str(invoke(*arguments, "--also", "xls", status=1).exception)


def test_results_of_predict_are_evaluated_and_measured(fitted, pairs, tmp_path):
    """Pictures, flows and PNG beside the masks are not taken for masks."""
    fitted["BoundarySegmenter"].save(tmp_path / "model.safetensors")
    tifffile.imwrite(tmp_path / "a.tif", pairs[0][0])
    tifffile.imwrite(tmp_path / "b.tif", pairs[1][0])
    output = tmp_path / "out"
    arguments = ("predict", tmp_path / "*.tif", "-m", tmp_path / "model.safetensors", "-o", output)
    message = str(invoke(*arguments, "--also", "flows", status=1).exception)
    assert "--also flows is not for a BoundarySegmenter" in message
    assert not output.exists()
    invoke(*arguments, "--also", "png,csv")
    imsave(output / "a_flows.png", np.zeros((4, 4), np.uint8), check_contrast=False)
    (tmp_path / "true").mkdir()
    for k, name in enumerate("ab"):
        io.write_masks(tmp_path / "true" / f"{name}.tif", pairs[k][1])
    scores = json.loads(invoke("evaluate", tmp_path / "true", output, "--json").stdout)
    assert scores["images"] == 2
    invoke("measure", output, tmp_path / "[ab].tif", "-o", tmp_path / "t.csv")
    invoke("flows", output, "-o", tmp_path / "flows")
    assert len(list((tmp_path / "flows").glob("*_flows.tif"))) == 2
