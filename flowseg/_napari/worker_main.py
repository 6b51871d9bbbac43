"""Main function of the worker process, which runs TensorFlow: it reads jobs from standard input until that ends.

In the viewer's process TensorFlow would crash if OpenGL is rendered in software, as both contain LLVM. Besides, a
process can be ended at once, and the viewer stays responsive.
"""

from __future__ import annotations

import copy
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from flowseg import BoundarySegmenter, FlowSegmenter, plot
from flowseg._napari.job_messages import (
    NEW_NETWORKS,
    SMALL_NETWORK,
    DecodeJob,
    Job,
    Message,
    SegmentJob,
    TrainJob,
    read_job,
)
from flowseg._nets.durations import format_duration
from flowseg._nets.startup_messages import suppress_startup_messages
from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.fitting.fit_summary import describe_fit
from flowseg._segmenters.learned_decoding.thresholds import Thresholds
from flowseg._segmenters.pipeline import pipeline_of
from flowseg._system.printable import one_line
from flowseg._system.rescue import save_somewhere

# The small network that a training may start from.
SMALL_FILTERS, SMALL_CROP = (16, 32, 64), 96
# Steps before the remaining time is estimated: the first ones take longer.
FIRST_STEPS = 10
# Errors that a job or the machine may cause; any other is a bug and ends the process.
EXPECTED = (ValueError, TypeError, OSError, MemoryError, ImportError)
# Most constant planes that are named.
MOST_NAMED = 5

Send = Callable[[Message], None]
Segmenter = FlowSegmenter | BoundarySegmenter
# The segmenter of the previous job, by file and time of change.
Models = dict[tuple[str, int], Segmenter]
# Results of a plane: masks, columns about the objects, flows as colors.
PlaneArrays = dict[str, NDArray[Any]]


def main() -> None:
    """Do jobs and send messages about them until there are no more."""
    suppress_startup_messages()
    with os.fdopen(os.dup(1), "w", encoding="ascii") as out:
        os.dup2(2, 1)  # output of libraries is not for the viewer

        def send(message: Message) -> None:
            out.write(message.line() + "\n")
            out.flush()

        models: Models = {}
        for line in sys.stdin:
            work(read_job(line), models, send)


def work(job: Job, models: Models, send: Send) -> None:
    """Do one job; ``models`` holds the segmenter of the previous job."""
    if "keras" not in sys.modules:
        send(Message("progress", "starting TensorFlow"))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            done = _do(job, models, send)
    except EXPECTED as error:
        send(Message("failed", one_line(str(error)) or type(error).__name__))
        return
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            send(Message("warning", one_line(str(warning.message))))
    send(done)


def _do(job: Job, models: Models, send: Send) -> Message:
    if isinstance(job, TrainJob):
        return train(job, send)
    text = segment(job, models, send) if isinstance(job, SegmentJob) else decode(job, models, send)
    return Message("done", text)


def segment(job: SegmentJob, models: Models, send: Send) -> str:
    """Run the network plane by plane, keep its outputs, and decode them; return the number of objects in words."""
    segmenter = _load(job.model, models)
    pipeline = pipeline_of(segmenter)
    n_objects, constant = 0, []
    noise = pipeline.noise_check()
    for k, name in enumerate(job.planes):
        _send_plane(job, k, "segmenting", send)
        image = np.load(job.plane(k), allow_pickle=False)
        if image.min() == image.max():
            constant.append(name)
        outputs = pipeline.run(image, job.diameter)
        kept = {"outputs": np.ascontiguousarray(outputs.array), "factor": np.array(outputs.factor)}
        save_file(kept, job.outputs(k))
        found = _decode(segmenter, outputs, job.thresholds)
        if job.with_flows and pipeline.has_flows:
            found["flows"] = plot.flow_colors(pipeline.flows(outputs)[0])
        noise.look(image, found["masks"], outputs.unpadded)
        n_objects += _write(found, job.result(k))
    noise.warn(job.planes.__getitem__, stacklevel=1)
    return _count(n_objects, len(job.planes), constant)


