"""Kill saves, runs and trainings' checkpoints at random moments and count what is lost, and what is left over.

    python tests/kills.py --saves 40 --runs 10 --interrupts 10

Prints one line per attack. Exit status 1 if a file was lost or damaged, if anything is left over after the next save, or
if a command goes on for more than a second after Ctrl-C.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from cli_tools import contents, start
from safetensors import SafetensorError
from safetensors.numpy import load_file

from flowseg import io, synthetic
from flowseg._system import files

SAVES = """
import sys
from pathlib import Path
import numpy as np
from flowseg import io
from flowseg._system import files
folder = Path(sys.argv[1])
print("ready", flush=True)
k = int(sys.argv[2])
while True:
    k += 1
    files.write_safetensors(folder / "model.safetensors", {"w": np.full(2_000_000, k, np.float32)}, {"k": str(k)})
    io.write_masks(folder / "a_masks.tif", np.full((700, 700), k % 60000))
    io.write_table(folder / "a.csv", {"k": np.full(3000, k)})
"""
NAMES = {"model.safetensors", "a_masks.tif", "a.csv"}


def whole(folder):
    """Names of files that are damaged, or are not what one save wrote."""
    bad = []
    for name, read in {
        "model.safetensors": lambda file: load_file(file)["w"],
        "a_masks.tif": io.read_masks,
        "a.csv": lambda file: np.loadtxt(file, skiprows=1),
    }.items():
        try:
            if len(np.unique(read(folder / name))) != 1:
                bad.append(name)
        except (OSError, ValueError, SafetensorError):
            bad.append(name)
    return bad


def kill_saves(n, rng):
    """Kill a process that saves a model, masks and a table over and over."""
    n_bad = n_left = most_left = n_after = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for k in range(n):
            process = start([sys.executable, "-c", SAVES, folder, str(100 * k)], stdout=subprocess.PIPE, text=True)
            process.stdout.readline()
            while not all((folder / each).exists() for each in NAMES):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.2))
            process.kill()
            process.communicate()
            n_bad += len(whole(folder))
            left = {file.name for file in folder.iterdir()} - NAMES
            n_left += bool(left)
            most_left = max(most_left, len(left))
        for each in NAMES:
            files.write_atomically(folder / each, lambda beside: beside.write_text("x"))
        n_after = len(list(folder.iterdir())) - len(NAMES)
    print(  # noqa: T201
        f"saves: {n} kills, {n_left} of them during a save; files lost or damaged: {n_bad}; unfinished files at a time: "
        f"{most_left}; after the next save: {n_after}"
    )
    return n_bad + n_after + max(most_left - len(NAMES), 0)


def draw(folder, n, size):
    folder.mkdir()
    for k in range(n):
        io.write_masks(folder / f"{k}.tif", synthetic.cells((size, size), 30, rng=k)[1])
    return folder


def kill_runs(n, rng):
    """Kill `flowseg convert` again and again, go on, and compare with a run that nobody killed."""
    n_bad = n_kills = 0
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        source = draw(top / "in", 60, 200)
        words = [sys.executable, "-m", "flowseg", "convert", source, "--to", "tif,geojson,csv,coco", "--output"]
        subprocess.run([*words, top / "whole"], check=True, stdout=subprocess.DEVNULL)
        for k in range(n):
            output = top / f"killed {k}"
            for _ in range(3):
                process = start([*words, output, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                while process.poll() is None and not (output / "flowseg-run.jsonl").exists():
                    time.sleep(0.005)
                time.sleep(rng.uniform(0, 2.0))
                n_kills += process.poll() is None
                process.kill()
                process.wait()
            subprocess.run([*words, output, "--resume"], check=True, stdout=subprocess.DEVNULL)
            n_bad += contents(output) != contents(top / "whole")
    print(f"runs: {n_kills} kills in {n} runs that went on; runs with other or more files than a whole one: {n_bad}")  # noqa: T201
    return n_bad


def interrupt_predict(n, rng, model):
    """Press Ctrl-C while `flowseg predict` reads, segments and decodes large images."""
    seconds = []
    n_left = 0
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        (top / "in").mkdir()
        image, _ = synthetic.cells((3000, 3000), 4000, rng=0)
        for k in range(8):
            io.write_masks(top / "in" / f"{k}.tif", (60 * np.roll(image, k)).clip(0, 255).astype(np.uint8))
        words = [sys.executable, "-m", "flowseg", "predict", top / "in", "--model", model, "--output"]
        for k in range(n):
            output = top / f"out {k}"
            process = start([*words, output], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not (output / "flowseg-run.jsonl").exists():
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 20))
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.wait()
            seconds.append(time.monotonic() - began)
            n_left += len([file for file in contents(output) if file.startswith(".")])
    late = sum(value > 1 for value in seconds)
    print(  # noqa: T201
        f"Ctrl-C in predict: {n} times; over after {np.median(seconds):.2f} s (median), {max(seconds):.2f} s (longest); "
        f"later than a second: {late}; unfinished files: {n_left}"
    )
    return late + n_left


def main():
    """Do it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=40)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--interrupts", type=int, default=10)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    n_bad = kill_saves(given.saves, rng) if given.saves else 0
    n_bad += kill_runs(given.runs, rng) if given.runs else 0
    n_bad += interrupt_predict(given.interrupts, rng, given.model) if given.interrupts else 0
    sys.exit(bool(n_bad))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
