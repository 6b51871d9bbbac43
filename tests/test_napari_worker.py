"""What the napari plugin's process does, without napari."""

from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
from napari_jobs import do_job, segment_job
from safetensors.numpy import load_file

from flowseg import FlowSegmenter, plot, synthetic
from flowseg._napari.job_messages import DecodeJob, Message, TrainJob
from flowseg._napari.model_info import read_model
from flowseg._segmenters.learned_decoding.thresholds import Thresholds


@pytest.fixture
def do():
    """Do a job and return the messages about it."""
    return partial(do_job, models={})


def save(segmenter, folder):
    file = folder / "given.safetensors"
    segmenter.save(file)
    return file


def test_what_is_found_is_what_the_segmenter_finds(do, fitted, pairs, tmp_path):
    segmenter = fitted["FlowSegmenter"]
    images = [pairs[0][0], pairs[1][0]]
    job = segment_job(tmp_path, images, save(segmenter, tmp_path), with_flows=True, diameter=20.0)
    messages = do(job)
    found = [load_file(job.result(k)) for k in range(2)]
    for image, arrays in zip(images, found):
        masks, objects = segmenter.predict_objects(image, diameters=20.0)
        assert np.array_equal(arrays["masks"], masks)
        assert {name for name in arrays if name.startswith("object_")} == {f"object_{name}" for name in objects}
        for name, column in objects.items():
            assert np.array_equal(arrays[f"object_{name}"], column, equal_nan=column.dtype.kind == "f")
        flows, _ = segmenter.predict_flows(image, diameters=20.0)
        assert np.array_equal(arrays["flows"], plot.flow_colors(flows))
    n_objects = sum(int(arrays["masks"].max()) for arrays in found)
    assert messages[-1] == Message("done", f"{n_objects} objects in 2 planes, with labels that do not repeat")
    assert [(t.n_done, t.n_all) for t in messages if t.text.startswith("segmenting plane")] == [(0, 2), (1, 2)]


def test_other_thresholds_need_no_network(do, fitted, pairs, tmp_path, monkeypatch):
    segmenter = fitted["FlowSegmenter"]
    model = save(segmenter, tmp_path)
    job = segment_job(tmp_path, [pairs[0][0], np.ones((96, 96))], model)
    assert do(job)[-1].kind == "done"
    other = Thresholds(cellprob_threshold=0.5, flow_threshold=None, min_size=30)
    again = DecodeJob(str(tmp_path), job.images, 2, "", str(model), other, str(tmp_path))
    monkeypatch.setattr("flowseg._nets.inference.predict_outputs", None)
    messages = do(again)
    found = load_file(again.result(0))
    assert messages[-1] == Message(
        "done", f"{found['masks'].max()} objects in 2 planes, with labels that do not repeat"
    )
    monkeypatch.undo()
    changed = FlowSegmenter.load(model).set_params(**asdict(other))
    expected, objects = changed.predict_objects(pairs[0][0])
    assert np.array_equal(found["masks"], expected)
    assert np.array_equal(found["object_flow_error"], objects["flow_error"])
    assert not np.array_equal(expected, segmenter.predict(pairs[0][0]))
    assert not load_file(again.result(1))["masks"].any()


def test_a_model_without_flows(do, fitted, pairs, tmp_path):
    segmenter = fitted["BoundarySegmenter"]
    job = segment_job(tmp_path, [pairs[0][0]], save(segmenter, tmp_path), with_flows=True)
    assert do(job)[-1].kind == "done"
    ((name, masks),) = load_file(job.result(0)).items()
    assert name == "masks"
    assert np.array_equal(masks, segmenter.predict(pairs[0][0]))
    largest = int(np.bincount(masks[masks > 0]).max())
    thresholds = replace(job.thresholds, min_size=largest)
    again = DecodeJob(job.folder, job.images, 2, "", job.model, thresholds, job.outputs_folder)
    assert do(again)[-1].kind == "done"
    kept = load_file(again.result(0))["masks"]
    assert kept.max() >= 1
    assert np.bincount(kept[kept > 0])[1:].min() >= largest


@pytest.mark.parametrize("with_flows", [False, True])
def test_a_constant_plane_of_a_stack_stays_empty(do, fitted, pairs, tmp_path, with_flows):
    images = [np.ones((96, 96)), pairs[0][0]]
    job = segment_job(tmp_path, images, save(fitted["FlowSegmenter"], tmp_path), with_flows=with_flows)
    messages = do(job)
    assert messages[-1].kind == "done"
    assert messages[-1].text.endswith("; without objects, as all pixels have the same value: plane 0")
    # A model after a few steps may be warned of for what it finds in the other plane.
    assert not [t for t in messages if t.kind == "warning" and "plane 0" in t.text]
    arrays = load_file(job.result(0))
    assert all(not array.any() for array in arrays.values())
    assert ("flows" in arrays) == with_flows


