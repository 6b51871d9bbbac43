"""Runs of `flowseg.blockwise` that are killed, on clusters and in parts: the same bytes as undisturbed.

``blockwise_kills.py`` does the same more often.
"""

import os
import random

import blockwise_kills as attacks
import pytest

pytest.importorskip("zarr", reason="the extra `large` is not installed")
pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX"),
    pytest.mark.sampled(2),
]


@pytest.fixture(scope="module", params=[((240, 290), 45), ((26, 90, 70), 40)], ids=["image", "volume"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    attacks.prepare(folder, *request.param)
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder):
    return attacks.undisturbed(folder)


@pytest.fixture(scope="module")
def expected(undisturbed):
    return undisturbed[0]


def test_kills_at_random_moments(folder, undisturbed):
    """Blocks that are done are not done again."""
    expected, seconds = undisturbed
    rng = random.Random(4)
    n_kills, wrong = attacks.kill_run(folder, expected, [rng.uniform(0.3, 0.95) * seconds for _ in range(2)])
    assert not wrong
    assert n_kills >= 1


def test_two_parts_at_once(folder, expected):
    assert attacks.run_parts(folder, 2) == expected


def test_workers_of_a_cluster(folder, expected):
    """The second time one of them is killed."""
    pytest.importorskip("distributed")
    with attacks.cluster_of(2) as client:
        assert attacks.run_on_cluster(folder, client) == (expected, False)
        assert attacks.run_on_cluster(folder, client, 0.4) == (expected, True)
