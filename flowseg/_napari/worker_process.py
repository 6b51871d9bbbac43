"""The worker process, as the viewer sees it: started on first use, given one job at a time, ended to cancel."""

from __future__ import annotations

import atexit
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QObject, QProcess, Signal

from flowseg._napari.job_messages import Job, Message, read_message, write_job

# The worker imports from the same places as the viewer.
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from flowseg._napari.worker_main import main; main()"
)
# Time that a process has to end, in milliseconds.
END_TIME = 5000

Done = Callable[[Message], None]


class WorkerProcess(QObject):
    """Does one job at a time, and emits signals about it in the viewer's thread."""

    started = Signal()
    received = Signal(object)  # a Message: progress or a warning
    failed = Signal(str)  # why, in one sentence
    ended = Signal()  # done, failed or cancelled

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._files = tempfile.TemporaryDirectory(prefix="flowseg-", ignore_cleanup_errors=True)
        self._process: QProcess | None = None
        self._running: list[QProcess] = []  # the same, to end it however the viewer ends
        running = self._running
        self.destroyed.connect(lambda: _end(running))
        atexit.register(_end, running)
        self._job: Job | None = None
        self._done: Done | None = None
        self._rest = ""  # start of a line whose end has not arrived
        self._errors = ""  # end of the text on standard error
        self._n_folders = 0

    @property
    def is_busy(self) -> bool:
        """Whether a job is being done."""
        return self._job is not None

    def new_folder(self) -> str:
        """Make a folder for a job's files, or for files that are kept as long as the viewer is open."""
        self._n_folders += 1
        folder = Path(self._files.name) / f"{self._n_folders}"
        folder.mkdir()
        return str(folder)

    def check_idle(self) -> None:
        """Refuse a second job."""
        if self._job is not None:
            raise ValueError("flowseg does one job at a time: wait for its end, or cancel it.")

    def do(self, job: Job, done: Done) -> None:
        """Start a job; ``done`` is called with the message at its end, before the job's folder is removed."""
        self.check_idle()
        self._job, self._done, self._errors = job, done, ""
        self.started.emit()
        if self._process is None:
            self._start()
        if self._process is not None:  # or it failed at once
            self._process.write((write_job(job) + "\n").encode("ascii"))

    def cancel(self) -> None:
        """End the job now, and the process with it; the next job starts a new one."""
        if self._job is not None:
            self.stop()
            self._end_job()

    def stop(self) -> None:
        """End the process, if there is one."""
        self._process, self._rest = None, ""
        _end(self._running)

    def _start(self) -> None:
        process = QProcess()
        process.setProgram(sys.executable)
        process.setArguments(["-c", PROGRAM, json.dumps(sys.path)])
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._read_errors)
        process.finished.connect(self._lost)
        process.errorOccurred.connect(self._not_started)
        self._process = process
        self._running.append(process)
        process.start()

    def _read(self) -> None:
        if self._process is None:
            return
        text = self._rest + bytes(self._process.readAllStandardOutput()).decode("ascii")
        *lines, self._rest = text.split("\n")
        for line in lines:
            self._handle(read_message(line))

    def _handle(self, message: Message) -> None:
        if self._job is None:
            return
        if message.kind == "done":
            done, self._done = self._done, None
            try:
                if done is not None:
                    done(message)
            finally:
                self._end_job()
        elif message.kind == "failed":
            self._end_job()
            self.failed.emit(message.text)
        else:
            self.received.emit(message)

    def _read_errors(self) -> None:
        if self._process is not None:
            text = bytes(self._process.readAllStandardError()).decode("utf-8", "replace")
            if sys.stderr is not None:
                sys.stderr.write(text)
            self._errors = (self._errors + text)[-2000:]

    def _lost(self) -> None:
        """Report that the process has ended by itself: a bug, or the machine ran out of memory."""
        self._read_errors()
        self.stop()
        if self._job is not None:
            last = (self._errors.strip().splitlines() or ["it left no message; was there enough memory?"])[-1]
            self._end_job()
            self.failed.emit(f"The process that segments and trains has ended: {last.strip()}")

    def _not_started(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self.stop()
            self._end_job()
            self.failed.emit(f"The process that segments and trains could not be started with {sys.executable}.")

    def _end_job(self) -> None:
        job, self._job, self._done = self._job, None, None
        if job is not None:
            shutil.rmtree(job.folder, ignore_errors=True)
            self.ended.emit()


def _end(running: list[QProcess]) -> None:
    """End processes and forget them."""
    while running:
        process = running.pop()
        process.blockSignals(True)
        process.kill()
        process.waitForFinished(END_TIME)
        process.deleteLater()
