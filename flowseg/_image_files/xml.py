"""XML of files, read without document types and within memory."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from flowseg._system import memory
from flowseg._system.invalid_file import InvalidFileError, StoredFile

# Bytes in memory for each element and each attribute, at most (CPython 3.11 to 3.13).
ELEMENT_BYTES, ATTRIBUTE_BYTES = 500, 150


def parse_xml(text: str, stored: StoredFile) -> Element:
    """Return the root of a document.

    A document type could define entities that grow without end. The parser itself refuses it: how a text reads
    depends on an encoding that only the parser knows.
    """
    n_bytes = ELEMENT_BYTES * text.count("<") + ATTRIBUTE_BYTES * text.count("=")
    memory.check(n_bytes, "with its XML it", stored.path)
    builder = TreeBuilder()
    parser = expat.ParserCreate("utf-8", "}")

    def refuse(*_: Any) -> InvalidFileError:
        raise stored.invalid("XML with a document type of its own, which is not read")

    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = lambda name, given: builder.start(_name(name), {_name(k): v for k, v in given.items()})
    parser.EndElementHandler = lambda name: builder.end(_name(name))
    parser.CharacterDataHandler = builder.data
    with stored.parsing(expat.ExpatError, UnicodeError):
        parser.Parse(text, True)
    return builder.close()


def _name(name: str) -> str:
    """Return a name as ElementTree has it: {namespace}name."""
    return "{" + name if "}" in name else name


def whole_number(element: Element, name: str, default: int | None = None) -> int | None:
    """Return an attribute as a whole number; None where it is none, the default where it is missing."""
    text = element.attrib.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        return None
