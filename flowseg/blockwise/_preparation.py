"""The plan of a run, and what its work folder holds from the beginning."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flowseg import _checks
from flowseg._image_files.ome_zarr.nodes import is_url
from flowseg._image_files.selection import Selection
from flowseg._nets.lattice import Spacing, is_same_spacing, ratios_of
from flowseg._nets.sizes import check_scales
from flowseg._segmenters.boundary import BoundarySegmenter
from flowseg._segmenters.flow import FlowSegmenter
from flowseg._segmenters.inputs import Diameter, as_diameters
from flowseg._segmenters.pipeline import Pipeline, pipeline_of
from flowseg.blockwise._regions import choose_block_size
from flowseg.blockwise._results.objects_table import check_no_table
from flowseg.blockwise._runs.job import work_folder_of
from flowseg.blockwise._runs.plan import PLAN_NAME, ImageIdentity, Plan, Setting
from flowseg.blockwise._stages.run_data import ESTIMATE, ESTIMATE_BOUNDED, MODEL_NAME
from flowseg.blockwise._stores.create_labels import describe_labels_store, stage_labels
from flowseg.blockwise._stores.labels import LabelsStore
from flowseg.blockwise._stores.open_source import open_source
from flowseg.blockwise._stores.saved_specs import IMAGE_NAME, LABELS_NAME, write_spec
from flowseg.blockwise._stores.source import PixelSize, Source, store_copy

Location = str | os.PathLike[str]
Segmenter = FlowSegmenter | BoundarySegmenter

# Smallest side of a block in pixels, of images and of volumes: a smaller one has more margin than core.
MIN_BLOCK_SIZES = {2: 64, 3: 40}

# Parameters of segmenters that a prediction depends on.
COMPARED = (
    "cellprob_threshold",
    "estimate_diameters",
    "flow_threshold",
    "min_size",
    "normalize",
    "precision",
    "score_threshold",
    "test_time_augmentation",
)
# Name of the copy of an array that only this process has.
COPY_NAME = "image.npy"


@dataclass(frozen=True)
class Chosen:
    """The image of a run as it is given, which part of it to take, and its spacing."""

    image: Any
    selection: Selection
    spacing: Sequence[float] | None


class Preparation:
    """The plan of a run, and what its work folder holds from the beginning. The model is saved once, to be compared."""

    def __init__(
        self,
        segmenter: Segmenter,
        chosen: Chosen,
        output: Location,
        block_size: int | None,
        diameters: Diameter,
    ) -> None:
        if not isinstance(segmenter, FlowSegmenter | BoundarySegmenter):
            raise TypeError(
                f"segmenter must be a FlowSegmenter or a BoundarySegmenter; got {type(segmenter).__name__}."
            )
        pipeline = pipeline_of(segmenter)
        ndim = pipeline.ndim
        size = _checks.as_integer(
            block_size, "block_size", minimum=MIN_BLOCK_SIZES[ndim], none=f"{choose_block_size((10**6,) * ndim)} pixels"
        )
        self.output = _checks.as_path(output, "output")
        if is_url(os.fspath(output)):
            raise ValueError(f"output must be a path in a folder that all processes see, no URL; got {output}.")
        self.folder = work_folder_of(self.output)
        (self.diameter,) = as_diameters(diameters, 1)
        self.spacing: Spacing | None = None
        if chosen.spacing is not None:
            self.spacing = tuple(_checks.as_spacing(chosen.spacing, ndim).tolist())
        _check_supported(pipeline, self.diameter, self.spacing)
        self.selection = chosen.selection
        self.source = open_source(chosen.image, chosen.selection, ndim=ndim, n_channels=pipeline.n_channels)
        self.block_size = choose_block_size(self.source.shape[:-1]) if size is None else size
        self.segmenter, self.pipeline = segmenter, pipeline
        self._take_spacing()
        if not (self.folder / PLAN_NAME).is_file():
            self._describe_labels()  # which fails before there is a work folder
        self._saved = tempfile.TemporaryDirectory(prefix="flowseg")

    def _take_spacing(self) -> None:
        """Give labels the spacing where the image has no metadata, and warn of one that differs from training."""
        size = self.source.pixel_size
        if self.spacing is not None:
            self.pipeline.warn_of_spacing([self.spacing], stacklevel=4)
            if size is None:
                self.source = replace(self.source, pixel_size=PixelSize.of(self.spacing, None))
            return
        trained = self.pipeline.fitted.lattice.spacing
        if size is None or trained is None or is_same_spacing(ratios_of(size.scale), ratios_of(trained)):
            return
        warnings.warn(
            f"spacing is not given, so pixels are taken to have the proportions of the training images, spacing "
            f"({_listed(trained)}); by its metadata {self.source.location} has ({_listed(size.scale)}). Give spacing "
            "to use these.",
            stacklevel=4,
        )

    def __enter__(self) -> Preparation:
        model = Path(self._saved.name) / MODEL_NAME
        self.segmenter.save(model)
        self.plan = self._make_plan(_digest(model))
        return self

    def __exit__(self, *_: object) -> None:
        self._saved.cleanup()

    def _make_plan(self, digest: str) -> Plan:
        identity = self.source.identity()
        image = ImageIdentity(
            str(identity["location"]), self.source.shape[:-1], str(identity["dtype"]), str(identity["digest"])
        )
        how: str | None = None
        if isinstance(self.diameter, str):
            how = ESTIMATE
        elif self.diameter is None and self.pipeline.estimates:
            how = ESTIMATE_BOUNDED
        given = None if self.diameter is None or isinstance(self.diameter, str) else (float(self.diameter),)
        grid = ("grid", tuple(self.pipeline.fitted.grid))
        spacing = ("spacing", self.spacing)
        settings: tuple[tuple[str, Setting], ...] = (("diameter", how), grid, spacing, *self._options())
        kind = type(self.segmenter).__name__
        return Plan(image, os.path.abspath(self.output), kind, digest, settings, self.block_size, given)

    def _options(self) -> list[tuple[str, Setting]]:
        """Return what a resumed run is compared by, to name the option that differs: the model's file has all."""
        parameters = self.segmenter.get_params()
        names = [name for name in COMPARED if name in parameters]
        options = [(name, _as_setting(parameters[name])) for name in names]
        return options + [(name, _as_setting(value)) for name, value in vars(self.selection).items()]

    def _describe_labels(self) -> LabelsStore:
        return describe_labels_store(self.output, self.source, self.block_size)

    def prepare(self, folder: Path) -> None:
        """Put the model and the places of image and output into a work folder."""
        check_no_table(self.output)
        model = Path(self._saved.name) / MODEL_NAME
        (folder / MODEL_NAME).write_bytes(model.read_bytes())
        source: Source = self.source
        if source.spec() is None:
            source = store_copy(source, folder / COPY_NAME)
        write_spec(folder / IMAGE_NAME, source.spec() or {})
        store = self._describe_labels()
        stage_labels(store, folder)
        write_spec(folder / LABELS_NAME, store.spec())


