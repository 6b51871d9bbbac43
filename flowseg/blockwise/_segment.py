"""Segment an image block by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowseg import _checks
from flowseg._image_files.selection import Selection
from flowseg._segmenters.inputs import Diameter
from flowseg.blockwise._preparation import Chosen, Location, Preparation, Segmenter
from flowseg.blockwise._runs.job import holding_job, remove_work_folder
from flowseg.blockwise._runs.plan import Plan
from flowseg.blockwise._runs.run import check_runner, run_stages
from flowseg.blockwise._stages.labels import complete_labels
from flowseg.blockwise._stages.order import stages_of
from flowseg.blockwise._stores.create_labels import place_labels
from flowseg.blockwise._stores.labels import open_labels
from flowseg.blockwise._stores.saved_specs import LABELS_NAME, read_spec

if TYPE_CHECKING:
    import zarr


def segment(
    segmenter: Segmenter,
    image: Any,
    output: Location,
    *,
    block_size: int | None = None,
    diameters: Diameter = None,
    spacing: Sequence[float] | None = None,
    client: Any = None,
    workers: int | None = None,
    resume: bool = False,
    axes: str | None = None,
    channel: int | Sequence[int] | None = None,
    z: int | None = None,
    t: int | None = None,
    scene: int | str | None = None,
) -> zarr.Array:
    """Segment an image or a volume of any size: the masks of `predict` for the whole of it, computed block by block.

    Parameters
    ----------
    segmenter : FlowSegmenter or BoundarySegmenter
        Trained segmenter, with ``n_iter=None`` and a network that flowseg builds.
    image : path, URL, zarr.Array, dask array or ndarray
        Image of shape (rows, columns) or (rows, columns, n_channels): an OME-Zarr, a tiled or pyramidal TIFF file, any
        other file that `flowseg.io.read_image` reads, or an array. One that only this process has is copied to disk.
        For a segmenter with ``ndim=3`` a volume with planes first, or a file that `flowseg.io.read_volume` reads.
    output : path
        OME-Zarr that is written: a new one, or that of the image, to which labels are added. A table of the objects is
        written beside it: ``a.csv`` for ``a.ome.zarr``, and ``a_objects.csv`` for ``a_masks.ome.zarr``. State is kept
        in the folder ``output`` with ``.blocks`` after its name, which is removed at the end.
    block_size : int, optional
        Side of a block in pixels, at least 64, of volumes at least 40. By default 2048, of volumes 160, or more where
        they are flat. The masks do not depend on it, the memory does: see Notes.
    diameters : float, "estimate" or None
        Typical diameter of the objects in pixels, as for `predict`.
    spacing : sequence of float, optional
        Distance between pixels along each axis, in the unit of `fit`, as for `predict`. By default it is that of the
        training images: what the image's metadata say is not used, see Notes.
    client : distributed.Client, optional
        Client of a dask cluster whose workers see the same files. Without one, processes of this machine do the work.
    workers : int, optional
        Number of processes of this machine, one per core by default; with 1, this process does all.
    resume : bool
        Whether to go on with a run that was interrupted. Blocks that are done are not done again.
    axes, channel, z, t, scene : optional
        Which part of the image to take, for a path, a URL or a zarr.Array: as for `flowseg.io.read_image`. Of a volume
        all planes are taken; their axis must be named Z, by the file or with ``axes``.

    Returns
    -------
    labels : zarr.Array of int32, shape (rows, columns) or (planes, rows, columns)
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

    Warns
    -----
    UserWarning
        If the spacing is another one than in training; also if it is not given, and the image's metadata have pixels of
        other proportions.

    Notes
    -----
    Every worker process takes memory for one block or one tile of the network (about 1 GB for blocks of 2048 pixels,
    about 2 GB for volumes), or for the box of the largest object, where that is more. One process merges the objects of
    all blocks, with about 600 bytes per object.

    Outputs of the network are kept on disk until the end: 12 bytes per pixel that the network sees, of volumes 16, and
    4 bytes per pixel of the image.

    Labels have the pixel size in the image's metadata. Without one they have the ``spacing`` that is given, without a
    unit. The smaller levels of a volume are halved along an axis where its voxels are not yet longer than along others.

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
    source = Chosen(image, Selection(axes, channel, z, t, scene), spacing)
    with (
        Preparation(segmenter, source, output, block_size, diameters) as run,
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
    spacing: Sequence[float] | None = None,
    axes: str | None = None,
    channel: int | Sequence[int] | None = None,
    z: int | None = None,
    t: int | None = None,
    scene: int | str | None = None,
) -> Plan:
    """Plan a run, without doing any of it: its parts are done by `run_part`, on machines that see the same files.

    Parameters
    ----------
    segmenter, image, output, block_size, diameters, spacing, axes, channel, z, t, scene
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
    source = Chosen(image, Selection(axes, channel, z, t, scene), spacing)
    with (
        Preparation(segmenter, source, output, block_size, diameters) as run,
        holding_job(run.folder, run.plan, resume=True, prepare=run.prepare) as job,
    ):
        place_labels(open_labels(read_spec(job.folder / LABELS_NAME)), job.folder)
        return job.plan
