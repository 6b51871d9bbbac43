"""The report: one page for a browser that needs nothing else, written image by image."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

from numpy.typing import NDArray

from flowseg import __version__
from flowseg._labels.overlaps import Overlaps
from flowseg._report.objects import describe_objects
from flowseg._report.picture import make_picture
from flowseg._report.scores import ImageScores, curve, summarize
from flowseg._system.files import write_atomically
from flowseg._system.printable import shown

FOLDER = Path(__file__).parent / "assets"
SCRIPTS = ("common.js", "scores.js", "table.js", "objects.js", "viewer.js", "main.js")


class Compared(NamedTuple):
    """One image, its masks and their scores."""

    scores: ImageScores
    true: NDArray[Any]
    predicted: NDArray[Any]
    overlaps: Overlaps
    image: NDArray[Any] | None


def write_page(path: Path, compared: Iterable[Compared], n_images: int, title: str) -> list[ImageScores]:
    """Write the page, whole or not at all; of the ``n_images`` images one or two are in memory at a time."""
    scores: list[ImageScores] = []

    def write(beside: Path) -> None:
        with tempfile.TemporaryFile(dir=beside.parent) as blocks:
            for number, one in enumerate(compared):
                scores.append(one.scores)
                _write_image(blocks, number, one, n_images)
            blocks.seek(0)
            with beside.open("wb") as page:
                seen = [replace(one, name=shown(one.name)) for one in scores]
                said = {"version": __version__, "title": shown(title), "scores": summarize(seen), "curve": curve(seen)}
                _assemble(page, said, blocks)

    write_atomically(path, write)
    return scores


def _write_image(blocks: IO[bytes], number: int, one: Compared, n_images: int) -> None:
    objects = describe_objects(one.true, one.predicted, one.overlaps)
    if one.image is not None:
        picture = make_picture(one.image, n_images)
        objects |= {"factor": picture.factor, "note": picture.note}
        _write_block(blocks, "text/plain", f"picture-{number}", picture.uri)
    _write_block(blocks, "application/json", f"objects-{number}", as_safe_json(objects))


def _write_block(blocks: IO[bytes], kind: str, name: str, text: str) -> None:
    blocks.write(f'<script type="{kind}" id="{name}">{text}</script>\n'.encode("ascii"))


def _assemble(page: IO[bytes], data: dict[str, Any], blocks: IO[bytes]) -> None:
    """The page's frame with all that belongs into it; the browser runs this very script and no other."""
    style = read_part("style.css")
    script = "".join(read_part(name) for name in SCRIPTS)
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {"policy": policy, "style": style, "script": script, "data": as_safe_json(data)}
    before, after = (
        re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], text).encode("utf-8")
        for text in read_part("page.html").split("{{images}}")
    )
    page.write(before)
    shutil.copyfileobj(blocks, page)
    page.write(after)


def read_part(name: str) -> str:
    """One of the files that the page is made of."""
    return (FOLDER / name).read_text(encoding="utf-8")


def as_safe_json(values: Any) -> str:
    """JSON in ASCII that can stand in a page: no tag and no comment begins or ends in it."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
