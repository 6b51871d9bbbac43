"""Suggestions in the worker process: it looks at all images, as ``flowseg suggest`` does."""

from __future__ import annotations

import warnings

import numpy as np

from flowseg._napari.job_messages import SuggestJob
from flowseg._napari.suggestions.found_boxes import split_into_boxes, write_boxes
from flowseg._napari.worker_segmentation import Models, Progress, Send, load_model
from flowseg._segmenters.pipeline import pipeline_of
from flowseg._suggest.examine import Examination, Rules

# Images of which each counts less the more it is like one before. Source: chosen, more than anybody corrects in a row.
MOST_VARIED = 100


def suggest(job: SuggestJob, models: Models, send: Send) -> str:
    """Look at images one by one, write their boxes in order, and return in words how many images there are."""
    n = job.n_images
    progress = Progress("image", n, "looking at" if n > 1 else "looking at the image", send)
    pipeline = pipeline_of(load_model(job.model, models), on_tile=progress.count_tiles)
    rules = Rules(number=MOST_VARIED, box_size=job.box_size, boxes_per_image=job.boxes_per_image)
    rules.check()
    examination = Examination(pipeline, rules)
    examined = []
    for k in range(n):
        progress.begin(k)
        examined.append(examination.look(np.load(job.image(k), allow_pickle=False)))
    for remark in examination.remarks(examined):
        warnings.warn(remark[:1].upper() + remark[1:], stacklevel=1)
    write_boxes(job.result, list(split_into_boxes(examination.order(examined))))
    return f"{n} image{'s' * (n > 1)}"
