"""What masks become for a network, and what its outputs become, to the pixel."""

import numpy as np
import pytest

import flowseg
from flowseg._nets.encoder import FLOW_SCALE
from flowseg._segmenters.codecs.boundary_codec import BACKGROUND, BOUNDARY, BOUNDARY_WIDTH, INTERIOR, BoundaryCodec
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg._segmenters.learned_decoding.find_objects import Decoding
from flowseg._segmenters.learned_decoding.learn_decoding import LEAST_OBJECTS
from flowseg._segmenters.learned_decoding.object_scores import Calibration
from flowseg._segmenters.learned_decoding.thresholds import GivenThresholds, Thresholds

MASKS = np.zeros((9, 16), int)
MASKS[2:6, 1:6], MASKS[2:6, 6:9], MASKS[8, 12:] = 1, 3, -1


def classes(text):
    """Outputs of three classes as a picture: `.` background, `o` interior, `#` boundary."""
    rows = [[".o#".index(letter) for letter in line] for line in text.split()]
    return np.eye(3, dtype=np.float32)[np.array(rows)]


def decode(outputs, *, min_size=0, scale=1.0):
    """Masks of three classes; `scale` is the size of a pixel that the network saw in pixels of the image."""
    return BoundaryCodec(min_size).decode(Outputs(outputs, 1 / scale), Decoding())


class TestFlows:
    def test_target(self):
        target = FlowCodec().encode(MASKS, workers=1)
        assert target.dtype == np.float32
        assert target.flags.c_contiguous
        assert np.array_equal(target[..., 0], MASKS >= 0)
        assert np.array_equal(target[..., 1], MASKS > 0)
        assert np.array_equal(np.moveaxis(target[..., 2:], -1, 0), flowseg.masks_to_flows(np.maximum(MASKS, 0)))

    def test_split(self):
        outputs = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
        flows, cellprob = FlowCodec().split(outputs)
        assert np.array_equal(flows, [outputs[..., 0], outputs[..., 1]])
        assert np.array_equal(cellprob, outputs[..., 2])
        assert np.shares_memory(flows, outputs)

    def test_of_a_constant_image(self):
        outputs = FlowCodec().no_objects((3, 5, 1))
        assert outputs.shape == (3, 5, 3)
        assert not outputs[..., :2].any()
        assert (outputs[..., 2] == -100).all()
        assert all(outputs[..., k].flags.c_contiguous for k in range(3))

    def test_constants(self):
        assert (FlowCodec().n_outputs, FlowCodec().vectors) == (3, slice(0, 2))
        assert (BoundaryCodec().n_outputs, BoundaryCodec().vectors) == (3, None)
        assert (FLOW_SCALE, BOUNDARY_WIDTH) == (5, 1)
        assert (BACKGROUND, INTERIOR, BOUNDARY) == (0, 1, 2)
        assert BoundaryCodec().min_size == 15
        assert BoundaryCodec().thresholds(Decoding()) is None


class TestGivenThresholds:
    """Parameters are numbers, which stand, or "auto", which stands for what was learned."""

    SCORES = Calibration(20.0, (0.0,) * 5, (0.0,), (1.0,))

    def test_those_of_a_segmenter(self):
        segmenter = flowseg.FlowSegmenter(flow_threshold=None, min_size=7, n_iter=9, workers=1)
        codec = FlowCodec.of(segmenter)
        assert codec == FlowCodec(GivenThresholds(flow_threshold=None, min_size=7), 9, 1)
        learned = Decoding(Thresholds(-1.0, 0.2, 30, 0.5))
        assert codec.thresholds(learned) == Thresholds(-1.0, None, 7, 0.5)
        assert codec.thresholds(Decoding()) == Thresholds(0.0, None, 7, None)

    @pytest.mark.parametrize("given", [{}, {"score_threshold": None}, {"min_size": 3}])
    def test_without_a_threshold_no_scores_are_needed(self, given):
        codec = FlowCodec(GivenThresholds(**given))
        codec.check_learned(Decoding())
        codec.check_can_learn(0, Decoding())

    def test_a_threshold_needs_scores(self):
        codec = FlowCodec(GivenThresholds(score_threshold=0.25))
        codec.check_learned(Decoding(calibration=self.SCORES))
        codec.check_can_learn(0, Decoding(calibration=self.SCORES))
        codec.check_can_learn(LEAST_OBJECTS, Decoding())
        with pytest.raises(ValueError, match=r"needs 50 validation objects for it.*; got 0.25\.$"):
            codec.check_learned(Decoding())
        with pytest.raises(ValueError, match=r"fewer than 50 validation objects .*; got 0.25 and 49\.$"):
            codec.check_can_learn(LEAST_OBJECTS - 1, Decoding())

    @pytest.mark.parametrize(("scores", "n", "score_threshold"), [(SCORES, 5, 0.1), (SCORES, 4, 0.5), (None, 4, None)])
    def test_what_is_not_learned_stays(self, scores, n, score_threshold, monkeypatch):
        """Given thresholds are as before, and a score's with too few images; without scores there is none."""
        learned = Decoding(Thresholds(1.0, 0.1, 7, 0.1), scores)
        monkeypatch.setattr("flowseg._segmenters.codecs.flow_codec.learn_decoding", lambda *_, **__: learned)
        before = Decoding(Thresholds(-1.0, 0.2, 30, 0.5), self.SCORES)
        found = FlowCodec(GivenThresholds(min_size=7)).learn([], [MASKS] * n, before, diameter=20.0)
        assert found == Decoding(Thresholds(1.0, 0.1, 30, score_threshold), scores)


