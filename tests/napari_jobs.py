"""Jobs of the napari plugin's process, for tests of it."""

import numpy as np

from flowseg._napari.job_messages import SegmentJob, read_job, read_message, write_job
from flowseg._napari.worker_main import work
from flowseg._segmenters.learned_decoding.thresholds import Thresholds


def do_job(job, models=None):
    """Do a job and return the messages about it."""
    messages = []
    work(read_job(write_job(job)), {} if models is None else models, lambda m: messages.append(read_message(m.line())))
    return messages


def segment_job(folder, images, model, **given):
    names = tuple(f"plane {k}" for k in range(len(images)))
    choices = {"ndim": 2, "mode": "", "diameter": None, "spacing": None, "with_flows": False} | given
    choices = {"thresholds": Thresholds()} | choices
    job = SegmentJob(folder=str(folder), images=names, model=str(model), outputs_folder=str(folder), **choices)
    for k, image in enumerate(images):
        np.save(job.image(k), image)
    return job
