"""Images and masks found and paired by name."""

import re
from pathlib import Path

import pytest

from flowseg import io
from flowseg._image_files.file_names import bare_name, is_masks_name, names_of


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names(files):
    return [file.name for file in files]


@pytest.mark.parametrize(
    "pairs",
    [
        ["a.tif a_masks.tif", "b.tif b_masks.tif"],
        ["a.tif a_cp_masks.png", "b.tif b_cp_masks.png"],
        ["a.TIF a_Label.PNG", "b.tif b_labels.tiff", "c.tif c-mask.png", "d.tif d seg.bmp", "e.tif e_gt.tif"],
        ["a_img.tif a_masks.tif", "b_img.tif b_masks.tif"],
        ["000_image.png 000_mask.png", "001_image.png 001_mask.png"],
        ["img_1.tif mask_1.tif", "img_2.tif mask_2.tif"],
        ["t001.tif man_seg001.tif", "t002.tif man_seg002.tif"],
        ["a.ome.tif a_masks.tif", "b.ome.tiff b.ome_cp_masks.png", "c.tif c.ome.tif"],
        ["cell.tif cell_masks.tif", "cell_label.tif cell_label_masks.tif"],  # a stain called label
        ["A.tif A_masks.tif", "a.tif a_masks.tif"],
        ["two  spaces.tif two  spaces_masks.tif", "a.b.c.tif a.b.c_masks.tif"],
        ["a_raw.tif a_raw_masks.tif", "b_raw.tif b_masks.tif"],
        ["p1/a.tif r/p1/a_masks.tif", "p2/a.tif r/p2/a_masks.tif"],
        ["d/p1/images/a.tif d/p1/masks/a.tif", "d/p2/images/a.tif d/p2/masks/a.tif"],
        ["1/image.tif 1/mask.tif", "2/image.tif 2/mask.tif"],
        ["p1/a.tif m/a.tif", "p2/b.tif m/b.tif"],  # two folders with one for both
    ],
)
def test_pairs(pairs):
    split = [re.fullmatch(r"(.+?\.(?:tiff?|TIF|png)) (.+)", pair).groups() for pair in pairs]
    wanted = [(Path(a), Path(b)) for a, b in split]
    assert io.pair_files([a for a, _ in wanted], [b for _, b in wanted][::-1]) == wanted
    assert io.pair_files([b for _, b in wanted], [a for a, _ in wanted][::-1]) == [(b, a) for a, b in wanted]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("x/a.tif x/b.tif", "y/a.tif y/c.tif", "have none: x/b.tif, y/c.tif"),
        ("x/a.tif x/b.tif", "y/a_masks.tif y/a_label.tif y/b.tif", "several ways: x/a.tif, y/a_masks.tif, y/a_label"),
        ("p1/a.tif p2/a.tif", "m/a.tif", "several ways: p1/a.tif, p2/a.tif, m/a.tif"),
        ("p1/a.tif p2/a.tif p3/a.tif", "r/p1/a.tif r/p2/a.tif", "have none: p3/a.tif"),
        ("a.tif", "a.tif", "first and second must be different files; got a.tif as both"),
        ("a.tif b.tif", "./b.tif a.tif", "first and second must be different files; got a.tif, b.tif as both"),
        ("x/A.tif x/b.tif", "y/a.tif y/b.tif", "have none: x/A.tif, y/a.tif"),
        ("x/a_ch0.tif x/b_ch0.tif", "y/a_masks.tif y/b_masks.tif", "have none"),  # channels are not guessed
    ],
)
def test_files_that_do_not_pair(first, second, words):
    with pytest.raises(ValueError, match=words):
        io.pair_files(first.split(), second.split())


def test_five_files_are_named():
    with pytest.raises(ValueError, match=r"none: x/0.tif, x/1.tif, x/2.tif, x/3.tif, x/4.tif and 395 more\.$"):
        io.pair_files([f"x/{k}.tif" for k in range(200)], [f"y/m{k}.tif" for k in range(200)])


