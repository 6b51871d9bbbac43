"""`flowseg check`, run as a process."""

import json

import numpy as np
import pytest
import tifffile
from cli_tools import contents, invoke, run, run_here
from skimage.io import imsave

from flowseg import io, mend_masks, synthetic


@pytest.fixture
def data(tmp_path):
    """Six images with masks, two in another split."""
    for k in range(8):
        split = tmp_path / ("train" if k < 6 else "val")
        for kind in ("images", "masks"):
            (split / kind).mkdir(parents=True, exist_ok=True)
        image, masks = synthetic.cells((96, 96), 12, rng=k)
        imsave(split / "images" / f"Zelle ä {k}.png", (60 * image).clip(0, 255).astype(np.uint8), check_contrast=False)
        tifffile.imwrite(split / "masks" / f"Zelle ä {k}_masks.tif", masks.astype(np.uint16))
    return tmp_path


def test_nothing_wrong(data):
    train, val = data / "train", data / "val"
    result = run("check", train / "masks", train / "images", "--against", val / "images")
    assert result.stdout == "72 objects in 6 files, no files with errors\n"


def test_faults_are_named_and_the_other_files_checked(data):
    folder = data / "train" / "masks"
    first, second, third, *_ = sorted(folder.iterdir())
    tifffile.imwrite(first, (tifffile.imread(first) > 0).astype(np.uint8) * 255)
    second.write_bytes(second.read_bytes()[:-300])
    tifffile.imwrite(third, np.roll(tifffile.imread(third), 7, 0))
    result = run_here("check", folder, data / "train" / "images", status=1)
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{first}: binary: ")
    assert lines[1].startswith(f"{second}: unreadable: ")
    assert lines[2].startswith(f"{third}: ")
    assert any("shifted" in line for line in lines)
    assert lines[-1].endswith("objects in 6 files, 3 files with errors")


def test_an_image_in_two_splits(data):
    train, val = data / "train", data / "val"
    leaked = io.read_image(train / "images" / "Zelle ä 3.png")
    imsave(val / "images" / "other name.png", np.rot90(leaked), check_contrast=False)
    result = run_here("check", train / "masks", train / "images", "--against", val / "images", status=1)
    assert "leak: the same image, perhaps rotated or flipped: " in result.stdout
    assert "Zelle ä 3.png" in result.stdout
    assert "other name.png" in result.stdout


def test_an_image_of_another_split_that_cannot_be_read(data):
    train, val = data / "train", data / "val"
    broken = val / "images" / "broken.png"
    broken.write_bytes(b"no picture")
    result = run_here("check", train / "masks", train / "images", "--against", val / "images", status=1)
    assert result.stdout.startswith(f"unreadable: {broken}")


def test_mended_masks(data):
    folder, output = data / "train" / "masks", data / "mended"
    first = sorted(folder.iterdir())[0]
    masks = tifffile.imread(first)
    tifffile.imwrite(first, np.where(masks == masks.max(), 1, masks))
    run_here("check", folder, "--mend", output, status=1)
    assert np.array_equal(tifffile.imread(output / first.name), mend_masks(masks).masks)
    run_here("check", output)


def test_mended_masks_replace_nothing(data):
    masks, images, other = data / "train" / "masks", data / "train" / "images", data / "other"
    first = sorted(masks.iterdir())[0]
    other.mkdir()
    (data / "linked").mkdir()
    (data / "linked" / first.name).symlink_to(first)
    (other / "Zelle ä 3_masks.tif").symlink_to("nowhere")
    for arguments, sentence in (
        ((masks, images, "--mend", images), "--mend must be another folder than that of"),
        ((masks, "--mend", masks), "--mend must be another folder than that of"),
        ((data / "linked", "--mend", masks), "--mend must be another folder than that of"),
        (
            (masks, "--mend", other),
            f"--mend must be a folder without files of these names; {other / 'Zelle ä 3_masks.tif'}",
        ),
        ((masks, "--mend", first), "--mend must be a folder, or lie in one"),
    ):
        before = contents(masks), contents(images), sorted(other.iterdir())
        assert str(invoke("check", *arguments, status=1).exception).startswith(sentence)
        assert (contents(masks), contents(images), sorted(other.iterdir())) == before


def test_an_error_of_memory_names_the_file(data, monkeypatch):
    def fail(file, axes):
        raise MemoryError

    monkeypatch.setattr("flowseg.cli._check.read_raw_masks", fail)
    first = sorted((data / "train" / "masks").iterdir())[0]
    line = invoke("check", first, status=1).stdout.splitlines()[0]
    assert line == f"{first}: unreadable: the file and its results must fit into memory; they do not."


def test_mended_masks_keep_pixels_to_ignore(data):
    first = sorted((data / "train" / "masks").iterdir())[0]
    masks = tifffile.imread(first).astype(np.int32)
    masks[:5, :5] = -1
    tifffile.imwrite(first, masks)
    for command in (("check", first, "--mend"), ("mend", first, "--output")):
        output = data / command[0]
        run_here(*command, output, status=None)
        mended = io.read_masks(output / first.name)
        assert (mended[:5, :5] == -1).all()
        assert mended.max() > 0


def test_json(data):
    folder = data / "train" / "masks"
    first = sorted(folder.iterdir())[0]
    tifffile.imwrite(first, tifffile.imread(first).astype(np.float32))
    said = json.loads(run_here("check", first, "--json", status=1).stdout)
    assert [f["kind"] for f in said["files"][str(first)]] == ["dtype"]
    assert [f["kind"] for f in said["all"]] == ["few"]


def test_against_needs_images(data):
    result = run_here("check", data / "train" / "masks", "--against", data / "val" / "images", status=1)
    assert result.stderr == "flowseg: --against must come with IMAGES to compare; got none.\n"
