"""Feed damaged files to every reader and to the readers of model files, for a given time.

    python tests/fuzz_readers.py [TARGET ...] --seconds 600 [--seed 0] [--findings build/findings]
    python tests/fuzz_readers.py [TARGET ...] --replay

Each target runs in a process of its own, guided by coverage where atheris is installed, else by chance. An input may be
read, or refused by flowseg in a sentence. Anything else is a finding: another exception, one that a library raised, a
crash, more than LIMIT_SECONDS, more than LIMIT_BYTES. Findings are kept as files, one of each kind. With --replay the
files of ``tests/corpus``, which once were findings, are read once more under the same limits.
"""

import argparse
import contextlib
import faulthandler
import logging
import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzz_targets import PACKAGE, TARGETS, judge

LIMIT_SECONDS = 10.0  # per input, of an otherwise busy machine
LIMIT_BYTES = 1 << 30  # beyond what the process has when it starts
LONGEST = 1 << 16  # bytes of an input
LOADING = -1.0  # where a board says when the input under way began
MOST_STILLBORN = 3  # children that die before they have loaded what they need
N_BOARD = 24  # bytes of what a child tells: inputs so far, findings so far, beginning of the one under way
GUIDES = ["flowseg", "tifffile", "roifile", "PIL", "scipy.io"]  # whose branches atheris sees
CORPUS = Path(__file__).parent / "corpus"
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, 1 << 63]
WORDS = [b"0", b"-1", b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b'""', b"99999999999", b"[" * 2000, b"1e9"]


