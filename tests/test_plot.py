import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.io import imread
from skimage.segmentation import expand_labels

from flowseg import masks_from_rgb, masks_to_flows, plot, synthetic
from flowseg.plot._graph_coloring import color_graph, find_neighbors
from flowseg.plot._palette import PALETTE, make_palette
from flowseg.plot._show_comparison import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE

# Simulations of dichromats, in linear RGB: G. M. Machado et al., IEEE TVCG 15, 1291 (2009), severity 1.
COLOR_BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def seen_by(kind, colors):
    """Colors of 0..255 as Lab, as seen with a kind of color blindness."""
    srgb = np.array(colors) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(COLOR_BLIND[kind]).T, 0, 1) if kind in COLOR_BLIND else linear
    return rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)[None])[0]


def least_difference(kind, colors):
    """CIEDE2000 of the two colors that are hardest to tell apart; about 2 can just be seen side by side."""
    lab = seen_by(kind, colors)
    i, j = np.triu_indices(len(lab), 1)
    return deltaE_ciede2000(lab[i], lab[j]).min()


def check_colors(masks):
    """Every object has one color, background is black, pixels of touching objects differ; picture, pairs of these."""
    picture = plot.mask_colors(masks)
    code = (picture[..., 0].astype(np.int64) << 16) + (picture[..., 1].astype(np.int64) << 8) + picture[..., 2]
    assert np.array_equal(code == 0, masks <= 0)
    inside = masks > 0
    number = np.where(inside, masks, 0)
    number = np.unique(number, return_inverse=True)[1].reshape(masks.shape) if number.max() > 2**20 else number
    code_of = np.zeros(int(number.max()) + 1, np.int64)
    code_of[number] = code
    assert np.array_equal(code_of[number], code)
    rows, columns = masks.shape
    n_touching = 0
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = np.s_[: rows - down, max(-across, 0) : columns - max(across, 0)]
        there = np.s_[down:, max(across, 0) : columns - max(-across, 0)]
        touch = inside[here] & inside[there] & (masks[here] != masks[there])
        assert not (code[here] == code[there])[touch].any()
        n_touching += int(touch.sum())
    return picture, n_touching


def test_flow_colors():
    flows = np.zeros((2, 1, 5), np.float32)
    flows[1, 0, 0], flows[0, 0, 1], flows[1, 0, 2], flows[0, 0, 3] = 1, -1, -1, 1  # right, up, left, down
    colors = plot.flow_colors(flows)[0].astype(int)
    assert colors[4].tolist() == [0, 0, 0]
    assert len({tuple(c) for c in colors}) == 5  # opposite directions differ
    key = plot.flow_key(65)
    assert key[32, 64].tolist() == colors[0].tolist()
    assert key[0, 32].tolist() == colors[1].tolist()


def test_pictures():
    image, masks = synthetic.cells((64, 80), 8, rng=0)
    for picture in (plot.flow_colors(masks_to_flows(masks)), plot.mask_colors(masks), plot.outlines(image, masks)):
        assert picture.shape == (64, 80, 3)
        assert picture.dtype == np.uint8
    drawn = np.all(plot.outlines(image, masks) == plot.OUTLINE_COLOR, axis=2)
    assert drawn.any()
    assert not drawn[masks == 0].any()


def test_outlines_of_any_image():
    masks = np.eye(5, dtype=int)
    for image in (np.ones((5, 5)), np.random.default_rng(0).random((5, 5, 3)), np.eye(5)[..., None]):
        assert plot.outlines(image, masks).shape == (5, 5, 3)
    with pytest.raises(ValueError, match=r"image must have the shape of masks, \(5, 5\)"):
        plot.outlines(np.eye(4), masks)
    color = np.random.default_rng(1).random((5, 5, 3))
    opaque = np.concatenate([color, np.ones((5, 5, 1))], axis=2)
    assert np.array_equal(plot.outlines(opaque, masks), plot.outlines(color, masks))
    with pytest.raises(ValueError, match=r"image must have shape \(rows, columns\) or .*; got \(5, 5, 3, 1\)"):
        plot.outlines(color[..., None], masks)


def test_flow_colors_refuses():
    with pytest.raises(ValueError, match=r"flows must have shape \(2, rows, columns\) or \(3, planes, rows, columns\)"):
        plot.flow_colors(np.zeros((3, 4, 4)))
    with pytest.raises(TypeError, match="flows must be signed floats"):
        plot.flow_colors(np.zeros((2, 4, 4), np.uint8))


def test_mask_colors_differ_between_neighbors(voronoi):
    masks = voronoi((90, 110), 150)
    picture, n_touching = check_colors(masks)
    assert n_touching > 1000
    colors = {tuple(c) for c in picture.reshape(-1, 3).tolist()}
    assert colors == set(PALETTE)  # a map in the plane needs no more, and all of them are used


