"""Files that once made a reader crash, hang or take all memory are refused in a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and counted as Linux does")
@pytest.mark.parametrize("target", sorted(folder.name for folder in CORPUS.iterdir()))
def test_what_was_found_once(target):
    command = [sys.executable, str(HERE / "fuzz_readers.py"), target, "--replay"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"[-3000:]


def test_the_corpus_is_small():
    assert sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()) < 200_000
