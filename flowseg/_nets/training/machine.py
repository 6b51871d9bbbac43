"""Machine and versions of a training: all that the last bits of its weights depend on, but for its seed."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from flowseg import __version__, _checks
from flowseg._nets import backends
from flowseg._nets.load_keras import keras


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
        "devices": backends.list_devices(),
        "cores": _checks.as_workers(None),
        "threads": _threads(backend),
        "onednn": backends.onednn_setting(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # on some machines it has another name
        return str(getattr(sys.modules.get(package), "__version__", ""))


def _threads(backend: str) -> int | None:
    """Return the threads of one operation: as many as cores, unless set; None where the backend has no such number."""
    count = backends.count_threads(backend)
    return _checks.as_workers(None) if count == 0 else count


def _instructions() -> list[str]:
    """Return the processor's extended instructions by NumPy's names: AVX-512, for example, adds in another order."""
    return sorted(np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", []))