class TestBoundary:
    def test_target(self):
        masks = np.zeros((7, 12), int)
        masks[1:6, 1:6], masks[1:6, 6:11] = 5, 2
        expected = classes(
            """.##########.
               ############
               ##ooo##ooo##
               ##ooo##ooo##
               ##ooo##ooo##
               ############
               .##########."""
        )
        target = BoundaryCodec().encode(masks, workers=1)
        assert np.array_equal(target[..., 1:], expected)
        assert (target[..., 0] == 1).all()
        assert target.dtype == np.float32
        assert target.flags.c_contiguous

    def test_of_a_constant_image(self):
        codec = BoundaryCodec()
        outputs = codec.no_objects((3, 5))
        assert np.allclose(codec.probabilities(outputs), [1, 0, 0])
        assert not decode(outputs).any()

    def test_probabilities_of_large_logits(self):
        found = BoundaryCodec().probabilities(np.array([[[1000.0, 0, 1000], [-1000, -1001, -1000]]], np.float32))
        e = np.exp(-1)
        assert np.allclose(found, [[[0.5, 0, 0.5], [1 / (2 + e), e / (2 + e), 1 / (2 + e)]]])
        assert found.dtype == np.float32

    @pytest.mark.parametrize(("scale", "width"), [(0.3, 1), (1.0, 1), (2.0, 2), (3.0, 3), (4.5, 4)])
    def test_grown_back_by_the_boundary_at_every_scale(self, scale, width):
        outputs = np.zeros((31, 41, 3), np.float32)
        outputs[..., BACKGROUND] = 1
        outputs[10:21, 15:26] = np.eye(3)[INTERIOR]
        found = decode(outputs, scale=scale)
        assert np.flatnonzero(found[15]).tolist() == list(range(15 - width, 26 + width))
        assert np.flatnonzero(found[:, 20]).tolist() == list(range(10 - width, 21 + width))

    def test_components_that_share_a_corner_are_two(self):
        outputs = classes(
            """.........
               .ooo.....
               .ooo.....
               .ooo.....
               ....ooo..
               ....ooo..
               ....ooo..
               ........."""
        )
        found = decode(outputs)
        assert found.dtype == np.int32
        assert found[2, 2] == 1
        assert found[5, 5] == 2

    @pytest.mark.parametrize(("min_size", "left"), [(0, 3), (5, 3), (6, 2), (21, 2), (22, 1), (1000, 0)])
    def test_min_size_counts_what_is_grown(self, min_size, left):
        outputs = np.zeros((12, 40, 3), np.float32)
        outputs[..., BACKGROUND] = 1
        for place in ((slice(5, 6), slice(3, 4)), (slice(4, 7), slice(10, 13)), (slice(3, 9), slice(20, 30))):
            outputs[place] = np.eye(3)[INTERIOR]  # grown to 5, 21 and 92 pixels
        found = decode(outputs, min_size=min_size)
        assert np.unique(found[found > 0]).tolist() == list(range(1, left + 1))

    def test_an_image_of_one_pixel(self):
        assert decode(classes("o")).tolist() == [[1]]

    def test_an_unknown_pixel_makes_no_boundary(self):
        masks = np.ones((5, 6), int)
        masks[2, 3] = -1
        target = BoundaryCodec().encode(masks, workers=1)
        assert not target[..., 1 + BOUNDARY].any()
        assert target[..., 0].sum() == 29
