"""TensorFlow's start is quiet, and what native libraries say when something goes wrong is not lost."""

import os
import subprocess
import sys

import pytest
from cli_tools import ENVIRONMENT

SPEAK = "import ctypes, os; ctypes.CDLL(None).dprintf(2, b'native message\\n'); os.abort()"


def run(code, level):
    environment = ENVIRONMENT | ({} if level is None else {"TF_CPP_MIN_LOG_LEVEL": level})
    code = "from flowseg._nets.backends import suppress_startup_messages; suppress_startup_messages()\n" + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("level", [None, "1"])
def test_an_abort_after_the_import_leaves_its_message(level):
    result = run(f"import tensorflow, sys; print('python', file=sys.stderr)\n{SPEAK}", level)
    assert result.returncode < 0
    assert result.stderr == "python\nnative message\n"


def test_an_abort_or_an_error_while_tensorflow_is_imported_leaves_its_message(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os; os.write(2, b'noise\\n')\nimport missing_module")
    fail = f"import sys; sys.path.insert(0, {os.fspath(tmp_path)!r}); import tensorflow"
    result = run(fail, None)
    assert result.stderr.startswith("noise\n")
    assert "No module named 'missing_module'" in result.stderr
    (tmp_path / "tensorflow.py").write_text(SPEAK)
    assert run(fail, "2").stderr.strip() == "native message"
    (tmp_path / "tensorflow.py").write_text("import os; os.write(2, b'noise\\n')")
    assert run(fail, None).stderr == ""
    assert run(fail, "0").stderr == "noise\n"  # asked for
    ask = fail.replace("import tensorflow", "from importlib.util import find_spec; assert find_spec('tensorflow')")
    assert run(f"{ask}; import tensorflow", None).stderr == ""  # as PyTorch asks, without loading it


def test_the_package_is_a_command():
    result = subprocess.run([sys.executable, "-m", "flowseg", "--version"], capture_output=True, text=True)
    assert result.stdout.startswith("flowseg ")
