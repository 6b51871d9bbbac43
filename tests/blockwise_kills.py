"""Kill runs of `flowseg.blockwise` at random moments, and compare what they write with an undisturbed run.

    python tests/blockwise_kills.py --kills 20 --workers-lost 10 --ndim 2 3

Prints one line per attack, of an image and of a volume. Exit status 1 if a byte of the labels differs, or if a block that was done was done again.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from cli_tools import start

from flowseg import FlowSegmenter, synthetic
from flowseg.blockwise._runs.job import work_folder_of

# Sides of blocks of an image, and of a volume.
BLOCK_SIZES = {2: 100, 3: 40}
# The volume that is attacked, and its cells.
VOLUME, N_CELLS = (52, 130, 110), 120
# Seconds in which a cluster replaces a worker.
REPLACEMENT = 20
# A whole run; the work folder is kept, to look at its records. Arguments: paths, the folder, the number of workers, the
# side of blocks.
SEGMENT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import numpy as np
from pathlib import Path
from flowseg import FlowSegmenter, blockwise
from flowseg.blockwise import _segment
_segment.remove_work_folder = lambda folder: None
folder = Path(sys.argv[2])
model = FlowSegmenter.load(folder / "model.safetensors")
image = np.load(folder / "image.npy", mmap_mode="r")
workers, size = map(int, sys.argv[3:])
blockwise.segment(model, image, folder / "out.zarr", block_size=size, workers=workers, resume=True)
"""
# One part of a run that is planned. Arguments: paths, the folder, the part, the number of parts.
PART = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from flowseg import blockwise
blockwise.run_part(sys.argv[2] + "/out.zarr", int(sys.argv[3]), int(sys.argv[4]))
"""


def prepare(folder, shape, n_cells):
    """Write a model and an image, or a volume."""
    common = {"epochs": 2, "random_state": 3, "flow_threshold": None}
    if len(shape) == 2:
        pairs = [synthetic.cells((96, 96), 10, rng=seed) for seed in range(4)]
        model = FlowSegmenter(filters=(4, 8), crop_size=64, batch_size=4, steps_per_epoch=20, **common)
        model.fit(*zip(*pairs))
        image, _ = synthetic.cells(shape, n_cells, rng=9)
    else:
        drawn = {"diameter": 10, "spacing": (2, 1, 1)}
        pairs = [synthetic.cells((12, 30, 30), 6, rng=seed, **drawn) for seed in range(3)]
        training = {"crop_size": 24, "batch_size": 2, "steps_per_epoch": 30, "learning_rate": 0.01}
        model = FlowSegmenter(ndim=3, filters=(8, 16), diameter=10, **training, **common)
        model.fit(*zip(*pairs), spacing=(2, 1, 1))
        image, _ = synthetic.cells(shape, n_cells, rng=9, **drawn)
    model.save(folder / "model.safetensors")
    np.save(folder / "image.npy", image)


def block_size_of(folder):
    """Side of blocks of what `prepare` has written."""
    return BLOCK_SIZES[np.load(folder / "image.npy", mmap_mode="r").ndim]


def launch(code, *arguments):
    """Start one of these programs in a session of its own."""
    words = [sys.executable, "-c", code, json.dumps(sys.path), *map(str, arguments)]
    return start(words, stderr=subprocess.PIPE, start_new_session=True)


def finish(process):
    """Wait for the end of a program, which must succeed."""
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(errors.decode())


def output_of(folder):
    """Bytes of all files of the output, by path."""
    top = folder / "out.zarr"
    return {file.relative_to(top).as_posix(): file.read_bytes() for file in top.rglob("*") if file.is_file()}


def records_of(folder):
    """Number and time of change of all records, by path."""
    found = {}
    for file in work_folder_of(folder / "out.zarr").glob("*/*.npz"):
        state = file.stat()
        found[f"{file.parent.name}/{file.name}"] = (state.st_ino, state.st_mtime_ns)
    return found


def clear(folder):
    """Remove output, table of objects and work folder."""
    (folder / "out.csv").unlink(missing_ok=True)
    for path in (folder / "out.zarr", work_folder_of(folder / "out.zarr")):
        shutil.rmtree(path, ignore_errors=True)


def undisturbed(folder):
    """Bytes of the output of a run that nothing disturbs, and the seconds that it takes."""
    clear(folder)
    began = time.monotonic()
    finish(launch(SEGMENT, folder, 1, block_size_of(folder)))
    return output_of(folder), time.monotonic() - began


def kill_run(folder, expected, moments):
    """Kill a run at these moments, resuming it each time; return how many kills hit, and what was wrong.

    A run that ends before its moment is checked, and the next one begins from scratch.
    """
    clear(folder)
    n_kills, wrong, done = 0, [], {}
    for moment in [*moments, None]:
        process = launch(SEGMENT, folder, 1, block_size_of(folder))
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            time.sleep(0.2)  # its workers see that it is gone
            n_kills += 1
        now = records_of(folder)
        wrong += [f"{name} was done again" for name, state in done.items() if now.get(name) != state]
        done = now
        if process.returncode == 0:
            if output_of(folder) != expected:
                wrong.append("the output differs")
            clear(folder)
            done = {}
        elif process.returncode != -signal.SIGKILL:
            wrong.append(f"exit status {process.returncode}")
    return n_kills, wrong


def run_parts(folder, n_parts):
    """Bytes of the output of parts that run at once."""
    from flowseg import blockwise

    clear(folder)
    model = FlowSegmenter.load(folder / "model.safetensors")
    image = np.load(folder / "image.npy", mmap_mode="r")
    blockwise.plan(model, image, folder / "out.zarr", block_size=block_size_of(folder))
    for process in [launch(PART, folder, part, n_parts) for part in range(1, n_parts + 1)]:
        finish(process)
    blockwise.finish(folder / "out.zarr")
    return output_of(folder)


def run_on_cluster(folder, client, kill_after=None, rng=random):
    """Bytes of the output of a run on a cluster; one worker is killed after some seconds. Return also whether it was."""
    from flowseg import blockwise

    clear(folder)
    model = FlowSegmenter.load(folder / "model.safetensors")
    image = np.load(folder / "image.npy", mmap_mode="r")
    over, killed = threading.Event(), []

    def kill():
        if not over.wait(kill_after):
            number = rng.choice(sorted(client.run(os.getpid).values()))
            if not over.is_set():
                os.kill(number, signal.SIGKILL)
                killed.append(number)

    thread = threading.Thread(target=kill, daemon=True)
    if kill_after is not None:
        thread.start()
    try:
        blockwise.segment(model, image, folder / "out.zarr", block_size=block_size_of(folder), client=client)
    finally:
        over.set()
        if kill_after is not None:
            thread.join()
    return output_of(folder), bool(killed)


def attack_clusters(folder, expected, n_lost, rng):
    """Run on clusters of 1, 2 and 4 workers, then lose one of two workers often; return how many, and what was wrong."""
    wrong, seconds, n_killed = [], {}, 0
    for n_workers in (1, 2, 4):
        with cluster_of(n_workers) as client:
            run_on_cluster(folder, client)  # imports
            began = time.monotonic()
            if run_on_cluster(folder, client)[0] != expected:
                wrong.append(f"{n_workers} workers: the output differs")
            seconds[n_workers] = time.monotonic() - began
    while n_killed < n_lost:
        with cluster_of(2) as client, suppress(TimeoutError):  # a worker that dask does not replace
            while n_killed < n_lost:
                output, killed = run_on_cluster(folder, client, rng.uniform(0, seconds[2]), rng)
                n_killed += killed
                if output != expected:
                    wrong.append("a worker was lost: the output differs")
                client.wait_for_workers(2, timeout=REPLACEMENT)
    return n_killed, wrong


@contextmanager
def cluster_of(n_workers):
    """Yield the client of a cluster on this machine."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def attack(folder, given, rng):
    """Attack runs in a folder that is prepared; return what was wrong."""
    expected, seconds = undisturbed(folder)
    n_records = len(records_of(folder))
    print(f"undisturbed: {n_records} records, {len(expected)} files, {seconds:.1f} s", flush=True)
    n_kills, wrong, moments = 0, [], 0
    while n_kills < given.kills:
        # As many kills in one run as hit before it ends: the later ones find more done.
        n, found = kill_run(folder, expected, [rng.uniform(0, seconds) for _ in range(3)])
        n_kills, wrong, moments = n_kills + n, wrong + found, moments + 3
    print(f"{n_kills} kills of {moments} tries", flush=True)
    if run_parts(folder, 2) != expected:
        wrong.append("two parts: the output differs")
    print("two parts at once", flush=True)
    n_killed, found = attack_clusters(folder, expected, given.workers_lost, rng)
    print(f"clusters of 1, 2 and 4 workers; {n_killed} workers lost", flush=True)
    return wrong + found


def main():
    """Attack runs as often as the arguments state."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers-lost", type=int, default=10)
    parser.add_argument("--size", type=int, default=600, help="side of the image")
    parser.add_argument("--ndim", type=int, nargs="*", default=[2, 3])
    given = parser.parse_args()
    rng, wrong = random.Random(1), []
    for ndim in given.ndim:
        shape = (given.size, given.size - 40) if ndim == 2 else VOLUME
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, shape, given.size**2 // 1500 if ndim == 2 else N_CELLS)
            print(f"shape {shape}", flush=True)
            wrong += attack(folder, given, rng)
    print("\n".join(wrong) or "nothing was lost, nothing was done again")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
