"""Classes of objects from the shell: train, predict, evaluate, measure and convert."""

import csv
import json
import shutil

import numpy as np
import pytest
import tifffile
from cli_tools import invoke, run_here

from flowseg import io, load_segmenter, synthetic

TINY = ("--filters", "8", "--crop-size", 64, "--batch-size", 2, "--steps-per-epoch", 4, "--epochs", 2)
THRESHOLDS = ("--cellprob-threshold", -1, "--flow-threshold", "none", "--score-threshold", "none")


def rows(file):
    with open(file, newline="") as opened:
        return list(csv.DictReader(opened))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with images, masks and one table of classes, and the model that is trained on them."""
    folder = tmp_path_factory.mktemp("classes")
    lines = ["file,label,class"]
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for k in range(3):
        image, masks = synthetic.cells((80, 80), 8, rng=k)
        tifffile.imwrite(folder / "images" / f"{k}.tif", image)
        tifffile.imwrite(folder / "masks" / f"{k}_masks.tif", masks.astype(np.uint8))
        lines += [f"{k}_masks.tif,{label},{'ab'[label % 2]}" for label in range(1, int(masks.max()) + 1)]
    lines[-1] = lines[-1][:-1]  # unknown
    (folder / "classes.csv").write_text("\n".join(lines))
    given = (folder / "images", folder / "masks", "--classes", folder / "classes.csv", *TINY, *THRESHOLDS)
    run_here("train", *given, "-o", folder / "m.safetensors", "--validation-fraction", 0.34)
    return folder


def test_train_and_predict(data, tmp_path):
    assert load_segmenter(data / "m.safetensors").classes_ == ("a", "b")
    assert "classes: a, b" in invoke("info", data / "m.safetensors").stdout
    pytest.importorskip("pycocotools")
    invoke("predict", data / "images", "-m", data / "m.safetensors", "-o", tmp_path / "out", "--also", "geojson,coco")
    found = rows(tmp_path / "out" / "0_objects.csv")
    assert found
    assert {row["class"] for row in found} <= {"a", "b"}
    assert all(0.5 <= float(row["class_probability"]) <= 1 for row in found)
    names = {int(row["label"]): row["class"] for row in found}
    assert io.read_geojson_with_classes(tmp_path / "out" / "0.geojson", (80, 80))[1] == names
    assert io.read_coco_with_classes(tmp_path / "out" / "coco.json")[1]["0.tif"] == names
    invoke("measure", tmp_path / "out", "--classes", tmp_path / "out", "-o", tmp_path / "all.csv")
    assert [row["class"] for row in rows(tmp_path / "all.csv") if row["file"] == "0_masks.tif"] == [*names.values()]
    options = ("--classes", data / "classes.csv", "--predicted-classes", tmp_path / "out")
    scores = json.loads(invoke("evaluate", data / "masks", tmp_path / "out", *options, "--json").stdout)["classes"]
    assert scores["names"] == ["a", "b"]
    assert 0 <= scores["macro_f1"] <= 1
    printed = invoke("evaluate", data / "masks", tmp_path / "out", *options).stdout
    assert f"macro F1 {scores['macro_f1']:.3f}" in printed


def test_masks_against_themselves_have_their_classes(data):
    options = ("--classes", data / "classes.csv", "--predicted-classes", data / "classes.csv", "--json")
    (data / "known").mkdir()
    invoke("measure", data / "masks", "--classes", data / "classes.csv", "-o", data / "known" / "all.csv")
    table = rows(data / "known" / "all.csv")
    assert [row["class"] for row in table] == [row["class"] for row in rows(data / "classes.csv")]
    for k in range(2):
        shutil.copy(data / "masks" / f"{k}_masks.tif", data / "known")
    scores = json.loads(invoke("evaluate", data / "masks" / "[01]_masks.tif", data / "known", *options).stdout)[
        "classes"
    ]
    assert scores["macro_f1"] == scores["accuracy"] == 1


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("train", "images", "masks", "--classes", "nothing", "-o", "x.safetensors"), "--classes must name a CSV file"),
        (("train", "images", "masks", "--classes", "short.csv", "-o", "x.safetensors"), "short.csv has none for"),
        (
            ("train", "images", "masks", "--validation-classes", "classes.csv", "-o", "x.safetensors"),
            "--validation-classes must come with --classes",
        ),
        (("predict", "images", "-m", "m.safetensors", "-o", "no", "--blocks"), "--model must be one without classes"),
        (("evaluate", "masks", "images", "--classes", "classes.csv"), "must be given together"),
        (("measure", "masks", "--classes", "odd.csv", "-o", "x.csv"), "label 99 is in one of them only"),
    ],
)
def test_what_is_refused(command, sentence, data, monkeypatch):
    monkeypatch.chdir(data)
    table = (data / "classes.csv").read_text()
    (data / "short.csv").write_text("\n".join(line for line in table.split("\n") if not line.startswith("2_")))
    (data / "odd.csv").write_text(f"{table}\n1_masks.tif,99,a")
    assert sentence in " ".join(run_here(*command, status=1).stderr.split())
    assert not (data / "x.safetensors").exists()


def test_convert_keeps_classes(tmp_path):
    masks = np.array([[0, 1, 1, 0], [2, 0, 0, 3]], dtype=np.uint8)
    (tmp_path / "annotated").mkdir()
    tifffile.imwrite(tmp_path / "a.tif", masks)
    io.write_geojson(tmp_path / "annotated" / "a.geojson", masks, classes={1: "x", 2: None, 3: "y"})
    invoke(
        "convert",
        tmp_path / "annotated",
        "--images",
        tmp_path / "a.tif",
        "--to",
        "tif,csv,geojson",
        "-o",
        tmp_path / "o",
    )
    assert [row["class"] for row in rows(tmp_path / "o" / "a_objects.csv")] == ["x", "", "y"]
    assert io.read_geojson_with_classes(tmp_path / "o" / "a.geojson", (2, 4))[1] == {1: "x", 2: None, 3: "y"}
    pytest.importorskip("pycocotools")
    invoke("convert", tmp_path / "annotated", "--images", tmp_path / "a.tif", "--to", "coco", "-o", tmp_path / "p")
    (names,) = io.read_coco_with_classes(tmp_path / "p" / "coco.json")[1].values()
    assert names == {1: "x", 2: "object", 3: "y"}
    invoke("convert", tmp_path / "p" / "coco.json", "--to", "tif,csv", "-o", tmp_path / "q")
    (table,) = (tmp_path / "q").glob("*_objects.csv")
    assert [row["class"] for row in rows(table)] == ["x", "object", "y"]