def known_inputs(name, *, lives):
    """What a target starts from: files that are right, and those that once did harm, unless they do so again."""
    folder = CORPUS / name
    if lives:
        return TARGETS[name].seeds()
    kept = [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []
    return [*TARGETS[name].seeds(), *kept]


def mutate(rng, data, others):
    """A few changes of bytes, numbers and words."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        place = rng.randrange(len(data) + 1)
        kind = rng.randrange(8)
        if kind == 0 and data:
            data[place - 1] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[place - 1] = rng.randrange(256)
        elif kind == 2:
            code = rng.choice(["<H", ">H", "<I", ">I", "<Q", ">Q"])
            width = struct.calcsize(code)
            data[place : place + width] = struct.pack(code, rng.choice(NUMBERS) % (1 << 8 * width))
        elif kind == 3:
            del data[place : place + rng.choice([1, 2, 4, 16, 200])]
        elif kind == 4:
            data[place:place] = data[rng.randrange(len(data) + 1) :][: rng.choice([1, 4, 30, 200])]
        elif kind == 5:
            other = rng.choice(others)
            data[place:] = other[min(place, len(other)) :]
        elif kind == 6:
            digits = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
            at = rng.choice(digits or [place])
            data[at : at + 1] = rng.choice(WORDS)
        else:
            data[place:place] = rng.choice(WORDS)
    return bytes(data[:LONGEST])


class Child:
    """One target in this process."""

    def __init__(self, name, folder, findings):
        self.target, self.findings = TARGETS[name], findings
        self.input = folder / f"input{self.target.suffix}"
        with open(folder / "board", "r+b") as file:
            self.board = mmap.mmap(file.fileno(), N_BOARD)
        self.n, self.n_found = struct.unpack("<QQ", self.board[:16])
        self.kinds = kinds_of(findings / name)  # a child that died before this one found some

    def look(self, data, *, is_timed=True):
        """Read one input."""
        self.n += 1
        self.board[:] = struct.pack("<QQd", self.n, self.n_found, time.monotonic() if is_timed else LOADING)
        self.input.write_bytes(data)
        fault = judge(self.target, self.input)
        self.board[:] = struct.pack("<QQd", self.n, self.n_found, 0.0 if is_timed else LOADING)
        if fault and fault.kind not in self.kinds:
            self.kinds.add(fault.kind)
            self.n_found += 1
            keep(self.findings, self.target, data, fault.kind, fault.text)

    def run(self, seconds, seed, lives):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print
        logging.disable()
        trace = open(self.input.with_name("trace"), "w")  # noqa: SIM115  (open as long as the process)
        faulthandler.register(signal.SIGUSR1, trace)
        known = known_inputs(self.target.name, lives=lives)
        try:
            import atheris
        except ImportError:
            self.start(known)
            self.run_by_chance(known, seconds, seed)
            return
        with atheris.instrument_imports(include=GUIDES):  # most are imported by the first input
            self.start(known)
        folder = self.input.parent / "seeds"
        folder.mkdir(exist_ok=True)
        for k, data in enumerate(known):
            (folder / str(k)).write_bytes(data)
        options = [f"-max_total_time={int(seconds)}", f"-seed={seed + 1}", f"-max_len={LONGEST}", "-rss_limit_mb=0"]
        options += ["-timeout=100000", "-verbosity=0", str(folder)]
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        atheris.Setup([sys.argv[0], *options], self.look)
        atheris.Fuzz()

    def start(self, known):
        """Read what is known, so that all is loaded, before memory is counted."""
        for k, data in enumerate(known):
            self.look(data, is_timed=k > 0)  # the first imports what it takes
        limit_memory()
        self.board[16:] = struct.pack("<d", 0.0)

    def run_by_chance(self, known, seconds, seed):
        rng, end = random.Random(seed), time.monotonic() + seconds
        while time.monotonic() < end:
            self.look(mutate(rng, rng.choice(known), known))


def limit_memory():
    """Let this process take LIMIT_BYTES more than it has."""
    import resource

    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + LIMIT_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def kinds_of(folder):
    """Kinds of the findings in a folder."""
    return {file.read_text().split("\n")[0] for file in folder.glob("*.txt")}


def keep(findings, target, data, kind, text):
    """Write a finding, unless there is one of its kind: the input, and what came of it."""
    folder = findings / target.name
    folder.mkdir(parents=True, exist_ok=True)
    if kind in kinds_of(folder):
        return
    number = len(list(folder.glob("*.txt")))
    (folder / f"{number:03d}{target.suffix}").write_bytes(data)
    (folder / f"{number:03d}.txt").write_text(f"{kind}\n\n{text}\n")


def watch(process, board, limit, seconds):
    """Wait for a child for ``seconds`` of its work; return whether it was killed for one input that took too long.

    Before it is killed, the child prints where it is.
    """
    ready = None
    while process.poll() is None:
        time.sleep(0.2)
        now, began = time.monotonic(), struct.unpack("<QQd", board[:])[2]
        ready = now if ready is None and began >= 0 else ready
        if ready is not None and now - ready > seconds:
            process.kill()
            process.wait()
            board[16:] = struct.pack("<d", 0.0)
            return False, seconds
        if began > 0 and now - began > limit:
            process.send_signal(signal.SIGUSR1)
            time.sleep(0.2)
            process.kill()
            process.wait()
            return True, now - ready
    return False, 0.0 if ready is None else time.monotonic() - ready


def run_target(name, seconds, seed, findings):
    """Children, one after the other, until the time is over; numbers of inputs and of findings."""
    target, used, lives, stillborn = TARGETS[name], 0.0, 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "board").write_bytes(bytes(N_BOARD))
        with open(folder / "board", "r+b") as file, contextlib.closing(mmap.mmap(file.fileno(), N_BOARD)) as board:
            while seconds - used > 1 and stillborn < MOST_STILLBORN:
                board[16:] = struct.pack("<d", LOADING)
                options = ["--child", "--seconds", str(seconds - used), "--seed", str(seed + 1000 * lives)]
                options += ["--findings", str(findings), "--folder", scratch, "--lives", str(lives)]
                process = subprocess.Popen([sys.executable, __file__, name, *options])
                too_long, seconds_used = watch(process, board, LIMIT_SECONDS, seconds - used)
                n, n_found, began = struct.unpack("<QQd", board[:])
                used, lives, stillborn = used + seconds_used, lives + 1, stillborn + (began < 0)
                if too_long or (process.returncode != 0 and began > 0):
                    kind = describe_death(process.returncode, too_long, (folder / "trace").read_text())
                    board[:] = struct.pack("<QQd", n, n_found + (kind not in kinds_of(findings / name)), 0.0)
                    data = (folder / f"input{target.suffix}").read_bytes()
                    keep(findings, target, data, kind, (folder / "trace").read_text())
            return struct.unpack("<QQ", board[:16])


def describe_death(status, too_long, trace):
    """What ended a child, and where in flowseg it was, as far as it could say."""
    place = next((line.strip() for line in trace.split("\n") if f"{PACKAGE}/" in line), "").split("/")[-1]
    kind = f"more than {LIMIT_SECONDS:g} s" if too_long else f"crash, status {status}"
    return f"{kind}, {place}".rstrip(", ")


def replay(names):
    """Read the inputs that were found once; how many are found again."""
    again = []
    for target in (TARGETS[name] for name in names):
        files = sorted((CORPUS / target.name).glob("*"))
        if not files:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / f"input{target.suffix}"
            path.write_bytes(target.seeds()[0])
            judge(target, path)  # loads what it takes, before memory is counted
            limit_memory()
            for file in files:
                path.write_bytes(file.read_bytes())
                faulthandler.dump_traceback_later(LIMIT_SECONDS, exit=True)
                fault = judge(target, path)
                faulthandler.cancel_dump_traceback_later()
                again += [f"{target.name}/{file.name}: {fault.kind}"] if fault else []
    print("\n".join([*again, f"{len(again)} found again"]), flush=True)
    return int(bool(again))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path("build/findings"))
    parser.add_argument("--replay", action="store_true", help="only read tests/corpus")
    parser.add_argument("--lives", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.child:
        Child(said.targets[0], said.folder, said.findings).run(said.seconds, said.seed, said.lives)
        return 0
    names = said.targets or list(TARGETS)
    if said.replay:
        return replay(names)
    total = found = 0
    for k, name in enumerate(names):
        shutil.rmtree(said.findings / name, ignore_errors=True)
        seconds = said.seconds / len(names)
        n, n_found = run_target(name, seconds, said.seed + k, said.findings.resolve())
        total, found = total + n, found + n_found
        for file in sorted((said.findings / name).glob("*.txt")):
            print(f"FOUND {file}: {file.read_text().splitlines()[0]}", flush=True)
        print(f"{name}: {n} inputs, {n_found} findings", flush=True)
    print(f"all: {total} inputs, {found} findings in {said.seconds:g} s", flush=True)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
