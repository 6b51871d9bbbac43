"""Labkit's labelings: the limits of what is read, just within and just beyond."""

import json

import numpy as np
import pytest

import flowseg
from flowseg import io
from flowseg.io import _labkit


def sizes(masks):
    return np.bincount(np.ravel(masks))[1:].tolist()


class TestLabkit:
    def read(self, folder, low, high, **labels):
        document = {"interval": {"min": low, "max": high}, "labels": labels}
        (folder / "a.labeling").write_text(json.dumps(document))
        return flowseg.io.read_labkit(folder / "a.labeling")

    def test_intervals(self, tmp_path, monkeypatch):
        found = self.read(tmp_path, [5, 6, 7], [7, 9, 8], a=[[5, 6, 7], [7, 9, 8]])
        assert found.shape == (2, 4, 3)
        assert np.argwhere(found).tolist() == [[0, 0, 0], [1, 3, 2]]
        assert self.read(tmp_path, [-3, 2], [-3, 2], a=[[-3, 2]]).tolist() == [[1]]
        for low, high in (([0], [5]), ([0] * 4, [5] * 4), ([0, 0], [5, -1]), ([0, 0, 0], [5, -1, 5])):
            with pytest.raises(ValueError, match=r"got: an interval of shape \("):
                self.read(tmp_path, low, high, a=[low])
        for low, high in (([0, 0], [5, 5.5]), ([0.0, 0], [5, 5]), ([0, 0], [5, 5, 5]), ([[0, 0]], [[5, 5]]),
                          ([0, 0], ["5", "5"])):  # fmt: skip
            with pytest.raises(ValueError, match="got: an interval whose min and max are not whole numbers, one per"):
                self.read(tmp_path, low, high, a=[[0, 0]])
        asked = []
        monkeypatch.setattr(_labkit.memory, "check", lambda n, what="it", path=None: asked.append((n, what)))
        self.read(tmp_path, [0, 0], [5, 6], a=[[0, 0]])
        assert (_labkit.PIXEL_BYTES * 42, "with an interval of shape (7, 6) it") in asked

    def test_pixels_outside(self, tmp_path):
        for low, high, bad in (([2, 3], [5, 6], [[1, 4], [6, 4], [4, 2], [4, 7], [4.5, 4], [4, 4, 4], [4]]),
                               ([2, 3, 4], [5, 6, 7], [[4, 4, 8], [4, 4, 3], [4, 4]])):  # fmt: skip
            for pixel in bad:
                other = [low[k] if k < len(low) else 4 for k in range(len(pixel))]
                with pytest.raises(
                    ValueError,
                    match="got: pixels of label 'cell' (outside of the interval|that are not whole numbers, one per axis).$",
                ):
                    self.read(tmp_path, low, high, cell=[other, pixel])

    def test_files_that_are_no_labeling(self, tmp_path):
        for text in ("[]", "3", '{"labels": []}', '{"labels": null}'):
            (tmp_path / "a.json").write_text(text)
            with pytest.raises(ValueError, match="must be a readable Labkit labeling; got: something without labels"):
                flowseg.io.read_labkit(tmp_path / "a.json")

    def test_labels(self, tmp_path):
        with pytest.warns(UserWarning, match="1 of 2 entries .* the label 'Background'"):
            assert sizes(self.read(tmp_path, [0, 0], [5, 5], Background=[[0, 0]], cell=[[3, 3], [3, 4]])) == [2]
        with pytest.warns(UserWarning, match="1 of 2 entries .* the label 'cell', which is not chosen"):
            assert sizes(flowseg.io.read_labkit(tmp_path / "a.labeling", classes="Background")) == [1]
        (tmp_path / "a.BSON").write_bytes(b"")
        with pytest.raises(ValueError, match="ImgLib2's: save as .labeling"):
            flowseg.io.read_labkit(tmp_path / "a.BSON")
        io.write_masks(tmp_path / "b.tif", np.array([[1, 0, 1]]))
        for name in ("b.tiff", "b.TIF"):
            (tmp_path / "b.tif").rename(tmp_path / name)
            assert flowseg.io.read_labkit(tmp_path / name).tolist() == [[1, 0, 2]]
            (tmp_path / name).rename(tmp_path / "b.tif")
