"""Keras' backends beside each other: outputs and masks of one model file, and times.

python benchmarks/backends.py DATA [BACKEND[=PYTHON] ...] [--record]

Each backend runs in a process of its own, one after the other: by default tensorflow, jax and torch in this
environment. PYTHON is the interpreter of another environment. DATA is the folder that holds dsb2018. With the model
``nuclei`` ten test images are predicted: outputs without an estimate of diameters, masks with one. Times are CPU
seconds of all threads, and of first calls seconds by the clock. ``--record`` writes the numbers to backends.json.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

BACKENDS = ("tensorflow", "jax", "torch")
N_IMAGES = 10
# Steps of training that are timed, after those in which layers are compiled and memory is taken.
WARM_UP, STEPS = 3, 10


def find_images(data: Path) -> list[Path]:
    """Return ten test images: of each size about as many as there are."""
    with open(data / "dsb2018" / "samples.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test_open"]
    rows.sort(key=lambda row: (int(row["height"]) * int(row["width"]), row["id"]))
    places = np.linspace(0, len(rows) - 1, N_IMAGES).round().astype(int)
    return [data / "dsb2018" / rows[place]["image"] for place in places]


def clock(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds that a call takes by the clock, and the CPU seconds of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def time_training(steps: int = STEPS) -> dict[str, float]:
    """Return times of the default network for images: the first step, and one of those that follow."""
    import keras

    from flowseg import FlowSegmenter, build_unet
    from flowseg._nets import losses, networks
    from flowseg._segmenters.auto_values import as_crop_and_batch, as_filters

    segmenter = FlowSegmenter()
    size, n = as_crop_and_batch(segmenter)
    network = build_unet(filters=as_filters(segmenter), seed=0)
    network.compile(keras.optimizers.AdamW(1e-3), loss=losses.flow_loss, jit_compile=networks.is_compiled())
    network.optimizer.build(network.trainable_variables)
    rng = np.random.default_rng(0)
    x, y = (rng.random((n, size, size, channels), dtype=np.float32) for channels in (1, 4))

    def step() -> float:
        return float(network.train_on_batch(x, y))

    first, _ = clock(step)
    for _ in range(WARM_UP):
        step()
    times = np.array([clock(step) for _ in range(steps)])
    wall, cpu = np.median(times, axis=0)
    return {"first step": first, "step": float(wall), "step, CPU": float(cpu)}


def time_prediction(shapes: list[tuple[int, int]], fold: bool | None = None) -> dict[str, float]:
    """Return times of the network of ``nuclei`` on images of a few shapes, whose sides are multiples of 16.

    ``fold`` is whether it is rearranged; by default, as flowseg does it on the backend.
    """
    from flowseg import FlowSegmenter
    from flowseg._nets.folded_unet import FoldedUNet

    fitted = FlowSegmenter.from_pretrained("nuclei").fitted_
    network = fitted.prediction_network() if fold is None else fitted.network
    if fold:
        network = FoldedUNet(network, len(fitted.fixed.filters), fitted.lattice.coarse_levels).of(network)
    rng = np.random.default_rng(0)
    images = [rng.random((1, *shape, 1), dtype=np.float32) for shape in shapes]
    network.predict_on_batch(np.zeros((1, 16, 16, 1), np.float32))  # what is loaded on first use
    first = [clock(lambda image=image: network.predict_on_batch(image))[0] for image in images]
    times = np.array([clock(lambda image=image: network.predict_on_batch(image)) for image in images * 2])
    wall, cpu = times.sum(axis=0) / (2 * sum(image.size for image in images) / 1e6)
    again = times[: len(images), 0]
    return {
        "first call for a shape": float(np.mean(np.array(first) - again)),
        "megapixel": float(wall),
        "megapixel, CPU": float(cpu),
    }


def predict_images(files: list[str], target: str) -> None:
    """Write outputs and masks of images to a file."""
    from flowseg import FlowSegmenter, io

    plain = FlowSegmenter.from_pretrained("nuclei").set_params(estimate_diameters=False)
    default = FlowSegmenter.from_pretrained("nuclei")
    arrays = {}
    for k, file in enumerate(files):
        image = io.read_image(file)
        arrays[f"flows {k}"], arrays[f"cellprob {k}"] = plain.predict_flows(image)
        arrays[f"masks {k}"] = default.predict(image)
    np.savez(target, **arrays)


def work(options: dict[str, Any]) -> None:
    """Do everything for the backend of this process, and print its times."""
    start = time.perf_counter()
    import keras

    times = {"import": time.perf_counter() - start}
    times |= time_training()
    shapes = [(256, 256), (256, 320), (368, 272), (512, 640)]
    times |= time_prediction(shapes)
    if keras.config.backend() in options["also"]:
        for fold in (False, True):
            times |= {
                f"{name}, {'rearranged' if fold else 'as trained'}": value
                for name, value in time_prediction(shapes, fold).items()
            }
    predict_images(options["files"], options["target"])
    print(json.dumps({"keras": keras.__version__, **times}))


def run(backend: str, python: str, files: list[Path], folder: Path) -> dict[str, Any]:
    """Return what `work` prints in a process of its own."""
    options = {"files": [str(file) for file in files], "target": str(folder / f"{backend}.npz"), "also": BACKENDS}
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [python, __file__, "--work", json.dumps(options)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(one: Path, other: Path) -> dict[str, Any]:
    """Return the largest difference of flows, logits and probabilities, and the pixels at which masks differ."""
    a, b = np.load(one), np.load(other)

    def largest(kind: str, of: Callable[[Any], Any] = np.asarray) -> float:
        return max(float(np.abs(of(a[f"{kind} {k}"]) - of(b[f"{kind} {k}"])).max()) for k in range(N_IMAGES))

    return {
        "flows": largest("flows"),
        "cellprob": largest("cellprob"),
        "probability": largest("cellprob", expit),
        "pixels of masks": [int((a[f"masks {k}"] != b[f"masks {k}"]).sum()) for k in range(N_IMAGES)],
        "objects": [int(a[f"masks {k}"].max()) for k in range(N_IMAGES)],
        "largest logit": max(float(np.abs(a[f"cellprob {k}"]).max()) for k in range(N_IMAGES)),
    }


def main() -> None:
    """Run the benchmark."""
    if sys.argv[1:2] == ["--work"]:
        work(json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds dsb2018")
    parser.add_argument("backends", nargs="*", default=list(BACKENDS), metavar="BACKEND[=PYTHON]")
    parser.add_argument("--record", action="store_true", help="write the numbers to benchmarks/backends.json")
    options = parser.parse_args()
    files = find_images(options.data)
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for text in options.backends:
            backend, _, python = text.partition("=")
            results[backend] = run(backend, python or sys.executable, files, folder)
        first = next(iter(results))
        for backend, result in results.items():
            result |= {f"with {first}": compare(folder / f"{first}.npz", folder / f"{backend}.npz")}
            print(backend, json.dumps(result, indent=1))
            for name in ("step, CPU", "megapixel, CPU"):
                print(f"  {name}: {result[name] / results[first][name]:.2f} times that of {first}")
    if options.record:
        Path(__file__).with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
