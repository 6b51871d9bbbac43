"""Ctrl-C and other signals end a command within a second, whatever its threads do, and nothing is left over."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_tools import contents, differing, run_here, start

from flowseg import io
from flowseg.cli._batch.file_stream import Gate, Stages, stream_files
from flowseg.cli._shared import signals

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")

# Seconds that nothing here takes; a wait for the thread would take STUCK.
SOON, STUCK = 20, 300

# Files are read, or repaired, forever: as a large file in C code, which nobody can interrupt.
CODE = f"""
import os, sys, time
from flowseg import cli
from flowseg._system import files
from flowseg.cli import _mend
def stay(*arguments, **options):
    os.write(2, b"ready\\n")
    time.sleep({STUCK})
def slow(path, write, **options):
    if path.suffix != ".tif":
        return whole(path, write, **options)
    def fill(beside):
        write(beside)
        os.write(2, b"ready\\n")
        time.sleep(0.2)
    whole(path, fill, **options)
if sys.argv[1] == "write":
    whole = files.write_atomically
    files.write_atomically = slow
elif sys.argv[1] == "read":
    _mend.read_raw_masks = stay
elif sys.argv[1] == "make":
    _mend.mend_masks = stay
sys.argv = ["flowseg", *sys.argv[2:]]
cli.main()
"""


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(9):
        io.write_masks(folder / f"{k}.tif", np.pad(np.eye(9, dtype=int), 2))
    return folder


def interrupt(where, number, source, output, workers, run=start):
    """The exit status, what was said, and the seconds from the signal to the end."""
    words = [sys.executable, "-c", CODE, where, "mend", source, "--output", output, "--workers", str(workers)]
    process = run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr.readline() == "ready\n"
        began = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=STUCK / 2)
        return process.returncode, errors.replace("ready\n", ""), time.monotonic() - began
    finally:
        process.kill()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("where", ["read", "make", "write"])
def test_ctrl_c(where, workers, source, tmp_path):
    output = tmp_path / "out"
    status, errors, seconds = interrupt(where, signal.SIGINT, source, output, workers)
    assert status == 130
    assert errors == (
        "flowseg: finished results stay in the output folder; the same command with --resume continues\n"
        "flowseg: interrupted\n"
    )
    assert seconds < SOON
    assert not [name for name in contents(output) if name.startswith(".")]
    run_here("mend", source, "--output", output, "--resume")
    run_here("mend", source, "--output", tmp_path / "whole")
    assert differing(output, tmp_path / "whole") == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_signals(name, source, tmp_path):
    number = getattr(signal, name)
    status, errors, seconds = interrupt("make", number, source, tmp_path / "out", 2)
    assert status == 128 + number
    assert errors.endswith(f"flowseg: interrupted by {name}\n")
    assert seconds < SOON
    assert not [file for file in contents(tmp_path / "out") if file.startswith(".")]


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_what_is_ignored_stays_ignored(name, source, tmp_path):
    """As in a background job of a script, or after nohup: the command runs to its end."""
    number = getattr(signal, name)

    def start_ignoring(words, **options):
        before = signal.signal(number, signal.SIG_IGN)
        try:
            return subprocess.Popen(words, **options)
        finally:
            signal.signal(number, signal.SIG_DFL if before is None else before)

    status, errors, _ = interrupt("write", number, source, tmp_path / "out", 2, start_ignoring)
    assert (status, errors) == (0, "")
    assert len(contents(tmp_path / "out")) == 10


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    if before != signal.SIG_DFL:
        pytest.skip("whoever started the tests has them ignore SIGTERM")
    with signals.cleaning_up() as received, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert received == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) == before
    assert signals.describe_interruption(received) == "interrupted by SIGTERM"
    assert signals.describe_interruption([]) == "interrupted"


def test_nothing_is_written_after_an_interruption():
    written = []
    passing = stream_files(
        range(9), Stages(lambda k: k, lambda k: k, lambda k, worked: worked, lambda k, made: written.append(k) or 0), 3
    )
    next(passing)
    passing.close()
    n = len(written)
    time.sleep(0.1)
    assert len(written) == n
    gate = Gate()
    gate.close(0)
    with pytest.raises(RuntimeError, match="interrupted"), gate.passing():
        pass