def test_mask_colors_of_ten_thousand_objects():
    seeds = np.zeros((1200, 1200), int)
    place = np.random.default_rng(0).permutation(seeds.size)[:10_000]
    seeds.flat[place] = np.random.default_rng(1).permutation(10_000) + 1
    picture, n_touching = check_colors(expand_labels(seeds, 8))
    assert n_touching > 100_000
    shares = [np.mean((picture == color).all(axis=2)) for color in PALETTE]
    assert np.sum(shares) == pytest.approx(np.mean(picture.any(axis=2)))  # no other color
    assert max(shares) < 1.1 * min(shares)  # they take turns


def test_mask_colors_of_objects_that_all_touch():
    masks = np.random.default_rng(0).integers(-3, 60, (200, 200))  # in many components, each beside every other
    picture, _ = check_colors(masks)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 60  # 59 and background


def test_mask_colors_give_the_masks_back():
    _, masks = synthetic.cells((128, 128), 30, rng=1)
    assert np.array_equal(masks_from_rgb(plot.mask_colors(masks)) > 0, masks > 0)
    assert masks_from_rgb(plot.mask_colors(masks)).max() == 30


@pytest.mark.parametrize(
    "masks",
    [
        np.zeros((3, 4), np.uint8),
        np.full((3, 4), -1),
        np.full((2, 2), 7),
        np.array([[0, 2**64 - 1, 5]], dtype=np.uint64),
        np.array([[3]]),
        np.array([[1], [-2], [9]], dtype=np.int8),
    ],
)
def test_mask_colors_of_any_label_image(masks):
    before = masks.copy()
    check_colors(masks)
    assert np.array_equal(masks, before)
    assert np.array_equal(plot.mask_colors(masks), plot.mask_colors(masks))


def test_mask_colors_refuses():
    with pytest.raises(TypeError, match="masks must be an integer label image"):
        plot.mask_colors(np.ones((2, 2)))
    with pytest.raises(ValueError, match="masks must be 2-D"):
        plot.mask_colors(np.ones((2, 2, 2, 2), int))


@pytest.mark.parametrize("name", ["dsb2018_histology", "bacteria_omnipose"])
def test_mask_colors_of_real_label_images(shared, name):
    files = sorted((shared / "data" / name).glob("**/labels/*.tif"))
    n_touching = 0
    for file in files:
        _, n = check_colors(imread(file).astype(np.int64))
        n_touching += n
    assert n_touching > 5_000


def test_neighbors_are_those_with_only_background_between():
    masks = np.zeros((9, 30), int)
    masks[4, 2], masks[4, 12], masks[4, 27] = 1, 2, 3  # in a row: the outer two have the third between them
    assert find_neighbors(masks).tolist() == [[1, 2], [2, 3]]
    assert find_neighbors(np.array([[1, 0], [0, 2]])).tolist() == [[1, 2]]
    assert find_neighbors(np.array([[1, 2], [3, 4]])).tolist() == [[1, 2], [1, 3], [1, 4], [2, 3], [2, 4], [3, 4]]
    assert find_neighbors(np.zeros((2, 2), int)).shape == (0, 2)


def test_neighbors_of_real_label_images(shared):
    """Against the definition, pixel by pixel: the nearest object of every background pixel, by brute force."""
    from scipy.spatial import cKDTree

    masks = imread(sorted((shared / "data" / "dsb2018" / "val" / "labels").glob("*.tif"))[0]).astype(np.int64)
    found = {tuple(pair) for pair in find_neighbors(masks).tolist()}
    places = np.argwhere(masks > 0)
    distance, nearest = cKDTree(places).query(np.argwhere(masks >= 0), k=2)
    regions = masks[tuple(places[nearest[:, 0]].T)].reshape(masks.shape)
    sure = (distance[:, 0] < distance[:, 1]).reshape(masks.shape) | (masks > 0)  # not as near to another pixel
    expected = set()
    for here, there in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        pairs = np.stack([regions[here], regions[there]], axis=-1)[sure[here] & sure[there]]
        expected |= {tuple(sorted(pair)) for pair in pairs[pairs[:, 0] != pairs[:, 1]].tolist()}
    assert expected <= found
    assert len(found) <= 3 * masks.max() - 6 + 10  # a plane map's limit, and a few that meet at corners


def test_color_graph_adds_colors_where_needed():
    i, j = np.triu_indices(12, 1)
    assert sorted(color_graph(np.stack([i + 1, j + 1], axis=1), 12, 7)) == list(range(12))
    assert color_graph(np.empty((0, 2), int), 3, 2).tolist() == [0, 1, 0]
    assert color_graph(np.empty((0, 2), int), 0, 7).size == 0


def test_palette_is_distinct_to_the_color_blind():
    """All pairs differ at least five times more than what can just be seen; those of a comparison ten times."""
    for kind in ("none", *COLOR_BLIND):
        assert least_difference(kind, [(0, 0, 0), *PALETTE]) > 10, kind
        assert least_difference(kind, [TRUE_POSITIVE, FALSE_NEGATIVE, FALSE_POSITIVE]) > 20, kind
    assert least_difference("deuteranopia", [(200, 60, 40), (90, 120, 30)]) < 10  # a red and a green
    for n in (1, 8, 9, 10, 40, 700):
        palette = make_palette(n)
        assert len(palette) >= n
        assert len(np.unique(palette, axis=0)) == len(palette)
        assert palette.max(axis=1).min() >= 40
