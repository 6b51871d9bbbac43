"""The report as one HTML page that needs no other file, written image by image."""

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
from flowseg._report.image_picture import make_picture
from flowseg._report.object_outlines import describe_objects
from flowseg._report.scores import ImageScores, curve, summarize
from flowseg._report.volume_voxels import describe_volume
from flowseg._system.files import write_atomically
from flowseg._system.printable import shown

FOLDER = Path(__file__).parent / "assets"
SCRIPTS = (
    "page_elements.js", "score_table.js", "image_table.js", "object_errors.js", "painting.js", "zoom.js",
    "image_view.js", "slice_outlines.js", "voxels.js", "panes.js", "volume_view.js", "viewer.js", "pointer_input.js",
    "point_controls.js", "main.js",
)  # fmt: skip


class Compared(NamedTuple):
    """One image or volume with its masks and their scores."""

    scores: ImageScores
    true: NDArray[Any]
    predicted: NDArray[Any]
    overlaps: Overlaps
    image: NDArray[Any] | None
    spacing: tuple[float, ...] | None = None  # distance between voxels along each axis, in any unit


def write_page(path: Path, compared: Iterable[Compared], n_images: int, title: str) -> list[ImageScores]:
    """Write the page atomically, and return the scores; one or two images are in memory at a time."""
    scores: list[ImageScores] = []

    def write(beside: Path) -> None:
        with tempfile.TemporaryFile(dir=beside.parent) as blocks:
            for number, one in enumerate(compared):
                scores.append(one.scores)
                _write_image(blocks, number, one, n_images)
            blocks.seek(0)
            with beside.open("wb") as page:
                seen = [replace(one, name=shown(one.name)) for one in scores]
                data = {"version": __version__, "title": shown(title), "scores": summarize(seen), "curve": curve(seen)}
                _assemble(page, data, blocks)

    write_atomically(path, write)
    return scores


def _write_image(blocks: IO[bytes], number: int, one: Compared, n_images: int) -> None:
    if one.true.ndim == 3:
        volume = describe_volume((one.true, one.predicted), one.overlaps, one.image, one.spacing, n_images)
        for name, packed in volume.blocks.items():
            _write_block(blocks, "text/plain", f"{name}-{number}", packed)
        _write_block(blocks, "application/json", f"objects-{number}", as_safe_json(volume.objects))
        return
    objects = describe_objects(one.true, one.predicted, one.overlaps)
    if one.image is not None:
        picture = make_picture(one.image, n_images)
        objects |= {"factor": picture.factor, "note": picture.note}
        _write_block(blocks, "text/plain", f"picture-{number}", picture.uri)
    _write_block(blocks, "application/json", f"objects-{number}", as_safe_json(objects))


def _write_block(blocks: IO[bytes], kind: str, name: str, text: str) -> None:
    blocks.write(f'<script type="{kind}" id="{name}">{text}</script>\n'.encode("ascii"))


def _assemble(page: IO[bytes], data: dict[str, Any], blocks: IO[bytes]) -> None:
    """Write the page with all its parts; its policy lets the browser run this script and no other."""
    style = read_part("style.css")
    script = "".join(read_part(name) for name in SCRIPTS)
    policy = (
        f"default-src 'none'; img-src data:; style-src {digest(style)}; script-src {digest(script)}; "
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
    """Return the text of one of the page's files."""
    return (FOLDER / name).read_text(encoding="utf-8")


def as_safe_json(values: Any) -> str:
    """Return JSON in ASCII that is safe in a page: no tag or comment begins or ends in it."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def digest(text: str) -> str:
    """Return the hash of a style or script by which a policy allows it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
