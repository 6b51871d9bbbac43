"""How long prediction takes per megapixel, where the time goes, and the ratio to another version of flowseg.

python benchmarks/prediction.py DATA [--other CHECKOUT] [--every 3]

On images of nuclei, with the model that ships: by default, where diameters are estimated, and in a plain pass; with
both kinds of numbers. Every version runs in a process of its own, and they take turns image by image, so that a busy
machine does not count in the ratios. Each image is predicted twice by each, and the second time counts: then the
network is compiled. CPU seconds are those of all threads. DATA is the folder that holds dsb2018; ``--every 3`` takes
every third image.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "plain": {"estimate_diameters": False},
    "default, bfloat16": {"precision": "bfloat16"},
    "plain, bfloat16": {"estimate_diameters": False, "precision": "bfloat16"},
}
SPLITS = ("val", "test_open")
# Methods that are timed, by the name of a part. Some contain others.
PARTS = {
    "network": ("flowseg._nets.inference", "NetworkRunner", "_run_once"),
    "scaling": ("flowseg._nets.scaled_view", "ScaledView", "read"),
    "limits": ("flowseg._segmenters.pipeline", "Pipeline", "prepare"),
    "objects": ("flowseg._segmenters.codecs.flow_codec", "FlowCodec", "decode"),
    "objects of estimates": ("flowseg._segmenters.codecs.flow_codec", "FlowCodec", "decode_for_size"),
    "noise check": ("flowseg._segmenters.noise_check", "NoiseCheck", "look"),
}


class Clock:
    """Adds up the CPU seconds of the parts, and the pixels that the network sees."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        for part, (module, owner, name) in PARTS.items():
            self._watch(part, getattr(__import__(module, fromlist=[owner]), owner), name)

    def _watch(self, part: str, owner: type, name: str) -> None:
        method = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.process_time()
            result = method(*arguments, **options)
            self.counts[part] += time.process_time() - start
            if part == "network":
                self.counts["pixels seen"] += arguments[1].size // arguments[1].shape[-1]
            return result

        setattr(owner, name, timed)


def serve() -> None:
    """Predict the image of each line of the standard input, and print what it took."""
    from flowseg import FlowSegmenter, io

    clock = Clock()
    segmenters: dict[str, Any] = {}
    for line in sys.stdin:
        way, file = json.loads(line)
        if way not in segmenters:  # an earlier version does not know all parameters
            segmenters[way] = FlowSegmenter.from_pretrained("nuclei").set_params(**WAYS[way])
        image = io.read_image(file)
        segmenters[way].predict(image)
        clock.counts.clear()
        wall, cpu = time.perf_counter(), time.process_time()
        masks = segmenters[way].predict(image)
        took = {"wall": time.perf_counter() - wall, "CPU": time.process_time() - cpu}
        print(json.dumps({**took, **clock.counts, "pixels": image.size, "n": int(masks.max())}), flush=True)


class Version:
    """A process of one version of flowseg, and what it has taken so far."""

    def __init__(self, name: str, checkout: Path) -> None:
        self.name = name
        self.totals = {way: Counter() for way in WAYS}
        environment = os.environ | {"PYTHONPATH": str(checkout.resolve()), "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, __file__, "--serve"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def predict(self, way: str, file: str) -> None:
        """Predict one image."""
        self._process.stdin.write(json.dumps([way, file]) + "\n")
        self._process.stdin.flush()
        self.totals[way].update(json.loads(self._process.stdout.readline()))


def report(versions: list[Version]) -> None:
    """Print seconds per megapixel, by parts, and ratios to the other version."""
    for way in WAYS:
        for version in versions:
            totals = version.totals[way]
            if not totals:
                continue
            megapixels = totals["pixels"] / 1e6
            parts = ", ".join(f"{part} {totals[part] / megapixels:.3f}" for part in PARTS if totals[part])
            print(f"{way}, {version.name}: {megapixels:.1f} Mpx, {totals['n']} objects", end="; ")
            print(
                f"per Mpx {totals['wall'] / megapixels:.2f} s, CPU {totals['CPU'] / megapixels:.2f} s ({parts});",
                end=" ",
            )
            print(f"the network sees {totals['pixels seen'] / totals['pixels']:.2f} times the pixels")
        if len(versions) > 1 and versions[1].totals[way]:
            own, other = (version.totals[way] for version in versions)
            print(f"{way}: {own['wall'] / other['wall']:.3f} of the other's time, CPU {own['CPU'] / other['CPU']:.3f}")


def main() -> None:
    """Run the benchmark."""
    if sys.argv[1:] == ["--serve"]:
        serve()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds dsb2018")
    parser.add_argument("--other", type=Path, help="checkout of another version, with its compiled module")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image (default: 1, all)")
    options = parser.parse_args()
    folder = options.data / "dsb2018"
    with open(folder / "samples.csv", newline="") as file:
        images = [str(folder / row["image"]) for row in csv.DictReader(file) if row["split"] in SPLITS]
    versions = [Version("this version", Path(__file__).parents[1])]
    versions += [Version("the other", options.other)] if options.other else []
    for image in images[:: options.every]:
        for way, parameters in WAYS.items():
            for version in versions[: 1 if "precision" in parameters else None]:
                version.predict(way, image)
    report(versions)


if __name__ == "__main__":
    main()
