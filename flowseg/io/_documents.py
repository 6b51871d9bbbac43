"""Text and JSON files of other programs, read without trusting them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import Any

from flowseg._system import memory
from flowseg._system.invalid_file import StoredFile

# Marks that editors and PowerShell put at the start of a text, and the encoding that each announces.
ENCODINGS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

# Bytes in memory for each list and object of JSON, and for each value in one, at most (CPython 3.11 to 3.13).
CONTAINER_BYTES, VALUE_BYTES = 100, 50

# How serialized Java objects begin, QuPath's .qpdata and .hierarchy among them.
JAVA = b"\xac\xed\x00\x05"

# Keys of a JSON document of another kind -> its name, and advice.
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


def read_text(stored: StoredFile) -> str:
    """Return a text in UTF-8, with or without a byte-order mark, or in UTF-16 with one."""
    raw = stored.read_bytes()
    if raw.startswith(JAVA):
        raise stored.invalid("serialized Java objects: in QuPath, File > Export objects as GeoJSON writes text")
    encoding = next((name for mark, name in ENCODINGS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise stored.invalid(f"no text in UTF-8 (from byte {error.start} on)") from None


def read_json(stored: StoredFile) -> Any:
    """Return a JSON document."""
    text = read_text(stored)
    n_bytes = CONTAINER_BYTES * (text.count("[") + text.count("{")) + VALUE_BYTES * (text.count(",") + text.count(":"))
    memory.check(n_bytes + len(text), "its JSON", stored.path)
    try:
        return json.loads(text)
    except RecursionError:
        raise stored.invalid("JSON of lists in lists, too deep to be read") from None
    except ValueError as error:  # a number of thousands of digits is no JSONDecodeError
        raise stored.invalid(f"text that is no JSON ({error})") from None


def name_kind(document: Any) -> str | None:
    """Return the kind of a JSON document, with advice; None if the kind is unknown."""
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, Mapping):
        return None
    return next((kind for keys, kind in KINDS if keys <= first.keys()), None)
