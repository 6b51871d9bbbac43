import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import flowseg
from flowseg import synthetic
from flowseg._labels.components import find_components

label_images = hnp.arrays(
    dtype=st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64]),
    shape=hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9),
    elements=st.integers(0, 3),
)


def unit_or_zero(flows):
    norm = np.linalg.norm(flows, axis=0)
    return np.all((np.abs(norm - 1) < 1e-5) | (norm == 0))


@pytest.mark.parametrize("shape", [(60, 70), (14, 16, 18)])
def test_agrees_with_slow_reference(voronoi, shape):
    masks = voronoi(shape, 12)
    masks[masks % 4 == 0] = 0
    found, expected = flowseg.masks_to_flows(masks), reference.masks_to_flows(masks)
    assert found.dtype == np.float32
    assert reference.angles(found, expected).max() < 0.01
    assert not found[:, masks == 0].any()


def test_golden_flows(shared):
    files = sorted((shared / "golden").glob("*.npz"))
    assert len(files) == 8
    for file in files:
        with np.load(file) as golden:
            found = flowseg.masks_to_flows(golden["masks"])
            assert reference.angles(found, golden["flows"]).max() < 0.01, file.name
            assert np.array_equal(np.any(found != 0, axis=0), np.any(golden["flows"] != 0, axis=0)), file.name


def test_published_flow_images_are_reproduced_from_the_colored_annotation(shared):
    from skimage.io import imread

    seed = shared / "data" / "aitslab" / "seed_example"
    (annotation,) = (p for p in (seed / "raw_annotation").iterdir() if "d1" in p.name)
    masks = flowseg.masks_from_rgb(imread(annotation))
    flows = flowseg.masks_to_flows(masks)
    for component, folder in zip(flows, ("Yflow", "Xflow"), strict=True):
        (file,) = (seed / "flows" / folder).iterdir()
        picture = imread(file).astype(float)
        # 8-bit pictures keep the non-negative half; the old code took the logarithm one pixel off, a fraction of a degree.
        expected = np.rint(255 * np.clip(component, 0, 1))
        difference = np.abs(picture - expected)[masks > 0]
        assert np.mean(difference <= 2) > 0.99
        assert np.percentile(difference, 99.9) < 40


@settings(max_examples=60, deadline=None)
@given(label_images)
def test_every_pixel_of_every_object_has_a_unit_flow(masks):
    flows = flowseg.masks_to_flows(masks)
    assert unit_or_zero(flows)
    assert not flows[:, masks == 0].any()
    components = find_components(masks).image.reshape(masks.shape)
    without = (masks > 0) & ~flows.any(axis=0)
    # Only a center may have no flow: at most one pixel per object.
    assert np.bincount(components[without], minlength=1).max(initial=0) <= 1


@settings(max_examples=40, deadline=None)
@given(label_images, st.integers(1, 7))
def test_layout_dtype_and_workers_have_no_effect(masks, workers):
    before = masks.copy()
    expected = flowseg.masks_to_flows(masks, workers=1)
    frozen = masks.copy()
    frozen.flags.writeable = False
    strided = np.repeat(masks, 2, axis=0)[::2]
    for other in (frozen, strided, np.asfortranarray(masks), masks.astype(">i4"), masks.astype(np.int64) * 2**40):
        assert np.array_equal(flowseg.masks_to_flows(other, workers=workers), expected)
    assert np.array_equal(masks, before)


def test_relabeling_has_no_effect(voronoi):
    masks = voronoi((50, 50), 20)
    new = np.random.default_rng(0).permutation(2**31 - 1 - np.arange(masks.max() + 1))
    assert np.array_equal(flowseg.masks_to_flows(masks), flowseg.masks_to_flows(new[masks]))
    big = new[masks].astype(np.uint64) + np.uint64(2**63)
    assert np.array_equal(flowseg.masks_to_flows(masks), flowseg.masks_to_flows(big))


