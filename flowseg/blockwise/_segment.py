"""Segment an image block by block."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowseg import _checks
from flowseg._image_files.ome_zarr.nodes import is_url
from flowseg._image_files.selection import Selection
from flowseg._segmenters.boundary import BoundarySegmenter
from flowseg._segmenters.flow import FlowSegmenter
from flowseg._segmenters.inputs import Diameter, as_diameters
from flowseg._segmenters.pipeline import Pipeline, pipeline_of
from flowseg.blockwise._results.objects_table import check_no_table
from flowseg.blockwise._runs.job import holding_job, remove_work_folder, work_folder_of
from flowseg.blockwise._runs.plan import PLAN_NAME, ImageIdentity, Plan, Setting
from flowseg.blockwise._runs.run import check_runner, run_stages
from flowseg.blockwise._stages.labels import complete_labels
from flowseg.blockwise._stages.order import stages_of
from flowseg.blockwise._stages.run_data import ESTIMATE, ESTIMATE_BOUNDED, MODEL_NAME
from flowseg.blockwise._stores.create_labels import describe_labels_store, place_labels, stage_labels
from flowseg.blockwise._stores.labels import LabelsStore, open_labels
from flowseg.blockwise._stores.open_source import open_source
from flowseg.blockwise._stores.saved_specs import IMAGE_NAME, LABELS_NAME, read_spec, write_spec
from flowseg.blockwise._stores.source import Source, store_copy

if TYPE_CHECKING:
    import zarr

Location = str | os.PathLike[str]
Segmenter = FlowSegmenter | BoundarySegmenter

# Side of a block in pixels where none is given: its arrays take some 300 MB.
DEFAULT_BLOCK_SIZE = 2048
# A smaller block has more margin than core.
MIN_BLOCK_SIZE = 64

# Parameters of segmenters that a prediction depends on.
COMPARED = (
    "cellprob_threshold",
    "estimate_diameters",
    "flow_threshold",
    "min_size",
    "normalize",
    "score_threshold",
    "test_time_augmentation",
)
# Name of the copy of an array that only this process has.
COPY_NAME = "image.npy"


def segment(
    segmenter: Segmenter,
    image: Any,
    output: Location,
    *,
    block_size: int | None = None,
    diameters: Diameter = None,
    client: Any = None,
    workers: int | None = None,
    resume: bool = False,
    axes: str | None = None,
    channel: int | Sequence[int] | None = None,
    z: int | None = None,
    t: int | None = None,
    scene: int | str | None = None,
) -> zarr.Array:
    """Segment an image of any size: the masks of `predict` for the whole image, computed block by block.

    Parameters
    ----------
    segmenter : FlowSegmenter or BoundarySegmenter
        Trained segmenter, with ``n_iter=None`` and a network that flowseg builds.
    image : path, URL, zarr.Array, dask array or ndarray
        Image of shape (rows, columns) or (rows, columns, n_channels): an OME-Zarr, a tiled or pyramidal TIFF file, any
        other file that `flowseg.io.read_image` reads, or an array. One that only this process has is copied to disk.
    output : path
        OME-Zarr that is written: a new one, or that of the image, to which labels are added. A table of the objects is
        written beside it: ``a.csv`` for ``a.ome.zarr``, and ``a_objects.csv`` for ``a_masks.ome.zarr``. State is kept
        in the folder ``output`` with ``.blocks`` after its name, which is removed at the end.
    block_size : int, optional
        Height and width of a block in pixels, at least 64; 2048 by default. The masks do not depend on it, the memory
        does: see Notes.
    diameters : float, "estimate" or None
        Typical diameter of the objects in pixels, as for `predict`.
    client : distributed.Client, optional
        Client of a dask cluster whose workers see the same files. Without one, processes of this machine do the work.
    workers : int, optional
        Number of processes of this machine, one per core by default; with 1, this process does all.
    resume : bool
        Whether to go on with a run that was interrupted. Blocks that are done are not done again.
    axes, channel, z, t, scene : optional
        Which part of the image to take, for a path, a URL or a zarr.Array: as for `flowseg.io.read_image`.

    Returns
    -------
    labels : zarr.Array of int32, shape (rows, columns)
        0 is background, objects are numbered 1..n in raster order, read-only. The array is level 0 of the label image
        ``objects`` in the output.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, or a run that is to be resumed had another model, image or option.
    FileExistsError
        If the output or the table exists, or an unfinished run of it and ``resume`` is False.
    OSError
        If the disk is full or a file has vanished. What is done by then is kept, and can be resumed.

    Notes
    -----
    Every worker process takes memory for one block or one tile of the network (about 1 GB for blocks of 2048 pixels),
    or for the box of the largest object, where that is more. One process merges the objects of all blocks, with about
    600 bytes per object.

    Outputs of the network are kept on disk until the end: 12 bytes per pixel that the network sees, and 4 bytes per
    pixel of the image.

    Examples
    --------
    >>> import flowseg
    >>> image = flowseg.datasets.nuclei().images[0]
    >>> segmenter = flowseg.FlowSegmenter.from_pretrained("nuclei")
    >>> labels = flowseg.blockwise.segment(segmenter, image, "nuclei.ome.zarr", workers=1)
    >>> bool((labels[:] == segmenter.predict(image)).all())
    True
    """
    _checks.check_flag(resume, "resume")
    check_runner(workers, client)
    selection = Selection(axes, channel, z, t, scene)
    with (
        _Preparation(segmenter, image, selection, output, block_size, diameters) as run,
        holding_job(run.folder, run.plan, resume=resume, prepare=run.prepare) as job,
    ):
        place_labels(open_labels(read_spec(job.folder / LABELS_NAME)), job.folder)
        run_stages(job, stages_of, workers=workers, client=client)
        labels = complete_labels(job)
        remove_work_folder(run.folder)
    return labels


def plan(
    segmenter: Segmenter,
    image: Any,
    output: Location,
    *,
    block_size: int | None = None,
    diameters: Diameter = None,
    axes: str | None = None,
    channel: int | Sequence[int] | None = None,
    z: int | None = None,
    t: int | None = None,
    scene: int | str | None = None,
) -> Plan:
    """Plan a run, without doing any of it: its parts are done by `run_part`, on machines that see the same files.

    Parameters
    ----------
    segmenter, image, output, block_size, diameters, axes, channel, z, t, scene
        As for `segment`.

    Returns
    -------
    plan : Plan
        What decides the result; ``plan.n_blocks`` is the number of blocks.

    Raises
    ------
    TypeError, ValueError, OSError
        As `segment`.

    Examples
    --------
    >>> import flowseg
    >>> image = flowseg.datasets.nuclei().images[0]
    >>> segmenter = flowseg.FlowSegmenter.from_pretrained("nuclei")
    >>> flowseg.blockwise.plan(segmenter, image, "planned.ome.zarr").n_blocks
    1
    """
    selection = Selection(axes, channel, z, t, scene)
    with (
        _Preparation(segmenter, image, selection, output, block_size, diameters) as run,
        holding_job(run.folder, run.plan, resume=True, prepare=run.prepare) as job,
    ):
        place_labels(open_labels(read_spec(job.folder / LABELS_NAME)), job.folder)
        return job.plan


class _Preparation:
    """The plan of a run, and what its work folder holds from the beginning. The model is saved once, to be compared."""

    def __init__(
        self,
        segmenter: Segmenter,
        image: Any,
        selection: Selection,
        output: Location,
        block_size: int | None,
        diameters: Diameter,
    ) -> None:
        if not isinstance(segmenter, FlowSegmenter | BoundarySegmenter):
            raise TypeError(
                f"segmenter must be a FlowSegmenter or a BoundarySegmenter; got {type(segmenter).__name__}."
            )
        size = _checks.as_integer(block_size, "block_size", minimum=MIN_BLOCK_SIZE, none=f"{DEFAULT_BLOCK_SIZE} pixels")
        self.block_size = DEFAULT_BLOCK_SIZE if size is None else size
        self.output = _checks.as_path(output, "output")
        if is_url(os.fspath(output)):
            raise ValueError(f"output must be a path in a folder that all processes see, no URL; got {output}.")
        self.folder = work_folder_of(self.output)
        pipeline = pipeline_of(segmenter)
        (self.diameter,) = as_diameters(diameters, 1)
        pipeline.check(self.diameter)
        _check_supported(pipeline)
        self.selection = selection
        self.source = open_source(image, selection, n_channels=pipeline.n_channels)
        self.segmenter, self.pipeline = segmenter, pipeline
        if not (self.folder / PLAN_NAME).is_file():
            self._describe_labels()  # which fails before there is a work folder
        self._saved = tempfile.TemporaryDirectory(prefix="flowseg")

    def __enter__(self) -> _Preparation:
        model = Path(self._saved.name) / MODEL_NAME
        self.segmenter.save(model)
        self.plan = self._make_plan(_digest(model))
        return self

    def __exit__(self, *_: object) -> None:
        self._saved.cleanup()

    def _make_plan(self, digest: str) -> Plan:
        identity = self.source.identity()
        image = ImageIdentity(
            str(identity["location"]), self.source.shape[:2], str(identity["dtype"]), str(identity["digest"])
        )
        how: str | None = None
        if isinstance(self.diameter, str):
            how = ESTIMATE
        elif self.diameter is None and self.pipeline.estimates:
            how = ESTIMATE_BOUNDED
        given = None if self.diameter is None or isinstance(self.diameter, str) else (float(self.diameter),)
        grid = ("grid", tuple(self.pipeline.fitted.grid))
        settings: tuple[tuple[str, Setting], ...] = (("diameter", how), grid, *self._options())
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


def _check_supported(pipeline: Pipeline) -> None:
    """Raise for what is not done block by block."""
    n_iter = getattr(pipeline.settings.codec, "n_iter", None)
    if n_iter is not None:
        raise ValueError(
            f"n_iter must be None to segment block by block, so that pixels go on to a sink; got {n_iter}."
        )
    if pipeline.fitted.fixed.is_custom:
        raise ValueError(
            "network must be 'unet' or 'resunet' to segment block by block: other processes cannot rebuild a custom "
            "network."
        )


def _digest(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
