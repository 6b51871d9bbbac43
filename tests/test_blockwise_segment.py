"""Whole runs of `flowseg.blockwise`: the masks of `predict` for the whole image, whatever holds the image."""

import copy
import csv
import os

import cli_tools
import numpy as np
import pytest
import tifffile

import flowseg
from flowseg import FlowSegmenter, synthetic

pytest.importorskip("zarr", reason="the extra `large` is not installed")
import zarr
from zarr_files import write_ome_zarr

from flowseg import blockwise
from flowseg.blockwise._runs.job import open_job, work_folder_of
from flowseg.blockwise._stages.decode import table_of

pytestmark = pytest.mark.filterwarnings("ignore:.*probably false positives:UserWarning")
SIZE = 100


@pytest.fixture(scope="module")
def image():
    return synthetic.cells((330, 290), 70, rng=9)[0]


@pytest.fixture(scope="module")
def flow(tiny):
    return tiny["FlowSegmenter"]


@pytest.fixture(scope="module")
def boundary(tiny):
    return tiny["BoundarySegmenter"]


@pytest.fixture(params=["flow", "boundary"])
def segmenter(request):
    return request.getfixturevalue(request.param)


def changed(segmenter, **parameters):
    return copy.copy(segmenter).set_params(**parameters)


def run_here(segmenter, image, folder, **options):
    """A whole run in this process."""
    output = folder / "out.ome.zarr"
    blockwise.plan(segmenter, image, output, **{"block_size": SIZE} | options)
    blockwise.run_part(output, 1, 1)
    blockwise.finish(output)
    assert os.listdir(folder) == ["out.ome.zarr"] or not work_folder_of(output).exists()
    return zarr.open_array(output / "labels/objects/0", mode="r")[...]


def check(segmenter, image, folder, n_least=5, **options):
    """A run gives the masks of `predict`, of which there are some."""
    blocks = run_here(segmenter, image, folder, **options)
    whole = segmenter.predict(image, **{"diameters": options["diameters"]} if "diameters" in options else {})
    assert whole.max() >= n_least
    assert np.array_equal(blocks, whole)


# Equality


@pytest.mark.sampled(3)
@pytest.mark.parametrize("size", [64, 100, 257, 1000])
def test_any_block_size(segmenter, image, size, tmp_path):
    check(segmenter, image, tmp_path, block_size=size)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_dtype(flow, image, dtype, tmp_path):
    values = image * 200 if dtype == np.uint8 else image * 40000
    check(flow, values.astype(dtype), tmp_path)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("diameters", [12, 40.5, "estimate"])
def test_scaled_networks(segmenter, image, diameters, tmp_path):
    check(segmenter, image, tmp_path, diameters=diameters)


def test_sizes_estimated_by_default(segmenter, image, tmp_path):
    check(changed(segmenter, estimate_diameters=True), image, tmp_path)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "parameters",
    [
        {"flow_threshold": 0.4, "min_size": 0},
        {"flow_threshold": 2.0, "cellprob_threshold": -1.0},
        {"min_size": 60},
        {"test_time_augmentation": True},
        {"precision": "bfloat16"},
        {"normalize": ("limits", 0.1, 0.7)},
        {"normalize": ("percentiles", 5, 95)},
    ],
    ids=str,
)
def test_options(flow, image, parameters, tmp_path):
    check(changed(flow, **parameters), image, tmp_path, 1)


@pytest.mark.parametrize("parameters", [{"min_size": 60}, {"normalize": ("limits", 0.1, 0.7)}], ids=str)
def test_options_of_the_other_segmenter(boundary, image, parameters, tmp_path):
    check(changed(boundary, **parameters), image, tmp_path)


