import numpy as np
import pytest

from flowseg import masks_to_flows, plot, synthetic


def test_flow_colours():
    flows = np.zeros((2, 1, 5), np.float32)
    flows[1, 0, 0], flows[0, 0, 1], flows[1, 0, 2], flows[0, 0, 3] = 1, -1, -1, 1  # right, up, left, down
    colours = plot.flow_colours(flows)[0].astype(int)
    assert colours[4].tolist() == [0, 0, 0]
    assert len({tuple(c) for c in colours}) == 5  # opposite directions differ
    key = plot.flow_key(65)
    assert key[32, 64].tolist() == colours[0].tolist()
    assert key[0, 32].tolist() == colours[1].tolist()


def test_pictures():
    image, masks = synthetic.cells((64, 80), 8, rng=0)
    for picture in (plot.flow_colours(masks_to_flows(masks)), plot.mask_colours(masks), plot.outlines(image, masks)):
        assert picture.shape == (64, 80, 3)
        assert picture.dtype == np.uint8
    filled = plot.mask_colours(masks)
    assert np.array_equal(filled.any(axis=2), masks > 0)
    assert len(np.unique(filled.reshape(-1, 3), axis=0)) == 9
    drawn = np.all(plot.outlines(image, masks) == plot.OUTLINE_COLOUR, axis=2)
    assert drawn.any()
    assert not drawn[masks == 0].any()


def test_outlines_of_any_image():
    masks = np.eye(5, dtype=int)
    for image in (np.ones((5, 5)), np.random.default_rng(0).random((5, 5, 3)), np.eye(5)[..., None]):
        assert plot.outlines(image, masks).shape == (5, 5, 3)
    with pytest.raises(ValueError, match=r"image must have the shape of masks, \(5, 5\)"):
        plot.outlines(np.eye(4), masks)


def test_flow_colours_refuses():
    with pytest.raises(ValueError, match=r"flows must have shape \(2, rows, columns\)"):
        plot.flow_colours(np.zeros((3, 4, 4, 4)))
    with pytest.raises(TypeError, match="flows must be signed floats"):
        plot.flow_colours(np.zeros((2, 4, 4), np.uint8))
