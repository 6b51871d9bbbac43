"""XML as it comes in files: no document type, and no more than memory holds."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from flowseg._system import memory

# Bytes in memory for each element and each attribute, at most.
ELEMENT_BYTES, ATTRIBUTE_BYTES = 500, 150


def parse_xml(text: str) -> Element:
    """The root of a document.

    A document type could define entities that grow without end. The parser itself refuses it: what a text looks like
    depends on an encoding that only the parser finds out.
    """
    memory.check(ELEMENT_BYTES * text.count("<") + ATTRIBUTE_BYTES * text.count("="), "with its XML it")
    builder = TreeBuilder()
    parser = expat.ParserCreate("utf-8", "}")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = lambda name, said: builder.start(_name(name), {_name(k): v for k, v in said.items()})
    parser.EndElementHandler = lambda name: builder.end(_name(name))
    parser.CharacterDataHandler = builder.data
    parser.Parse(text, True)
    return builder.close()


def _refuse(*_: Any) -> None:
    raise ValueError("XML with a document type of its own, which is not read")


def _name(name: str) -> str:
    """A name as ElementTree has it: {namespace}name."""
    return "{" + name if "}" in name else name
