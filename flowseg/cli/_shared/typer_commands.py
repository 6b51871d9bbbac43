"""Classes of Typer's commands: how arguments are parsed, and the layout of the help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from flowseg._system.printable import shown
from flowseg.cli._shared.options import RUN

# The base of all errors of parsing. Typer exports BadParameter alone; where the base is depends on its version.
PARSING_ERROR: type[typer.BadParameter] = typer.BadParameter.__bases__[0]


class Command(TyperCommand):
    """A command whose error explains what to do when a shell has expanded a pattern to many arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, and refuse too many of them."""
        ctx.allow_extra_args = True
        with _escaping_errors():
            rest: list[str] = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            names = [str(param.metavar) for param in self.params if param.param_type_name == "argument"]
            ctx.fail(_too_many(self.name or "", names, len(names) + len(rest)))
        return rest

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options: flags without a type, and --help in the last group."""
        return _set_layout(super().get_params(ctx))


class Group(TyperGroup):
    """The ``flowseg`` command, which holds the others."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        with _escaping_errors():
            rest: list[str] = super().parse_args(ctx, args)
        return rest

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command."""
        with _escaping_errors():
            return super().resolve_command(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options, flags without a type."""
        return _set_layout(super().get_params(ctx))


@contextmanager
def _escaping_errors() -> Iterator[None]:
    """Escape what errors of parsing quote."""
    try:
        yield
    except PARSING_ERROR as error:
        error.message = shown(error.message)
        raise


def _too_many(command: str, names: list[str], n: int) -> str:
    if len(names) < 2:
        expected = f"{names[0]} must be one argument" if names else f"flowseg {command} takes no arguments"
        return f"{expected}; got {n}."
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return (
        f"{listed} must be {len(names)} arguments; got {n}: put a pattern in quotes, such as 'images/*.tif', or name "
        "folders."
    )


def _set_layout(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
        if param.name == "help" and len(params) > 1:
            param.rich_help_panel = RUN
    return params
