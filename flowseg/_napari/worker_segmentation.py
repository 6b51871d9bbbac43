"""Segmentation in the worker process: outputs of the network, and masks from outputs that were kept."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from flowseg import BoundarySegmenter, FlowSegmenter, plot
from flowseg._napari.image_kinds import NAMES
from flowseg._napari.job_messages import DecodeJob, Message, SegmentJob
from flowseg._napari.worker_volumes import decode_planes, flows_of_planes, look_for_noise, run_planes
from flowseg._nets.lattice import PixelShape, Spacing
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.pipeline import Pipeline, pipeline_of

# Most constant images that are named.
MOST_NAMED = 5

Send = Callable[[Message], None]
Segmenter = FlowSegmenter | BoundarySegmenter
# The segmenter of the previous job, by file and time of change.
Models = dict[tuple[str, int], Segmenter]
# Results of an image: masks, columns about the objects, flows as colors.
ImageArrays = dict[str, NDArray[Any]]


def segment(job: SegmentJob, models: Models, send: Send) -> str:
    """Run the network image by image, keep its outputs, and decode them; return the number of objects in words."""
    segmenter = load_model(job.model, models)
    progress = Progress(NAMES[job.ndim], len(job.images), "segmenting", send)
    pipeline = pipeline_of(segmenter, on_tile=None if job.mode else progress.count_tiles)
    if not job.mode:
        pipeline.check_spacings([job.spacing])
    n_objects, constant = 0, []
    check = pipeline.image_check()
    for k, name in enumerate(job.images):
        progress.begin(k)
        image = np.load(job.image(k), allow_pickle=False)
        if image.min() == image.max():
            constant.append(name)
        if job.mode:
            outputs = run_planes(pipeline, image, job, progress.count_planes)
        else:
            outputs = pipeline.run(image, job.diameter, job.spacing)
        progress.follow()
        _keep(outputs, job.outputs(k))
        found = _decode(segmenter, outputs, job)
        if job.with_flows and pipeline.has_flows:
            found["flows"] = _flow_colors(pipeline, outputs, job.mode)
        if job.mode:
            look_for_noise(pipeline, image, job, found["masks"])
        else:
            check.look(image, outputs, found["masks"])
        n_objects += _write(found, job.result(k))
    check.warn(job.images.__getitem__, stacklevel=1)
    pipeline.warn_of_spacing([_spacing_of_images(pipeline, job)], stacklevel=1)
    return _count(n_objects, job, constant)


def _spacing_of_images(pipeline: Pipeline, job: SegmentJob) -> Spacing | None:
    """Return the spacing that the network's images have: volumes, or their planes of rows and columns."""
    return None if job.spacing is None else job.spacing[-pipeline.ndim :]


def decode(job: DecodeJob, models: Models, send: Send) -> str:
    """Decode the outputs that were kept, with other thresholds; no network runs."""
    segmenter = load_model(job.model, models)
    progress = Progress(NAMES[job.ndim], len(job.images), "decoding", send)
    n_objects = 0
    for k in range(len(job.images)):
        progress.begin(k)
        n_objects += _write(_decode(segmenter, _kept(job.outputs(k)), job), job.result(k))
    return _count(n_objects, job, [])


class Progress:
    """Sends how far a job is: in images, or for a single one in tiles.

    Parameters
    ----------
    name : str
        What an image is called: image, plane or volume.
    n : int
        Number of images.
    text : str
        What is being done.
    send : callable
        Sends messages.
    """

    def __init__(self, name: str, n: int, text: str, send: Send) -> None:
        self._name, self._n, self._text, self._send = name, n, text, send

    def begin(self, k: int) -> None:
        """Begin with the next image."""
        if self._n > 1:
            self._send(Message("progress", f"{self._text} {self._name} {k + 1} of {self._n}", k, self._n))
        else:
            self._send(Message("progress", self._text))

    def count_tiles(self, n_done: int, n_all: int) -> None:
        """Count the tiles of a single image."""
        self._count("tile", n_done, n_all)

    def count_planes(self, n_done: int, n_all: int) -> None:
        """Count the planes of a single volume, of all orientations."""
        self._count("plane", n_done, n_all)

    def _count(self, name: str, n_done: int, n_all: int) -> None:
        if self._n == 1 and n_all > 1:
            self._send(Message("progress", f"{self._text}, {name} {n_done} of {n_all}", n_done, n_all))

    def follow(self) -> None:
        """Say that the network is done with a single image, and its flows are followed."""
        if self._n == 1:
            self._send(Message("progress", "finding objects"))


