"""Training in the worker process."""

from __future__ import annotations

import time

import numpy as np

from flowseg import FlowSegmenter
from flowseg._napari.image_kinds import PLANE, VOLUME
from flowseg._napari.job_messages import NEW_NETWORKS, SMALL_NETWORK, Message, TrainJob
from flowseg._napari.worker_segmentation import Segmenter, Send
from flowseg._nets.durations import format_duration
from flowseg._segmenters.fitting.fit_summary import describe_fit
from flowseg._system.rescue import save_somewhere

# The small networks that a training may start from, for planes and for volumes: filters and the side of crops.
SMALL = {PLANE: ((16, 32, 64), 96), VOLUME: ((8, 16, 32), 32)}
# Steps before the remaining time is estimated: the first ones take longer.
FIRST_STEPS = 10


def train(job: TrainJob, send: Send) -> Message:
    """Train and save the model; return the message at the end, with the model's file."""
    from flowseg._nets.training.progress import StepProgress
    from flowseg._segmenters.loading import load_segmenter

    if job.start in NEW_NETWORKS:
        segmenter: Segmenter = FlowSegmenter(ndim=job.ndim, n_channels=job.n_channels)
        if job.start == SMALL_NETWORK:
            filters, crop_size = SMALL[job.ndim]
            segmenter.set_params(filters=filters, crop_size=crop_size)
    else:
        segmenter = load_segmenter(job.start).set_params(warm_start=True, learning_rate="auto")
    segmenter.set_params(epochs=job.epochs, random_state=0)
    images = [np.load(job.image(k), allow_pickle=False) for k in range(job.n_pairs)]
    masks = [np.load(job.masks(k), allow_pickle=False) for k in range(job.n_pairs)]
    spacing = [one for one in job.spacings if one is not None] or None
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
    segmenter.fit(images, masks, spacing=spacing, callbacks=[StepProgress(send_step)])
    text = "; ".join(describe_fit(segmenter, time.monotonic() - began))
    file, error = save_somewhere(segmenter.save, job.model)
    if error is not None:
        send(Message("warning", f"The model could not be kept in the temporary folder: it is saved as {file}."))
    return Message("done", text, file=str(file))


def _describe(losses: dict[str, float]) -> str:
    names = {"loss": "loss", "val_loss": "on held-out images"}
    return ", ".join(f"{title} {losses[name]:.3f}" for name, title in names.items() if name in losses)
