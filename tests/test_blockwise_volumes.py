"""Whole runs of `flowseg.blockwise` on volumes: voxel by voxel the masks of `predict`."""

import copy
import json
import shutil
import warnings

import numpy as np
import pytest
import tifffile
from real_data import read_pair, rows_of

from flowseg import BoundarySegmenter, FlowSegmenter, io, synthetic

pytest.importorskip("zarr", reason="the extra `large` is not installed")
import zarr
from shared_networks import find_seed
from zarr_files import write_ome_zarr

from flowseg import blockwise
from flowseg.blockwise._runs.job import open_job, work_folder_of
from flowseg.blockwise._stages.decode import table_of

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(probably false positives|was trained at spacing|spacing is not given):UserWarning"
)
SPACING = (2.0, 1.0, 1.0)
SMALL = {
    "ndim": 3,
    "filters": (8, 16),
    "diameter": 10,
    "crop_size": 24,
    "batch_size": 2,
    "epochs": 2,
    "steps_per_epoch": 30,
    "learning_rate": 0.01,
    "random_state": 3,
}
# The network of three classes finds its first objects later.
LONGER = {"epochs": 10, "learning_rate": 0.02, "random_state": 2}


@pytest.fixture(scope="module")
def trained():
    """A segmenter of each kind after a few steps on drawn volumes."""
    images, masks = zip(*[synthetic.cells((12, 30, 30), 6, diameter=10, spacing=SPACING, rng=k) for k in range(3)])
    flow = FlowSegmenter(**SMALL, flow_threshold=None)
    return {
        "flow": flow.fit(images, masks, spacing=SPACING),
        "boundary": BoundarySegmenter(**SMALL | LONGER).fit(images, masks, spacing=SPACING),
    }


@pytest.fixture(params=["flow", "boundary"])
def segmenter(request, trained):
    return trained[request.param]


@pytest.fixture
def flow(trained):
    return trained["flow"]


@pytest.fixture(scope="module")
def volume():
    return synthetic.cells((26, 90, 70), 40, diameter=10, spacing=SPACING, rng=9)[0]


def changed(segmenter, **parameters):
    return copy.copy(segmenter).set_params(**parameters)


def run_here(segmenter, volume, folder, **options):
    """A whole run in this process."""
    output = folder / "out.ome.zarr"
    blockwise.plan(segmenter, volume, output, **{"block_size": 40} | options)
    blockwise.run_part(output, 1, 1)
    blockwise.finish(output)
    return zarr.open_array(output / "labels/objects/0", mode="r")[...]


def check(segmenter, volume, folder, n_least=10, **options):
    """A run gives the masks of `predict`, of which there are some."""
    blocks = run_here(segmenter, volume, folder, **options)
    whole = segmenter.predict(volume, **{k: v for k, v in options.items() if k in ("diameters", "spacing")})
    assert whole.max() >= n_least
    assert np.array_equal(blocks, whole)


# Equality


@pytest.mark.sampled(3)
@pytest.mark.parametrize("size", [40, 47, None])
def test_any_block_size(segmenter, volume, size, tmp_path):
    check(segmenter, volume, tmp_path, block_size=size)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("diameters", [6.5, "estimate"])
def test_scaled_networks(segmenter, volume, diameters, tmp_path):
    check(segmenter, volume, tmp_path, 5, diameters=diameters)


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("spacing", "diameters"), [((1, 1, 1), None), ((3, 1.5, 1.2), None), ((1.9, 1.1, 1), "estimate")]
)
def test_other_spacings(segmenter, volume, spacing, diameters, tmp_path):
    """Every axis has a factor of its own, and directions are turned in each window."""
    check(segmenter, volume, tmp_path, 2, spacing=spacing, diameters=diameters)


def test_sizes_estimated_by_default(segmenter, volume, tmp_path):
    check(changed(segmenter, estimate_diameters=True), volume, tmp_path, spacing=(1, 0.5, 0.5))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "parameters",
    [
        {"flow_threshold": 0.5, "min_size": 0, "test_time_augmentation": True},
        {"flow_threshold": 2.0, "cellprob_threshold": -1.0, "normalize": ("limits", 0.1, 0.7)},
    ],
    ids=str,
)
def test_options(flow, volume, parameters, tmp_path):
    check(changed(flow, **parameters), (volume * 40000).astype(np.uint16) / 40000, tmp_path, 1)


