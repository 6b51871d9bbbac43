"""The process beside the viewer that holds TensorFlow.

In the viewer's own process TensorFlow crashes beside an OpenGL in software (both bring an LLVM along). Besides, a
process can be ended at once, and the viewer stays quick. It reads jobs from standard input until that ends.
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
from flowseg._napari.jobs import NEW_NETWORKS, SMALL_NETWORK, DecodeJob, Job, SegmentJob, Told, TrainJob, read_job
from flowseg._nets.durations import say_duration
from flowseg._nets.quiet import hush_native_libraries
from flowseg._segmenters.codecs import Outputs
from flowseg._segmenters.pipeline import pipeline_of
from flowseg._segmenters.summary import describe_fit
from flowseg._segmenters.thresholds import Thresholds
from flowseg._system.shown import one_line

# The small network that a training may start from.
SMALL_FILTERS, SMALL_CROP = (16, 32, 64), 96
# Steps after which the time that is left can be told: the first ones take longer.
STEPS_TO_TELL = 10
# What goes wrong with jobs by the user's or the machine's doing; anything else is a fault of ours and ends the process.
EXPECTED = (ValueError, TypeError, OSError, MemoryError, ImportError)
# Constant planes that are named at most.
MOST_NAMED = 5

Tell = Callable[[Told], None]
Segmenter = FlowSegmenter | BoundarySegmenter
# The segmenter of the job before by file and time of change.
Models = dict[tuple[str, int], Segmenter]
# What was found in a plane: masks, columns about the objects, flows in colors.
Found = dict[str, NDArray[Any]]


def main() -> None:
    """Take jobs and tell of them until there are no more."""
    hush_native_libraries()
    with os.fdopen(os.dup(1), "w", encoding="ascii") as out:
        os.dup2(2, 1)  # what libraries print is not for the viewer

        def tell(told: Told) -> None:
            out.write(told.line() + "\n")
            out.flush()

        models: Models = {}
        for line in sys.stdin:
            work(read_job(line), models, tell)


def work(job: Job, models: Models, tell: Tell) -> None:
    """Do one job; ``models`` holds the segmenter of the job before, for another like it."""
    if "keras" not in sys.modules:
        tell(Told("progress", "starting TensorFlow"))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            text = _do(job, models, tell)
    except EXPECTED as error:
        tell(Told("failed", one_line(str(error)) or type(error).__name__))
        return
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            tell(Told("warning", one_line(str(warning.message))))
    tell(Told("done", text))


def _do(job: Job, models: Models, tell: Tell) -> str:
    if isinstance(job, TrainJob):
        return train(job, tell)
    return segment(job, models, tell) if isinstance(job, SegmentJob) else decode(job, models, tell)


def segment(job: SegmentJob, models: Models, tell: Tell) -> str:
    """Run the network plane by plane, keep its outputs, and decode them; say how many objects there are."""
    segmenter = _load(job.model, models)
    pipeline = pipeline_of(segmenter)
    n_objects, constant = 0, []
    noise = pipeline.noise_check()
    for k, name in enumerate(job.planes):
        _tell_plane(job, k, "segmenting", tell)
        image = np.load(job.plane(k), allow_pickle=False)
        if image.min() == image.max():
            constant.append(name)
        outputs = pipeline.run(image, job.diameter)
        kept = {"outputs": np.ascontiguousarray(outputs.array), "factor": np.array(outputs.factor)}
        save_file(kept, job.outputs(k))
        found = _decode(segmenter, outputs, job.thresholds)
        if job.with_flows and pipeline.has_flows:
            found["flows"] = plot.flow_colors(pipeline.flows(outputs)[0])
        noise.look(image, found["masks"])
        n_objects += _write(found, job.result(k))
    noise.warn(job.planes.__getitem__, stacklevel=1)
    return _count(n_objects, len(job.planes), constant)


def decode(job: DecodeJob, models: Models, tell: Tell) -> str:
    """Make masks again of the outputs that were kept, with other thresholds; no network runs."""
    segmenter = _load(job.model, models)
    n_objects = 0
    for k in range(len(job.planes)):
        _tell_plane(job, k, "decoding", tell)
        kept = load_file(job.outputs(k))
        outputs = Outputs(kept["outputs"], float(kept["factor"]))
        n_objects += _write(_decode(segmenter, outputs, job.thresholds), job.result(k))
    return _count(n_objects, len(job.planes), [])


def _tell_plane(job: DecodeJob, k: int, text: str, tell: Tell) -> None:
    n = len(job.planes)
    tell(Told("progress", f"{text} plane {k + 1} of {n}", k, n) if n > 1 else Told("progress", text))


def _load(path: str, models: Models) -> Segmenter:
    """The segmenter of a model file, which is the one of the job before where that had the same."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"The model file {path} is not there any more: open it again, or choose another model.")
    key = (path, os.stat(path).st_mtime_ns)
    if key not in models:
        from flowseg._segmenters.loading import load_segmenter

        segmenter = load_segmenter(path)
        models.clear()
        models[key] = segmenter
    return models[key]


def _decode(segmenter: Segmenter, outputs: Outputs, thresholds: Thresholds) -> Found:
    """Masks, and of a model of flows one array per column about the objects."""
    # Diameters are estimated with the model's own thresholds, so these stay in the segmenter.
    other, known = copy.copy(segmenter), segmenter.get_params()
    other.set_params(**{name: value for name, value in asdict(thresholds).items() if name in known})
    masks, objects = pipeline_of(other).decode_objects(outputs)
    return {"masks": masks, **{f"object_{name}": column for name, column in (objects or {}).items()}}


def _write(found: Found, path: Path) -> int:
    """Write what was found in a plane; the number of its objects."""
    save_file({name: np.ascontiguousarray(array) for name, array in found.items()}, path)
    return int(found["masks"].max(initial=0))


def _count(n_objects: int, n_planes: int, constant: list[str]) -> str:
    """How many objects there are, and where none can be."""
    text = f"{n_objects} object{'s' * (n_objects != 1)}"
    if n_planes == 1:
        return f"{text}, as all pixels have the same value" if constant else text
    text = f"{text} in {n_planes} planes, with labels that do not repeat"
    if constant:
        named = "; ".join(constant[:MOST_NAMED]) + "; …" * (len(constant) > MOST_NAMED)
        text += f"; without objects, as all pixels have the same value: {named}"
    return text


def train(job: TrainJob, tell: Tell) -> str:
    """Train, save the model, say how it went."""
    from flowseg._nets.progress import StepProgress
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

    def tell_step(n_done: int, epoch: int, losses: dict[str, float]) -> None:
        times.append(time.monotonic())
        text = f"epoch {epoch + 1} of {job.epochs}, {_describe(losses)}"
        if n_done > STEPS_TO_TELL:
            left = (times[-1] - times[0]) / (n_done - 1) * (n_steps - n_done)
            text += f", {say_duration(left)} left"
        tell(Told("progress", text, n_done, n_steps))

    tell(Told("progress", "preparing the images"))
    began = time.monotonic()
    segmenter.fit(images, masks, callbacks=[StepProgress(tell_step)])
    segmenter.save(job.model)
    return "; ".join(describe_fit(segmenter, time.monotonic() - began))


def _describe(losses: dict[str, float]) -> str:
    names = {"loss": "loss", "val_loss": "on held-out images"}
    return ", ".join(f"{title} {losses[name]:.3f}" for name, title in names.items() if name in losses)


if __name__ == "__main__":
    main()