@pytest.mark.parametrize("axis", [0, 1])
def test_flipping_the_image_flips_the_flows(axis):
    # One object whose median coordinates are integers, so that its center is the same after a flip.
    masks = np.zeros((31, 33), dtype=int)
    rows, columns = np.ogrid[:31, :33]
    masks[(rows - 15) ** 2 + ((columns - 16) / 1.1) ** 2 < 150] = 1
    masks[3:6, 14:19] = 1
    flows = flowseg.masks_to_flows(masks)
    flipped = np.flip(flowseg.masks_to_flows(np.flip(masks, axis)), axis + 1)
    flipped[axis] *= -1
    assert reference.angles(flows, flipped).max() < 0.01


def cells_with_one_center():
    """Return drawn cells whose median coordinates are those of one of their pixels, so that flips keep their centers."""
    _, masks = synthetic.cells((150, 160), 30, rng=3)
    for k in range(1, masks.max() + 1):
        coordinates = np.argwhere(masks == k)
        median = np.median(coordinates, axis=0)
        if not np.any(np.all(coordinates == median, axis=1)):
            masks[masks == k] = 0
    assert len(np.unique(masks)) > 8
    return masks


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_flipped_flows_are_identical(axes):
    masks = cells_with_one_center()
    flipped = np.flip(flowseg.masks_to_flows(np.flip(masks, axes)), [a + 1 for a in axes])
    for axis in axes:
        flipped[axis] *= -1
    assert np.array_equal(flipped, flowseg.masks_to_flows(masks))


def test_rotated_flows_are_the_same_except_for_rounding():
    masks = cells_with_one_center()
    turned = np.rot90(flowseg.masks_to_flows(np.rot90(masks)), -1, axes=(1, 2))
    back = np.stack([turned[1], -turned[0]])  # a quarter turn takes (row, column) to (-column, row)
    assert np.abs(back - flowseg.masks_to_flows(masks)).max() < 1e-6


def test_transposing_the_image_transposes_the_flows():
    masks = np.zeros((25, 25), dtype=int)
    masks[5:12, 4:21] = 1
    flows = flowseg.masks_to_flows(masks)
    turned = flowseg.masks_to_flows(masks.T)[::-1].transpose(0, 2, 1)
    assert reference.angles(flows, turned).max() < 1e-3


def test_objects_exchange_no_heat():
    masks = np.zeros((20, 30), dtype=int)
    masks[2:18, 2:15] = 1
    alone = flowseg.masks_to_flows(masks)
    masks[2:18, 15:28] = 2
    together = flowseg.masks_to_flows(masks)
    assert np.array_equal(alone[:, :, :15], together[:, :, :15])


def test_every_component_of_a_label_has_a_center():
    masks = np.zeros((10, 30), dtype=int)
    masks[2:8, 2:8] = masks[2:8, 20:26] = 5
    flows = flowseg.masks_to_flows(masks)
    assert np.array_equal(flows[:, :, 2:8], flows[:, :, 20:26])


def test_negative_pixels_are_background():
    masks = np.zeros((8, 8), dtype=int)
    masks[2:6, 2:6] = 1
    ignored = np.where(masks == 0, -1, masks)
    assert np.array_equal(flowseg.masks_to_flows(masks), flowseg.masks_to_flows(ignored))


def snake(width=3, length=110, turns=9):
    masks = np.zeros((6 * turns + 4, length + 8), dtype=int)
    for k in range(turns):
        masks[2 + 6 * k : 2 + 6 * k + width, 4 : 4 + length] = 1
        side = slice(4 + length - width, 4 + length) if k % 2 == 0 else slice(4, 4 + width)
        if k < turns - 1:
            masks[2 + 6 * k : 8 + 6 * k + width, side] = 1
    return masks


def spiral():
    masks = np.zeros((160, 160), dtype=int)
    t = np.linspace(0, 8 * np.pi, 40000)
    rows, columns = (np.rint(80 + (6 + 2.6 * t) * f(t)).astype(int) for f in (np.sin, np.cos))
    for shift in np.ndindex(3, 3):
        masks[rows + shift[0] - 1, columns + shift[1] - 1] = 1
    return masks


