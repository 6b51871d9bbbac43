"""What the segmenters take and what they refuse, in one sentence each."""

import keras
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from flowseg import BoundarySegmenter, FlowSegmenter

BOTH = [FlowSegmenter, BoundarySegmenter]


@pytest.fixture(params=BOTH, ids=lambda cls: cls.__name__)
def segmenter(request, fitted):
    return fitted[request.param.__name__]


def test_binary_masks_of_several_objects(pairs, small):
    images, masks = zip(*pairs)
    apart = [np.where(np.isin(m, (1, 4, 7)), 1, 0).astype(np.uint8) for m in masks]
    apart[0][:] = 0
    apart[0][[5, 30, 60, 90], [5, 40, 70, 20]] = 1
    with pytest.raises(
        ValueError, match="got one label only in each of them, in up to . connected components: binary masks"
    ):
        FlowSegmenter(**small).fit(images, apart)


class LikeAnArray:
    """As dask's and zarr's arrays are: an array if asked, no ndarray."""

    def __init__(self, array):
        self.array, self.shape, self.ndim = array, array.shape, array.ndim

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype)


def test_arrays_of_other_libraries(fitted, pairs):
    pandas = pytest.importorskip("pandas")
    model, image = fitted["FlowSegmenter"], pairs[0][0]
    expected = model.predict(image)
    assert np.array_equal(model.predict(LikeAnArray(image)), expected)
    assert np.array_equal(model.predict(pandas.DataFrame(image)), expected)
    assert np.array_equal(model.predict([LikeAnArray(image)])[0], expected)
    assert np.array_equal(model.predict(LikeAnArray(np.stack([image, image])))[1], expected)
    series = pandas.Series([image, image])
    assert np.array_equal(model.predict(series)[1], expected)
    assert model.score(series, pandas.Series([pairs[0][1]] * 2)) == model.score([image] * 2, [pairs[0][1]] * 2)


def test_masked_pixels_are_not_taken_for_values(fitted, pairs):
    image, masks = pairs[0]
    hidden = np.ma.masked_array(image, mask=masks == 1)
    with pytest.raises(ValueError, match="images must have a value everywhere .* got a masked array with"):
        fitted["FlowSegmenter"].predict(hidden)
    assert fitted["FlowSegmenter"].predict(np.ma.masked_array(image)).max() >= 0


BAD_DATA = [
    (
        lambda i, m: (i[:2], m),
        ValueError,
        "images and masks must be lists of the same length; got 2 images and 8 masks",
    ),
    (
        lambda i, m: (i, [x[:-1] for x in m]),
        ValueError,
        r"masks\[0\] must have the shape of images\[0\] \(rows and columns\)",
    ),
    (
        lambda i, m: (i, [x.astype(float) for x in m]),
        TypeError,
        r"masks\[0\] must be an integer label image .* float64",
    ),
    (lambda i, m: (i, [x > 0 for x in m]), TypeError, r"masks\[0\] .* got a boolean mask"),
    (
        lambda i, m: (i, [np.kron(np.eye(2), np.pad(np.ones((46, 46)), 1)).astype(np.uint8) * 255 for _ in m]),
        ValueError,
        r"masks\[0\] must be a label image .* got a binary 0/255 mask",
    ),
    (
        lambda i, m: (i, [x * 0 for x in m]),
        ValueError,
        "masks must hold at least one object; got 8 label images without any",
    ),
    (lambda i, m: ([x + np.nan for x in i], m), ValueError, r"images\[0\] must be finite; got 9216 NaN"),
    (lambda i, m: ([x * 0 + np.inf for x in i], m), ValueError, r"images\[0\] must be finite"),
    (
        lambda i, m: ([x * 0 for x in i], m),
        ValueError,
        r"images\[0\] must not be constant where masks\[0\] holds objects; got 0.0 in all of its pixels",
    ),
    (
        lambda i, m: ([x[:1, :1] for x in i], [x[:1, :1] for x in m]),
        ValueError,
        "at least one object|must not be constant",
    ),
    (
        lambda i, m: ([np.stack([x] * 3, -1) for x in i], m),
        ValueError,
        r"images\[0\] must have 1 channel, shape \(rows, columns\)",
    ),
    (lambda i, m: ([], []), ValueError, "images must hold at least one array; got an empty list"),
    (lambda i, m: (i[0], m[0]), TypeError, "images must be a list of arrays; got one array"),
    (lambda i, m: ("images", m), TypeError, "images must be a list of arrays; got str"),
    (lambda i, m: ([x.astype(str) for x in i], m), TypeError, r"images\[0\] must be an array of numbers"),
]


