"""The ``flowseg`` command."""

from __future__ import annotations

import logging
import sys
import warnings
from io import TextIOWrapper
from typing import Annotated, TextIO

import typer

from flowseg import __version__
from flowseg._cli_check import check
from flowseg._cli_commands import Command, Group
from flowseg._cli_convert import convert
from flowseg._cli_evaluate import evaluate
from flowseg._cli_flows import flows
from flowseg._cli_measure import measure
from flowseg._cli_mend import mend
from flowseg._cli_model import demo, info
from flowseg._cli_predict import predict
from flowseg._cli_stream import FAULTS, sentence_of, shell_words
from flowseg._cli_train import train
from flowseg._cli_tune import tune
from flowseg._quiet import hush_native_libraries

app = typer.Typer(
    name="flowseg",
    cls=Group,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Segment touching, irregular objects (cells, nuclei, bacteria, grains) with flows learned from your own "
    "annotated images. Start with: flowseg demo",
)

# Exit status after Ctrl-C, as shells have it (128 + the signal's number).
INTERRUPTED = 130


def main() -> None:
    """Run the command; a user's error is one line on standard error and exit status 1."""
    hush_native_libraries()
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a file is said once, as an error
    warnings.showwarning = _show_warning
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be text
    try:
        app(prog_name="flowseg")
    except FAULTS as error:
        typer.echo(f"flowseg: {sentence_of(error)}", err=True)
        sys.exit(1)
    except SystemExit as exit_:
        if exit_.code == INTERRUPTED:
            typer.echo("flowseg: interrupted", err=True)
        raise


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    typer.echo(f"flowseg: note: {shell_words(' '.join(str(message).split()))}", err=True)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"flowseg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


for command in (check, mend, convert, train, tune, predict, evaluate, measure, flows, info, demo):
    app.command(cls=Command)(command)


if __name__ == "__main__":
    main()
