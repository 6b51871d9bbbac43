"""What exported networks return in other programs, beside Keras: largest differences, and the masks of real images.

python benchmarks/exports.py DATA --json benchmarks/exports.json [--bioimageio FOLDER]

Needs onnx and onnxruntime. OpenCV is compared if ``cv2`` is there; run the script once with each version, the results
are added to the file. DATA is the folder that holds dsb2018. With ``--bioimageio`` it writes packages to a folder, for
``bioimageio test``.
"""

import argparse
import json
import runpy
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import flowseg
from flowseg import FlowSegmenter, io

HERE = Path(__file__).parents[1]
EXAMPLE = HERE / "docs" / "how_to" / "export_onnxruntime.py"
SHAPES = ((64, 64), (256, 320), (528, 400))  # what the networks see: multiples of 16
N_IMAGES = 10
N_RUNS = 5
Run = Callable[[Any], Any]  # of a batch with channels before rows


def train(data: Path, network: str) -> FlowSegmenter:
    """A small network after a short training on real images."""
    folder = data / "dsb2018" / "train"
    pairs = io.pair_files(io.find_files(str(folder / "images")), io.find_files(str(folder / "labels")))[:24]
    images = [io.read_image(image) for image, _ in pairs]
    masks = [io.read_masks(labels) for _, labels in pairs]
    options = {"filters": (8, 16, 32), "epochs": 3, "steps_per_epoch": 20, "crop_size": 96, "random_state": 0}
    return FlowSegmenter(network=network, **options).fit(images[:18], masks[:18], validation=(images[18:], masks[18:]))


def programs(file: Path) -> Iterator[tuple[str, Run]]:
    """The exported network in each program that is installed."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    yield f"onnxruntime {onnxruntime.__version__}", lambda batch: session.run(None, {"image": batch})[0]
    try:
        import cv2
    except ImportError:
        return
    network = cv2.dnn.readNetFromONNX(str(file))

    def run(batch: Any) -> Any:
        network.setInput(batch, "image")
        return network.forward().copy()

    yield f"OpenCV {cv2.__version__}", run


def compare(segmenter: FlowSegmenter, file: Path, images: list[Any]) -> dict[str, Any]:
    """Largest differences to Keras at each size, and the time beside it."""
    flowseg.export_onnx(segmenter, file)
    network = segmenter.network_
    divisors = np.array([5, 5, 1], dtype=np.float32)
    image = flowseg.normalize(max(images, key=np.size))
    result: dict[str, Any] = {}
    for name, run in programs(file):
        for shape in SHAPES:
            part = np.pad(image, [(0, max(n - m, 0)) for n, m in zip(shape, image.shape, strict=True)], mode="reflect")
            batch = np.ascontiguousarray(part[np.newaxis, : shape[0], : shape[1], np.newaxis])
            expected = network.predict_on_batch(batch) / divisors
            found = np.moveaxis(run(np.ascontiguousarray(np.moveaxis(batch, -1, 1))), 1, -1)
            difference = np.abs(found - expected).max()
            result.setdefault(name, {})[" x ".join(map(str, shape))] = {
                "largest difference": float(difference),
                "over the largest output": float(difference / np.abs(expected).max()),
            }
        result[name]["time over Keras"] = round(time_ratio(segmenter, run, batch), 2)
    return result


def time_ratio(segmenter: FlowSegmenter, run: Run, batch: Any) -> float:
    """Median time of a program over that of the network that `predict` uses, in turns."""
    network = segmenter.fitted_.prediction_network()
    first = np.ascontiguousarray(np.moveaxis(batch, -1, 1))
    seconds: dict[str, list[float]] = {"Keras": [], "other": []}
    for _ in range(N_RUNS + 1):
        for name, call in (("Keras", lambda: network.predict_on_batch(batch)), ("other", lambda: run(first))):
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    keras, other = (np.median(times[1:]) for times in seconds.values())  # the first compiles
    return float(other / keras)


def compare_masks(segmenter: FlowSegmenter, file: Path, images: list[Any]) -> dict[str, Any]:
    """Pixels whose mask differs between the example of the documentation and `predict`, at one diameter."""
    example = runpy.run_path(str(EXAMPLE))
    session, usage = example["load_network"](file)
    counts: dict[str, Any] = {"images": len(images), "objects": 0, "objects by score": 0, "pixels": 0}
    counts["pixels that differ"] = []
    segmenter.set_params(score_threshold=None)
    for image in images:
        found = example["segment"](image, session, usage)
        expected = segmenter.predict(image, diameters=segmenter.diameter_)
        counts["pixels that differ"].append(int(np.count_nonzero(found != expected)))
        counts["objects"] += int(expected.max())
        counts["pixels"] += expected.size
    segmenter.set_params(score_threshold="auto")
    counts["objects by score"] = sum(
        int(segmenter.predict(image, diameters=segmenter.diameter_).max()) for image in images
    )
    return counts


def write_packages(segmenters: dict[str, FlowSegmenter], image: Any, folder: Path) -> None:
    """A package of each, with what only its author knows filled in for the test."""
    for name, segmenter in segmenters.items():
        flowseg.export_bioimageio(
            segmenter,
            folder / f"{name}.zip",
            image,
            name=f"flowseg {name}",
            authors=["The flowseg developers"],
            license="BSD-3-Clause",
            cite=["Caicedo et al., Nucleus segmentation across imaging experiments; 10.1038/s41592-019-0612-7"],
            validation="The page on the model in flowseg's documentation has its scores.",
        )


def main() -> None:
    """Compare, and add the results to the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--bioimageio", type=Path)
    parser.add_argument("--no-training", action="store_true", help="compare the pretrained model only")
    arguments = parser.parse_args()
    files = io.find_files(str(arguments.data / "dsb2018" / "val" / "images"))
    images = [io.read_image(file) for file in files[:: len(files) // N_IMAGES][:N_IMAGES]]
    segmenters = {"nuclei": FlowSegmenter.from_pretrained("nuclei")}
    networks = () if arguments.no_training else ("unet", "resunet")
    segmenters |= {f"small {network}": train(arguments.data, network) for network in networks}
    results = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name, segmenter in segmenters.items():
            file = Path(folder) / f"{name}.onnx"
            results.setdefault(name, {}).update(compare(segmenter, file, images))
            if "masks" not in results[name]:
                results[name]["masks"] = compare_masks(segmenter, file, images)
    arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))
    if arguments.bioimageio is not None:
        write_packages(segmenters, images[0], arguments.bioimageio)


if __name__ == "__main__":
    main()
