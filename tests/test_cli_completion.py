"""Shell completion of the `flowseg` command."""

import os
import shutil
import subprocess
import sys

import pytest
from cli_tools import ENVIRONMENT, run


def complete(text, cwd):
    """What bash gets for the last word of ``text``."""
    environment = {
        "_FLOWSEG_COMPLETE": "complete_bash",
        "COMP_WORDS": text,
        "COMP_CWORD": str(len(text.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": text,
    }
    return run(env=environment, cwd=cwd).stdout.split()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "new models").mkdir()
    for name in ("numbers.safetensors", "notes.txt", "own.safetensors"):
        (tmp_path / name).touch()
    return tmp_path


def test_models(folder):
    assert complete("flowseg predict images --model nu", folder) == ["nuclei", "numbers.safetensors"]
    assert complete("flowseg train images masks --from nuc", folder) == ["nuclei"]
    assert complete("flowseg info o", folder) == ["own.safetensors"]
    assert complete("flowseg predict images --model", folder) == ["--model"]


def test_commands_options_and_kinds(folder):
    assert complete("flowseg m", folder) == ["mend", "measure"]
    assert "--resume" in complete("flowseg predict --r", folder)
    assert complete("flowseg predict images --also g", folder) == ["geojson"]
    assert complete("flowseg predict images --also roi,c", folder) == ["roi,coco", "roi,csv"]
    assert complete("flowseg convert x --from la", folder) == ["labels", "labkit"]
    assert complete("flowseg convert x --to roi,coco,p", folder) == ["roi,coco,png", "roi,coco,parquet"]


def test_installed(tmp_path):
    script = shutil.which("flowseg", path=os.path.dirname(sys.executable))
    if script is None or shutil.which("bash") is None:
        pytest.skip("flowseg is not installed beside this Python, or there is no bash")
    environment = ENVIRONMENT | {
        "HOME": str(tmp_path),
        "SHELL": "/bin/bash",
        "PATH": f"{os.path.dirname(script)}:/usr/bin:/bin",
    }
    from_a_shell = ["bash", "-c", "flowseg --install-completion; exit $?"]  # it is the parent that is asked for
    result = subprocess.run(from_a_shell, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "bash completion installed in" in result.stdout
    question = (
        f". {tmp_path}/.bashrc; COMP_WORDS=(flowseg predict x --model nuc); COMP_CWORD=4; _flowseg_completion flowseg; "
        'echo "got ${COMPREPLY[*]}"'
    )
    result = subprocess.run(["bash", "--norc", "-c", question], env=environment, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "got nuclei", result.stdout + result.stderr
