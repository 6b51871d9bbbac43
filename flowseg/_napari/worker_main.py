"""Main function of the worker process, which runs Keras: it reads jobs from standard input until that ends.

In the viewer's process Keras' backend would crash if OpenGL is rendered in software, as both contain LLVM. Besides, a
process can be ended at once, and the viewer stays responsive.
"""

from __future__ import annotations

import os
import sys
import warnings

from flowseg._napari.job_messages import Job, Message, SegmentJob, SuggestJob, TrainJob, read_job
from flowseg._napari.suggestions.worker_suggestions import suggest
from flowseg._napari.worker_segmentation import Models, Send, decode, segment
from flowseg._napari.worker_training import train
from flowseg._nets.backends import suppress_startup_messages
from flowseg._system.printable import one_line

# Errors that a job or the machine may cause; any other is a bug and ends the process.
EXPECTED = (ValueError, TypeError, OSError, MemoryError, ImportError)


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
        send(Message("progress", "starting Keras"))
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
    if isinstance(job, SuggestJob):
        return Message("done", suggest(job, models, send))
    text = segment(job, models, send) if isinstance(job, SegmentJob) else decode(job, models, send)
    return Message("done", text)


if __name__ == "__main__":
    main()
