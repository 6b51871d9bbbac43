"""``flowseg demo``, and the commands that it prints at its end."""

import re
import shlex

import pytest
from cli_tools import run_here
from skimage.io import imread

from flowseg import datasets, io
from flowseg.cli._training import demo_run


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Where the demo was run, with a smaller network and crop, and what it printed."""
    folder = tmp_path_factory.mktemp("a demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_run, "FILTERS", (8,))
        patch.setattr(demo_run, "CROP_SIZE", 32)
        return folder, run_here("demo", "--output", "my demo", "--epochs", 1, cwd=folder)


def test_scores_and_picture(demo):
    folder, result = demo
    assert "8 images with 331 nuclei" in result.stdout
    rows = re.findall(r"^ +(0\.\d\d) +(0\.\d\d) +(this model|nuclei)", result.stdout, flags=re.M)
    assert [row[2] for row in rows] == ["this model", "nuclei"]
    assert float(rows[1][0]) > 0.6  # nothing trains this one here
    assert imread(folder / "my demo" / "demo.png").shape == (512, 4 * 512 + 3 * 4, 3)


def test_only_progress_on_standard_error(demo):
    note = "flowseg: note: .* are probably false positives.*"  # as one step teaches next to nothing
    assert re.fullmatch(rf"epoch 1 of 1: .*\n({note}\n)?", demo[1].stderr)


def test_images_are_left_in_two_sets_of_fields(demo):
    folder = demo[0] / "my demo"
    images, masks, fields = datasets.nuclei()
    for part, expected in (("train", fields[:8]), ("test", fields[8:])):
        pairs = io.pair_files(io.find_files(folder / part / "images"), io.find_files(folder / part / "masks"))
        assert sorted(image.stem for image, _ in pairs) == sorted(expected)
        for image, mask in pairs:
            k = fields.index(image.stem)
            assert (io.read_image(image) == images[k]).all()
            assert (io.read_masks(mask) == masks[k]).all()


def test_its_commands_work(demo):
    folder, result = demo
    commands = [shlex.split(line)[1:] for line in result.stdout.splitlines() if line.startswith("  flowseg ")]
    assert [command[0] for command in commands] == ["predict", "evaluate", "train"]
    predict, evaluate, train = commands
    assert "in 4 images" in run_here(*predict, cwd=folder).stdout
    assert "4 images, 149 true" in run_here(*evaluate, cwd=folder).stdout
    assert (folder / "my demo" / "report.html").is_file()
    # The last option counts: one step instead of hundreds, of a small network.
    run_here(*train, "--epochs", 1, "--steps-per-epoch", 1, "--batch-size", 1, "--crop-size", 32, cwd=folder)
    assert (folder / "my demo" / "tuned.safetensors").is_file()