def test_errors_of_jobs_are_one_sentence(do, tmp_path):
    file = tmp_path / "wrong.safetensors"
    file.write_bytes(b"nothing")
    messages = do(segment_job(tmp_path, [np.eye(16)], file))
    assert messages[-1].kind == "failed"
    assert "must be a flowseg model" in messages[-1].text
    assert "\n" not in messages[-1].text
    (message,) = [
        t for t in do(segment_job(tmp_path, [np.eye(16)], tmp_path / "gone.safetensors")) if t.kind == "failed"
    ]
    assert message.text.endswith("gone.safetensors no longer exists: open it again, or choose another model.")


def test_a_viewer_knows_the_thresholds_without_the_network(fitted, tmp_path):
    segmenter = fitted["FlowSegmenter"]
    changed = FlowSegmenter.load(save(segmenter, tmp_path)).set_params(flow_threshold=None, min_size=7)
    model = read_model(save(changed, tmp_path), "mine")
    assert model.thresholds == Thresholds(changed.cellprob_threshold_, None, 7, changed.score_threshold_)
    three = read_model(save(fitted["BoundarySegmenter"], tmp_path), "three")
    assert (three.has_flows, three.has_scores, three.thresholds.min_size) == (False, False, 15)


def test_trains_a_model_further(do, fitted, pairs, tmp_path):
    job = TrainJob(str(tmp_path), (None, None), 2, 1, str(save(fitted["FlowSegmenter"], tmp_path)), 3)
    for k, (image, masks) in enumerate(pairs[:2]):
        np.save(job.image(k), image)
        np.save(job.masks(k), masks)
    messages = do(job)
    assert messages[-1].kind == "done", messages[-1]
    assert "typical diameter " in messages[-1].text
    steps = [t for t in messages if t.n_all]
    assert {t.n_all for t in steps} == {3 * 4}
    assert steps[-1].n_done == 12
    assert steps[0].text.startswith("epoch 1 of 3, loss ")
    assert "left" not in steps[0].text
    assert "left" in steps[-1].text
    trained = FlowSegmenter.load(job.model)
    assert trained.get_params()["filters"] == (8, 16)
    assert not np.array_equal(trained.network_.get_weights()[0], fitted["FlowSegmenter"].network_.get_weights()[0])


def test_a_trained_model_is_not_lost_where_the_temporary_folder_is_full(do, fitted, pairs, tmp_path, monkeypatch):
    start, elsewhere, full = save(fitted["FlowSegmenter"], tmp_path), tmp_path / "elsewhere", tmp_path / "job"
    elsewhere.mkdir()
    full.mkdir()
    job = TrainJob(str(full), (None,), 2, 1, str(start), 1)
    np.save(job.image(0), pairs[0][0])
    np.save(job.masks(0), pairs[0][1])
    write = FlowSegmenter.save

    def save_model(segmenter, path):
        if full in path.parents:
            raise OSError(28, "No space left on device", str(path))
        write(segmenter, path)

    monkeypatch.setattr(FlowSegmenter, "save", save_model)
    monkeypatch.setattr(FlowSegmenter, "fit", lambda self, *_, **__: self)
    monkeypatch.chdir(elsewhere)
    *_, warning, done = do(job)
    file = elsewhere / "model-rescued.safetensors"
    assert warning == Message("warning", f"The model could not be kept in the temporary folder: it is saved as {file}.")
    assert (done.kind, done.file) == ("done", str(file))
    FlowSegmenter.load(file)


def test_samples_are_drawn_cells():
    from flowseg._napari.sample_data import cell_stack, cell_volume, cells

    (image, _, kind), (masks, _, kind_of_masks) = cells()
    assert (kind, kind_of_masks) == ("image", "labels")
    assert np.array_equal(image, synthetic.cells((256, 256), 70, rng=0)[0])
    assert masks.max() == 70
    assert [data.shape for data, _, _ in cell_stack()] == [(6, 192, 192)] * 2
    (volume, options, _), (labels, _, _) = cell_volume()
    assert (volume.shape, labels.max(), options["scale"]) == ((24, 96, 96), 30, (2.0, 1.0, 1.0))