def test_scores_and_the_table_of_objects(flow, image, pairs, tmp_path):
    calibrated = copy.copy(flow).fit_thresholds(*zip(*pairs[:4]))
    scores = np.sort(changed(calibrated, score_threshold=None).predict_objects(image)[1]["score"])
    assert scores[0] < scores[-10]
    for threshold in (None, float(scores[-10])):  # the second drops some objects and keeps some
        segmenter = changed(calibrated, score_threshold=threshold)
        output = tmp_path / f"{threshold}.zarr"
        blockwise.plan(segmenter, image, output, block_size=SIZE)
        blockwise.run_part(output, 1, 1)
        job = open_job(work_folder_of(output))
        table = table_of(job.read_record("objects", 0))
        blockwise.finish(output)
        masks, expected = segmenter.predict_objects(image)
        assert masks.max() > 5
        assert np.array_equal(zarr.open_array(output / "labels/objects/0")[...], masks)
        assert set(table) == set(expected)
        for name, column in expected.items():
            assert np.array_equal(table[name], column, equal_nan=True), name
            assert table[name].dtype == np.asarray(column).dtype, name


def test_color(pairs, small, image, tmp_path):
    images = [np.stack([one, one**2, 1 - one], axis=-1) for one, _ in pairs[:4]]
    color = FlowSegmenter(n_channels=3, **small).fit(images, [masks for _, masks in pairs[:4]])
    values = np.stack([image, image**2, 1 - image], axis=-1)
    check(color, values, tmp_path, 1)
    write_ome_zarr(tmp_path / "color.zarr", np.moveaxis(values, -1, 0), "cyx", scale=[1.0, 0.5, 0.5])
    output = tmp_path / "again.ome.zarr"
    blockwise.plan(color, tmp_path / "color.zarr", output, block_size=64)
    blockwise.run_part(output, 1, 1)
    blockwise.finish(output)
    assert np.array_equal(zarr.open_array(output / "labels/objects/0")[...], color.predict(values))
    with pytest.raises(ValueError, match=r"must have 3 channels; it has 1, shape \(330, 290, 1\)"):
        blockwise.segment(color, image, tmp_path / "never.zarr")


def test_a_constant_image(segmenter, tmp_path):
    labels = run_here(segmenter, np.full((150, 130), 7, np.uint8), tmp_path)
    assert labels.shape == (150, 130)
    assert not labels.any()


@pytest.mark.sampled(2)
@pytest.mark.parametrize("shape", [(1, 290), (330, 1), (65, 3)])
def test_thin_images(segmenter, image, shape, tmp_path):
    check(segmenter, np.ascontiguousarray(image[: shape[0], : shape[1]]), tmp_path, 0)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("value", [0, 255])
def test_padding(segmenter, image, value, tmp_path):
    padded = np.full((400, 370), value, np.uint8)
    padded[40:320, 30:290] = (20 + image * 200)[:280, :260]
    check(segmenter, padded, tmp_path, diameters="estimate" if value else None)


def test_images_of_one_object_and_of_noise(segmenter, tmp_path):
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:330, :290]
    disk = (np.hypot(yy - 160, xx - 140) < 120).astype(np.float32)
    for name, values in (("disk", disk), ("noise", rng.random((200, 190)))):
        (tmp_path / name).mkdir()
        check(segmenter, values, tmp_path / name, 0, block_size=64)


def test_nuclei_of_a_real_image(shared, tmp_path):
    with open(shared / "data/dsb2018/samples.csv", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["split"] == "val")
    real = flowseg.io.read_image(shared / "data/dsb2018" / row["image"])[:256, :320]
    check(FlowSegmenter.from_pretrained("nuclei"), real, tmp_path)


# What holds the image


@pytest.fixture(scope="module")
def stored(image, tmp_path_factory):
    """The image as 16-bit numbers in several kinds of files."""
    folder = tmp_path_factory.mktemp("stored")
    values = (image * 40000).astype(np.uint16)
    for version in ("0.4", "0.5"):
        write_ome_zarr(folder / f"{version}.ome.zarr", values, version=version, scale=[0.5, 0.25])
    zarr.save_array(folder / "plain.zarr", values)
    tifffile.imwrite(folder / "tiled.tif", values, tile=(64, 64), compression="zlib")
    tifffile.imwrite(folder / "strips.tif", values)
    np.save(folder / "map.npy", values)
    stack = np.stack([np.stack([values, values[::-1]]), np.stack([values[:, ::-1], values[::-1, ::-1]])])
    write_ome_zarr(folder / "stack.ome.zarr", stack, "zcyx")
    tifffile.imwrite(folder / "pages.tif", stack.reshape(4, *values.shape), photometric="minisblack")
    return folder, values


