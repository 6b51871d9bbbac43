"""How commands are parsed, and what their help looks like."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer.core import TyperCommand, TyperGroup

from flowseg._system.printable import shown
from flowseg.cli._shared.options import RUN


class Command(TyperCommand):
    """A command that says what to do when a shell has made many arguments out of one pattern."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, and refuse arguments that are too many."""
        ctx.allow_extra_args = True
        with _shown_escaped():
            rest: list[str] = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            names = [str(param.metavar) for param in self.params if param.param_type_name == "argument"]
            ctx.fail(_too_many(self.name or "", names, len(names) + len(rest)))
        return rest

    def get_params(self, ctx: Any) -> list[Any]:
        """Options, of which a flag needs no type; help is shown with the last group."""
        return _tidy(super().get_params(ctx))


class Group(TyperGroup):
    """All commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse."""
        with _shown_escaped():
            rest: list[str] = super().parse_args(ctx, args)
        return rest

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command."""
        with _shown_escaped():
            return super().resolve_command(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Options, of which a flag needs no type."""
        return _tidy(super().get_params(ctx))


@contextmanager
def _shown_escaped() -> Iterator[None]:
    """Errors of parsing, which are not in one place in all versions of Typer, quote what they could not understand."""
    try:
        yield
    except Exception as error:
        said = getattr(error, "message", None)
        if hasattr(error, "format_message") and isinstance(said, str):
            error.message = shown(said)  # type: ignore[attr-defined]
        raise


def _too_many(command: str, names: list[str], n: int) -> str:
    if len(names) < 2:
        said = f"{names[0]} must be one argument" if names else f"flowseg {command} takes no arguments"
        return f"{said}; got {n}."
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return (
        f"{listed} must be {len(names)} arguments; got {n}: put a pattern in quotes, such as 'images/*.tif', or name "
        "folders."
    )


def _tidy(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
        if param.name == "help" and len(params) > 1:
            param.rich_help_panel = RUN
    return params
