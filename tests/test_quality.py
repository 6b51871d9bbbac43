"""Scores of objects: numbers that are far off count like those at the limit, and every column counts."""

import numpy as np
import pytest

from flowseg._segmenters.learned_decoding.object_scores import Calibration, _features, calibrate, read_calibration
from flowseg._segmenters.learned_decoding.object_table import describe_objects

PLAIN = {"cellprob": 5.0, "flow_error": 0.25, "touches_border": False, "diameter": 20.0}


def table(*rows):
    rows = [PLAIN | row for row in rows]
    return {name: np.array([row[name] for row in rows], type(PLAIN[name])) for name in PLAIN}


def features(**row):
    return _features(table(row), 20.0)[0].tolist()


class TestFeatures:
    def test_of_a_usual_object(self):
        assert features() == [1.0, 0.5, 0.0, 1.0, 0.0, 0.0]

    @pytest.mark.parametrize(
        ("row", "column", "value"),
        [
            ({"cellprob": 10.0}, 0, 2.0),
            ({"cellprob": 11.0}, 0, 2.0),
            ({"cellprob": 1e6}, 0, 2.0),
            ({"cellprob": -10.0}, 0, -2.0),
            ({"cellprob": -1e6}, 0, -2.0),
            ({"cellprob": 9.0}, 0, 1.8),
            ({"flow_error": 2.0}, 1, 2.0**0.5),
            ({"flow_error": 4.0}, 1, 2.0**0.5),
            ({"touches_border": True}, 1, 0.0),
            ({"touches_border": True}, 2, 0.5),
            ({"touches_border": True}, 3, 0.0),
            ({"diameter": 10.0}, 4, -np.log(2)),
            ({"diameter": 10.0}, 5, 0.0),
            ({"diameter": 40.0}, 5, np.log(2)),
            ({"diameter": 40.0}, 4, 0.0),
            ({"diameter": 0.25}, 4, -np.log(20)),
        ],
    )
    def test_each_column(self, row, column, value):
        assert features(**row)[column] == pytest.approx(value)

    def test_extreme_logits_have_the_scores_of_the_limit(self):
        calibration = Calibration(20.0, (1.0,) + (0.0,) * 5, (-3.0, 3.0), (0.0, 1.0))
        scores = calibration.score(table(*({"cellprob": v} for v in (-1e30, -10.0, 0.0, 10.0, 1e30))))
        assert scores == pytest.approx([1 / 6, 1 / 6, 0.5, 5 / 6, 5 / 6])


class TestCalibration:
    def test_it_learns_the_order_and_the_shares(self):
        values = np.repeat([-4.0, -1.0, 2.0, 5.0], 100)
        matched = np.concatenate([np.arange(100) < n for n in (10, 40, 60, 95)])
        made = calibrate([table(*({"cellprob": v} for v in values))], [matched], 20.0)
        scores = made.score(table(*({"cellprob": v} for v in (-4.0, -1.0, 2.0, 5.0, 9.0))))
        assert scores == pytest.approx([0.1, 0.4, 0.6, 0.95, 0.95])
        assert made.diameter == 20

    @pytest.mark.parametrize(("truth", "share"), [(True, 4.5 / 5), (False, 0.5 / 5)])
    def test_of_one_kind(self, truth, share):
        made = calibrate([table({}, {}), table({}, {})], [np.full(2, truth)] * 2, 20.0)
        assert made.score(table({}, {"cellprob": -9.0})) == pytest.approx([share, share])

    def test_of_nothing(self):
        assert calibrate([table()], [np.zeros(0, bool)], 20.0) is None


class TestDocument:
    GOOD = {"diameter": 3.0, "weights": [0.0] * 6, "knots": [0.0, 0.0, 1.0], "probabilities": [0.0, 1.0, 1]}

    def test_what_is_read(self):
        assert read_calibration(None) is None
        assert read_calibration(self.GOOD) == Calibration(3.0, (0.0,) * 6, (0.0, 0.0, 1.0), (0.0, 1.0, 1.0))
        assert read_calibration(self.GOOD | {"diameter": 0.01}).diameter == 0.01
        assert read_calibration(self.GOOD | {"knots": [1], "probabilities": [1]}).knots == (1.0,)

    @pytest.mark.parametrize(
        "change",
        [
            {"diameter": 0.0},
            {"diameter": -1},
            {"diameter": np.nan},
            {"diameter": [3.0]},
            {"weights": [0.0] * 5},
            {"weights": [0.0] * 5 + [np.inf]},
            {"weights": 0.0},
            {"knots": [0.0, 1.0]},
            {"knots": [[0.0, 1.0, 2.0]]},
            {"knots": [1.0, 0.0, 2.0]},
            {"knots": [0.0, 1.0, np.nan]},
            {"knots": [], "probabilities": []},
            {"knots": 1.0, "probabilities": 1.0},
            {"probabilities": [-0.1, 0.5, 1.0]},
            {"probabilities": [0.0, 0.5, 1.1]},
            {"probabilities": [0.5, 0.4, 1.0]},
            {"probabilities": ["0", "0", "1"]},
            {"probabilities": [0.0, [0.5], 1.0]},
            {"probabilities": [False, True, True]},
            {"more": 1},
        ],
        ids=str,
    )
    def test_what_is_not(self, change):
        with pytest.raises(ValueError, match="^score must "):
            read_calibration(self.GOOD | change)


@pytest.mark.parametrize("chunk", [5, None])
@pytest.mark.parametrize("shape", [(6, 7), (4, 6, 7), (1, 6, 7)])
def test_objects_at_the_border(shape, chunk, monkeypatch):
    if chunk:
        monkeypatch.setattr("flowseg._segmenters.learned_decoding.object_table.CHUNK", chunk)
    masks = np.zeros(shape, np.int32)
    masks[..., 2:4, 2:4], masks[..., 0, 0], masks[..., 3, 6] = 1, 2, 3
    flows = np.zeros((len(shape), *shape), np.float32)
    said = describe_objects(masks, flows, np.where(masks == 2, 3, -1).astype(np.float32), workers=1)
    through = len(shape) == 3 and shape[0] > 1
    assert said["touches_border"].tolist() == [through, True, True]
    planes = shape[0] if len(shape) == 3 else 1
    assert said["area" if len(shape) == 2 else "volume"].tolist() == [4 * planes, planes, planes]
    assert said["cellprob"].tolist() == [-1.0, 3.0, -1.0]
    expected = 2 * np.sqrt(4 / np.pi) if len(shape) == 2 else 2 * np.cbrt(3 * 4 * planes / (4 * np.pi))
    assert said["diameter"][0] == pytest.approx(expected)
