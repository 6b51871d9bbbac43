"""Pictures and figures of volumes: what is where on the sheet, in which proportions and colors."""

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from skimage.io import imread
from skimage.segmentation import find_boundaries

from flowseg import masks_to_flows, metrics, plot
from flowseg.plot import _graph_coloring
from flowseg.plot._graph_coloring import find_neighbors, find_visible_neighbors
from flowseg.plot._pictures import image_colors
from flowseg.plot._views import make_sheet

SPACING = (2.5, 1, 1)
WHITE = 255


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def volume(voronoi):
    """A volume of 8 x 20 x 30 voxels with touching cells, some of them removed."""
    masks = voronoi((8, 20, 30), 25)
    masks[masks % 5 == 0] = 0
    image = np.random.default_rng(0).random(masks.shape) + masks
    return image, masks


def boxes(sheet):
    return [view.box for view in sheet.views]


def codes(picture):
    return (picture.astype(np.int64) * (1 << 16, 1 << 8, 1)).sum(axis=-1)


def test_views_are_planes_through_the_point(volume):
    image, _ = volume
    at = (3, 11, 7)
    picture = plot.orthogonal_views(image, spacing=SPACING, at=at, cross_lines=False)
    colors = image_colors(image, image.shape)
    sheet = make_sheet(image.shape, SPACING, at)
    upper, below, right = boxes(sheet)
    assert picture.shape == (20 + 2 + 20, 30 + 2 + 20, 3)
    assert np.array_equal(picture[upper], colors[3])
    # 8 planes are 20 pixels: each is two or three of them.
    planes = ((np.arange(20) + 0.5) * 8 / 20).astype(int)
    assert np.array_equal(picture[below], colors[planes, 11])
    assert np.array_equal(picture[right], colors[planes, :, 7].swapaxes(0, 1))
    outside = np.ones(picture.shape[:2], bool)
    for box in (upper, below, right):
        outside[box] = False
    assert (picture[outside] == WHITE).all()
    assert np.array_equal(
        plot.orthogonal_views(image, spacing=(5, 2, 2)), plot.orthogonal_views(image, spacing=SPACING, at=(4, 10, 15))
    )


def test_cross_lines_go_through_the_point(volume):
    image, _ = volume
    at = (3, 11, 7)
    plain, crossed = (
        plot.orthogonal_views(image, spacing=SPACING, at=at, cross_lines=lines).astype(int) for lines in (False, True)
    )
    changed = (plain != crossed).any(axis=2)
    sheet = make_sheet(image.shape, SPACING, at)
    for box, row, column in zip(boxes(sheet), (11, 8, 11), (7, 7, 8)):
        part = changed[box]
        rows, columns = np.flatnonzero(part.all(axis=1)), np.flatnonzero(part.all(axis=0))
        assert (rows.tolist(), columns.tolist()) == ([row], [column])
        assert part.sum() == part.shape[0] + part.shape[1] - 1
    assert np.abs(plain - crossed)[changed].max(axis=1).min() > 50


def test_outlines_have_the_same_color_in_all_views(volume):
    image, masks = volume
    at = (3, 11, 7)
    table = np.zeros((masks.max() + 1, 3), np.uint8)
    table[masks] = plot.mask_colors(masks)
    picture = plot.orthogonal_views(0 * image, masks, spacing=SPACING, at=at, cross_lines=False)
    sheet = make_sheet(masks.shape, SPACING, at)
    for box, labels in zip(boxes(sheet), sheet.scale(sheet.slices(masks))):
        edge = find_boundaries(labels, mode="inner")
        assert edge.sum() > 50
        assert np.array_equal(picture[box], np.where(edge[..., None], table[labels], 0))


def check_views(masks):
    """In every plane of all three directions, objects with only background between differ in color; their pairs."""
    picture = codes(plot.mask_colors(masks))
    assert np.array_equal(picture == 0, masks <= 0)
    color_of = np.zeros(masks.max() + 1, np.int64)
    color_of[masks] = picture
    assert np.array_equal(color_of[masks], picture)  # one color per object, in every plane
    found = set()
    for axis in range(3):
        for plane in np.moveaxis(masks, axis, 0):
            found |= {tuple(pair) for pair in find_neighbors(plane.astype(np.int64)).tolist()}
    assert all(color_of[a] != color_of[b] for a, b in found)
    return found


