"""Machine and versions of a training: all that the last bits of its weights depend on, but for its seed."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras
import numpy as np

from flowseg import __version__, _checks

# Whether TensorFlow computes with oneDNN, which adds in another order; "0" is off, and most machines have it on.
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def describe_machine() -> dict[str, Any]:
    """Return versions, cores, threads and instructions, as JSON values; the same in every process of a machine."""
    backend = keras.config.backend()
    return {
        "flowseg": __version__,
        "keras": keras.__version__,
        "backend": f"{backend} {_version(backend)}".rstrip(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "instructions": _instructions(),
        "devices": _devices(),
        "cores": _checks.as_workers(None),
        "threads": _threads(backend),
        "onednn": os.environ.get(ONEDNN, "default"),
    }


def _devices() -> list[str]:
    try:
        return sorted({device.split(":")[0] for device in keras.distribution.list_devices()})
    except (AttributeError, NotImplementedError):  # not every backend has this
        return []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # TensorFlow has other names on some machines
        return str(getattr(sys.modules.get(package), "__version__", ""))


def _threads(backend: str) -> int | None:
    """Return the threads of one operation: as many as cores, unless set; None where the backend has no such number."""
    threading = getattr(getattr(sys.modules.get(backend), "config", None), "threading", None)
    if threading is None:
        return None
    return int(threading.get_intra_op_parallelism_threads()) or _checks.as_workers(None)


def _instructions() -> list[str]:
    """Return the processor's extended instructions by NumPy's names: AVX-512, for example, adds in another order."""
    return sorted(np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", []))
