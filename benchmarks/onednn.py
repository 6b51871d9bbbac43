"""Time of training steps and predictions with oneDNN, as a ratio to TensorFlow without it, in 2-D and 3-D.

python benchmarks/onednn.py [--rounds 3]

On drawn cells, with default networks. Processes with and without oneDNN take turns, and each keeps its best time; the
ratio is that of the medians over rounds. On processors with AVX-512 VNNI or newer instructions, TensorFlow computes
with oneDNN by itself; on others flowseg turns it on.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
REPEATS = 3
# What is not trained for is given, so that nothing is chosen on validation images.
GIVEN: dict[str, Any] = {
    "epochs": 1,
    "cellprob_threshold": 0.0,
    "flow_threshold": 0.4,
    "min_size": 15,
    "score_threshold": None,
    "estimate_diameters": False,
    "random_state": 0,
}


def measure() -> dict[str, float]:
    """Seconds of a training step and of a prediction, in 2-D and 3-D."""
    from flowseg import FlowSegmenter, synthetic

    found = {}
    for ndim, shape, n_steps in ((2, (512, 512), 10), (3, (48, 96, 96), 5)):
        image, masks = synthetic.cells(shape, 100, diameter=14, rng=0)
        segmenter = FlowSegmenter(ndim=ndim, steps_per_epoch=n_steps, **GIVEN)
        found[f"step, {ndim}-D"] = time_step(segmenter, image, masks)
        if ndim == 2:
            segmenter = FlowSegmenter.from_pretrained("nuclei").set_params(estimate_diameters=False)
        segmenter.predict(image)  # compiles the network
        found[f"prediction, {ndim}-D"] = min(seconds(lambda s=segmenter, i=image: s.predict(i)) for _ in range(REPEATS))
    return found


def time_step(segmenter: Any, image: np.ndarray, masks: np.ndarray) -> float:
    """Train, and return the median seconds from the end of one step to the end of the next."""
    import keras

    ends: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch, logs  # Keras passes them by name
            ends.append(time.perf_counter())

    segmenter.fit([image], [masks], callbacks=[Clock()])
    return float(np.median(np.diff(ends)))


def seconds(call: Callable[[], object]) -> float:
    """Return what a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Run the benchmark."""
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measure()))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind (default: 3)")
    rounds = parser.parse_args().rounds
    found: dict[str, list[dict[str, float]]] = {"0": [], "1": []}
    for _ in range(rounds):
        for setting, results in found.items():
            environment = os.environ | {VARIABLE: setting}
            command = [sys.executable, "-W", "ignore", __file__, "--measure"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
    for name in found["0"][0]:
        off, on = (float(np.median([result[name] for result in results])) for results in found.values())
        print(f"{name}: {on:.2f} s with oneDNN, {off:.2f} s without; ratio {on / off:.2f}")


if __name__ == "__main__":
    main()