def ring():
    rows, columns = np.ogrid[:60, :60]
    distance = np.hypot(rows - 30, columns - 30)
    return ((distance < 26) & (distance > 22)).astype(int)


def rod(width, length):
    masks = np.zeros((width + 4, length + 4), dtype=int)
    masks[2:-2, 2:-2] = 1
    return masks


@pytest.mark.parametrize(
    "masks", [snake(), spiral(), ring(), rod(3, 2000), rod(1, 1500)], ids=["snake", "spiral", "ring", "rod", "line"]
)
def test_every_pixel_has_a_flow(masks):
    flows = flowseg.masks_to_flows(masks)
    assert np.sum((masks > 0) & ~flows.any(axis=0)) <= 1
    found = flowseg.flows_to_masks(flows, np.where(masks > 0, 5.0, -5.0))
    assert np.array_equal(found, masks)


@pytest.fixture
def width():
    """Set the vector width for one test."""
    from flowseg import _diffusion

    yield _diffusion.use_width
    _diffusion.use_width(max(_diffusion.list_widths()))


def disk(diameter):
    rows, columns = np.ogrid[: diameter + 4, : diameter + 5]
    return (np.hypot(rows - diameter / 2 - 2, columns - diameter / 2 - 2) < diameter / 2).astype(int)


def test_every_vector_width_gives_the_same_bits(width, voronoi):
    from flowseg import _diffusion

    images = [voronoi((90, 80), 30), voronoi((200, 190), 3), voronoi((20, 24, 28), 6), disk(150), rod(7, 190)]
    results = []
    for bits in _diffusion.list_widths():
        width(bits)
        results.append([flowseg.masks_to_flows(masks) for masks in images])
    if len(results) == 1:
        pytest.skip("this machine has one vector width")
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("masks", [disk(60), disk(130), rod(5, 130), rod(90, 100), snake(4, 40, 3)])
def test_large_objects_agree_with_slow_reference(masks):
    # Long sums are series, short ones and those of cold objects are iterated; small frames are swept by strips.
    found, expected = flowseg.masks_to_flows(masks), reference.masks_to_flows(masks)
    assert np.mean(reference.angles(found, expected) < 0.01) > 0.9999


def test_thin_diagonal_objects_are_fast():
    # A whole box per iteration would be 1.4e10 updates, a quarter of a minute; along the object there are 1e8.
    masks = np.zeros((1200, 1200), dtype=int)
    for shift in range(3):
        masks[np.arange(1197), np.arange(1197) + shift] = 1
    flows = flowseg.masks_to_flows(masks)
    assert np.sum((masks > 0) & ~flows.any(axis=0)) <= 1
    assert np.array_equal(flowseg.flows_to_masks(flows, np.where(masks > 0, 5.0, -5.0)), masks)


def test_many_iterations_of_a_small_object():
    masks = np.array([[1, 1, 0], [0, 0, 0]])
    flows = flowseg.masks_to_flows(masks, n_iter=10**6)  # a series of this length costs more than the iterations
    assert flows[:, 0, 1].tolist() == [0, -1]


def test_n_iter():
    masks = rod(5, 41)
    expected = reference.object_flow(masks > 0, n_iter=30)
    assert reference.angles(flowseg.masks_to_flows(masks, n_iter=30), expected).max() < 0.01


def test_spacing():
    # A ball in a volume with planes twice as far apart: flows must point to its center in pixels as well.
    planes, rows, columns = np.ogrid[-10:11, -20:21, -20:21]
    masks = (((2 * planes) ** 2 + rows**2 + columns**2) < 18**2).astype(int)
    flows = flowseg.masks_to_flows(masks, spacing=(2, 1, 1))
    radial = np.stack(np.broadcast_arrays(-planes, -rows, -columns)).astype(float)
    radial /= np.maximum(np.linalg.norm(radial, axis=0), 1e-9)
    shell = (masks > 0) & (np.abs(radial).max(axis=0) > 0)
    shell &= ((2 * planes) ** 2 + rows**2 + columns**2) < 12**2
    agreement = np.sum(flows * radial, axis=0)[shell]
    assert np.percentile(agreement, 5) > 0.95
    assert np.array_equal(flowseg.masks_to_flows(masks, spacing=(3, 3, 3)), flowseg.masks_to_flows(masks))


