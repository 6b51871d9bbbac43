"""What the napari plugin's process does with volumes, without napari."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from napari_jobs import do_job, segment_job
from safetensors.numpy import load_file

from flowseg import FlowSegmenter, plot, synthetic
from flowseg._napari.job_messages import DecodeJob, TrainJob
from flowseg._napari.model_info import read_model
from flowseg._segmenters.learned_decoding.thresholds import Thresholds

SPACING = (2.0, 1.0, 1.0)
SMALL = {"filters": (4, 8), "crop_size": 16, "batch_size": 1, "epochs": 1, "steps_per_epoch": 3, "random_state": 0}


@pytest.fixture(scope="module")
def volume():
    return synthetic.cells((8, 32, 32), 5, diameter=12, spacing=SPACING, rng=0)


@pytest.fixture(scope="module")
def segmenter(volume):
    image, masks = volume
    return FlowSegmenter(ndim=3, **SMALL).fit([image], [masks], spacing=SPACING)


@pytest.fixture
def model(segmenter, tmp_path):
    file = tmp_path / "volumes.safetensors"
    segmenter.save(file)
    return file


def test_volumes_are_segmented_as_predict_does(segmenter, model, volume, tmp_path):
    images = [volume[0], volume[0][::-1].copy()]
    spacing = (4.0, 2.5, 2.5)
    job = segment_job(tmp_path, images, model, ndim=3, spacing=spacing, with_flows=True)
    messages = do_job(job)
    found = [load_file(job.result(k)) for k in range(2)]
    for image, arrays in zip(images, found):
        with pytest.warns(UserWarning, match="was trained at spacing"):
            masks, objects = segmenter.predict_objects(image, spacing=spacing)
        assert np.array_equal(arrays["masks"], masks)
        assert np.array_equal(arrays["object_diameter"], objects["diameter"])
        with pytest.warns(UserWarning, match="was trained at spacing"):
            assert np.array_equal(arrays["flows"], plot.flow_colors(segmenter.predict_flows(image, spacing=spacing)[0]))
    assert [t.text for t in messages if t.text.startswith("segmenting v")] == [
        "segmenting volume 1 of 2", "segmenting volume 2 of 2",
    ]  # fmt: skip
    assert any("was trained at spacing (2, 1, 1)" in t.text for t in messages if t.kind == "warning")
    assert messages[-1].text.endswith(" in 2 volumes, with labels that do not repeat")

    # Outputs are kept with the shape of their voxels: other thresholds need no network.
    thresholds = Thresholds(cellprob_threshold=-1.0, flow_threshold=None, min_size=2)
    again = DecodeJob(job.folder, job.images, 3, "", job.model, thresholds, job.outputs_folder)
    assert do_job(again)[-1].kind == "done"
    changed = FlowSegmenter.load(model).set_params(**asdict(thresholds))
    with pytest.warns(UserWarning, match="was trained at spacing"):
        masks, objects = changed.predict_objects(images[0], spacing=spacing)
    kept = load_file(again.result(0))
    assert masks.max() > 0
    assert np.array_equal(kept["masks"], masks)
    assert np.array_equal(kept["object_diameter"], objects["diameter"])


def test_spacing_for_a_model_without_is_refused(volume, tmp_path):
    file = tmp_path / "without.safetensors"
    FlowSegmenter(ndim=3, **SMALL).fit([volume[0]], [volume[1]]).save(file)
    (message,) = [
        t for t in do_job(segment_job(tmp_path, [volume[0]], file, ndim=3, spacing=SPACING)) if t.kind == "failed"
    ]
    assert message.text.startswith("spacing must be None for a segmenter that was trained without")


@pytest.mark.parametrize("mode", ["planes", "stitch"])
@pytest.mark.parametrize("kind", ["FlowSegmenter", "BoundarySegmenter"])
def test_a_model_of_planes_segments_volumes_as_predict_volume(fitted, volume, tmp_path, mode, kind):
    segmenter, image = fitted[kind], volume[0]
    file = tmp_path / "planes.safetensors"
    segmenter.save(file)
    own = read_model(file, "planes").thresholds
    job = segment_job(tmp_path, [image], file, ndim=3, mode=mode, spacing=SPACING, thresholds=own, with_flows=True)
    messages = do_job(job)
    assert messages[-1].kind == "done", messages[-1]
    n_planes = sum(image.shape) if mode == "planes" else len(image)
    assert [t.n_done for t in messages if t.n_all == n_planes] == list(range(1, n_planes + 1))
    found = load_file(job.result(0))
    assert np.array_equal(found["masks"], segmenter.predict_volume(image, spacing=SPACING, mode=mode))
    assert ("object_flow_error" in found) == (kind == "FlowSegmenter" and mode == "planes")
    assert ("flows" in found) == (kind == "FlowSegmenter")
    if kind == "FlowSegmenter":
        assert found["flows"].shape == (*image.shape, 3)

    other = replace(own, min_size=2)
    again = DecodeJob(job.folder, job.images, 3, mode, job.model, other, job.outputs_folder)
    assert do_job(again)[-1].kind == "done"
    changed = type(segmenter).load(file).set_params(min_size=2)
    assert np.array_equal(
        load_file(again.result(0))["masks"], changed.predict_volume(image, spacing=SPACING, mode=mode)
    )


def test_trains_on_sparse_volumes_with_spacing(model, volume, tmp_path):
    image, masks = volume
    sparse = masks.copy()
    sparse[1::2] = -1
    job = TrainJob(str(tmp_path), (SPACING,), 3, 1, str(model), 1)
    np.save(job.image(0), image)
    np.save(job.masks(0), sparse)
    messages = do_job(job)
    assert messages[-1].kind == "done", messages[-1]
    trained = FlowSegmenter.load(messages[-1].file)
    assert (trained.ndim, trained.spacing_) == (3, SPACING)
    assert not np.array_equal(trained.network_.get_weights()[0], FlowSegmenter.load(model).network_.get_weights()[0])


def test_a_model_file_says_what_it_takes(model, fitted, tmp_path):
    known = read_model(model, "mine")
    assert (known.ndim, known.spacing) == (3, SPACING)
    assert known.description.startswith("Takes volumes of 1 channel; spacing 2 x 1 x 1; objects of ")
    file = tmp_path / "planes.safetensors"
    fitted["FlowSegmenter"].save(file)
    assert read_model(file, "planes").description.startswith("Takes planes of 1 channel; trained without spacing; ")
