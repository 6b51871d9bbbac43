"""The annotated images that ship with flowseg."""

import csv

import numpy as np
import pytest
from real_data import rows_of

from flowseg import check_masks, datasets, diameters, io
from flowseg.datasets._nuclei import FOLDER


@pytest.fixture(scope="module")
def nuclei():
    return datasets.nuclei()


def test_a_dozen_fields(nuclei):
    assert [len(part) for part in nuclei] == [12, 12, 12]
    assert len(set(nuclei.fields)) == 12
    for image, masks in zip(nuclei.images, nuclei.masks):
        assert image.shape == masks.shape
        assert (image.ndim, image.dtype, masks.dtype) == (2, np.uint8, np.int32)
        assert np.array_equal(np.unique(masks), np.arange(masks.max() + 1))
        assert check_masks(masks, image).ok
    sizes = [np.median(diameters(masks)) for masks in nuclei.masks]
    assert min(sizes) < 10
    assert max(sizes) > 50


def test_arrays_are_read_again_each_time(nuclei):
    again = datasets.nuclei()
    again.images[0][:] = 0
    again.masks[0][:] = 0
    assert nuclei.images[0].any()
    assert datasets.nuclei().masks[0].any()


def test_files_are_small_and_complete(nuclei):
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 600_000
    assert {file.stem for file in files} == {"README", "crops", *nuclei.fields}
    assert "CC0 1.0" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_real_sources_were_not_trained_on(shared, nuclei):
    folder, rows = rows_of(shared, "dsb2018")
    samples = {row["source_id"]: row for row in rows}
    with open(FOLDER / "crops.csv", newline="", encoding="utf-8") as file:
        crops = list(csv.DictReader(file))
    for crop, image, masks in zip(crops, nuclei.images, nuclei.masks, strict=True):
        sample = samples[crop["image"]]
        assert (sample["split"], sample["field_group"]) == ("test_open", f"g_{crop['field']}")
        top, left, rows, columns = (int(crop[name]) for name in ("first_row", "first_column", "rows", "columns"))
        box = np.s_[top : top + rows, left : left + columns]
        assert np.array_equal(io.read_image(folder / sample["image"])[box], image)
        true = io.read_masks(folder / sample["label"])[box]
        assert np.array_equal(true > 0, masks > 0)
        assert masks.max() == np.unique(true[true > 0]).size == int(crop["nuclei"])
