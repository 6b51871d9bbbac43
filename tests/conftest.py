import itertools
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# flowseg sets it before it loads Keras, which many tests load first.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
import pytest
import shared_networks

from flowseg import synthetic

# Files whose tests take longest. Where processes share the tests, these come first, so that no process is left alone with
# one of them at the end: pytest-xdist would begin with those that have the most tests.
LONGEST = {
    f"test_{name}.py"
    for name in (
        "annotations_real", "blockwise_errors", "blockwise_kills", "blockwise_objects", "blockwise_segment",
        "blockwise_volumes", "blocks_engine", "classes", "cli", "cli_completion", "cli_files", "cli_resume", "cli_volumes",
        "custom_networks", "demo", "networks", "predict_volume", "prediction", "pretrained", "thresholds", "types",
    )
}  # fmt: skip


def pytest_addoption(parser):
    parser.addoption(
        "--thorough",
        action="store_true",
        help="test on every real image, not on a sample of each set, and in every combination of options",
    )


def pytest_configure(config):
    import real_data

    real_data.every_image = config.getoption("--thorough")
    config.option.loadscopereorder = False  # of pytest-xdist; see LONGEST


def pytest_collection_modifyitems(config, items):
    """Begin with the longest tests, and leave out what is for ``--thorough``: tests, and cases of tests."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
    if config.getoption("--thorough"):
        return
    kept, left_out, n_cases = [], [], {}
    for item in items:
        sampled = item.get_closest_marker("sampled")
        case = n_cases.setdefault(item.nodeid.partition("[")[0], itertools.count())
        is_left_out = next(case) % sampled.args[0] if sampled else item.get_closest_marker("thorough")
        (left_out if is_left_out else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.fixture(scope="session", autouse=True)
def arrays_without_a_warning():
    """Let NumPy read what Keras' other backends return."""
    with pytest.MonkeyPatch.context() as patch:
        shared_networks.accept_copies(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def networks_are_built_once(request):
    """Let networks of the same structure share what takes the time of short runs; not with ``--thorough``."""
    if request.config.getoption("--thorough"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        shared_networks.share_files(patch)
        shared_networks.share_training_steps(patch)
        yield


@pytest.fixture(scope="session")
def shared():
    """Folder of real data and expected results that lies beside a checkout, where there is one."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def pairs():
    """Eight small drawn images with their masks."""
    return [synthetic.cells((96, 96), 10, rng=seed) for seed in range(8)]


@pytest.fixture(scope="session")
def small():
    """Parameters that make training a matter of a second: one level, as most of it is the compilation of layers."""
    return {
        "filters": (8,),
        "crop_size": 64,
        "batch_size": 4,
        "epochs": 2,
        "steps_per_epoch": 4,
        "random_state": shared_networks.find_seed(3, other=0),
    }


@pytest.fixture(scope="session")
def fitted(pairs, small):
    """A segmenter of each kind after a few steps of training: works, not well."""
    from flowseg import BoundarySegmenter, FlowSegmenter

    images, masks = zip(*pairs)
    options = small | {"filters": (8, 16)}
    return {cls.__name__: cls(**options).fit(images, masks) for cls in (FlowSegmenter, BoundarySegmenter)}


@pytest.fixture(scope="session")
def voronoi():
    """Touching cells without background."""

    def draw(shape, n, seed=0):
        from scipy.spatial import cKDTree

        rng = np.random.default_rng(seed)
        points = rng.random((n, len(shape))) * shape
        _, nearest = cKDTree(points).query(np.argwhere(np.ones(shape)))
        return (nearest + 1).reshape(shape)

    return draw


@pytest.fixture(scope="session")
def tiny(pairs):
    """As `fitted`, with the smallest networks that find something, for runs of many blocks."""
    from flowseg import BoundarySegmenter, FlowSegmenter

    images, masks = zip(*pairs[:4])
    size = {"filters": (4, 8), "crop_size": 64, "batch_size": 4, "epochs": 2, "steps_per_epoch": 20}
    size["random_state"] = shared_networks.find_seed(3, other=1)
    flow = FlowSegmenter(**size, flow_threshold=None).fit(images, masks)
    return {"FlowSegmenter": flow, "BoundarySegmenter": BoundarySegmenter(**size).fit(images, masks)}
