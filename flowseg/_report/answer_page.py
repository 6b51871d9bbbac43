"""Pages without scripts whose first sentence is an answer, with what to know beside it, tables and figures."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg import __version__
from flowseg._report.html_page import digest, read_part
from flowseg._system.printable import shown


class Answer(NamedTuple):
    """The title of a page, the answer, and what to know beside it."""

    title: str
    sentence: str
    remarks: Sequence[str]


def make_answer_page(answer: Answer, body: str, styles: Sequence[str] = ()) -> str:
    """Return a page; ``body`` is what follows the answer, and ``styles`` are the files of its style."""
    style = "".join(map(read_part, ("style.css", "answer.css", *styles)))
    parts = {
        "policy": f"default-src 'none'; img-src data:; style-src {digest(style)}; base-uri 'none'; form-action 'none'",
        "title": escape(answer.title),
        "style": style,
        "answer": escape(answer.sentence),
        "remarks": "".join(f"<p>{escape(remark)}</p>\n" for remark in answer.remarks),
        "version": __version__,
        "body": body,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], read_part("answer.html"))


def escape(text: str) -> str:
    """Return text that is safe in a page."""
    return html.escape(shown(text), quote=True)


def make_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the first cell of a row is its name."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = [
        f'<tr><th scope="row">{escape(name)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for name, *cells in rows
    ]
    return f"<table><thead><tr>{top}</tr></thead>\n<tbody>" + "\n".join(lines) + "</tbody></table>"


def table_of_columns(columns: dict[str, list[Any]]) -> str:
    """Return a table of columns by name."""
    rows = (
        [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row]
        for row in zip(*columns.values(), strict=True)
    )
    return make_table(tuple(columns), rows)


def scroll(content: str) -> str:
    """Return content that scrolls where the page is narrower."""
    return f'<div class="scroll">{content}</div>'


def make_details(summary: str, content: str) -> str:
    """Return content that is folded away."""
    return f"<details>\n<summary>{escape(summary)}</summary>\n{scroll(content)}\n</details>"


def with_interval(value: float, interval: NDArray[np.float64], sign: str = "") -> str:
    """Return a number with its interval."""
    low, high = interval
    return f"{value:{sign}z.3f} ({low:{sign}z.3f} to {high:{sign}z.3f})"  # z: no minus before 0.000
