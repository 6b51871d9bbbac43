"""The ``flowseg`` command.

Every command is one function in the module of its name, and its body takes the same steps in the same order:

1. parse the options from their text;
2. find the input files, and check them;
3. plan the outputs: nothing that exists is overwritten unless the user asks for it;
4. run, file by file;
5. report, as text or as one JSON document.
"""

from __future__ import annotations

import logging
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, TextIO

import typer

from flowseg import __version__
from flowseg._nets.backends import drop_warnings, suppress_startup_messages
from flowseg._system.printable import one_line
from flowseg.cli._blocks import finish, plan, run
from flowseg.cli._check import check
from flowseg.cli._compare import compare
from flowseg.cli._convert import convert
from flowseg.cli._curve import curve
from flowseg.cli._demo import demo
from flowseg.cli._evaluate import evaluate
from flowseg.cli._export import export
from flowseg.cli._flows import flows
from flowseg.cli._info import info
from flowseg.cli._measure import measure
from flowseg.cli._mend import mend
from flowseg.cli._predict import predict
from flowseg.cli._shared.errors import FAULTS, name_options, sentence_of
from flowseg.cli._shared.signals import INTERRUPTED, cleaning_up, describe_interruption, exit_process
from flowseg.cli._shared.terminal import print_lines, print_message
from flowseg.cli._shared.typer_commands import Command, Group
from flowseg.cli._suggest import suggest
from flowseg.cli._train import train
from flowseg.cli._tune import tune

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


def main() -> None:
    """Run the command; an error is one line on standard error and exit status 1."""
    suppress_startup_messages()
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # faults of files are reported once, as errors
    drop_warnings()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # Keras loads it, and its cache folder does not matter here
    warnings.showwarning = _show_warning
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be valid text
    with cleaning_up() as received:
        try:
            app(prog_name="flowseg")
            return
        except FAULTS as error:
            print_message(sentence_of(error))
            sys.exit(1)
        except SystemExit as exit_:
            if exit_.code != INTERRUPTED:
                raise
        # Outside of the clause, so that the frames of the run are gone, and with them what they held.
        print_message(describe_interruption(received))
        exit_process(received)


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001
    filename: str,
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    text = str(message) if Path(filename).parent == Path(__file__).parent else one_line(str(message))
    print_message(f"note: {name_options(text)}")


def _show_version(value: bool) -> None:
    if value:
        print_lines(f"flowseg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


for command in (
    check, mend, convert, train, tune, predict, evaluate, compare, curve, suggest, measure, flows, export, info,
    demo,
):  # fmt: skip
    app.command(cls=Command)(command)

blocks = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Segment an image larger than memory on many machines: **plan** once, **run** every part, for example in a "
    "job array, and **finish** once.",
)
for part in (plan, run, finish):
    blocks.command(cls=Command)(part)
app.add_typer(blocks, name="blocks")