def _as_setting(value: Any) -> Setting:
    """Return a parameter as a plan holds it."""
    if isinstance(value, list | tuple):
        return tuple(_as_setting(one) for one in value)
    if isinstance(value, np.generic):
        value = value.item()
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _check_supported(pipeline: Pipeline, diameter: Diameter, spacing: Spacing | None) -> None:
    """Raise for what `predict` refuses, and for what is not done block by block."""
    pipeline.check(diameter)
    pipeline.check_spacings([spacing])
    if diameter is None or isinstance(diameter, str):
        pixel = pipeline.fitted.lattice.pixel(spacing)
        check_scales(pixel.factors(pipeline.scale_factor(pipeline.typical_diameter(pixel))), pixel.ratios)
    n_iter = getattr(pipeline.settings.codec, "n_iter", None)
    if n_iter is not None:
        raise ValueError(
            f"n_iter must be None to segment block by block, so that pixels go on to a sink; got {n_iter}."
        )
    if pipeline.n_classes:
        raise ValueError(
            "segmenter must be one without classes to segment block by block, where objects would be without their "
            "classes; use predict_objects for images that fit into memory."
        )
    if pipeline.fitted.fixed.is_custom:
        raise ValueError(
            "network must be 'unet' or 'resunet' to segment block by block: other processes cannot rebuild a custom "
            "network."
        )


def _digest(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