def test_images_and_masks_in_one_folder(tmp_path):
    folder = touch(
        tmp_path, "a.png", "b.png", "a_masks.tif", "b_masks.tif", "a_overlay.png", "a_masks.png", "b_flows.tif"
    )
    touch(tmp_path, "a_cp_output.png", "b_seg.npy", "a_outlines.png")
    assert names(io.find_files(folder)) == ["a.png", "a_masks.tif", "b.png", "b_masks.tif"]
    assert names(io.find_files(folder, kind="images")) == ["a.png", "b.png"]
    assert names(io.find_files(folder, kind="masks")) == ["a_masks.tif", "b_masks.tif"]
    every = io.find_files(folder)
    wanted = [(folder / f"{name}.png", folder / f"{name}_masks.tif") for name in "ab"]
    assert io.pair_files(every, every) == wanted
    (folder / "b_masks.tif").unlink()
    for sides in ((io.find_files(folder),) * 2, [io.find_files(folder, kind=kind) for kind in ("images", "masks")]):
        with pytest.raises(ValueError, match=r"these have none: \S*b.png\.$"):
            io.pair_files(*sides)


def test_a_side_that_is_not_there(tmp_path):
    touch(tmp_path, "a.png", "a_masks.tif")
    with pytest.raises(FileNotFoundError, match=r"must name images; there are only masks.*a_masks.tif"):
        io.find_files(tmp_path / "*_masks.tif", kind="images")
    with pytest.raises(FileNotFoundError, match=r"must name masks; there are only images.*a.png"):
        io.find_files(tmp_path / "*.png", kind="masks")
    assert names(io.find_files(tmp_path / "a_masks.tif", kind="images")) == ["a_masks.tif"]  # named outright
    with pytest.raises(ValueError, match="kind must be one of 'images', 'masks'"):
        io.find_files(tmp_path, kind="other")


def test_pictures_are_left_out_only_beside_their_image(tmp_path):
    touch(tmp_path, "blood_flows.tif", "x_overlay.png", "x.tif", "masks_are_lost_overlay.png")
    assert names(io.find_files(tmp_path)) == ["blood_flows.tif", "x.tif"]


def test_several_places(tmp_path):
    touch(tmp_path, "p1/a.tif", "p1/b.tif", "p2/a.tif", "p2/deep/c.tif")
    (tmp_path / "link.tif").symlink_to(tmp_path / "p1" / "a.tif")
    assert io.find_files([tmp_path / "p1", tmp_path / "p1" / "a.tif", tmp_path / "p2" / ".." / "p1" / "b.tif"]) == [
        tmp_path / "p1" / "a.tif",
        tmp_path / "p2" / ".." / "p1" / "b.tif",
    ]
    assert len(io.find_files(tmp_path / "p*")) == 3  # folders for a pattern
    assert len(io.find_files([tmp_path / "p*", tmp_path / "link.tif"])) == 4
    (tmp_path / "link.tif").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold image files; they are in folders inside it.*/\*/\*'"):
        io.find_files(tmp_path)
    for wrong in ([], [""], ""):
        with pytest.raises(ValueError, match="where must name"):
            io.find_files(wrong)


def test_names_as_real_data_have_them(shared):
    folder = shared / "data" / "dsb2018" / "val"
    pairs = io.pair_files(io.find_files(folder / "images"), io.find_files(folder / "labels"))
    assert pairs
    assert all(a.stem == b.stem for a, b in pairs)


def test_a_file_named_just_for_masks_is_of_no_image(tmp_path):
    file = tmp_path / "_masks.tif"
    assert names_of(file) == ["_masks"]
    assert bare_name(file) == "_masks"
    assert not is_masks_name(file)
    folder = touch(tmp_path, "_masks.tif", "a.tif", "a_masks.tif")
    assert names(io.find_files(folder, kind="masks")) == ["a_masks.tif"]
