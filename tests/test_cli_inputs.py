"""Inputs on the command line: several paths, several folders of equal names, swapped and repeated arguments."""

import json
import os
import shutil

import numpy as np
import pytest
import tifffile
from cli_tools import contents, run_here
from skimage.io import imsave

from flowseg import io, synthetic
from flowseg._image_files.reading import read_shape
from flowseg.cli._batch.result_names import name_part


@pytest.fixture(scope="module")
def model(fitted, tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    fitted["FlowSegmenter"].save(file)
    return file


def draw(seed, image=None, masks=None):
    picture, labels = synthetic.cells((64, 64), 6, rng=seed)
    for file in (image, masks):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
    if image is not None:
        imsave(image, (60 * picture).clip(0, 255).astype(np.uint8), check_contrast=False)
    if masks is not None:
        io.write_masks(masks, labels)


@pytest.fixture
def one(tmp_path):
    """Three images and their masks in one folder."""
    for k in range(3):
        draw(k, tmp_path / "d" / f"w{k}.png", tmp_path / "d" / f"w{k}_masks.tif")
    return tmp_path


@pytest.fixture
def plates(tmp_path):
    """Two plates whose wells have the same names, and their true masks."""
    for k, name in enumerate(("p1/a", "p1/b", "p2/a")):
        draw(k, tmp_path / "in" / f"{name}.png", tmp_path / "truth" / f"{name}.tif")
    return tmp_path


def files_of(folder):
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_one_folder_for_both(one, model):
    assert "TRUE and PREDICTED must be different files; got d/w0_masks.tif" in run_here(
        "evaluate", "d", "d", status=1, cwd=one
    ).stderr  # fmt: skip
    short = ("--epochs", 1, "--steps-per-epoch", 1, "--filters", "8")
    assert "3 images, 18 objects" in run_here("train", "d", "d", "-o", "m.safetensors", *short, cwd=one).stdout
    assert "18 objects of 3 files" in run_here("measure", "d", "d", "-o", "x.csv", cwd=one).stdout
    assert "in 3 files, no files with errors" in run_here("check", "d", "d", cwd=one).stdout
    for command in (("predict", "d", "-m", model), ("predict", *sorted((one / "d").iterdir()), "-m", model)):
        shutil.rmtree(one / "out", ignore_errors=True)
        said = run_here(*command, "-o", "out", "--no-overlay", cwd=one)
        assert "in 3 images" in said.stdout
        assert "3 files are left out as masks of other images" in said.stderr
        assert files_of(one / "out") == ["flowseg-run.jsonl", "w0_masks.tif", "w1_masks.tif", "w2_masks.tif"]


def test_swapped(one):
    for name in ("images", "masks"):
        (one / name).mkdir()
    for file in (one / "d").iterdir():
        shutil.copy(file, one / ("masks" if "masks" in file.name else "images") / file.name.replace("_masks", ""))
    for command in ("train", "tune"):
        more = ("-o", "m.safetensors", *(("--model", "nuclei") if command == "tune" else ()))
        said = run_here(command, "masks", "images", *more, status=1, cwd=one).stderr
        assert (
            said
            == "flowseg: IMAGES and MASKS look swapped: masks/w0.tif looks like masks, images/w0.png like an image.\n"
        )
        said = run_here(command, "d/*_masks.tif", "d/w?.png", *more, status=1, cwd=one).stderr
        assert said.startswith("flowseg: IMAGES and MASKS look swapped: d/w0_masks.tif is called masks")
        said = run_here(command, "images", "images", *more, status=1, cwd=one).stderr
        assert "IMAGES and MASKS must be different files; got images/w0.png" in said
    assert "look swapped" in run_here("measure", "images", "masks", "-o", "x.csv", status=1, cwd=one).stderr


def test_folders_of_equal_names(plates, model):
    common = ("--model", model, "-o", "out", "--also", "coco,csv")
    result = run_here("predict", "in/p1", "in/p2/a.png", *common, cwd=plates)
    assert "in 3 images, written to out" in result.stdout
    made = [
        f"{name}{end}" for name in ("p1/a", "p1/b", "p2/a") for end in ("_masks.tif", "_objects.csv", "_overlay.png")
    ]
    assert files_of(plates / "out") == sorted([*made, "coco.json", "flowseg-run.jsonl"])
    document = json.loads((plates / "out" / "coco.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["p1/a.png", "p1/b.png", "p2/a.png"]
    for name in ("p1/a", "p2/a"):
        single = plates / "single" / name.replace("/", "")
        run_here("predict", f"in/{name}.png", "-m", model, "-o", single, cwd=plates)
        assert np.array_equal(
            io.read_masks(single / "a_masks.tif"), io.read_masks(plates / "out" / f"{name}_masks.tif")
        )
    (plates / "out" / "p2" / "a_masks.tif").unlink()
    before = (plates / "out" / "flowseg-run.jsonl").read_bytes()
    assert "(2 of them done before)" in run_here("predict", "in/p*", *common, "--resume", cwd=plates).stdout
    assert (plates / "out" / "flowseg-run.jsonl").read_bytes() == before
    for true, predicted in (("truth", "out"), ("truth/*/*.tif", "out/p*")):
        scores = json.loads(run_here("evaluate", true, predicted, "--json", cwd=plates).stdout)
        assert sorted(image["name"] for image in scores["per_image"]) == ["p1/a", "p1/b", "p2/a"]
    run_here("measure", "out/p*", "-o", "x.csv", cwd=plates)
    assert "p2/a_masks.tif," in (plates / "x.csv").read_text()


def test_results_inside_the_folder_of_inputs(plates, model):
    """A pattern that finds results of the run itself does not segment them."""
    command = ("predict", "in/**/*", "-m", model, "-o", "in/results", "--also", "png")
    run_here(*command, cwd=plates)
    first = files_of(plates / "in" / "results")
    again = run_here(*command, "--resume", cwd=plates)
    assert "in 3 images (3 of them done before)" in again.stdout
    assert files_of(plates / "in" / "results") == first


def test_one_file_named_in_several_ways(plates, model):
    paths = ("in/p1/a.png", "./in/p1/a.png", plates / "in" / "p1" / "a.png", "in/p1")
    assert "in 2 images" in run_here("predict", *paths, "-m", model, "-o", "out", cwd=plates).stdout
    (plates / "in" / "c.png").symlink_to(plates / "in" / "p1" / "a.png")
    assert "in 1 image" in run_here("predict", "in/c.png", "-m", model, "-o", "linked", cwd=plates).stdout


def test_an_ome_tiff_has_one_suffix(tmp_path, model):
    draw(0, tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.ome.tif", np.eye(64, dtype=np.uint8) * 9)
    run_here("predict", "a.ome.tif", "-m", model, "-o", "out", cwd=tmp_path)
    assert "a_masks.tif" in contents(tmp_path / "out")
    said = run_here("predict", "a.ome.tif", "a.png", "-m", model, "-o", "both", status=1, cwd=tmp_path).stderr
    assert said == "flowseg: files must have different names; got a.ome.tif and a.png.\n"


def test_names_of_images_in_a_coco_file(tmp_path):
    masks = np.array([[0, 1], [2, 2]])
    io.write_coco(tmp_path / "c.json", {"p1/a.png": masks, "p2/a.png": masks * 2, "../../b.png": masks})
    assert "6 objects in 3 images" in run_here("convert", "c.json", "-o", "out", cwd=tmp_path).stdout
    assert files_of(tmp_path) == ["c.json", *(f"out/{n}" for n in ("b_masks.tif", "flowseg-run.jsonl", "p1/a_masks.tif", "p2/a_masks.tif"))]  # fmt: skip
    io.write_coco(tmp_path / "flat.json", {"images/a.png": masks, "images/b.png": masks})
    run_here("convert", "flat.json", "-o", "flat", cwd=tmp_path)
    assert files_of(tmp_path / "flat") == ["a_masks.tif", "b_masks.tif", "flowseg-run.jsonl"]


@pytest.mark.parametrize(
    "part", ["/a/x.png", "../../a/x.png", "C:\\a\\x.png", "a\\..\\x.png", "\\\\host\\share\\a\\x.png"]
)
def test_parts_stay_inside(part, tmp_path):
    folder, name = name_part(tmp_path, "coco", part)
    assert name == "x"
    assert os.path.normpath(folder).startswith(str(tmp_path))


def test_outlines_for_stacks(tmp_path):
    pytest.importorskip("roifile")
    _, labels = synthetic.cells((64, 80), 6, rng=0)
    (tmp_path / "images").mkdir()
    for name in ("s", "extra"):
        tifffile.imwrite(
            tmp_path / "images" / f"{name}.ome.tif", np.zeros((3, 2, 64, 80), np.uint16), metadata={"axes": "ZCYX"}
        )
    assert read_shape(tmp_path / "images" / "s.ome.tif") == (64, 80)
    (tmp_path / "rois").mkdir()
    io.write_roi(tmp_path / "rois" / "s_rois.zip", labels)
    run_here("convert", "rois", "--images", "images", "-o", "out", cwd=tmp_path)
    assert np.array_equal(io.read_masks(tmp_path / "out" / "s_masks.tif") > 0, labels > 0)
    shutil.copy(tmp_path / "images" / "s.ome.tif", tmp_path / "images" / "s.tif")
    said = run_here("convert", "rois", "--images", "images", "-o", "two", status=1, cwd=tmp_path).stderr
    assert said == "flowseg: --images must hold one image of a name; got several: images/s.ome.tif, images/s.tif.\n"


def test_too_many_arguments(one):
    for command, names in (
        (("train", "-o", "x"), "IMAGES and MASKS"),
        (("evaluate",), "TRUE and PREDICTED"),
        (("measure", "-o", "x"), "MASKS and IMAGES"),
    ):
        said = run_here(*command, "a", "b", "c", status=2, cwd=one).stderr.replace("│", " ")
        assert f"{names} must be 2 arguments; got 3: put a pattern in quotes" in " ".join(said.split())


def test_the_same_folder_as_another_split(one):
    images = one / "images"
    for k in range(3):
        draw(k, images / f"w{k}.png", one / "masks" / f"w{k}.tif")
    lines = run_here("check", "masks", "images", "--against", "images", status=1, cwd=one).stdout.splitlines()
    assert "leak: every image of IMAGES is in --against, too, the same file: images/w0.png" in lines[-2]
    assert lines[-1] == "18 objects in 3 files, 1 error of the whole set"


def test_nothing_that_could_be_done(one, model):
    for k in range(2):
        (one / f"bad{k}.png").write_bytes(b"no picture")
    said = run_here("predict", "bad0.png", "bad1.png", "-m", model, "-o", "out", status=1, cwd=one)
    assert said.stdout == ""
    assert said.stderr.splitlines()[-1] == "flowseg: 2 of 2 files failed"


def test_options_are_named_as_they_are_typed(one, model):
    said = run_here("predict", "d/w0.png", "-m", model, "-o", "out", "--z", 7, status=1, cwd=one).stderr
    assert said.startswith("flowseg: --z must be below 1 for d/w0.png")
    said = run_here("predict", "d/w0.png", "-m", model, "-o", "out", "--diameter", -3, status=1, cwd=one).stderr
    assert said.startswith("flowseg: --diameter must be a number above 0")
    tifffile.imwrite(one / "s.tif", np.zeros((4, 9, 9), np.uint8), photometric="minisblack", metadata={"axes": "ZYX"})
    said = run_here("predict", "s.tif", "-m", model, "-o", "out", status=1, cwd=one).stderr
    assert "Choose a plane with --z." in said


def test_help_fits_eighty_columns(one, monkeypatch):
    from cli_tools import ENVIRONMENT

    from flowseg.cli import app

    monkeypatch.setitem(ENVIRONMENT, "COLUMNS", "80")
    for command in [None, *(info.callback.__name__ for info in app.registered_commands)]:
        said = run_here(*([command] if command else []), "--help").stdout
        assert max(map(len, said.splitlines())) <= 80
        assert "<bool>" not in said
        assert "[[" not in said