def test_neighbors_differ_in_every_view(volume, shared):
    _, masks = volume
    assert len(check_views(masks)) > 60
    for name in ("ovule_nuclei3d", "embryo3d_qcanet"):
        for file in sorted((shared / "data" / name / "train" / "labels").glob("*.tif")):
            labels = imread(file).astype(np.int64)
            labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
            assert len(check_views(labels)) > 20


def test_neighbors_of_large_volumes_are_found_on_fewer_voxels(volume, monkeypatch):
    """Those that touch are all found, the others nearly all."""
    _, masks = volume
    exact = {tuple(pair) for pair in find_visible_neighbors(masks).tolist()}
    monkeypatch.setattr(_graph_coloring, "GAP_VOXELS", masks.size // 8)
    rough = {tuple(pair) for pair in find_visible_neighbors(masks).tolist()}
    touching = set()
    for axis in range(3):
        for plane in np.moveaxis(masks, axis, 0):
            a, b = plane[1:], plane[:-1]
            both = (a != b) & (a > 0) & (b > 0)
            touching |= {tuple(sorted(pair)) for pair in zip(a[both].tolist(), b[both].tolist())}
    assert touching <= rough
    assert min(pair[0] for pair in rough) > 0
    assert len(rough & exact) > 0.9 * len(exact)


def test_maximum_projections(volume):
    image, masks = volume
    image = np.zeros(masks.shape)
    image[2, 5, 7] = 1
    first = np.zeros(masks.shape, int)
    first[1, 4:9, 5:10] = 4  # in front of the next one, seen along the planes
    first[6, 3:12, 5:15] = 9
    sheet = make_sheet(masks.shape)
    picture = plot.maximum_projections(image)
    bright = np.argwhere((picture == WHITE).all(axis=2))
    inside = [tuple(place) for box in boxes(sheet) for place in bright - (box[0].start, box[1].start)]
    assert {(5, 7), (2, 7), (5, 2)} <= set(inside)
    outlined = codes(plot.maximum_projections(image, first))[boxes(sheet)[0]]
    colors = codes(plot.mask_colors(first))
    near, far = colors[1, 4, 5], colors[6, 3, 5]
    assert near != far
    assert (outlined[4, 5:10] == near).all()
    assert (outlined[3, 5:15] == far).all()


def test_pictures_of_volumes_are_those_of_their_planes(volume):
    image, masks = volume
    flows = masks_to_flows(masks)
    assert np.array_equal(plot.flow_colors(flows)[3], plot.flow_colors(flows[1:, 3]))
    drawn = plot.outlines(image, masks)
    assert drawn.shape == (*masks.shape, 3)
    edges = np.stack([find_boundaries(plane, mode="inner") for plane in masks])
    assert np.array_equal((drawn == plot.OUTLINE_COLOR).all(axis=-1), edges)


def test_flows_are_shown_along_the_axes_of_each_view():
    """Flows to the last plane: downwards in the view below, to the right in the view beside."""
    flows = np.zeros((3, 4, 6, 8), np.float32)
    flows[0] = 1
    picture = np.asarray(plot.show_flows(flows).images[0].get_array())
    upper, below, right = boxes(make_sheet((4, 6, 8)))
    down, across = plot.flow_colors(np.array([[[1.0]], [[0.0]]]))[0, 0], plot.flow_colors(np.array([[[0.0]], [[1.0]]]))
    assert not picture[upper].any()
    assert (picture[below] == down).all()
    assert (picture[right] == across[0, 0]).all()


def test_figures_show_the_point_and_the_whole_count(volume):
    image, masks = volume
    found = np.where(masks == 3, 0, masks)
    found[found == 6] = 7
    at = (0, 0, 29)
    pooled = metrics.match(masks, found)
    ax = plot.show_comparison(masks, found, image=image, spacing=SPACING, at=at)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"{pooled.tp} true positives" in texts
    assert metrics.splits_merges(masks, found).merges == 1
    assert "1 merge" in texts
    for figure in (
        ax,
        plot.show_volume(image, masks, spacing=SPACING, at=at),
        plot.show_masks(masks, image=image, spacing=SPACING, at=at),
        plot.show_masks(masks, spacing=SPACING, at=at),
        plot.show_outlines(image, masks, spacing=SPACING, at=at),
        plot.show_flows(masks_to_flows(masks), masks=masks, spacing=SPACING, at=at),
    ):
        assert figure.get_title() == "plane 0, row 0, column 29"
        figure.figure.canvas.draw()
        picture = np.asarray(figure.images[0].get_array())
        assert picture.shape == (42, 52, 3)
        assert (picture[24:, 34:] == WHITE).all()


def test_lines_of_touching_objects_are_both_visible(volume):
    """Outlines are inside their objects: lines of two objects are never at the same place."""
    image, masks = volume
    collection = plot.show_volume(image, masks).collections[0]
    colors = codes(np.rint(255 * collection.get_edgecolors()[:, :3]))
    seen = codes(make_sheet(masks.shape).cut(plot.mask_colors(masks), WHITE))
    n = 0
    for path, color in zip(collection.get_paths(), colors):
        corners = np.rint(path.vertices[:-1]).astype(int)  # the pixels that the corners are in
        assert (seen[corners[:, 1], corners[:, 0]] == color).all()
        n += len(corners)
    assert n > 300


def test_spacing_of_an_image(volume):
    _, masks = volume
    picture = np.asarray(plot.show_masks(masks[0], spacing=(1, 3)).images[0].get_array())
    assert picture.shape == (20, 90, 3)
    assert np.array_equal(picture[:, 1::3], plot.mask_colors(masks[0]))


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda i, m: plot.orthogonal_views(i[0]), ValueError, r"image must be a volume \(planes, rows, columns\); got shape \(20, 30\)\. An image is shown by plot\.outlines"),
        (lambda i, m: plot.show_volume(i[0], m[0]), ValueError, "image must be a volume"),
        (lambda i, m: plot.show_projections(i[0]), ValueError, "image must be a volume"),
        (lambda i, m: plot.show_volume(i, m[0]), ValueError, r"masks must have the shape of image, \(8, 20, 30\); got \(20, 30\)"),
        (lambda i, m: plot.maximum_projections(i, m[:4]), ValueError, "masks must have the shape of image"),
        (lambda i, m: plot.outlines(i[..., None, None], m), ValueError, r"image must have shape \(planes, rows, columns\) or \(planes, rows, columns, channels\)"),
        (lambda i, m: plot.show_volume(i, at=(8, 0, 0)), ValueError, r"at must be inside a volume of shape \(8, 20, 30\); got \(8, 0, 0\)"),
        (lambda i, m: plot.show_volume(i, at=(0, 0)), TypeError, r"at must be \(plane, row, column\) or None \(the middle\); got \(0, 0\)"),
        (lambda i, m: plot.show_volume(i, at=(0, 0, 1.5)), TypeError, r"at\[2\] must be an integer of at least 0; got 1\.5"),
        (lambda i, m: plot.show_masks(m[0], at=(0, 0, 0)), ValueError, "at must be None for an image"),
        (lambda i, m: plot.show_volume(i, spacing=(1, 1)), ValueError, "spacing must be"),
        (lambda i, m: plot.show_volume(i, spacing=(1, 0, 1)), ValueError, "spacing must be"),
        (lambda i, m: plot.show_volume(i, m, linewidth=-1), ValueError, "linewidth must be a number of at least 0"),
        (lambda i, m: plot.show_volume(i, m > 0), TypeError, "masks must be an integer label image"),
    ],
)  # fmt: skip
def test_refuses(volume, call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(*volume)
    assert not plt.get_fignums()


def test_a_picture_that_does_not_fit_into_memory_is_refused(monkeypatch):
    from flowseg._system import memory

    monkeypatch.setattr(memory, "allowed", lambda: 1 << 30)
    with pytest.raises(MemoryError, match="the picture of a volume"):
        plot.orthogonal_views(np.zeros((400, 4, 400)), spacing=(1000, 1000, 1))
