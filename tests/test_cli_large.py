"""Commands on images larger than memory: the same results as for others, from blocks."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from cli_tools import ENVIRONMENT, run_here
from PIL import Image

import flowseg
from flowseg import io
from flowseg.blockwise._stores.create_labels import create_labels, describe_labels_store
from flowseg.blockwise._stores.open_source import open_source

pytest.importorskip("zarr")


@pytest.fixture
def large(monkeypatch):
    """Images of more than a hundred pixels are large."""
    monkeypatch.setattr("flowseg.cli._shared.large_images.LARGE_PIXELS", 100)


def write_store(path, labels):
    store = describe_labels_store(path, open_source(labels), 64)
    create_labels(store)
    for index in np.ndindex(*(-(-n // 64) for n in labels.shape)):
        window = tuple(slice(64 * k, min(64 * k + 64, n)) for k, n in zip(index, labels.shape, strict=True))
        store.write_block(0, window, labels[window])
    for level in range(1, len(store.level_shapes)):
        store.fill_block(level, tuple(slice(0, n) for n in store.level_shapes[level]))
    store.finish(int(labels.max()))


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A folder with an image, and label images as TIFF and as OME-Zarr."""
    folder = tmp_path_factory.mktemp("stores")
    image, masks = flowseg.synthetic.cells((150, 180), 30, rng=1)
    found = np.where(np.random.default_rng(0).random(masks.shape) < 0.9, np.roll(masks, 2, axis=0), 0)
    tifffile.imwrite(folder / "a.tif", image.astype(np.float32))
    for name, labels in (("true", masks), ("found", found)):
        (folder / name).mkdir()
        io.write_masks(folder / name / "a_masks.tif", labels)
        write_store(folder / f"{name}_stores.ome.zarr", labels.astype(np.int32))
    return folder


def test_measure(stores, large, tmp_path):
    image = stores / "a.tif"
    run_here("measure", stores / "true_stores.ome.zarr", image, "--output", tmp_path / "blocks.csv")
    table = list(csv.DictReader((tmp_path / "blocks.csv").read_text().splitlines()))
    whole = flowseg.measure(io.read_masks(stores / "true" / "a_masks.tif"), io.read_image(image))
    assert list(table[0]) == ["file", *whole]
    for name, column in whole.items():
        np.testing.assert_array_equal([float(row[name]) for row in table], column, err_msg=name)


def test_evaluate(stores, large, monkeypatch):
    pair = stores / "true_stores.ome.zarr", stores / "found_stores.ome.zarr"
    blocks = json.loads(run_here("evaluate", *pair, "--json").stdout)
    monkeypatch.setattr("flowseg.cli._shared.large_images.LARGE_PIXELS", 1 << 30)
    whole = json.loads(run_here("evaluate", stores / "true", stores / "found", "--json").stdout)
    for document in (blocks, whole):
        document["per_image"][0].pop("name")
    assert blocks == whole
    assert whole["true_objects"] == 30


def test_evaluate_makes_no_report_of_large_images(stores, large, tmp_path):
    pair = stores / "true_stores.ome.zarr", stores / "found_stores.ome.zarr"
    result = run_here("evaluate", *pair, "--report", tmp_path / "a.html", status=1)
    assert "--report is for images of up to" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["roi", "coco", "png", "flows"])
def test_predict_refuses_results_of_one_piece(stores, large, tmp_path, kind):
    result = run_here("predict", stores / "a.tif", "-m", "nuclei", "-o", tmp_path / "out", "--also", kind, status=1)
    message = " ".join(result.stderr.replace("│", " ").split())
    assert f"got {kind}, which" in message or "pip install" in message
    assert not (tmp_path / "out").exists()


def test_predict_refuses_stacks_in_blocks(stores, tmp_path):
    result = run_here(
        "predict", stores / "a.tif", "-m", "nuclei", "-o", tmp_path / "out", "--blocks", "--z", "all", status=1
    )
    assert "--blocks is for single images" in " ".join(result.stderr.split())


def test_predict_names_the_extra(stores, large, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    result = run_here("predict", stores / "a.tif", "-m", "nuclei", "-o", tmp_path / "out", status=None)
    message = " ".join(result.stderr.replace("│", " ").split())
    assert result.returncode != 0
    assert "block by block" in message
    assert "pip install zarr dask distributed" in message
    assert "--no-blocks" in message


def test_predict(stores, large, tmp_path):
    """The same objects as at once, in other files; a second run keeps, continues or replaces them."""
    out, name = tmp_path / "blocks", ("--model", "nuclei", "--also", "csv,geojson")
    result = run_here("predict", stores / "a.tif", "--output", out, *name, "--workers", 1)
    assert "a.tif is segmented block by block (more than" in " ".join(result.stderr.split())
    run_here("predict", stores / "a.tif", "--output", tmp_path / "whole", *name, "--no-blocks")
    masks = io.read_masks(tmp_path / "whole" / "a_masks.tif")
    np.testing.assert_array_equal(io.read_masks(out / "a_masks.ome.zarr"), masks)
    assert sorted(file.name for file in out.iterdir()) == [
        "a.geojson", "a_masks.ome.zarr", "a_objects.csv", "a_overlay.png", "flowseg-run.jsonl",
    ]  # fmt: skip
    assert (out / "a_objects.csv").read_bytes() == (tmp_path / "whole" / "a_objects.csv").read_bytes()
    np.testing.assert_array_equal(io.read_geojson(out / "a.geojson", masks.shape) > 0, masks > 0)
    with Image.open(out / "a_overlay.png") as one, Image.open(tmp_path / "whole" / "a_overlay.png") as other:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))

    again = run_here("predict", stores / "a.tif", "--output", out, *name, status=1)
    assert "exists" in again.stderr
    assert "--resume" in again.stderr
    before = (out / "a_objects.csv").stat().st_mtime_ns
    kept = run_here("predict", stores / "a.tif", "--output", out, *name, "--resume")
    assert (out / "a_objects.csv").stat().st_mtime_ns == before, kept.stderr
    # Killed after the labels were finished: these stay, the rest is made again.
    (out / "a_overlay.png").unlink()
    chunk = next(
        file for file in (out / "a_masks.ome.zarr" / "labels" / "objects" / "0" / "c").rglob("*") if file.is_file()
    )
    labels_before = chunk.stat().st_mtime_ns
    run_here("predict", stores / "a.tif", "--output", out, *name, "--resume")
    assert (out / "a_overlay.png").exists()
    assert chunk.stat().st_mtime_ns == labels_before
    run_here("predict", stores / "a.tif", "--output", out, *name, "--overwrite", "--workers", 1)
    assert chunk.stat().st_mtime_ns != labels_before


def test_commands_do_not_import_zarr_for_small_images(stores):
    code = (
        "import sys; from flowseg.cli import main; sys.argv = ['flowseg', 'measure', 'true', '-o', 'm.csv']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('zarr', 'dask', 'distributed', 'tensorflow') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=stores, capture_output=True, text=True, env=ENVIRONMENT)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr
