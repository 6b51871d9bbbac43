import json
import warnings

import numpy as np
import pytest
import tifffile
from real_data import read_pair, rows_of
from scipy import ndimage
from typer.testing import CliRunner

from flowseg import FlowSegmenter, synthetic
from flowseg._napari.job_messages import SegmentJob
from flowseg._napari.worker_main import work
from flowseg._segmenters.learned_decoding.thresholds import Thresholds
from flowseg._segmenters.noise_check import LEAST_SHARPNESS, NoiseCheck, learn_least_sharpness, sharpness
from flowseg.cli import app


def smooth_noise(sigma, seed=0, shape=(128, 128)):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def blobs(image):
    """What a model finds in noise: most of the bright places."""
    masks = ndimage.label(image > 0.3)[0]
    return np.where(masks % 3 == 0, 0, masks)


@pytest.fixture(scope="module")
def nuclei():
    return FlowSegmenter.from_pretrained("nuclei")


@pytest.fixture(scope="module")
def drawn():
    return synthetic.cells((128, 128), 12, rng=0)


@pytest.mark.parametrize("sigma", [2, 4, 8])
@pytest.mark.parametrize(
    "kind",
    [
        lambda noise: noise,
        lambda noise: np.rint(100 + 20 * noise).astype(np.uint8),
        lambda noise: np.rint(1000 + 150 * noise).astype(np.uint16),
        lambda noise: np.clip(noise, 0, None),  # half of the image is cut off
        lambda noise: np.rint(10 + 0.6 * noise).astype(np.uint8),  # five gray levels
        lambda noise: noise + 6 * np.linspace(0, 1, noise.shape[1]),  # uneven light
        lambda noise: np.exp(0.5 * noise),
    ],
)
def test_blobs_of_noise_are_no_sharper_than_their_background(sigma, kind):
    noise = smooth_noise(sigma)
    assert sharpness(kind(noise), blobs(noise)) < LEAST_SHARPNESS


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: -image,
        lambda image: ndimage.gaussian_filter(image, 2),
        lambda image: image + 0.05 * np.ptp(image) * np.random.default_rng(0).standard_normal(image.shape),
        lambda image: np.dstack([smooth_noise(4), image]),  # of two channels one is enough
    ],
)
def test_drawn_cells_are_sharper(drawn, change):
    image, masks = drawn
    assert sharpness(change(image), masks) > 1.5 * LEAST_SHARPNESS


@pytest.mark.parametrize("value", [0, 65535])
@pytest.mark.parametrize("width", [4, 40])
def test_the_edge_of_padding_is_no_background(drawn, width, value):
    image, masks = drawn
    counts = np.rint(1000 + 200 * image).astype(np.uint16)
    padded = np.pad(counts, width, constant_values=value)
    assert sharpness(padded, np.pad(masks, width)) > 0.8 * sharpness(counts, masks)
    noise = smooth_noise(4)
    padded = np.pad(np.rint(1000 + 150 * noise).astype(np.uint16), width, constant_values=value)
    assert sharpness(padded, np.pad(blobs(noise), width)) < LEAST_SHARPNESS


def test_it_depends_neither_on_units_nor_on_size(drawn):
    image, masks = drawn
    once = sharpness(image, masks)
    assert np.isclose(sharpness(1e3 * image + 7, masks), once, rtol=1e-3)
    tiled = np.tile(masks, (8, 8)) + np.kron(masks.max() * np.arange(64).reshape(8, 8), np.ones_like(masks))
    wide = np.tile(image, (8, 8)), np.where(np.tile(masks, (8, 8)) > 0, tiled, 0)  # more than is looked at
    assert np.isclose(sharpness(*wide), once, rtol=0.3)
    large = np.kron(image, np.ones((4, 4))), np.kron(masks, np.ones((4, 4), int))  # looked at in a reduced image
    assert sharpness(*large) > once  # its pixels have edges, too


@pytest.mark.parametrize("shape", [(1, 50), (50, 1), (1, 1), (2, 2), (3, 9)])
def test_no_sharpness_of_tiny_images(shape):
    image = np.arange(np.prod(shape), dtype=float).reshape(shape)
    masks = np.zeros(shape, dtype=int)
    assert np.isnan(sharpness(image, masks))  # no objects
    masks[:, : shape[1] // 2 + 1] = 1
    assert not sharpness(image, masks) < LEAST_SHARPNESS


def test_no_sharpness_without_background():
    noise = smooth_noise(4)
    assert np.isnan(sharpness(noise, np.kron(np.arange(1, 17).reshape(4, 4), np.ones((32, 32), int))))


def test_pixels_to_ignore_are_no_background(drawn):
    image, masks = drawn
    beside = np.where(masks > masks.max() // 2, -1, masks)  # as sharp, but no object
    assert sharpness(image, beside) > 1.5 * LEAST_SHARPNESS


@pytest.mark.parametrize("factor", [1e300, 1e-300])
def test_numbers_however_large(drawn, factor):
    image, masks = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not sharpness(image.astype(float) * factor, masks) < LEAST_SHARPNESS


def test_sentences():
    noise = smooth_noise(4)
    check = NoiseCheck(LEAST_SHARPNESS)
    check.look(noise, np.zeros(noise.shape, dtype=int))
    assert check.sentence() == ""
    found = blobs(noise)
    for _ in range(6):
        check.look(noise, found)
    assert check.sentence() == (
        f"the {6 * found.max()} objects found in 6 of 7 images (images[1], images[2], images[3], images[4], images[5], "
        "...) are probably false positives: their outlines are no sharper than the background, as in noise."
    )
    alone = NoiseCheck(LEAST_SHARPNESS)
    alone.look(noise, (found == 4).astype(int))
    assert alone.sentence() == (
        "the 1 object found is probably a false positive: its outline is no sharper than the background, as in noise."
    )


def test_a_model_expects_no_more_than_its_training_images_have(drawn):
    noise = smooth_noise(4)
    assert learn_least_sharpness([drawn[0]], [drawn[1]]) == LEAST_SHARPNESS
    assert learn_least_sharpness([noise], [blobs(noise)]) == sharpness(noise, blobs(noise))
    assert learn_least_sharpness([noise], [np.ones(noise.shape, dtype=int)]) == LEAST_SHARPNESS


def test_it_is_kept_with_the_model(small, tmp_path):
    noise = smooth_noise(4)
    segmenter = FlowSegmenter(**small).fit([noise], [blobs(noise)])
    assert segmenter.fitted_.least_sharpness < LEAST_SHARPNESS
    segmenter.save(tmp_path / "model.safetensors")
    assert (
        FlowSegmenter.load(tmp_path / "model.safetensors").fitted_.least_sharpness == segmenter.fitted_.least_sharpness
    )


def test_one_warning_and_the_same_masks(nuclei, drawn):
    noise = smooth_noise(4, shape=(96, 96)).astype(np.float32)
    with pytest.warns(UserWarning, match=r"objects found are probably false positives") as caught:
        masks = nuclei.predict(noise)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert masks.max() > 1
    with pytest.warns(UserWarning, match=r"objects found in 2 of 3 images \(images\[0\], images\[2\]\) are") as caught:
        found = nuclei.predict_objects([noise, drawn[0], noise])
    assert len(caught) == 1
    assert np.array_equal(found[2][0], masks)


def test_no_warning_of_drawn_cells(nuclei, drawn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nuclei.predict(drawn[0]).max() > 3


def test_three_classes_are_warned_of_too(fitted, monkeypatch):
    noise = smooth_noise(4)
    segmenter = fitted["BoundarySegmenter"]
    monkeypatch.setattr("flowseg._segmenters.codecs.boundary_codec.BoundaryCodec.decode", lambda *_: blobs(noise))
    with pytest.warns(UserWarning, match="probably false positives"):
        segmenter.predict(noise)


def test_the_plugin_names_planes(nuclei, drawn, tmp_path):
    nuclei.save(tmp_path / "model.safetensors")
    planes = [drawn[0], smooth_noise(4)]
    job = SegmentJob(
        folder=str(tmp_path),
        images=("plane 3", "plane 4"),
        ndim=2,
        mode="",
        model=str(tmp_path / "model.safetensors"),
        thresholds=Thresholds(0.0, 0.4, 15, None),
        outputs_folder=str(tmp_path),
        diameter=None,
        spacing=None,
        with_flows=False,
    )
    for k, plane in enumerate(planes):
        np.save(job.image(k), plane)
    messages = []
    work(job, {}, messages.append)
    (warning,) = [each.text for each in messages if each.kind == "warning"]
    assert "in 1 of 2 images (plane 4) are probably false positives" in warning


def test_command_line(tmp_path, drawn):
    folder, output = tmp_path / "images", tmp_path / "results"
    folder.mkdir()
    tifffile.imwrite(folder / "cells.tif", drawn[0].astype(np.float32))
    tifffile.imwrite(folder / "noise.tif", smooth_noise(4, shape=(96, 96)).astype(np.float32))
    command = ["predict", str(folder), "--model", "nuclei", "--output", str(output), "--no-overlay", "--json"]
    for more in ([], ["--resume"]):
        done = CliRunner().invoke(app, [*command, *more])
        assert done.exit_code == 0, done.output
        notes = {file["file"]: file["note"] for file in json.loads(done.stdout)["files"]}
        assert notes[str(folder / "cells.tif")] is None
        assert notes[str(folder / "noise.tif")].endswith("no sharper than the background, as in noise.")
        assert f"flowseg: note: {folder / 'noise.tif'}: the " in done.stderr


def test_real_images_are_sharper(shared):
    # By their true masks, so that no network has to run: every fourth of DSB 2018.
    folder, rows = rows_of(shared, "dsb2018")
    assert min(sharpness(*read_pair(folder, row)) for row in rows[::4]) > LEAST_SHARPNESS


def test_real_images_without_a_warning(nuclei, shared):
    folder, rows = rows_of(shared, "dsb2018")
    images = [read_pair(folder, row)[0] for row in rows if row["split"] == "test_open" and row["quick"] == "True"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(found.any() for found in nuclei.predict(images))
