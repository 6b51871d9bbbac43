"""Suggestions of the napari plugin, without napari: the worker's job, and the pixels that a box adds."""

import math

import numpy as np
import pytest
from napari_jobs import do_job

import flowseg
from flowseg._napari.job_messages import Message, SuggestJob, TrainJob, read_job, write_job
from flowseg._napari.suggestions.found_boxes import (
    FoundBox,
    Queue,
    fill_in,
    is_annotated,
    read_boxes,
    split_into_boxes,
    write_boxes,
)
from flowseg._suggest.boxes import Box, Part, cut_out, paste
from flowseg._suggest.suggestion import Suggestion, describe_reasons


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory):
    file = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    tiny["FlowSegmenter"].save(file)
    return file


def job_for(folder, images, model, **given):
    choices = {"box_size": None, "boxes_per_image": 1} | given
    job = SuggestJob(str(folder), len(images), str(model), **choices)
    for k, image in enumerate(images):
        np.save(job.image(k), image)
    return job


def found(part, image=0):
    return FoundBox(image, Box(0, 0, 2, 2), 1.5, float("nan"), part)


def test_boxes_are_those_of_suggest(tiny, pairs, model, tmp_path):
    images = [image for image, _ in pairs[:3]]
    job = job_for(tmp_path, images, model, box_size=40, boxes_per_image=2)
    assert read_job(write_job(job)) == job
    messages = do_job(job)
    with pytest.warns(UserWarning, match="has learned no scores"):
        expected = flowseg.suggest(tiny["FlowSegmenter"], images, number=3, box_size=40, boxes_per_image=2)
    boxes = read_boxes(job.result)
    assert [(one.image, one.box) for one in boxes] == [(one.index, box) for one in expected for box in one.boxes]
    assert [one.doubt for one in boxes] == pytest.approx([doubt for one in expected for doubt in one.doubt], rel=1e-3)
    distances = {one.index: one.distance for one in expected}
    assert [one.distance for one in boxes] == pytest.approx([distances[one.image] for one in boxes], rel=1e-3)
    for one in expected:  # its boxes together are its masks to correct
        together = np.full(one.shape, -1, np.int32)
        for box in boxes:
            if box.image == one.index:
                together = fill_in(together, box.part, int(together.max(initial=0)) + 1)
        np.testing.assert_array_equal(together > 0, one.masks > 0)
        assert (together[one.masks == 0] == 0).mean() > 0.9  # but for objects that touch both boxes
    assert messages[-1] == Message("done", "3 images")
    looked = [(t.text, t.n_done, t.n_all) for t in messages if t.text.startswith("looking")]
    assert looked == [(f"looking at image {k + 1} of 3", k, 3) for k in range(3)]
    (warning,) = [t.text for t in messages if t.kind == "warning" and "no scores" in t.text]
    assert warning.startswith("The segmenter has learned no scores of objects: ")


def test_one_image_and_a_constant_one(pairs, model, tmp_path):
    job = job_for(tmp_path, [np.zeros((70, 80)), pairs[0][0]], model)
    assert do_job(job)[-1].kind == "done"
    assert [one.image for one in read_boxes(job.result)] == [1, 0]
    job = job_for(tmp_path, [pairs[0][0]], model)
    messages = do_job(job)
    assert messages[-1] == Message("done", "1 image")
    assert any(t.text == "looking at the image" for t in messages)


def test_errors_are_one_sentence(tmp_path):
    gone = do_job(job_for(tmp_path, [np.eye(64)], tmp_path / "gone.safetensors"))[-1]
    assert gone.kind == "failed"
    assert gone.text.endswith("gone.safetensors no longer exists: open it again, or choose another model.")


