"""Predict with numbers of half the size: nearly the same outputs, in every way in which a network is run."""

import pickle

import numpy as np
import pytest
import tifffile
from cli_tools import run_here

from flowseg import BoundarySegmenter, FlowSegmenter, build_unet, load_segmenter, metrics, synthetic
from flowseg._nets import tiles
from flowseg._segmenters.pipeline import pipeline_of

TINY = {"filters": (4, 8), "crop_size": 64, "epochs": 1, "steps_per_epoch": 2, "batch_size": 2, "random_state": 0}
SETTINGS = {
    "flows": (FlowSegmenter, {}),
    "resunet": (FlowSegmenter, {"network": "resunet"}),
    "three classes": (BoundarySegmenter, {}),
    "volumes": (FlowSegmenter, {"ndim": 3, "crop_size": 16}),
}


def draw(ndim):
    if ndim == 2:
        return synthetic.cells((90, 118), 9, rng=0)
    return synthetic.cells((20, 40, 44), 6, diameter=12, rng=0)


@pytest.fixture(scope="module", params=SETTINGS)
def fitted(request):
    cls, settings = SETTINGS[request.param]
    image, masks = draw(settings.get("ndim", 2))
    return cls(**TINY | settings).fit([image], [masks]), image


def outputs_of(segmenter, image):
    return pipeline_of(segmenter).run(image).array


def test_outputs_are_nearly_the_same(fitted, tmp_path):
    segmenter, image = fitted
    single = outputs_of(segmenter, image)
    segmenter.set_params(precision="bfloat16")
    half = outputs_of(segmenter, image)
    assert half.dtype == np.float32
    assert 0 < np.abs(half - single).max() < 0.05 * np.ptp(single)
    np.testing.assert_array_equal(half, outputs_of(pickle.loads(pickle.dumps(segmenter)), image))
    segmenter.save(tmp_path / "model.safetensors")
    again = load_segmenter(tmp_path / "model.safetensors")
    assert again.precision == "bfloat16"
    np.testing.assert_array_equal(half, outputs_of(again, image))
    segmenter.set_params(precision="float32")
    np.testing.assert_array_equal(single, outputs_of(segmenter, image))


def test_the_copy_has_the_weights_of_now(fitted):
    segmenter, image = fitted
    segmenter.set_params(precision="bfloat16")
    before, weights = outputs_of(segmenter, image), segmenter.network_.get_weights()
    segmenter.network_.set_weights([0 * w for w in weights])
    assert (outputs_of(segmenter, image) == 0).all()
    segmenter.network_.set_weights(weights)
    np.testing.assert_array_equal(outputs_of(segmenter, image), before)
    segmenter.set_params(precision="float32")


def test_masks_of_the_pretrained_model_and_its_tiles(monkeypatch):
    image, true = synthetic.cells((300, 340), 60, diameter=24, rng=1)
    segmenter = FlowSegmenter.from_pretrained("nuclei")
    assert segmenter.precision == "float32"  # its file is older than the parameter
    single = segmenter.predict(image, diameters=24)
    half = segmenter.set_params(precision="bfloat16").predict(image, diameters=24)
    assert metrics.match(single, half, threshold=0.9).f1 >= 0.98
    assert metrics.match(true, half).f1 >= 0.95
    whole = outputs_of(segmenter, image)
    monkeypatch.setattr(tiles, "TILE_SIZE", 256)
    np.testing.assert_allclose(outputs_of(segmenter, image), whole, atol=1e-5)


def test_what_is_refused():
    image, masks = draw(2)
    with pytest.raises(ValueError, match="precision must be one of 'float32', 'bfloat16'; got 'float16'"):
        FlowSegmenter(**TINY, precision="float16").fit([image], [masks])
    custom = FlowSegmenter(network=build_unet(filters=(4, 8)), precision="bfloat16", random_state=0)
    with pytest.raises(ValueError, match="precision must be 'float32' for a custom network; got 'bfloat16'"):
        custom.fit([image], [masks])


def test_in_the_shell(tmp_path):
    image, _ = synthetic.cells((80, 80), 6, rng=0)
    tifffile.imwrite(tmp_path / "a.tif", image)
    command = ("predict", tmp_path / "a.tif", "--model", "nuclei", "--output", tmp_path / "out")
    run_here(*command, "--precision", "bfloat16")
    assert '["precision", "bfloat16"]' in (tmp_path / "out" / "flowseg-run.jsonl").read_text()
    refused = run_here(*command, "--precision", "half", "--overwrite", status=None)
    assert refused.returncode != 0
    assert "--precision must be one of 'float32', 'bfloat16'; got 'half'" in " ".join(refused.stderr.split())
