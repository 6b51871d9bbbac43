"""Write the reference of the command line from the commands themselves."""

import inspect
import re
from pathlib import Path
from typing import Any

import typer

from flowseg.cli import app

# Options that every command has, and that are no part of what it does.
COMMON = ("help",)
# Heading of options that belong to no group.
UNGROUPED = "Options"


def write(file: Path) -> None:
    """Write a section per command: what it does, its arguments, and its options in groups."""
    commands: dict[str, Any] = typer.main.get_command(app).commands
    file.write_text("\n".join(_section(name, command) for name, command in commands.items()), encoding="utf-8")


def _section(name: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if _is_argument(parameter)]
    options = [option for option in command.params if not _is_argument(option) and option.name not in COMMON]
    title = f"flowseg {name}"
    usage = " ".join([title, *map(_usage, arguments), "[OPTIONS]"])
    lines = [f".. _flowseg-{name}:", "", title, "-" * len(title), "", *_paragraphs(command), f"Usage: ``{usage}``", ""]
    lines += _table("Argument", [(a.metavar, a) for a in arguments])
    for panel in dict.fromkeys(_panel(option) for option in options):
        lines += _table(panel, [(_names(option), option) for option in options if _panel(option) == panel])
    return "\n".join(lines) + "\n"


def _is_argument(parameter: Any) -> bool:
    return parameter.param_type_name == "argument"


def _paragraphs(command: Any) -> list[str]:
    """The help in reStructuredText; lines that begin with the command's name are examples."""
    lines = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("flowseg "):
            in_shell = paragraph.replace("\n", " \\\n       ")  # lines that go on, as the shell reads them
            lines += [".. code-block:: sh", "", f"   {in_shell}", ""]
        else:
            lines += [_escape(" ".join(paragraph.split())), ""]
    return lines


def _usage(argument: Any) -> str:
    name = argument.metavar
    many = "..." if argument.nargs != 1 else ""
    return f"{name}{many}" if argument.required else f"[{name}]{many}"


def _panel(option: Any) -> str:
    return getattr(option, "rich_help_panel", None) or UNGROUPED


def _names(option: Any) -> str:
    return ", ".join([*option.opts, *option.secondary_opts])


def _table(heading: str, rows: list[tuple[str, Any]]) -> list[str]:
    if not rows:
        return []
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 30 70", "   :class: options", ""]
    lines += [f"   * - {heading}", "     - Meaning"]
    for name, parameter in rows:
        lines += [f"   * - ``{name}``", f"     - {_escape(_describe(parameter))}"]
    return [*lines, ""]


def _describe(parameter: Any) -> str:
    text = " ".join((getattr(parameter, "help", None) or "").split())
    if parameter.required and not _is_argument(parameter):
        return f"{text} Required."
    default = parameter.default
    if default is None or default is False or callable(default) or "[default" in text or not parameter.opts:
        return text
    return text if _is_argument(parameter) else f"{text}  [default: {default}]"


def _escape(text: str) -> str:
    """Options as code, stars and bars as they are."""
    text = re.sub(r"\*\*(.+?)\*\*", r"\1", text)
    text = re.sub(r"([*|`_\\])", r"\\\1", text)
    return re.sub(r"(?<![\w-])(--[a-z][a-z-]*)", r"``\1``", text)