def test_diameters():
    rows, columns = np.ogrid[:40, :40]
    masks = np.where((rows - 20) ** 2 + (columns - 20) ** 2 <= 12.5**2, 7, 0)
    masks[0, 0] = 3
    small, large = flowseg.diameters(masks)
    assert small == pytest.approx(2 / np.sqrt(np.pi))
    assert large == pytest.approx(25, rel=0.02)
    assert flowseg.diameters(np.ones((3, 3, 3), int)) == pytest.approx([(6 * 27 / np.pi) ** (1 / 3)])
    assert flowseg.diameters(np.zeros((5, 5), int)).shape == (0,)


def test_flow_errors():
    _, masks = synthetic.cells((64, 64), 5, rng=2)
    flows = flowseg.masks_to_flows(masks)
    assert flowseg.flow_errors(masks, flows) == pytest.approx(np.zeros(5))
    noise = np.random.default_rng(0).normal(0, 0.3, flows.shape)
    own = flowseg.masks_to_flows(masks).astype(float)
    expected = [np.mean(np.sum((own - (flows + noise))[:, masks == k] ** 2, axis=0)) for k in range(1, 6)]
    assert flowseg.flow_errors(masks, flows + noise) == pytest.approx(expected, rel=1e-4)
    assert flowseg.flow_errors(np.zeros((4, 4), int), np.zeros((2, 4, 4))).shape == (0,)


class TestLabelsToFlows:
    def test_stacks(self, pairs):
        masks = [pairs[0][1], -pairs[1][1]]
        stacks = flowseg.labels_to_flows(masks)
        for labels, stack in zip(masks, stacks):
            assert stack.dtype == np.float32
            assert np.array_equal(stack[0], labels)
            assert np.array_equal(stack[1], labels > 0)
            assert np.array_equal(stack[2:], flowseg.masks_to_flows(labels))
        again = flowseg.labels_to_flows(stacks)
        assert all(np.array_equal(a, b) for a, b in zip(stacks, again))

    def test_files_are_written_read_and_refused(self, pairs, tmp_path):
        masks = pairs[0][1]
        file = tmp_path / "flows of cells.tif"
        (first,) = flowseg.labels_to_flows([masks], files=[file])
        import tifffile

        marked = tifffile.imread(file)
        assert marked.dtype == np.float32
        assert marked[2:].min() < -0.9  # negative components survive
        marked[2, 0, 0] = 0.25
        tifffile.imwrite(file, marked)
        (second,) = flowseg.labels_to_flows([masks], files=[file])
        assert second[2, 0, 0] == 0.25  # read, not made again
        changed = masks.copy()
        changed[0, 0] += 1
        with pytest.raises(ValueError, match=r"must hold the flows of labels\[0\]; got those of other masks"):
            flowseg.labels_to_flows([changed], files=[file])
        assert np.array_equal(tifffile.imread(file), marked)

    def test_a_file_of_another_kind(self, pairs, tmp_path):
        file = tmp_path / "a.tif"
        file.write_bytes(b"no tiff")
        with pytest.raises(ValueError, match="must be a TIFF file to match its name"):
            flowseg.labels_to_flows([pairs[0][1]], files=[file])
        import tifffile

        tifffile.imwrite(file, np.zeros((4, 4), np.uint8))
        with pytest.raises(ValueError, match="must hold a float32 stack"):
            flowseg.labels_to_flows([pairs[0][1]], files=[file])

    def test_labels_beyond_float32(self):
        with pytest.raises(ValueError, match=r"labels of at most 16777216 .* got 16777217"):
            flowseg.labels_to_flows([np.array([[0, 2**24 + 1]])])

    def test_lists(self, pairs):
        with pytest.raises(ValueError, match="same length; got 1 labels and 2 files"):
            flowseg.labels_to_flows([pairs[0][1]], files=["a", "b"])
        with pytest.raises(TypeError, match="labels must be a list of arrays; got one array"):
            flowseg.labels_to_flows(pairs[0][1])
        with pytest.raises(ValueError, match=r"labels\[0\] must be a label image of integers or a stack"):
            flowseg.labels_to_flows([np.zeros((3, 3))])
        with pytest.raises(ValueError, match="got an empty list"):
            flowseg.labels_to_flows([])