def decode(job: DecodeJob, models: Models, send: Send) -> str:
    """Decode the outputs that were kept, with other thresholds; no network runs."""
    segmenter = _load(job.model, models)
    n_objects = 0
    for k in range(len(job.planes)):
        _send_plane(job, k, "decoding", send)
        kept = load_file(job.outputs(k))
        outputs = Outputs(kept["outputs"], float(kept["factor"]))
        n_objects += _write(_decode(segmenter, outputs, job.thresholds), job.result(k))
    return _count(n_objects, len(job.planes), [])


def _send_plane(job: DecodeJob, k: int, text: str, send: Send) -> None:
    n = len(job.planes)
    send(Message("progress", f"{text} plane {k + 1} of {n}", k, n) if n > 1 else Message("progress", text))


def _load(path: str, models: Models) -> Segmenter:
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


def _decode(segmenter: Segmenter, outputs: Outputs, thresholds: Thresholds) -> PlaneArrays:
    """Return masks and, for a model with flows, one array per column about the objects."""
    # The segmenter keeps the model's own thresholds, with which diameters are estimated.
    other, known = copy.copy(segmenter), segmenter.get_params()
    other.set_params(**{name: value for name, value in asdict(thresholds).items() if name in known})
    masks, objects = pipeline_of(other).decode_objects(outputs)
    return {"masks": masks, **{f"object_{name}": column for name, column in (objects or {}).items()}}


def _write(found: PlaneArrays, path: Path) -> int:
    """Write the results of a plane; return the number of its objects."""
    save_file({name: np.ascontiguousarray(array) for name, array in found.items()}, path)
    return int(found["masks"].max(initial=0))


def _count(n_objects: int, n_planes: int, constant: list[str]) -> str:
    """Return the number of objects in words, and the planes where there can be none."""
    text = f"{n_objects} object{'s' * (n_objects != 1)}"
    if n_planes == 1:
        return f"{text}, as all pixels have the same value" if constant else text
    text = f"{text} in {n_planes} planes, with labels that do not repeat"
    if constant:
        named = "; ".join(constant[:MOST_NAMED]) + "; …" * (len(constant) > MOST_NAMED)
        text += f"; without objects, as all pixels have the same value: {named}"
    return text


def train(job: TrainJob, send: Send) -> Message:
    """Train and save the model; return the message at the end, with the model's file."""
    from flowseg._nets.training.progress import StepProgress
    from flowseg._segmenters.loading import load_segmenter

    if job.start in NEW_NETWORKS:
        segmenter: Segmenter = FlowSegmenter(n_channels=job.n_channels)
        if job.start == SMALL_NETWORK:
            segmenter.set_params(filters=SMALL_FILTERS, crop_size=SMALL_CROP)
    else:
        segmenter = load_segmenter(job.start).set_params(warm_start=True, learning_rate="auto")
    segmenter.set_params(epochs=job.epochs, random_state=0)
    images = [np.load(job.image(k), allow_pickle=False) for k in range(job.n_pairs)]
    masks = [np.load(job.masks(k), allow_pickle=False) for k in range(job.n_pairs)]
    n_steps = job.epochs * segmenter.steps_per_epoch
    times: list[float] = []

    def send_step(n_done: int, epoch: int, losses: dict[str, float]) -> None:
        times.append(time.monotonic())
        text = f"epoch {epoch + 1} of {job.epochs}, {_describe(losses)}"
        if n_done > FIRST_STEPS:
            left = (times[-1] - times[0]) / (n_done - 1) * (n_steps - n_done)
            text += f", {format_duration(left)} left"
        send(Message("progress", text, n_done, n_steps))

    send(Message("progress", "preparing the images"))
    began = time.monotonic()
    segmenter.fit(images, masks, callbacks=[StepProgress(send_step)])
    text = "; ".join(describe_fit(segmenter, time.monotonic() - began))
    file, error = save_somewhere(segmenter.save, job.model)
    if error is not None:
        send(Message("warning", f"The model could not be kept in the temporary folder: it is saved as {file}."))
    return Message("done", text, file=str(file))


def _describe(losses: dict[str, float]) -> str:
    names = {"loss": "loss", "val_loss": "on held-out images"}
    return ", ".join(f"{title} {losses[name]:.3f}" for name, title in names.items() if name in losses)


if __name__ == "__main__":
    main()