def test_training_on_masks_that_are_not_annotated_everywhere(pairs, model, tmp_path):
    image, masks = pairs[0]
    suggested = paste(cut_out(masks.astype(np.int32), [Box(20, 20, 70, 70)]), masks.shape)
    assert {-1, 0} < set(np.unique(suggested))
    job = TrainJob(str(tmp_path), (None, None), 2, 1, str(model), 1)
    np.save(job.image(0), image)
    np.save(job.masks(0), suggested)
    np.save(job.image(1), pairs[1][0])
    np.save(job.masks(1), np.where(suggested < 0, -1, 0))  # a box of background
    assert do_job(job)[-1].kind == "done"
    assert flowseg.load_segmenter(job.model).diameter_ > 0


def test_boxes_survive_the_way_to_the_viewer(tmp_path):
    masks = np.zeros((9, 12), np.int32)
    masks[1:4, 1:4], masks[6:8, 3:9] = 7, 3
    boxes = [Box(0, 0, 5, 5), Box(5, 4, 9, 8)]
    one = Suggestion(4, boxes, np.array([2.5, 0.5]), 1.25, 1.0, masks.shape, cut_out(masks, boxes))
    write_boxes(tmp_path / "boxes", list(split_into_boxes([one])))
    first, second = read_boxes(tmp_path / "boxes")
    assert (first.image, first.box, first.doubt, first.distance) == (4, boxes[0], 2.5, 1.25)
    assert (second.box, second.doubt) == (boxes[1], 0.5)
    for found_box in (first, second):
        alone = paste(found_box.part, masks.shape)
        np.testing.assert_array_equal(alone, paste(cut_out(masks, [found_box.box]), masks.shape))
    write_boxes(tmp_path / "none", [])
    assert read_boxes(tmp_path / "none") == []
    write_boxes(tmp_path / "unknown", [found(first.part)])
    assert math.isnan(read_boxes(tmp_path / "unknown")[0].distance)


def test_what_is_annotated_is_never_changed():
    before = np.full((6, 8), -1, np.int32)
    before[:3, :4] = 0
    before[0, :2] = 5
    # Object 1 covers annotated pixels, objects 2 and 3 do not.
    labels = np.zeros((5, 7), np.int32)
    labels[1, 1:5], labels[3, 3:6], labels[4, 0] = 1, 2, 3
    labels[0, 6] = -1
    after = fill_in(before, Part((1, 1), labels), 6)
    annotated = before >= 0
    np.testing.assert_array_equal(after[annotated], before[annotated])
    np.testing.assert_array_equal(after[2, 4:6], [-1, -1])  # the rest of object 1
    assert (after == 6).sum() == 3
    assert (after == 7).sum() == 1
    assert after[5, 1] == 7
    assert after[1, 7] == -1
    assert (after[0] == before[0]).all()  # beside the part
    assert after[4, 1] == 0
    assert (after.dtype, before[4, 1]) == (np.int32, -1)  # and the input is not changed


def test_a_box_is_passed_over_if_most_of_it_is_annotated():
    masks = np.full((4, 6), -1)
    assert not is_annotated(masks, Box(0, 0, 4, 4))
    masks[:2] = 0
    assert not is_annotated(masks, Box(0, 0, 4, 4))
    masks[2, 0] = 9
    assert is_annotated(masks, Box(0, 0, 4, 4))
    assert not is_annotated(masks, Box(0, 2, 4, 6))


def test_one_box_after_the_other():
    part = Part((0, 0), np.zeros((2, 2), np.int32))
    queue = Queue([found(part, image) for image in (3, 1, 2)])
    assert len(queue) == 3
    assert queue.find_next(lambda box: box.image < 3).image == 1
    assert queue.n_past == 2
    assert queue.find_next(lambda box: True).image == 2
    assert queue.find_next(lambda box: True) is None


def test_reasons_in_words():
    assert describe_reasons(4.13, 1.2) == "about 4.1 objects wrong; unlike the training images"
    assert describe_reasons(0.0, 1.0) == "about 0 objects wrong"
    assert describe_reasons(12.0, float("nan")) == "about 12 objects wrong"
