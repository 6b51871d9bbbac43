"""A training step, prediction per megapixel and memory, on the GPU that the backend sees and on the CPU.

python benchmarks/gpu.py

Runs in under five minutes, each side in a process of its own. The backend is the one that flowseg uses in this
environment; ``KERAS_BACKEND`` chooses another. Without a GPU only the CPU is measured. Times are seconds by the clock.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from backends import time_prediction, time_training

SIDE = 1008  # of images, in pixels: one tile
SECONDS = 140  # for each side
# Hide GPUs from TensorFlow and PyTorch; from JAX; from Keras on PyTorch, which on a Mac takes its GPU by itself.
ON_CPU = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "KERAS_TORCH_DEVICE": "cpu"}


def name_gpu() -> str | None:
    """Return the GPU that the backend computes on; None if it computes on the CPU."""
    import keras

    backend = keras.config.backend()
    if backend == "torch":
        from keras.src.backend.torch.core import get_device

        return None if get_device() == "cpu" else get_device()
    if backend == "jax":
        import jax

        (device, *_) = jax.devices()
        return None if device.platform == "cpu" else str(device.device_kind)
    import tensorflow

    found = tensorflow.config.list_physical_devices("GPU")
    return tensorflow.config.experimental.get_device_details(found[0]).get("device_name", "GPU") if found else None


def peak_memory(gpu: str | None) -> float:
    """Return the largest memory of the device so far, in GB: of the CPU, that of the process."""
    import keras

    if gpu is None:
        import resource  # which Windows does not have

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
    backend = keras.config.backend()
    if backend == "torch":
        import torch

        on_mac = gpu.startswith("mps")
        return (torch.mps.driver_allocated_memory() if on_mac else torch.cuda.max_memory_allocated()) / 1e9
    if backend == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 1e9
    import tensorflow

    return tensorflow.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9


def measure() -> dict[str, Any]:
    """Return what is measured in this process."""
    import flowseg

    flowseg.build_unet(filters=(4,))  # chooses the backend
    import keras

    gpu = name_gpu()
    result = {"backend": keras.config.backend(), "device": gpu or "CPU"}
    result |= time_training()
    result["memory, training"] = peak_memory(gpu)
    return result | time_prediction([(SIDE, SIDE)]) | {"memory, all": peak_memory(gpu)}


def run(variables: dict[str, str]) -> dict[str, Any]:
    """Return what a process measures in which environment variables are set."""
    checkout = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [checkout, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"} | variables
    command = [sys.executable, __file__, "--measure"]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run the benchmark."""
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measure()))
        return
    sides = [run({})]
    if sides[0]["device"] != "CPU":
        sides.append(run(ON_CPU))
    else:
        print("The backend sees no GPU: only the CPU was measured.")
    names = [name for name in sides[0] if name not in ("backend", "device")]
    print(f"{sides[0]['backend']:28}", *(f"{side['device']:>24}" for side in sides))
    for name in names:
        unit = "GB" if name.startswith("memory") else "s"
        print(f"{name:28}", *(f"{side[name]:>21.3f} {unit:2}" for side in sides))


if __name__ == "__main__":
    main()