SHAPES = [(3, 90, 100), (110, 18, 20), (1, 80, 90), (41, 1, 50), (26, 90, 41)]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_flat_and_long_volumes(segmenter, shape, tmp_path):
    drawn = synthetic.cells(tuple(max(n, 30) for n in shape), 20, diameter=8, rng=1)[0]
    part = drawn[tuple(slice((have - n) // 2, (have - n) // 2 + n) for n, have in zip(shape, drawn.shape))]
    check(segmenter, np.ascontiguousarray(part), tmp_path, int(min(shape) > 1))


def test_a_constant_volume(segmenter, tmp_path):
    labels = run_here(segmenter, np.full((10, 50, 45), 7, np.uint8), tmp_path)
    assert labels.shape == (10, 50, 45)
    assert not labels.any()
    assert (tmp_path / "out.csv").read_text().startswith("label,volume,bbox-0,bbox-1,bbox-2,bbox-3,bbox-4,bbox-5,")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("value", [0, 255])
def test_padding(segmenter, volume, value, tmp_path):
    padded = np.full((30, 120, 90), value, np.uint8)
    padded[4:, 20:110, 15:85] = 20 + volume * 200
    check(segmenter, padded, tmp_path)


def test_scores_and_the_table_of_objects(flow, volume, tmp_path):
    pairs = [synthetic.cells((12, 60, 60), 20, diameter=10, spacing=SPACING, rng=20 + k) for k in range(5)]
    scored = copy.copy(flow).fit_thresholds(*zip(*pairs))
    output = tmp_path / "out.zarr"
    blockwise.plan(scored, volume, output, block_size=40, spacing=(1.0, 0.5, 0.5))
    blockwise.run_part(output, 1, 1)
    table = table_of(open_job(work_folder_of(output)).read_record("objects", 0))
    blockwise.finish(output)
    masks, expected = scored.predict_objects(volume, spacing=(1.0, 0.5, 0.5))
    assert masks.max() > 5
    assert np.array_equal(zarr.open_array(output / "labels/objects/0")[...], masks)
    assert list(table) == list(expected)
    for name, column in expected.items():
        assert np.array_equal(table[name], column, equal_nan=True), name
        assert table[name].dtype == np.asarray(column).dtype, name


# What holds the volume


@pytest.fixture(scope="module")
def stored(volume, tmp_path_factory):
    """The volume as 16-bit numbers in several kinds of files."""
    folder = tmp_path_factory.mktemp("stored")
    values = (volume * 40000).astype(np.uint16)
    for version in ("0.4", "0.5"):
        scale = [1.0, 0.5, 0.5]
        write_ome_zarr(folder / f"{version}.ome.zarr", values, "zyx", version=version, scale=scale, chunks=(16, 32, 32))
    series = np.stack([np.stack([values[::-1], values]), np.stack([values[:, ::-1], values[:, :, ::-1]])])
    write_ome_zarr(folder / "series.ome.zarr", series, "tczyx", chunks=(1, 1, 16, 32, 32))
    about = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 1.0}
    tifffile.imwrite(folder / "tiles.ome.tif", values, metadata=about, tile=(32, 32), compression="zlib")
    tifffile.imwrite(folder / "pages.tif", values, photometric="minisblack", metadata=None)
    np.save(folder / "map.npy", values)
    return folder, values


def opened(folder, kind):
    """The volume, and the options with which it is found."""
    if kind == "dask":
        return pytest.importorskip("dask.array").from_zarr(folder / "0.5.ome.zarr/0"), {}
    if kind == "array of zarr":
        return zarr.open_array(folder / "0.5.ome.zarr/0", mode="r"), {}
    if kind == "array":
        return np.load(folder / "map.npy"), {}
    if kind == "map.npy":
        return np.load(folder / "map.npy", mmap_mode="r"), {}
    options = {"pages.tif": {"axes": "ZYX"}, "series.ome.zarr": {"t": 0, "channel": 1}}
    return folder / kind, options.get(kind, {})


KINDS = ("array", "map.npy", "dask", "array of zarr", "0.4.ome.zarr", "series.ome.zarr", "tiles.ome.tif", "pages.tif")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", KINDS)
def test_any_holder(trained, stored, kind, tmp_path):
    folder, values = stored
    image, options = opened(folder, kind)
    labels = run_here(trained["boundary"], image, tmp_path, block_size=64, **options)
    assert labels.max() > 5
    assert np.array_equal(labels, trained["boundary"].predict(values))


def test_labels_beside_their_volume(trained, stored, tmp_path):
    """Levels are those of the volume, of which planes are kept."""
    folder, values = stored
    path = tmp_path / "a.ome.zarr"
    shutil.copytree(folder / "0.5.ome.zarr", path)
    blockwise.segment(trained["boundary"], path, path, block_size=40, workers=1)
    expected = trained["boundary"].predict(values)
    assert np.array_equal(zarr.open_array(path / "labels/objects/0", mode="r")[...], expected)
    assert np.array_equal(zarr.open_array(path / "labels/objects/1", mode="r")[...], expected[:, ::2, ::2])
    assert np.array_equal(io.read_volume(path), values)
    assert io.read_spacing(path / "labels/objects") == (1.0, 0.5, 0.5)
    header, first = (tmp_path / "a.csv").read_text().splitlines()[:2]
    row = dict(zip(header.split(","), first.split(",")))
    assert float(row["volume_um3"]) == int(row["volume"]) / 4
    assert float(row["centroid_um-0"]) == float(row["centroid-0"])


@pytest.mark.thorough  # processes do the same for images
def test_processes(flow, volume, tmp_path):
    labels = blockwise.segment(flow, volume, tmp_path / "a.zarr", block_size=40, workers=2)
    assert (labels.dtype, labels.chunks, labels.shape) == (np.int32, (26, 40, 40), volume.shape)
    assert labels.read_only
    assert np.array_equal(labels[...], flow.predict(volume))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.zarr"]


def test_spacing_without_a_unit_becomes_the_scale(trained, volume, tmp_path):
    for name, spacing in (("given", (3, 1.5, 1.5)), ("none", None)):
        output = tmp_path / f"{name}.zarr"
        blockwise.segment(trained["boundary"], volume, output, workers=1, spacing=spacing)
        (entry,) = dict(zarr.open_group(output / "labels/objects").attrs)["ome"]["multiscales"]
        assert [axis["name"] for axis in entry["axes"]] == ["z", "y", "x"]
        assert not any("unit" in axis for axis in entry["axes"])
        (scale,) = entry["datasets"][0]["coordinateTransformations"]
        assert scale["scale"] == list(spacing or (1, 1, 1))


# Real volumes


@pytest.fixture(scope="module")
def of_chloroplasts(shared):
    folder, rows = rows_of(shared, "chloroplasts_em3d")
    image, masks = read_pair(folder, next(row for row in rows if row["split"] == "train"))
    place = (slice(None), slice(0, 240), slice(0, 240))
    options = {**SMALL, "crop_size": 32, "diameter": "auto", "steps_per_epoch": 10}
    options["random_state"] = find_seed(3, other=0)
    return FlowSegmenter(**options, flow_threshold=None).fit([image[place]], [masks[place]])


@pytest.mark.parametrize(
    ("name", "split", "place", "diameter"),
    [
        ("chloroplasts_em3d", "test_open", np.s_[:, 100:300, 200:420], None),
        ("ovule_nuclei3d", "train", np.s_[:50, :90, 20:], 16),
        ("neurites_em3d", "test_open", np.s_[:, :100, 30:120], 20),
    ],
)
def test_real_volumes(shared, of_chloroplasts, name, split, place, diameter, tmp_path):
    folder, rows = rows_of(shared, name)
    image, masks = read_pair(folder, next(row for row in rows if row["split"] == split))
    # A short training teaches little of what is foreground: let a third of the volume be.
    _, cellprob = of_chloroplasts.predict_flows(image[place], diameters=diameter)
    segmenter = changed(of_chloroplasts, cellprob_threshold=float(np.quantile(cellprob, 2 / 3)))
    check(segmenter, image[place], tmp_path, 10, block_size=64, diameters=diameter)


# What is refused


def test_sentences(flow, trained, tiny, volume, stored, tmp_path):
    folder, values = stored
    plane = tiny["FlowSegmenter"]
    refused = [
        (flow, values[0], {}, r"image must have shape \(planes, rows, columns\) or .*, a plane; planes are for segm"),
        (plane, values, {}, r"must have 1 channel; it has 70, .* If it is a volume .* use a segmenter with ndim=3"),
        (
            plane,
            values[..., None],
            {},
            r"must have shape \(rows, columns\) or .*; volumes are for segmenters with ndim=3",
        ),
        (plane, folder / "0.5.ome.zarr", {}, "must be one image; it has axes ZYX .* Choose a plane with z"),
        (flow, folder / "pages.tif", {}, "must be a volume .* Name I with axes"),
        (flow, folder / "pages.tif", {"axes": "TYX"}, "T is time"),
        (flow, folder / "0.5.ome.zarr", {"z": 3}, "z must be None for a volume, of which all planes are taken; got 3"),
        (flow, folder / "series.ome.zarr", {}, "T is time: choose one with t"),
        (flow, folder / "series.ome.zarr", {"t": 0}, "must have 1 channel; it has 2, .* Choose with channel"),
        (flow, values, {"block_size": 39}, "block_size must be an integer of at least 40"),
        (flow, values, {"spacing": (1, 1)}, "spacing must be 3 numbers above 0"),
        (flow, values, {"spacing": (1, 0, 1)}, "spacing must be 3 numbers above 0"),
        (flow, values, {"spacing": (1, np.nan, 1)}, "spacing must be 3 numbers above 0"),
        (plane, values[0], {"spacing": (1, 1)}, "spacing must be None for a segmenter that was trained without"),
        (
            flow,
            values,
            {"spacing": (200, 100, 100)},
            r"^spacing must be in the unit of the training images, \(2, 1, 1\)",
        ),
        (flow, values, {"spacing": (200, 1, 1)}, "spacing must be such that no axis is enlarged more than 12 times"),
        (flow, values, {"diameters": 500}, r"^diameters must be from .* would reduce the image"),
    ]
    for model, image, options, message in refused:
        with pytest.raises(ValueError, match=message):
            blockwise.plan(model, image, tmp_path / "out.zarr", **options)
    assert list(tmp_path.iterdir()) == []


def test_warnings_of_spacing(trained, stored, tmp_path):
    folder, values = stored
    boundary = trained["boundary"]
    with pytest.warns(UserWarning, match=r"trained at spacing \(2, 1, 1\) and is used at \(1, 1, 1\)") as caught:
        blockwise.plan(boundary, values, tmp_path / "a.zarr", spacing=(1, 1, 1))
    assert caught[0].filename == __file__
    write_ome_zarr(tmp_path / "flat.ome.zarr", values, "zyx", scale=[5, 0.5, 0.5])
    sentence = r"spacing is not given, .* training images, spacing \(2, 1, 1\); by its metadata .* has \(5, 0.5, 0.5\)"
    with pytest.warns(UserWarning, match=sentence) as caught:
        blockwise.plan(boundary, tmp_path / "flat.ome.zarr", tmp_path / "b.zarr")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blockwise.plan(boundary, folder / "0.5.ome.zarr", tmp_path / "c.zarr")


def test_a_run_is_resumed_with_its_spacing_only(flow, volume, tmp_path):
    output = tmp_path / "out.zarr"
    blockwise.plan(flow, volume, output, block_size=40, spacing=(2, 1, 1))
    for other in (None, (2, 1, 0.9)):
        with pytest.raises(ValueError, match=r"spacing was \(2.0, 1.0, 1.0\), is (None|\(2.0, 1.0, 0.9\))\.$"):
            blockwise.segment(flow, volume, output, block_size=40, spacing=other, resume=True, workers=1)
    with pytest.raises(ValueError, match="the image's shape was"):
        blockwise.segment(flow, volume[1:], output, block_size=40, spacing=(2, 1, 1), resume=True, workers=1)
    labels = blockwise.segment(flow, volume, output, block_size=40, spacing=(2, 1, 1), resume=True, workers=1)
    assert np.array_equal(labels[...], flow.predict(volume, spacing=(2, 1, 1)))


def test_work_folders_of_earlier_versions_are_refused(flow, volume, tmp_path):
    output = tmp_path / "out.zarr"
    blockwise.plan(flow, volume, output)
    plan = work_folder_of(output) / "plan.json"
    document = json.loads(plan.read_text())
    plan.write_text(json.dumps(document | {"schema": 1}))
    for act in (
        lambda: blockwise.segment(flow, volume, output, resume=True, workers=1),
        lambda: blockwise.run_part(output, 1, 1),
    ):
        with pytest.raises(io.InvalidFileError, match="must be a plan of schema 2, .*; got schema 1"):
            act()
