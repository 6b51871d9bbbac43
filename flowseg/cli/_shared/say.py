"""Everything that a command says, on one way to the terminal: what a line holds of others cannot do anything there."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import typer

from flowseg._system.printable import shown


def say(*lines: str) -> None:
    """Write lines to standard output."""
    typer.echo("\n".join(map(shown, lines)))


def say_json(document: Any) -> None:
    """Write a JSON document, in which all characters stand as they are, to standard output."""
    typer.echo(json.dumps(document, indent=1))


def complain(line: str) -> None:
    """Write a line to standard error, with the name of the command before it; the terminal may be gone."""
    with suppress(OSError):
        typer.echo(f"flowseg: {shown(line)}", err=True)
