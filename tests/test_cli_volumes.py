"""Volumes on the command line: told apart from images by their axes, segmented, and written with their spacing."""

import csv
import json

import numpy as np
import pytest
import tifffile
from cli_tools import run_here

from flowseg import FlowSegmenter, io, synthetic
from flowseg.cli._shared.find_ndim import find_ndim
from flowseg.cli._shared.find_spacings import find_spacings
from flowseg.cli._shared.image_reading import Reading

SPACING = (2.0, 1.0, 1.0)
SHAPE = (12, 40, 44)
TINY = ("--filters", "4,8", "--epochs", 1, "--steps-per-epoch", 1, "--crop-size", 24)


def draw(seed):
    image, masks = synthetic.cells(SHAPE, 12, diameter=10, rng=seed, spacing=SPACING)
    return (60 * image).clip(0, 255).astype(np.uint8), masks


def write(file, array, axes, spacing=SPACING):
    """Write an OME-TIFF, or without axes one of a stack without a name."""
    file.parent.mkdir(exist_ok=True)
    if axes is None:
        tifffile.imwrite(file, array, ome=False, photometric="minisblack")
        return
    sizes = {} if spacing is None else {f"PhysicalSize{a}": size for a, size in zip("ZYX", spacing, strict=True)}
    tifffile.imwrite(file, array, ome=True, photometric="minisblack", metadata={"axes": axes, **sizes})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two volumes with their labels; in ``plain`` axes have no names."""
    folder = tmp_path_factory.mktemp("volumes")
    for seed, name in enumerate("ab"):
        image, masks = draw(seed)
        write(folder / "images" / f"{name}.ome.tif", image, "ZYX")
        write(folder / "plain" / f"{name}.tif", image, None)
        write(folder / "labels" / f"{name}.tif", masks.astype(np.uint16), None)
    return folder


@pytest.fixture(scope="module")
def models(folders, tmp_path_factory):
    """Model files: of volumes with and without spacing, and of images."""
    folder = tmp_path_factory.mktemp("models")
    images, masks = zip(*[draw(seed) for seed in (0, 1)])
    small = {"filters": (4, 8), "epochs": 1, "steps_per_epoch": 1, "random_state": 0}
    flat = [synthetic.cells((64, 64), 6, rng=seed) for seed in range(2)]
    fits = {
        "volumes": FlowSegmenter(ndim=3, crop_size=24, **small).fit(images, masks, spacing=SPACING),
        "no_spacing": FlowSegmenter(ndim=3, crop_size=24, **small).fit(images, masks),
        "images": FlowSegmenter(crop_size=32, **small).fit(*zip(*flat)),
    }
    for name, segmenter in fits.items():
        segmenter.save(folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in fits}


def refused(*arguments, cwd="."):
    """The one sentence that a command ends with."""
    lines = run_here(*arguments, status=1, cwd=cwd).stderr.splitlines()
    return next(line for line in lines if not line.endswith("files failed"))


# --- train


def test_train_on_files_whose_planes_are_named(folders, tmp_path):
    file = tmp_path / "m.safetensors"
    said = run_here("train", "images", "labels", "-o", file, *TINY, cwd=folders).stdout
    n = sum(masks.max() for _, masks in map(draw, (0, 1)))
    assert said.splitlines()[0] == f"2 volumes (planes named Z), {n} objects, spacing 2, 1, 1, from the files"
    segmenter = FlowSegmenter.load(file)
    assert segmenter.ndim == 3
    assert segmenter.spacing_ == SPACING
    lines = run_here("info", file).stdout.splitlines()
    assert "for volumes of 1 channel" in lines[1]
    assert "spacing: 2,1,1, seen by the network as 2 times as long along planes" in lines
    options = ("--from", file, "--epochs", 1, "--json")
    out = run_here("train", "images", "labels", "-o", tmp_path / "n.safetensors", *options, cwd=folders).stdout
    document = json.loads(out)
    assert (document["ndim"], document["spacing"]) == (3, [2, 1, 1])
    said = refused("train", "images", "labels", "-o", "m.safetensors", "--from", file, "--ndim", 3, cwd=folders)
    assert "--ndim must not be given together with --from" in said


@pytest.mark.parametrize("given", [("--ndim", 3), ("--axes", "ZYX")])
def test_train_on_stacks_that_are_said_to_be_volumes(given, folders, tmp_path):
    file = tmp_path / "m.safetensors"
    said = run_here("train", "plain", "labels", "-o", file, *TINY, *given, cwd=folders).stdout.splitlines()[0]
    assert said.startswith(f"2 volumes ({' '.join(map(str, given))}), ")
    assert said.endswith("no spacing in the files: voxels count as equally long (--spacing)")
    assert FlowSegmenter.load(file).spacing_ is None
    assert "spacing: none, pixels count as equally long" in run_here("info", file).stdout


def test_images_have_a_spacing_only_if_it_is_given(tmp_path):
    for seed, name in enumerate("ab"):
        image, masks = synthetic.cells((64, 64), 6, rng=seed)
        for folder, array in (("i", image), ("m", masks)):
            (tmp_path / folder).mkdir(exist_ok=True)
            io.write_masks(tmp_path / folder / f"{name}.tif", (60 * array).astype(np.uint16), pixel_size=(0.5, 0.5))
    for given, expected in (((), None), (("--spacing", "2,1"), (2, 1))):
        said = run_here("train", "i", "m", "-o", "m.safetensors", *TINY, *given, cwd=tmp_path).stdout
        assert said.startswith("2 images, 12 objects\n")
        assert FlowSegmenter.load(tmp_path / "m.safetensors").spacing_ == expected
    assert "--spacing must be 2 numbers" in refused(
        "train", "i", "m", "-o", "n.safetensors", "--spacing", "1,1,1", cwd=tmp_path
    )


def decide(tmp_path, names, masks_names, shape=SHAPE, ndim=None, **chosen):
    """How an image of these axes, and masks of others, are read; and the sentence if they are refused."""
    masks_shape = SHAPE[-2:] if masks_names == "YX" else SHAPE
    write(tmp_path / "i" / "a.ome.tif", np.zeros(shape, np.uint8), names, None)
    write(tmp_path / "m" / "a.ome.tif", np.zeros(masks_shape, np.uint16), masks_names, None)
    return find_ndim([(tmp_path / "i" / "a.ome.tif", tmp_path / "m" / "a.ome.tif")], Reading(**chosen), ndim)


def test_what_files_are_by_default(tmp_path):
    assert decide(tmp_path, "YX", "YX", SHAPE[-2:]).ndim == 2
    assert decide(tmp_path, "CYX", "YX").ndim == 2
    assert decide(tmp_path, "ZYX", "ZYX").ndim == 3
    assert decide(tmp_path, "ZYX", None).ndim == 3
    assert decide(tmp_path, "ZYX", "YX", z=3).ndim == 2
    assert decide(tmp_path, "TYX", "ZYX", axes="ZYX").ndim == 3
    assert decide(tmp_path, "TZYX", "ZYX", (2, *SHAPE), t=1).ndim == 3
    assert decide(tmp_path, "ZYX", "ZYX", ndim=2).ndim == 2


@pytest.mark.parametrize(
    ("axes", "masks_axes", "shape", "sentence"),
    [
        ("TYX", "ZYX", SHAPE, "T is time: choose one with --t, or if these are planes of a volume, give --axes ZYX"),
        ("TZYX", "ZYX", (2, *SHAPE), "T is time: choose one with --t for volumes, and a plane with --z"),
        (None, "ZYX", SHAPE, "is no name. For a volume give --ndim 3 or --axes ZYX, for one plane --z with these axes"),
        ("ZYX", "YX", SHAPE, "must be a label volume, as .*a.ome.tif has planes named Z; it is none"),
        ("ZYX", "TYX", SHAPE, "must be a label volume"),
    ],
)
def test_stacks_are_not_guessed_at(axes, masks_axes, shape, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        decide(tmp_path, axes, masks_axes, shape)


def test_images_and_volumes_do_not_mix(folders, tmp_path):
    for name in "ab":
        image, masks = draw(0)
        write(tmp_path / "i" / f"{name}.ome.tif", image if name == "a" else image[0], "ZYX" if name == "a" else "YX")
        write(tmp_path / "m" / f"{name}.tif", masks if name == "a" else masks[0], None)
    said = refused("train", "i", "m", "-o", "m.safetensors", cwd=tmp_path)
    assert "IMAGES must be all images or all volumes; got i/b.ome.tif with one plane, and i/a.ome.tif" in said
    said = refused("train", "i/b.ome.tif", "m/b.tif", "-o", "m.safetensors", "--ndim", 3, cwd=tmp_path)
    assert said.endswith("It is one plane: a volume is one file with all its planes.")
    said = refused("train", "i/a.ome.tif", "m/a.tif", "-o", "m.safetensors", "--ndim", 4, cwd=tmp_path)
    assert "--ndim must be 2 (images) or 3 (volumes); got 4" in said


@pytest.mark.parametrize("spacing", ["2,1", "2,0,1", "2,-1,1", "2,nan,1", "2", "a,b,c"])
def test_spacing_of_a_wrong_form(spacing, folders, models):
    said = refused("predict", "images", "-m", models["volumes"], "-o", "x", "--spacing", spacing, cwd=folders)
    assert said.startswith("flowseg: --spacing must be ")
    assert not (folders / "x").exists()


def test_spacing_of_some_files_only(folders, tmp_path):
    files = [(folders / "images" / "a.ome.tif", tmp_path / "m.tif"), (tmp_path / "b.ome.tif", tmp_path / "m.tif")]
    write(files[1][0], draw(1)[0], "ZYX", None)
    write(files[1][1], draw(1)[1].astype(np.uint16), "ZYX", None)
    with pytest.raises(ValueError, match="must be given where only some files hold one: .*a.ome.tif holds 2,1,1"):
        find_spacings(files, Reading(ndim=3))
    assert find_spacings(files, Reading(ndim=3, spacing=(3.0, 1.0, 1.0))) == [(3.0, 1.0, 1.0)] * 2
    assert find_spacings(files[1:], Reading(ndim=3)) is None
    io.write_masks(tmp_path / "m.tif", draw(1)[1], spacing=(2, 1, 1))
    with pytest.raises(ValueError, match="must be given where only masks hold one: .*m.tif holds 2,1,1, .*b.ome.tif"):
        find_spacings(files[1:], Reading(ndim=3))


def test_tune_on_volumes(folders, models, tmp_path):
    options = ("labels", "-m", models["volumes"], "-o", tmp_path / "t.safetensors")
    assert "in 2 images, saved as" in run_here("tune", "images", *options, cwd=folders).stdout
    assert "with --axes" in refused("tune", "plain", *options, cwd=folders)


# --- predict


def test_predict_volumes(folders, models, tmp_path):
    pytest.importorskip("roifile")
    command = ("predict", folders / "images", "-m", models["volumes"], "-o", tmp_path / "out")
    command += ("--also", "roi,csv,flows")
    assert "in 2 images" in run_here(*command, "--min-size", 3, "--workers", 1).stdout
    segmenter = FlowSegmenter.load(models["volumes"]).set_params(min_size=3)
    expected = segmenter.predict(draw(0)[0], spacing=SPACING)
    with tifffile.TiffFile(tmp_path / "out" / "a_masks.tif") as tiff:
        assert tiff.is_imagej  # Fiji shows planes and spacing
        assert tiff.series[0].axes == "ZYX"
    assert np.array_equal(io.read_masks(tmp_path / "out" / "a_masks.tif", ndim=3), expected)
    assert io.read_spacing(tmp_path / "out" / "a_masks.tif") == SPACING
    assert (tmp_path / "out" / "a_overlay.png").exists()
    assert (tmp_path / "out" / "a_rois.zip").exists()
    assert tifffile.imread(tmp_path / "out" / "a_flows.tif").shape == (4, *SHAPE)
    assert io.read_spacing(tmp_path / "out" / "a_flows.tif") == SPACING
    rows = list(csv.DictReader((tmp_path / "out" / "a_objects.csv").read_text().splitlines()))
    assert len(rows) == expected.max()
    for row in rows:
        assert float(row["volume_um3"]) == pytest.approx(2 * float(row["volume"]))
    options = json.loads((tmp_path / "out" / "flowseg-run.jsonl").read_text().splitlines()[0])["options"]
    assert ["ndim", "3"] in options
    assert "(2 of them done before)" in run_here(*command, "--min-size", 3, "--resume").stdout
    said = refused(*command, "--min-size", 3, "--resume", "--spacing", "3,1,1")
    assert "--spacing was not given, is 3,1,1" in said


def test_spacing_is_never_taken_silently(folders, models, tmp_path):
    plain = ("predict", folders / "plain" / "a.tif", "--axes", "ZYX", "--no-overlay")
    said = run_here(*plain, "-m", models["volumes"], "-o", tmp_path / "1").stderr
    assert "a.tif holds no spacing: it is taken for that of the training images, 2,1,1 (--spacing)" in said
    assert io.read_spacing(tmp_path / "1" / "a_masks.tif") is None
    said = run_here(*plain, "-m", models["volumes"], "-o", tmp_path / "2", "--spacing", "3,1,1").stderr
    assert "the segmenter was trained at spacing (2, 1, 1) and is used at (3, 1, 1)" in said
    assert io.read_spacing(tmp_path / "2" / "a_masks.tif") == (3, 1, 1)
    said = run_here(*plain, "-m", models["no_spacing"], "-o", tmp_path / "3", "--spacing", "3,1,1").stderr
    assert "the model was trained without spacing: 3,1,1 gives sizes in results" in said
    expected = FlowSegmenter.load(models["no_spacing"]).predict(draw(0)[0])
    assert np.array_equal(io.read_masks(tmp_path / "3" / "a_masks.tif"), expected)


@pytest.mark.parametrize(
    ("axes", "shape", "sentence"),
    [
        (None, SHAPE, "with --axes, one letter per axis, such as ZYX for a volume"),
        ("TYX", SHAPE, "T is time: if these are planes, name the axes with --axes, such as ZYX"),
        ("TZYX", (2, *SHAPE), "T is time: choose one with --t, or, if these are planes, name the axes with --axes"),
        ("CYX", (3, *SHAPE[-2:]), "C is channels: if these are planes, name the axes with --axes"),
        ("YX", SHAPE[-2:], "It is one plane: a volume is one file with all its planes"),
        ("ZCYX", (4, 2, *SHAPE[-2:]), "must have as many channels as the model was trained on, 1; got 2"),
    ],
)
def test_what_is_no_volume(axes, shape, sentence, models, tmp_path):
    write(tmp_path / "a.ome.tif", np.arange(np.prod(shape), dtype=np.uint16).reshape(shape), axes, None)
    said = run_here("predict", tmp_path / "a.ome.tif", "-m", models["volumes"], "-o", tmp_path / "out", status=1).stderr
    assert len(said.splitlines()) == 2
    assert sentence in said


def test_a_pyramid_of_planes_is_no_volume(models, tmp_path):
    file = tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(file) as writer:
        writer.write(np.zeros((64, 64), np.uint8), subifds=2, metadata={"axes": "YX"})
        for side in (32, 16):
            writer.write(np.zeros((side, side), np.uint8), subfiletype=1)
    assert "It is one plane" in refused("predict", file, "-m", models["volumes"], "-o", tmp_path / "out")
    file = tmp_path / "pages.tif"
    with tifffile.TiffWriter(file) as writer:
        for side in (64, 48, 40):
            writer.write(np.zeros((side, side), np.uint8))
    assert "--scene" in refused("predict", file, "-m", models["volumes"], "-o", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--z", 3), "--z must be left out for volumes: all their planes are read."),
        (("--z", "all"), "--z all is for models of images; --model is one of volumes, which takes all planes at once"),
        (("--t", "all"), "--t all is for models of images; --model is one of volumes, which takes all planes at once"),
        (("--volume", "planes"), "--volume is for models of images; --model is one of volumes"),
        (("--also", "geojson"), "--also geojson is for images: such a file holds no volume. For volumes there are roi"),
        (("--also", "png"), "--also png is for images"),
    ],
)
def test_options_that_are_not_for_volumes(options, sentence, folders, models):
    assert sentence in refused("predict", "images", "-m", models["volumes"], "-o", "x", *options, cwd=folders)
    assert not (folders / "x").exists()


@pytest.mark.parametrize("mode", ["planes", "stitch"])
def test_volumes_by_a_model_of_images(mode, folders, models, tmp_path):
    command = ("predict", folders / "images" / "a.ome.tif", "-m", models["images"], "--volume", mode)
    run_here(*command, "--also", "csv", "-o", tmp_path / "out", "--diameter", 12)
    segmenter = FlowSegmenter.load(models["images"])
    expected = segmenter.predict_volume(draw(0)[0], spacing=SPACING, mode=mode, diameters=12)
    assert np.array_equal(io.read_masks(tmp_path / "out" / "a_masks.tif", ndim=3), expected)
    assert io.read_spacing(tmp_path / "out" / "a_masks.tif") == SPACING
    options = json.loads((tmp_path / "out" / "flowseg-run.jsonl").read_text().splitlines()[0])["options"]
    assert ["volume", mode] in options


def test_a_stack_for_a_model_of_images(folders, models, tmp_path):
    command = ("predict", folders / "images" / "a.ome.tif", "-m", models["images"], "-o", tmp_path / "out")
    said = refused(*command)
    for option in ("a plane with --z.", "--volume planes", "--volume stitch", "--z all"):
        assert option in said
    assert "--volume must be one of 'planes', 'stitch'; got 'all'" in refused(*command, "--volume", "all")
    assert "--volume must not be given together with --z all" in refused(
        *command, "--volume", "planes", "--z", "all", "--no-overlay"
    )  # fmt: skip
    assert "--z must be left out" in refused(*command, "--volume", "planes", "--z", 2)
    assert "--also flows must not be given with --volume" in refused(*command, "--volume", "planes", "--also", "flows")


def test_volumes_block_by_block(folders, models, tmp_path, monkeypatch):
    """The same masks as at once, with the spacing of the file."""
    pytest.importorskip("zarr")
    monkeypatch.setattr("flowseg.cli._shared.large_images.LARGE_VOXELS", 1000)
    command = ("predict", folders / "images" / "a.ome.tif", "-m", models["volumes"], "--min-size", 3, "--workers", 1)
    said = run_here(*command, "-o", tmp_path / "out", "--also", "csv").stderr
    assert "is segmented block by block (more than 0 megavoxels; --no-blocks: at once)" in said
    found = io.read_masks(tmp_path / "out" / "a_masks.ome.zarr", ndim=3)
    expected = FlowSegmenter.load(models["volumes"]).set_params(min_size=3).predict(draw(0)[0], spacing=SPACING)
    assert np.array_equal(found, expected)
    assert io.read_spacing(tmp_path / "out" / "a_masks.ome.zarr") == SPACING
    rows = list(csv.DictReader((tmp_path / "out" / "a_objects.csv").read_text().splitlines()))
    assert [float(row["volume_um3"]) for row in rows] == pytest.approx(
        [2 * n for n in np.bincount(expected.ravel())[1:]]
    )
    assert (tmp_path / "out" / "a_overlay.png").exists()
    run_here(*command, "-o", tmp_path / "other", "--spacing", "3,1,1", "--no-overlay")
    assert io.read_spacing(tmp_path / "other" / "a_masks.ome.zarr") == (3, 1, 1)
    said = refused(*command, "-o", tmp_path / "no", "--also", "roi")
    assert "--also must be one or more of csv, parquet for volumes that are segmented block by block" in said
    by_planes = ("--volume", "planes", "-m", models["images"])
    said = refused("predict", folders / "images", *by_planes, "-o", tmp_path / "no", "--blocks")
    assert "--blocks is for single images; got --volume planes" in said


def test_plan_blocks_of_a_volume(folders, models, tmp_path):
    pytest.importorskip("zarr")
    output = tmp_path / "a.ome.zarr"
    run_here("blocks", "plan", folders / "images" / "a.ome.tif", "-m", models["volumes"], "-o", output)
    run_here("blocks", "run", output, "--part", "1/1")
    run_here("blocks", "finish", output)
    expected = FlowSegmenter.load(models["volumes"]).predict(draw(0)[0], spacing=SPACING)
    assert np.array_equal(io.read_masks(output, ndim=3), expected)
