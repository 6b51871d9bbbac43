"""What a type checker sees of the segmenters: an array for an array, a list for a list, words that there are."""

import subprocess
import sys

import pytest

CODE = """
from typing import Any, assert_type
import numpy as np
from numpy.typing import NDArray
from flowseg import BoundarySegmenter, FlowSegmenter

class DaskArray:
    def __array__(self) -> NDArray[Any]:
        return np.zeros((8, 8))

Masks = NDArray[np.int32]
Floats = NDArray[np.float32]

def look(flow: FlowSegmenter, three: BoundarySegmenter, image: NDArray[np.uint16], images: list[NDArray[Any]]) -> None:
    for segmenter in (flow, three):
        assert_type(segmenter.predict(image), Masks)
        assert_type(segmenter.predict(images, diameters=[20.0, "estimate"]), list[Masks])
    assert_type(flow.predict_flows(image), tuple[Floats, Floats])
    assert_type(flow.predict_flows(images), list[tuple[Floats, Floats]])
    assert_type(flow.predict_objects(image), tuple[Masks, dict[str, NDArray[Any]]])
    assert_type(flow.predict_objects(images), list[tuple[Masks, dict[str, NDArray[Any]]]])
    objects = flow.predict_objects(tuple(images))
    assert_type(objects[0][1]["score"], NDArray[Any])
    assert_type(flow.predict(DaskArray()), Masks | list[Masks])
    assert_type(flow.predict_flows(DaskArray()), tuple[Floats, Floats] | list[tuple[Floats, Floats]])
    assert_type(flow.predict_flows(list(np.zeros((3, 8, 8)))), list[tuple[Floats, Floats]])
    assert_type(three.predict_classes(image), Floats)
    assert_type(three.predict_classes(images), list[Floats])
    assert_type(flow.fit(images, images), FlowSegmenter)
    assert_type(flow.diameter_, float)

FlowSegmenter(network="resunet", diameter="auto", flow_threshold=None)
FlowSegmenter.from_pretrained("nuclei").predict([], diameters="estimate")
"""
WRONG = """
FlowSegmenter(diameter="large")
FlowSegmenter(network="vnet")
FlowSegmenter(min_size=None)
FlowSegmenter.from_pretrained("cells")
FlowSegmenter().predict([], diameters="guess")
FlowSegmenter().predict_objects([], diameters=["guess"])
"""


def test_types_and_words(tmp_path):
    pytest.importorskip("mypy")
    file = tmp_path / "look.py"
    file.write_text(CODE + WRONG)
    options = ["--no-error-summary", "--cache-dir", str(tmp_path / "cache")]
    output = subprocess.run([sys.executable, "-m", "mypy", *options, str(file)], capture_output=True, text=True).stdout
    lines = [int(line.split(":")[1]) for line in output.splitlines() if ": error:" in line]
    first = CODE.count("\n") + 2
    assert lines == list(range(first, first + WRONG.count("\n") - 1)), output
