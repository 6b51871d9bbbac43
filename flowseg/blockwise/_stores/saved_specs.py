"""Where image and output of a run are, as JSON in its work folder."""

from __future__ import annotations

import json
from pathlib import Path

from flowseg._system import files
from flowseg.blockwise._stores.source import JsonObject

IMAGE_NAME, LABELS_NAME = "image.json", "labels.json"


def write_spec(path: Path, spec: JsonObject) -> None:
    """Write a spec, atomically."""
    text = (json.dumps(spec, indent=1, sort_keys=True) + "\n").encode("ascii")
    files.write_atomically(path, lambda beside: beside.write_bytes(text), through_links=False)


def read_spec(path: Path) -> JsonObject:
    """Read what `write_spec` wrote."""
    found: JsonObject = json.loads(path.read_text(encoding="ascii"))
    return found
