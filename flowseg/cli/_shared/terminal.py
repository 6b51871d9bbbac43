"""Print the lines of a command; text from files is escaped, so that it cannot control the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import typer

from flowseg._system.printable import shown


def print_lines(*lines: str) -> None:
    """Print lines to standard output."""
    typer.echo("\n".join(map(shown, lines)))


def print_json(document: Mapping[str, Any]) -> None:
    """Print a JSON document to standard output."""
    typer.echo(json.dumps(document, indent=1))


def print_message(line: str) -> None:
    """Print a line to standard error, after the name of the command; the terminal may be gone."""
    with suppress(OSError):
        typer.echo(f"flowseg: {shown(line)}", err=True)