def opened(folder, kind):
    if kind == "dask":
        return pytest.importorskip("dask.array").from_zarr(folder / "plain.zarr")
    if kind == "array of zarr":
        return zarr.open_array(folder / "plain.zarr", mode="r")
    if kind == "array in memory":
        array = zarr.open_array(folder / "plain.zarr", mode="r")
        return zarr.array(array[...], chunks=(50, 60))
    return np.load(folder / "map.npy", mmap_mode="r") if kind == "map.npy" else folder / kind


KINDS = [
    *("map.npy", "dask", "array of zarr", "array in memory", "plain.zarr"),
    *("0.4.ome.zarr", "0.5.ome.zarr", "tiled.tif", "strips.tif"),
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", KINDS)
def test_any_holder(flow, stored, kind, tmp_path):
    folder, values = stored
    labels = run_here(flow, opened(folder, kind), tmp_path)
    assert labels.max() > 5
    assert np.array_equal(labels, flow.predict(values))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("stack.ome.zarr", {"z": 1, "channel": 0}),
        ("pages.tif", {"axes": "CYX", "channel": 2}),
        ("stack.ome.zarr/0", {"z": 1, "channel": 0}),
    ],
)
def test_a_part_of_a_file(flow, stored, name, parts, tmp_path):
    folder, values = stored
    labels = run_here(flow, folder / name, tmp_path, **parts)
    assert np.array_equal(labels, flow.predict(values[:, ::-1]))


def test_labels_beside_their_image(flow, stored, tmp_path):
    _, values = stored
    for version in ("0.4", "0.5"):
        path = tmp_path / f"{version}.ome.zarr"
        write_ome_zarr(path, values, version=version, scale=[0.5, 0.25])
        blockwise.plan(flow, path, path, block_size=SIZE)
        blockwise.run_part(path, 1, 1)
        blockwise.finish(path)
        assert np.array_equal(zarr.open_array(path / "labels/objects/0", mode="r")[...], flow.predict(values))
        assert np.array_equal(zarr.open_array(path / "0", mode="r")[...], values)
        attributes = dict(zarr.open_group(path / "labels", mode="r").attrs)
        assert attributes.get("ome", attributes)["labels"] == ["objects"]
    assert sorted(os.listdir(tmp_path)) == ["0.4.csv", "0.4.ome.zarr", "0.5.csv", "0.5.ome.zarr"]


@pytest.mark.sampled(2)
def test_processes(segmenter, image, tmp_path):
    """The labels are returned read-only, int32, in chunks; nothing else is left."""
    labels = blockwise.segment(segmenter, image, tmp_path / "a.zarr", block_size=64, workers=2)
    assert isinstance(labels, zarr.Array)
    assert labels.read_only
    assert (labels.dtype, labels.chunks, labels.shape) == (np.int32, (64, 64), image.shape)
    assert np.array_equal(labels[...], segmenter.predict(image))
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "a.zarr"]


def test_the_command_takes_a_part_of_a_file(flow, stored, tmp_path):
    folder, values = stored
    flow.save(tmp_path / "model.safetensors")
    output = tmp_path / "out.zarr"
    parts = ("--axes", "CYX", "--channel", 2, "--block-size", 100)
    cli_tools.run_here(
        "blocks", "plan", folder / "pages.tif", "-m", tmp_path / "model.safetensors", "-o", output, *parts
    )
    cli_tools.run_here("blocks", "run", output, "--part", "1/1")
    cli_tools.run_here("blocks", "finish", output)
    labels = zarr.open_array(output / "labels/objects/0", mode="r")[...]
    assert np.array_equal(labels, flow.predict(values[:, ::-1]))
