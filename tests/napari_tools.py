"""What the tests of the napari plugin share: fixtures, for ``pytest_plugins``, and ways to wait and to use the mouse."""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import flowseg

# Time for the child to start TensorFlow and to do a job on a busy machine, in milliseconds.
LONG = 900_000


def why_not():
    missing = [name for name in ("napari", "qtpy", "pytestqt") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        return "no display: run under xvfb-run"
    if "tensorflow" in sys.modules:
        return "TensorFlow beside a software OpenGL crashes: run this file in a process of its own"
    return None


needs_viewer = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.fixture
def viewer(make_napari_viewer):
    if "tensorflow" in sys.modules:
        pytest.skip(why_not())
    from npe2 import PluginManager, PluginManifest

    manager = PluginManager.instance()
    if "flowseg" not in manager._manifests:  # not installed with metadata
        manager.register(PluginManifest.from_file(Path(flowseg.__file__).parent / "napari.yaml"))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    return viewer


# A worker process that a test has left idle: most of the time of a short job is the start of TensorFlow.
IDLE = []


@pytest.fixture
def widget(viewer, monkeypatch):
    """The plugin's panel; its first job is done by the process that the last panel has left, if there is one."""
    from flowseg._napari import worker_process

    start = worker_process.WorkerProcess._start

    def start_or_go_on(worker):
        if worker.is_busy and IDLE:
            with monkeypatch.context() as patch:
                patch.setattr(worker_process, "QProcess", IDLE.pop)
                start(worker)
        else:
            start(worker)

    monkeypatch.setattr(worker_process.WorkerProcess, "_start", start_or_go_on)
    widget = viewer.window.add_plugin_dock_widget("flowseg", "Segment, correct and train")[1]
    yield widget
    worker = widget.worker
    if worker._running and not worker.is_busy:
        IDLE.append(worker._running.pop())
        for signal in ("readyReadStandardOutput", "readyReadStandardError", "finished", "errorOccurred"):
            getattr(IDLE[-1], signal).disconnect()


@pytest.fixture(scope="session", autouse=True)
def idle_processes_end():
    yield
    for process in IDLE:
        process.kill()
        process.waitForFinished()


@pytest.fixture
def said(viewer):
    """What the viewer has notified of since, as (severity, message)."""
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    return lambda: [(str(r.severity), r.message) for r in notification_manager.records]


def finish(qtbot, widget):
    """Wait for the end of the work, and of what changed thresholds ask for."""
    segment = widget.segment
    qtbot.waitUntil(lambda: not (widget.worker.is_busy or segment._timer.isActive()), timeout=LONG)


def set_threshold(widget, name, value):
    widget.segment.thresholds.slides[name].number.setValue(value)


def drag(qtbot, viewer, points):
    """Press, move and release the mouse on the canvas, at points in world coordinates (row, column)."""
    from qtpy.QtCore import QPoint, Qt

    canvas = viewer.window._qt_viewer.canvas.native
    middle = np.array([canvas.height(), canvas.width()]) / 2
    places = [middle + (np.array(p) - viewer.scene.camera.center[1:]) * viewer.scene.camera.zoom for p in points]
    pixels = [QPoint(round(float(x)), round(float(y))) for y, x in places]
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=pixels[0])
    for pixel in pixels[1:]:
        qtbot.mouseMove(canvas, pos=pixel)
        qtbot.wait(30)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=pixels[-1])
    qtbot.wait(30)


def squares():
    """Three squares: 1 and 2 touch, 5 is alone."""
    masks = np.zeros((60, 80), dtype=np.int32)
    masks[10:30, 10:30] = 1
    masks[10:30, 30:50] = 2
    masks[40:55, 10:70] = 5
    return masks