def _keep(outputs: Outputs, path: Path) -> None:
    """Write the outputs of an image, with the shape of its pixels, to decode them later."""
    arrays = {"outputs": np.ascontiguousarray(outputs.array), "factor": np.array(outputs.factor)}
    if outputs.pixel is not None:
        arrays |= {name: np.array(value) for name, value in asdict(outputs.pixel).items()}
    save_file(arrays, path)


def _kept(path: Path) -> Outputs:
    """Read the outputs of an image."""
    kept = load_file(path)
    pixel = None
    if "ratios" in kept:
        levels = tuple(kept["coarse_levels"].tolist())
        pixel = PixelShape(tuple(kept["ratios"].tolist()), float(kept["relative_size"]), levels)
    return Outputs(kept["outputs"], float(kept["factor"]), None, pixel)


def load_model(path: str, models: Models) -> Segmenter:
    """Return the segmenter of a model file, loaded unless it is that of the previous job."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"The model file {path} no longer exists: open it again, or choose another model.")
    key = (path, os.stat(path).st_mtime_ns)
    if key not in models:
        from flowseg._segmenters.loading import load_segmenter

        segmenter = load_segmenter(path)
        models.clear()
        models[key] = segmenter
    return models[key]


def _decode(segmenter: Segmenter, outputs: Outputs, job: DecodeJob) -> ImageArrays:
    """Return masks and, for a model with flows, one array per column about the objects."""
    # The segmenter keeps the model's own thresholds, with which diameters are estimated. Those that the user has not
    # moved stay the model's choice, which in volumes is not always what it is in planes.
    other, known = copy.copy(segmenter), segmenter.get_params()
    own = pipeline_of(segmenter).thresholds
    as_they_are = {} if own is None else asdict(own)
    wanted = {name: value for name, value in asdict(job.thresholds).items() if name in known}
    other.set_params(**{k: value for k, value in wanted.items() if k not in as_they_are or as_they_are[k] != value})
    pipeline = pipeline_of(other)
    masks, objects = decode_planes(pipeline, outputs, job.mode) if job.mode else pipeline.decode_objects(outputs)
    return {"masks": masks, **{f"object_{name}": column for name, column in (objects or {}).items()}}


def _flow_colors(pipeline: Pipeline, outputs: Outputs, mode: str) -> NDArray[np.uint8]:
    """Return flows as colors, also those of the planes of a volume."""
    if not mode:
        return plot.flow_colors(pipeline.flows(outputs)[0])
    colors = [plot.flow_colors(flows) for flows in flows_of_planes(pipeline, outputs, mode)]
    return colors[0] if colors[0].shape[:-1] == outputs.array.shape[:-1] else np.stack(colors)


def _write(found: ImageArrays, path: Path) -> int:
    """Write the results of an image; return the number of its objects."""
    save_file({name: np.ascontiguousarray(array) for name, array in found.items()}, path)
    return int(found["masks"].max(initial=0))


def _count(n_objects: int, job: DecodeJob, constant: list[str]) -> str:
    """Return the number of objects in words, and the images where there can be none."""
    n_images = len(job.images)
    text = f"{n_objects} object{'s' * (n_objects != 1)}"
    if n_images == 1:
        return f"{text}, as all pixels have the same value" if constant else text
    text = f"{text} in {n_images} {NAMES[job.ndim]}s, with labels that do not repeat"
    if constant:
        named = "; ".join(constant[:MOST_NAMED]) + "; …" * (len(constant) > MOST_NAMED)
        text += f"; without objects, as all pixels have the same value: {named}"
    return text
