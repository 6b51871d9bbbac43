"""Files of annotations entry by entry: what can be read is read, what cannot is counted and named in one sentence."""

from __future__ import annotations

import codecs
import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowseg._system import memory

# Marks that editors and PowerShell put at the start of a text, and how it goes on.
ENCODINGS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

# Bytes in memory for each list and object of JSON, and for each value in one, at most.
CONTAINER_BYTES, VALUE_BYTES = 100, 50

# How serialized Java objects begin, QuPath's .qpdata and .hierarchy among them.
JAVA = b"\xac\xed\x00\x05"

# Reasons that a sentence names; it counts the others.
MOST_REASONS = 5

# What a JSON document of another kind looks like -> what it is, and what to do with it.
KINDS = (
    ({"shapes", "imageHeight"}, "a Labelme file: turn it into COCO with Labelme's labelme2coco.py"),
    ({"_via_img_metadata"}, "a project of the VGG Image Annotator: export it as COCO"),
    ({"images", "annotations"}, "a COCO file, which read_coco reads"),
    ({"interval", "labels"}, "a Labkit labeling, which read_labkit reads"),
    ({"type", "features"}, "a GeoJSON file, which read_geojson reads"),
    ({"type", "geometry"}, "a GeoJSON file, which read_geojson reads"),
    ({"type", "coordinates"}, "a GeoJSON file, which read_geojson reads"),
    (
        {"image_id", "category_id"},
        "a list of COCO results, which does not name their images: put it in the place of the annotations in the COCO "
        "file of these images",
    ),
)


def read_text(path: Path) -> str:
    """A text in UTF-8, with or without a byte-order mark, or in UTF-16 with one."""
    raw = memory.read_bytes(path)
    if raw.startswith(JAVA):
        raise ValueError(
            "what a Java program saved for itself: in QuPath, File > Export objects as GeoJSON writes text"
        )
    encoding = next((name for mark, name in ENCODINGS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"no text in UTF-8 (from byte {error.start} on)") from None


def read_json(path: Path) -> Any:
    """A JSON document."""
    text = read_text(path)
    n_bytes = CONTAINER_BYTES * (text.count("[") + text.count("{")) + VALUE_BYTES * (text.count(",") + text.count(":"))
    memory.check(n_bytes + len(text), f"{path} must fit into memory; its JSON")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"text that is no JSON ({error})") from None
    except RecursionError:
        raise ValueError("JSON of lists in lists, too deep to be read") from None


def name_kind(document: Any) -> str | None:
    """What a JSON document is, and what to do with it; None if it is of no kind that is known."""
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, Mapping):
        return None
    return next((kind for keys, kind in KINDS if keys <= first.keys()), None)


class Entries:
    """Counts what of a file's entries was read, and what was left out, by reason.

    Parameters
    ----------
    path : path
        File, for the sentence.
    kind : str
        What it must be, for the error when nothing in it can be read.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self.kind = kind
        self.n_good = 0
        self.faults: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read one entry: whatever goes wrong is its fault."""
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - libraries raise anything when an entry is damaged
            self.faults[" ".join(str(error).split()).rstrip(".") or type(error).__name__] += 1
        else:
            self.n_good += 1

    def leave_out(self, reason: str, number: int = 1) -> None:
        """Count entries that can be read and are no objects, or not wanted."""
        if number:
            self.left_out[reason] += number

    def close(self, stacklevel: int = 2) -> None:
        """Warn of what is not among the objects; raise ValueError if nothing could be read."""
        if self.faults and not self.n_good:
            raise ValueError(f"{self.path} must be a readable {self.kind}; got: {_list(self.faults)}")
        said = self.faults + self.left_out
        if said:
            warnings.warn(
                f"{said.total()} of {said.total() + self.n_good} entries in {self.path} are left out: {_list(said)}.",
                stacklevel=stacklevel + 1,
            )


def _list(reasons: Counter[str]) -> str:
    found = reasons.most_common()
    if len(found) == found[0][1] == 1:
        return found[0][0]
    said = [f"{reason} ({count})" for reason, count in found[:MOST_REASONS]]
    others = sum(count for _, count in found[MOST_REASONS:])
    return "; ".join(said + [f"others ({others})"] * (others > 0))


class Choice:
    """Chooses entries by the names of their classes.

    Parameters
    ----------
    classes : str or sequence of str, optional
        Names; None chooses all.
    """

    def __init__(self, classes: str | Sequence[str] | None) -> None:
        names = [classes] if isinstance(classes, str) else classes
        if names is not None and (
            not isinstance(names, Sequence) or not names or not all(isinstance(name, str) for name in names)
        ):
            raise TypeError(f"classes must be one or more names, or None (all); got {classes!r}.")
        self.names = None if names is None else tuple(names)

    def check(self, available: Iterator[str] | Sequence[str] | set[str], path: Path) -> None:
        """Raise ValueError if a class that was chosen is not among those of the file."""
        there = sorted(set(available))
        unknown = [name for name in self.names or () if name not in there]
        if unknown:
            raise ValueError(
                f"classes must be of those in {path}, {', '.join(map(repr, there)) or 'which has none'}; "
                f"got {', '.join(map(repr, unknown))}."
            )

    def takes(self, name: str | None) -> bool:
        """Whether entries of a class are chosen."""
        return self.names is None or name in self.names
