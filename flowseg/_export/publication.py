"""What only the author of a model knows, checked: its name, authors, license, citations and validation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Of bioimage.io.
NAME = re.compile(r"[A-Za-z0-9_+\-() ]{5,128}")
# Of https://spdx.org/licenses: which of them exist, bioimage.io checks.
LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]+")
ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")
DOI = re.compile(r"10\.\d{4,}(?:\.\d+)*/\S+")
URL = re.compile(r"https?://\S+")

AUTHOR_FORM = "'Name', 'Name; affiliation' or 'Name; affiliation; ORCID'"
CITE_FORM = "'text; DOI' or 'text; URL'"


@dataclass(frozen=True)
class Publication:
    """What is published with a model."""

    name: str
    authors: tuple[dict[str, str], ...]  # as bioimage.io has them
    license: str
    cite: tuple[dict[str, str], ...]
    validation: str

    @classmethod
    def of(cls, name: str, authors: Sequence[str], license: str, cite: Sequence[str], validation: str) -> Publication:
        """Return it from the arguments of `export_bioimageio`, checked."""
        return cls(
            _as_text(name, "name", NAME, "5 to 128 letters, digits, spaces or _+-()"),
            tuple(_as_author(author) for author in _as_texts(authors, "authors", AUTHOR_FORM)),
            _as_text(license, "license", LICENSE, "an identifier of https://spdx.org/licenses, such as CC-BY-4.0"),
            tuple(_as_citation(entry) for entry in _as_texts(cite, "cite", CITE_FORM)),
            _as_text(
                validation, "validation", re.compile(r"(?s).*\S.*"), "text: on what the model was tested, and how"
            ),
        )


def _as_text(value: Any, name: str, form: re.Pattern[str], expected: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be {expected}; got {value!r}.")
    if not form.fullmatch(value.strip()):
        raise ValueError(f"{name} must be {expected}; got {value!r}.")
    return value.strip()


def _as_texts(values: Any, name: str, form: str) -> list[str]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not all(isinstance(v, str) for v in values):
        raise TypeError(f"{name} must be a list of {form}; got {values!r}.")
    if not values:
        raise ValueError(f"{name} must hold at least one entry, {form}; got none.")
    return [*values]


def _as_author(text: str) -> dict[str, str]:
    parts = [part.strip() for part in text.split(";")]
    if not all(parts) or len(parts) > 3 or "/" in parts[0] or (len(parts) == 3 and not ORCID.fullmatch(parts[2])):
        raise ValueError(f"authors must be {AUTHOR_FORM}; got {text!r}.")
    return dict(zip(("name", "affiliation", "orcid"), parts, strict=False))


def _as_citation(text: str) -> dict[str, str]:
    words, _, link = (part.strip() for part in text.rpartition(";"))
    link = link.removeprefix("https://doi.org/")
    if not words or not (DOI.fullmatch(link) or URL.fullmatch(link)):
        raise ValueError(f"cite must be {CITE_FORM}; got {text!r}.")
    return {"text": words, "doi" if DOI.fullmatch(link) else "url": link}
