"""Files that are made to harm, read in one process that may use 1 GB: each is refused in one sentence, and soon."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource")
import hostile_files

TIMEOUT = 240  # seconds, for all
MOST = 20  # seconds, for each, on a machine that is busy; what hangs takes minutes
# Errors of files that may be right and are too large for this process; all others are InvalidFileError.
KINDS = {"must fit into memory": "NeedsMemoryError"}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    said = hostile_files.write(folder)
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, Path(hostile_files.__file__), folder],
        input=json.dumps(list(said)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{list(said)[len(lines)]}: {done.returncode} {done.stderr[-500:]}"
    return folder, said, {name: rest for name, *rest in lines}


def test_hostile_files_are_refused_in_a_sentence(answers):
    folder, said, found = answers
    wrong = []
    for name, words in said.items():
        kind, sentence, seconds = found[name]
        is_right = (
            kind == ""
            if words is None
            else kind == KINDS.get(words, "InvalidFileError") and words in sentence and f"{folder / name}" in sentence
        )
        if not is_right or "\n" in sentence or len(sentence) > 600 + len(str(folder)) or seconds > MOST:
            wrong.append(f"{name}: {kind} {sentence[:300]} ({seconds:.1f} s)")
    assert not wrong, "\n".join(wrong)
