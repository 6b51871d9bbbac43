"""The plan of a run: everything that decides its result, kept in ``plan.json``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from flowseg import __version__
from flowseg._system import files
from flowseg._system.invalid_file import InvalidFileError, StoredFile
from flowseg._system.strict_json import read_strictly

# Version of everything in a work folder: the plan and the records.
SCHEMA = 2
PLAN_NAME = "plan.json"
# Bytes of a plan at most; those of flowseg have about a thousand.
MAX_BYTES = 1 << 20
# Hexadecimal digits of a digest that sentences show.
SHOWN_DIGITS = 12

# Value of a setting: a plain value, or values in tuples.
Scalar = str | int | float | bool | None
Setting = Scalar | tuple["Setting", ...]


@dataclass(frozen=True)
class ImageIdentity:
    """The image of a run, as far as a change of it can be noticed without reading its pixels.

    ``shape`` has the spatial axes only. ``digest`` is a hash of the metadata, sizes and times of change of its files.
    """

    location: str
    shape: tuple[int, ...]
    dtype: str
    digest: str


@dataclass(frozen=True)
class Plan:
    """Everything that decides the result of a run.

    ``kind`` is the class of the segmenter, ``model`` the hash of its file, and ``settings`` are pairs of name and
    value: its thresholds and other parameters. ``diameters`` is None where they are estimated or those of training.
    """

    image: ImageIdentity
    output: str
    kind: str
    model: str
    settings: tuple[tuple[str, Setting], ...]
    block_size: int
    diameters: tuple[float, ...] | None = None
    flowseg: str = __version__
    schema: int = SCHEMA

    @property
    def blocks_per_axis(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return tuple(-(-size // self.block_size) for size in self.image.shape)

    @property
    def n_blocks(self) -> int:
        """Number of all blocks."""
        n = 1
        for count in self.blocks_per_axis:
            n *= count
        return n

    @property
    def digest(self) -> str:
        """Hash of the plan, which its records carry."""
        return hashlib.sha256(self.to_json().encode("ascii")).hexdigest()

    def to_json(self) -> str:
        """Return the plan as a JSON document."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"


def write_plan(folder: Path, plan: Plan) -> None:
    """Write the plan into a work folder, atomically."""
    text = plan.to_json().encode("ascii")
    files.write_atomically(folder / PLAN_NAME, lambda beside: beside.write_bytes(text), through_links=False)


def read_plan(folder: Path) -> Plan:
    """Read the plan of a work folder.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the file is damaged, or was written by a flowseg with another schema.
    """
    file = StoredFile(folder / PLAN_NAME, "plan of a block-wise run")
    if not file.path.is_file():
        raise FileNotFoundError(f"work folder {folder} must hold a plan, {PLAN_NAME}; there is none.")
    if file.path.stat().st_size > MAX_BYTES:
        raise file.invalid(f"more than {MAX_BYTES} bytes")
    with file.parsing(UnicodeDecodeError):
        text = file.path.read_text(encoding="ascii")
    document = read_strictly(text, file.invalid)
    if isinstance(document, dict) and document.get("schema") != SCHEMA:
        raise InvalidFileError(
            f"{file.path} must be a plan of schema {SCHEMA}, which flowseg {__version__} continues; got schema "
            f"{document.get('schema')!r}."
        )
    return _PlanReader(file).plan(document)


class _PlanReader:
    """Checks the values of a plan."""

    def __init__(self, file: StoredFile) -> None:
        self.file = file

    def plan(self, document: Any) -> Plan:
        self._check_names(document, Plan, "the plan")
        image = document["image"]
        self._check_names(image, ImageIdentity, "the image")
        diameters = document["diameters"]
        return Plan(
            image=ImageIdentity(
                location=self._text(image["location"], "location"),
                shape=tuple(self._count(size, "shape") for size in self._list(image["shape"], "shape")),
                dtype=self._text(image["dtype"], "dtype"),
                digest=self._text(image["digest"], "digest"),
            ),
            output=self._text(document["output"], "output"),
            kind=self._text(document["kind"], "kind"),
            model=self._text(document["model"], "model"),
            settings=tuple(self._pair(pair) for pair in self._list(document["settings"], "settings")),
            block_size=self._count(document["block_size"], "block_size"),
            diameters=None if diameters is None else tuple(self._number(d) for d in self._list(diameters, "diameters")),
            flowseg=self._text(document["flowseg"], "flowseg"),
        )

    def _check_names(self, document: Any, cls: type[Plan] | type[ImageIdentity], title: str) -> None:
        names = {field.name for field in fields(cls)}
        if not isinstance(document, dict):
            raise self.file.invalid(f"{type(document).__name__} for {title}")
        odd = sorted(names ^ set(document))
        if odd:
            raise self.file.invalid(f"missing or unknown names in {title}: {', '.join(odd)}")

    def _list(self, value: Any, name: str) -> list[Any]:
        if not isinstance(value, list):
            raise self.file.invalid(f"{value!r} as {name}")
        return value

    def _text(self, value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise self.file.invalid(f"{value!r} as {name}")
        return value

    def _count(self, value: Any, name: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.file.invalid(f"{value!r} as {name}")
        return value

    def _number(self, value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.file.invalid(f"{value!r} as a diameter")
        return float(value)

    def _pair(self, value: Any) -> tuple[str, Setting]:
        pair = self._list(value, "a setting")
        if len(pair) != 2:
            raise self.file.invalid(f"{value!r} as a setting")
        return self._text(pair[0], "a setting"), self._setting(pair[1])

    def _setting(self, value: Any) -> Setting:
        if isinstance(value, list):
            return tuple(self._setting(item) for item in value)
        if value is None or isinstance(value, str | int | float | bool):
            return value
        raise self.file.invalid(f"{value!r} as a setting")


def compare_plans(old: Plan, new: Plan) -> str:
    """Return in words how two plans differ; empty if they do not."""
    pairs: list[tuple[str, object, object]] = [
        ("the version of flowseg", old.flowseg, new.flowseg),
        ("the image", old.image.location, new.image.location),
        ("the image's shape", old.image.shape, new.image.shape),
        ("the image's dtype", old.image.dtype, new.image.dtype),
        ("the output", old.output, new.output),
        ("the segmenter", old.kind, new.kind),
        ("the model", old.model[:SHOWN_DIGITS], new.model[:SHOWN_DIGITS]),
    ]
    before, now = dict(old.settings), dict(new.settings)
    pairs += [(name, before.get(name), now.get(name)) for name in sorted({*before, *now})]
    pairs += [("block_size", old.block_size, new.block_size), ("diameters", old.diameters, new.diameters)]
    words = [f"{name} was {a}, is {b}" for name, a, b in pairs if a != b]
    if len(words) > 1 and before != now:  # the model's file holds its options, too
        words = [word for word in words if not word.startswith("the model was ")]
    if not words and old.image.digest != new.image.digest:
        words = ["the image has changed"]
    return "; ".join(words) if words or old == new else "the plan differs"
