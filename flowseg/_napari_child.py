"""The process beside the viewer that holds TensorFlow.

In the viewer's own process TensorFlow crashes beside an OpenGL in software (both bring an LLVM along). Besides, a
process can be ended at once, and the viewer stays quick. It reads jobs from standard input until that ends.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from flowseg import plot
from flowseg._napari_jobs import NEW_NETWORKS, SMALL_NETWORK, Job, SegmentJob, Told, TrainJob, read_job
from flowseg._noise import NoiseCheck
from flowseg._quiet import hush_native_libraries

# The network of `flowseg demo`.
SMALL_FILTERS, SMALL_CROP = (16, 32, 64), 96
# Steps after which the time that is left can be told: the first ones take longer.
STEPS_TO_TELL = 10
# What goes wrong with jobs by the user's or the machine's doing; anything else is a fault of ours and ends the process.
EXPECTED = (ValueError, TypeError, OSError, MemoryError, ImportError)

Tell = Callable[[Told], None]


def main() -> None:
    """Take jobs and tell of them until there are no more."""
    hush_native_libraries()
    with os.fdopen(os.dup(1), "w", encoding="ascii") as out:
        os.dup2(2, 1)  # what libraries print is not for the viewer

        def tell(told: Told) -> None:
            out.write(told.line() + "\n")
            out.flush()

        models: dict[tuple[str, int], Any] = {}
        for line in sys.stdin:
            work(read_job(line), models, tell)


def work(job: Job, models: dict[tuple[str, int], Any], tell: Tell) -> None:
    """Do one job; ``models`` holds the segmenter of the job before, for another like it."""
    if "keras" not in sys.modules:
        tell(Told("progress", "starting TensorFlow"))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            text = segment(job, models, tell) if isinstance(job, SegmentJob) else train(job, tell)
    except EXPECTED as error:
        tell(Told("failed", " ".join(str(error).split()) or type(error).__name__))
        return
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            tell(Told("warning", " ".join(str(warning.message).split())))
    tell(Told("done", text))


def segment(job: SegmentJob, models: dict[tuple[str, int], Any], tell: Tell) -> str:
    """Segment plane by plane; write what was found; say how many objects."""
    segmenter = _load(job.model, models)
    n_objects = 0
    noise = NoiseCheck(segmenter._least_sharpness, first=1)
    for k in range(job.n_planes):
        where = f"plane {k + 1} of {job.n_planes}" if job.n_planes > 1 else "segmenting"
        tell(Told("progress", where, k, job.n_planes if job.n_planes > 1 else 0))
        image = np.load(job.plane(k), allow_pickle=False)
        if job.n_planes > 1 and image.min() == image.max():
            warnings.warn(f"plane {k + 1} is constant and was left without objects.", stacklevel=1)
            found = {"masks": np.zeros(image.shape[:2], dtype=np.int32)}
            if job.with_flows:
                found["flows"] = np.zeros((*image.shape[:2], 3), dtype=np.uint8)
        else:
            found = _segment_plane(segmenter, image, job)
        noise.look(image, found["masks"])
        save_file({name: np.ascontiguousarray(array) for name, array in found.items()}, job.result(k))
        n_objects += int(found["masks"].max(initial=0))
    noise.warn("plane {}", stacklevel=1)
    return f"{n_objects} objects"


def _load(path: str, models: dict[tuple[str, int], Any]) -> Any:
    key = (path, os.stat(path).st_mtime_ns)
    if key not in models:
        from flowseg._segmenters import load_segmenter

        segmenter = load_segmenter(path)
        models.clear()
        models[key] = segmenter
    return models[key]


def _segment_plane(segmenter: Any, image: NDArray[Any], job: SegmentJob) -> dict[str, NDArray[Any]]:
    """Masks, one array per column about the objects, and the flows' colours, from one run of the network."""
    if not hasattr(segmenter, "predict_objects"):  # three classes: neither flows nor qualities
        return {"masks": segmenter.predict(image, diameters=job.diameter)}

    def finish(outputs: NDArray[np.float32], factor: float) -> dict[str, NDArray[Any]]:
        masks, objects = segmenter._decode_objects(outputs, factor)
        found = {"masks": masks, **{f"object_{name}": column for name, column in objects.items()}}
        if job.with_flows:
            found["flows"] = plot.flow_colours(segmenter._codec.split(outputs)[0])
        return found

    return segmenter._map(image, job.diameter, finish)


def train(job: TrainJob, tell: Tell) -> str:
    """Train, save the model, say how it went."""
    from flowseg._flow_segmenter import FlowSegmenter
    from flowseg._segmenters import load_segmenter
    from flowseg._step_progress import StepProgress

    if job.start in NEW_NETWORKS:
        segmenter: Any = FlowSegmenter(n_channels=job.n_channels)
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
            text += f", {_duration(left)} left"
        tell(Told("progress", text, n_done, n_steps))

    tell(Told("progress", "preparing the images"))
    segmenter.fit(images, masks, callbacks=[StepProgress(tell_step)])
    segmenter.save(job.model)
    last = {name: values[-1] for name, values in segmenter.history_.items() if values}
    return f"typical diameter {segmenter.diameter_:.1f} pixels, {_describe(last)}"


def _describe(losses: dict[str, float]) -> str:
    names = {"loss": "loss", "val_loss": "on held-out images"}
    return ", ".join(f"{title} {losses[name]:.3f}" for name, title in names.items() if name in losses)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    main()
