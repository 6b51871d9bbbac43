"""What the tests of the command share."""

import os
import signal
import subprocess
import sys
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from unittest.mock import patch

import pytest

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"} | {
    "COLUMNS": "100",
    "NO_COLOR": "1",
}


def command(*arguments):
    """The command line of ``flowseg``."""
    return [sys.executable, "-m", "flowseg", *map(os.fspath, map(_text, arguments))]


def _text(argument):
    return argument if isinstance(argument, str | bytes | os.PathLike) else str(argument)


def start(words, **options):
    """Start a process that signals interrupt, also where this one ignores them: a background job, after nohup."""
    defaults = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    numbers = {getattr(signal, name): default for name, default in defaults.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, default) for number, default in numbers.items()}
    try:
        return subprocess.Popen(words, **options)
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def run(*arguments, status=0, cwd=None, env=None, **options):
    """Run ``flowseg``; fail on another exit status (None: any) or a traceback."""
    result = subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT | (env or {}), **options
    )
    assert status in (None, result.returncode), result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result


def run_here(*arguments, status=0, cwd="."):
    """As `run`, in this process: no start of Python, the same lines and exit status."""
    from flowseg.cli import main

    out, errors = StringIO(), StringIO()
    with (
        patch.dict(os.environ, {name: ENVIRONMENT[name] for name in ("COLUMNS", "NO_COLOR")}),
        patch.object(sys, "argv", command(*arguments)[2:]),
        patch("flowseg.cli._shared.signals.end_at_once", sys.exit),
        chdir(cwd),
        warnings.catch_warnings(),
        redirect_stdout(out),
        redirect_stderr(errors),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    code = ended.value.code or 0
    assert status in (None, code), out.getvalue() + errors.getvalue()
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), errors.getvalue())


def contents(folder):
    """Bytes of all files of a folder by name, hidden ones too."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def differing(one, other):
    """Names of the files that are not the same in two folders: pytest takes hours to print how their bytes differ."""
    ours, theirs = contents(one), contents(other)
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def invoke(*arguments, status=0):
    """Run ``flowseg`` in this process, which is quicker; a user's error is in ``exception``."""
    from typer.testing import CliRunner

    from flowseg.cli import app

    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == status, (result.output, result.exception)
    return result