@pytest.mark.parametrize(
    ("masks", "error", "sentence"),
    [
        (np.zeros((4, 4)), TypeError, "masks must be an integer label image .* got dtype float64"),
        (np.ones((4, 4), bool), TypeError, "got a boolean mask. Number its objects first"),
        (np.zeros(4, int), ValueError, r"masks must be 2-D .* got shape \(4,\)"),
        (np.zeros((0, 4), int), ValueError, r"at least one pixel; got shape \(0, 4\)"),
        (
            255 * np.eye(6, dtype=np.uint8)[:, ::-1] * np.array([1, 0, 0, 0, 0, 1], np.uint8),
            ValueError,
            "binary 0/255 mask",
        ),
        (np.array([["a"]]), TypeError, "got dtype <U1"),
    ],
)
def test_refuses_arrays_that_are_no_label_image(masks, error, sentence):
    for function in (flowseg.masks_to_flows, flowseg.diameters, lambda m: flowseg.flow_errors(m, np.zeros((2, 4, 4)))):
        with pytest.raises(error, match=sentence):
            function(masks)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"n_iter": 0}, ValueError, r"n_iter must be an integer of at least 1 or None .* got 0"),
        ({"n_iter": 1.5}, TypeError, "n_iter must be an integer .* got 1.5"),
        ({"n_iter": True}, TypeError, "got True"),
        ({"workers": 0}, ValueError, "workers must be an integer of at least 1 or None .* got 0"),
        ({"spacing": (1, 2, 3)}, ValueError, "spacing must be 2 numbers above 0"),
        ({"spacing": (0, 1)}, ValueError, "spacing must be 2 numbers above 0"),
    ],
)
def test_bad_arguments(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        flowseg.masks_to_flows(np.ones((3, 3), int), **arguments)


def test_smallest_images():
    assert flowseg.masks_to_flows(np.ones((1, 1), int)).tolist() == [[[0]], [[0]]]
    row = flowseg.masks_to_flows(np.ones((1, 5), int))
    assert row[1].tolist() == [[1, 1, 0, -1, -1]]
    assert not flowseg.masks_to_flows(np.zeros((3, 3), int)).any()
    one_object_of_255 = np.full((3, 3), 255, np.uint8)
    assert flowseg.masks_to_flows(one_object_of_255).any()


def test_the_cost_of_rings_is_proportional_to_their_length():
    # A frame one pixel wide: two pixels in most rows, 4 million in its box. It would take minutes to sweep the box.
    masks = np.ones((2000, 2000), np.uint8)
    masks[1:-1, 1:-1] = 0
    flows = flowseg.masks_to_flows(masks, workers=1)
    inside = masks > 0
    assert np.count_nonzero(np.linalg.norm(flows, axis=0)[inside] < 0.99) <= 1
    found = flowseg.flows_to_masks(flows, np.where(inside, 5.0, -5.0), flow_threshold=None)
    assert found.max() == 1
    assert np.array_equal(found > 0, inside)


def test_a_line_longer_than_the_reach_of_heat():
    flows = flowseg.masks_to_flows(np.ones((1, 20001), np.uint8))
    assert np.array_equal(np.sign(flows[1, 0]), np.sign(10000 - np.arange(20001)))
