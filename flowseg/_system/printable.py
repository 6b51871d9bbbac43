"""Foreign text, such as names of files, made safe to show on a terminal or a page."""

from __future__ import annotations

import re
import unicodedata

# Unicode categories: control characters, invisible marks and marks of direction, separators of lines and of paragraphs,
# surrogates.
KINDS = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
# Invisible marks that join letters or pictures and stay.
JOINERS = "\u200c\u200d"
# Python's stand-ins for bytes that are no text.
FIRST_BYTE, LAST_BYTE, BYTE_OFFSET = 0xDC80, 0xDCFF, 0xDC00
# Characters of another error that a sentence quotes: about three lines of a page.
LONGEST = 400
BREAK = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")


def shown(text: str) -> str:
    r"""Return the text with invisible characters written out, such as ``\x1b``, ``\n`` or ``\u202e``."""
    return text if text.isascii() and text.isprintable() else "".join(map(_show, text))


def _show(character: str) -> str:
    code = ord(character)
    if FIRST_BYTE <= code <= LAST_BYTE:
        return f"\\x{code - BYTE_OFFSET:02x}"
    if unicodedata.category(character) in KINDS and character not in JOINERS:
        return character.encode("unicode_escape").decode("ascii")
    return character


def one_line(text: str, longest: int | None = None) -> str:
    """Return the text of an error with a space for every line break, cut after ``longest`` characters."""
    line = BREAK.sub(" ", text.strip())
    return line if longest is None or len(line) <= longest else f"{line[:longest]} ..."