@pytest.mark.parametrize(("change", "error", "sentence"), BAD_DATA)
def test_bad_data(change, error, sentence, pairs, small):
    images, masks = (list(part) for part in zip(*pairs))
    model = FlowSegmenter(**small)
    with pytest.raises(error, match=sentence):
        model.fit(*change(images, masks))
    assert not hasattr(model, "network_")


@pytest.mark.parametrize(
    ("parameters", "error", "sentence"),
    [
        ({"epochs": 0}, ValueError, "epochs must be an integer of at least 1; got 0"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer of at least 1; got 1.5"),
        (
            {"filters": (8, 16), "crop_size": 63},
            ValueError,
            "crop_size must be divisible by 2 for a network of this depth; got 63",
        ),
        ({"learning_rate": 0}, ValueError, "learning_rate must be a number above 0; got 0"),
        ({"network": "vnet"}, ValueError, "network must be one of 'unet', 'resunet'; got 'vnet'"),
        ({"network": 3}, TypeError, "network must be 'unet', 'resunet', a keras.Model, or a function"),
        ({"diameter": 1}, ValueError, "diameter must be a number of at least 4; got 1"),
        (
            {"validation_fraction": 1.0},
            ValueError,
            "validation_fraction must be a number of at least 0 and at most 0.9",
        ),
        ({"augment": 1}, TypeError, "augment must be True or False; got 1"),
        ({"patience": 0}, ValueError, "patience must be an integer of at least 1 or None"),
        ({"flow_threshold": -1}, ValueError, "flow_threshold must be"),
        ({"filters": (4,) * 8, "crop_size": 128}, ValueError, "filters must be for at most 7 levels; got 8"),
        ({"n_iter": 10**20}, ValueError, "n_iter must be at most"),
        ({"flow_threshold": 10**400}, ValueError, "got a number too large for one"),
        ({"filters": "32"}, TypeError, "filters must be a sequence of integers"),
        ({"filters": {16, 32}}, TypeError, "filters must be a sequence of integers"),
    ],
)
def test_bad_parameters(parameters, error, sentence, pairs, small):
    images, masks = zip(*pairs)
    with pytest.raises(error, match=sentence):
        FlowSegmenter(**small | parameters).fit(images, masks)


def test_one_color_image_is_no_stack_of_gray_ones(fitted, small):
    rgb = np.random.default_rng(0).random((40, 30, 3))
    with pytest.raises(
        ValueError, match=r"images must have 1 channel, .* got shape \(40, 30, 3\), which looks like one image"
    ):
        fitted["FlowSegmenter"].predict(rgb)
    with pytest.raises(ValueError, match="images must have 1 channel"):
        FlowSegmenter(**small).fit(rgb, np.ones((40, 30, 3), int))


def test_other_forms_of_lists(pairs, small, fitted):
    images, masks = zip(*pairs)
    ragged = np.empty(2, dtype=object)
    ragged[:] = [images[0], images[1][:50]]
    assert len(fitted["FlowSegmenter"].predict(ragged)) == 2
    with pytest.raises(TypeError, match="images must be a list of arrays; got dict"):
        FlowSegmenter(**small).fit({"a": images[0]}, {"a": masks[0]})
    for callbacks in (5, keras.callbacks.TerminateOnNaN(), [1], [keras.callbacks.TerminateOnNaN]):
        with pytest.raises(TypeError, match="callbacks must be a sequence of keras.callbacks.Callback"):
            FlowSegmenter(**small).fit(images, masks, callbacks=callbacks)


def test_bad_validation(pairs, small):
    images, masks = zip(*pairs)
    with pytest.raises(TypeError, match=r"validation must be \(images, masks\), \(images, masks, spacing\) or .*; got"):
        FlowSegmenter(**small).fit(images, masks, validation="some")
    with pytest.raises(ValueError, match="validation masks must hold at least one object"):
        FlowSegmenter(**small).fit(images, masks, validation=(images[:1], [masks[0] * 0]))


def test_unfitted():
    for cls in BOTH:
        for call in (lambda m: m.predict(np.eye(9)), lambda m: m.save("x"), lambda m: m.score([], [])):
            with pytest.raises(NotFittedError, match=f"This {cls.__name__} is not trained yet: call fit"):
                call(cls())


@pytest.mark.parametrize(
    ("images", "diameters", "error", "sentence"),
    [
        (np.where(np.eye(9), np.nan, 0.0), None, ValueError, "images must be finite; got 9 NaN"),
        (np.array([[np.nan, 1.0]]), None, ValueError, "images must be finite"),
        ([np.eye(9), np.eye(9)[..., None, None]], None, ValueError, r"images\[1\] must have 1 channel"),
        (np.eye(9), 0, ValueError, "diameters must be a number above 0"),
        (np.eye(9), 1e-3, ValueError, "diameters must be from 2 to .*; got 0.001, which would enlarge the image"),
        ([np.eye(9)], [1, 2], ValueError, "got 2 for 1 images"),
        (np.eye(9) > 0, None, TypeError, "images must be an array of numbers; got dtype bool"),
        (np.array(3.0), None, ValueError, "images must have 1 channel"),
        (3.0, None, TypeError, "images must be a list of arrays; got float"),
    ],
)
def test_bad_predict(fitted, images, diameters, error, sentence):
    with pytest.raises(error, match=sentence):
        fitted["FlowSegmenter"].predict(images, diameters=diameters)


class TestRefusedAtTheDoor:
    def test_labels_that_cannot_be_scored_are_refused_at_the_door(self, pairs, small):
        images, masks = zip(*pairs)
        huge = [np.where(m > 0, m.astype(np.uint64) + np.uint64(2**63), np.uint64(0)) for m in masks]
        model = FlowSegmenter(**small)
        with pytest.raises(ValueError, match=r"validation masks\[0\] must have labels below 2\*\*63"):
            model.fit(images, masks, validation=(images, huge))
        with pytest.raises(ValueError, match=r"masks\[0\] must have labels below 2\*\*63"):
            model.fit(images, huge)

    def test_binary_masks_are_refused_everywhere(self, segmenter, pairs, small):
        images = [image for image, _ in pairs]
        binary = [np.zeros((96, 96), np.uint8) for _ in pairs]
        for m in binary:
            m[5:20, 5:20] = m[40:60, 40:60] = m[70:80, 10:30] = 1
        with pytest.raises(ValueError, match="validation masks must number the objects .* binary masks"):
            type(segmenter)(**small).fit(images, [m for _, m in pairs], validation=(images, binary))
        with pytest.raises(ValueError, match="^masks must number the objects .* binary masks"):
            segmenter.score(images, binary)
        if isinstance(segmenter, FlowSegmenter):
            with pytest.raises(ValueError, match="^masks must number the objects .* binary masks"):
                segmenter.fit_thresholds(images, binary)

    def test_pixels_far_beyond_all_others_are_blamed_on_the_image(self, pairs, small):
        images, masks = zip(*[pairs[1]] * 4)  # all the same: which one is met first depends on the backend
        hot = [image.astype(np.float32).copy() for image in images]
        for image in hot:
            image[40:42, 40:42] = 1e30
        with pytest.raises(
            ValueError, match="images must not hold pixels far beyond all others .* got one that is 1.1.*e.30 where"
        ):
            FlowSegmenter(**small).fit(hot, masks)


@pytest.mark.parametrize("n_channels", [2, 4, 5, 10])
def test_an_image_of_several_channels_is_no_stack(n_channels, segmenter, pairs):
    with pytest.raises(ValueError, match=f"looks like one image of {n_channels} channels"):
        segmenter.predict(np.stack([pairs[0][0]] * n_channels, axis=-1))


@pytest.mark.parametrize("diameters", [np.complex128(30 + 4j), b"x", {30: 1}, list, np.array([[30.0]])])
def test_no_number_is_made_of_what_is_none(diameters, segmenter, pairs):
    with pytest.raises(TypeError, match="diameters must be a number above 0"):
        segmenter.predict(pairs[0][0], diameters=diameters)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a", True, np.random.default_rng(0)])
def test_bad_random_state(seed, pairs, small):
    images, masks = zip(*pairs)
    with pytest.raises((TypeError, ValueError), match="random_state must be None, an integer from 0 to"):
        FlowSegmenter(**(small | {"random_state": seed})).fit(images, masks)
