"""Rows and columns that a compressed picture declares, found in its first bytes, without decoding."""

from __future__ import annotations

import struct

# JPEG: markers of frames, which hold the size; markers without a length; the marker after the header.
JPEG_FRAMES = {0xC0 + k for k in range(16)} - {0xC4, 0xC8, 0xCC}
JPEG_ALONE = {0x01, *range(0xD0, 0xD9)}
SCAN = 0xDA
# JPEG 2000: the marker of the size, behind the marker of the start.
J2K = b"\xff\x4f\xff\x51"
# JPEG XL (ISO/IEC 18181-1): the start of a codestream, bits of lengths, and ratios of width to height.
JXL = b"\xff\x0a"
JXL_BITS = (9, 13, 18, 30)
JXL_RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
# LERC (Esri's "lerc2"): its name, and the version from which on a checksum stands before the size.
LERC, LERC_CHECKSUM = b"Lerc2 ", 3
# JPEG XR: its file header, and the tags of width and height.
JXR, JXR_WIDTH, JXR_HEIGHT = b"II\xbc", 0xBC80, 0xBC81


class _CutShortError(Exception):
    """The beginning of the picture ends before its size."""


def _unpack(code: str, head: bytes, place: int) -> tuple[int, ...]:
    """Return numbers at a place, as `struct` names their types."""
    if place < 0 or place + struct.calcsize(code) > len(head):
        raise _CutShortError
    return struct.unpack_from(code, head, place)


def coded_shape(head: bytes) -> tuple[int, int] | None:
    """Return rows and columns; None where the beginning does not hold them."""
    try:
        return _find(head)
    except _CutShortError:
        return None


def _find(head: bytes) -> tuple[int, int] | None:
    if head.startswith(b"\xff\xd8"):
        return _jpeg(head)
    if head.startswith(b"\x89PNG"):
        width, height = _unpack(">II", head, 16)
        return height, width
    if J2K in head[:256]:
        right, bottom, left, top = _unpack(">4I", head, head.index(J2K) + len(J2K) + 4)
        return bottom - top, right - left
    if head[:4] == b"RIFF":
        return _webp(head)
    if head.startswith(JXL) or b"jxlc" in head[:64] or b"jxlp" in head[:64]:
        return _jpeg_xl(head[head.index(JXL) + 2 :]) if JXL in head else None
    if head.startswith(LERC):
        (version,) = _unpack("<i", head, len(LERC))
        height, width = _unpack("<ii", head, len(LERC) + (8 if version >= LERC_CHECKSUM else 4))
        return height, width
    return _jpeg_xr(head) if head.startswith(JXR) else None


def _jpeg(head: bytes) -> tuple[int, int] | None:
    place = 2
    while place < len(head):
        start, marker = _unpack("2B", head, place)
        if start != 0xFF:
            return None
        if marker == 0xFF or marker in JPEG_ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == SCAN:
            return None
        if marker in JPEG_FRAMES:
            height, width = _unpack(">HH", head, place + 5)
            return height, width
        place += 2 + _unpack(">H", head, place + 2)[0]
    return None


def _webp(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8 ":
        width, height = _unpack("<HH", head, 26)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L":
        (bits,) = _unpack("<I", head, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(head[27:30], "little") + 1, int.from_bytes(head[24:27], "little") + 1
    return None


def _jpeg_xl(head: bytes) -> tuple[int, int]:
    bits, place = int.from_bytes(head[:16], "little"), 0
    if len(head) < 16:
        raise _CutShortError

    def take(n: int) -> int:
        nonlocal place
        place += n
        return bits >> (place - n) & ((1 << n) - 1)

    def length() -> int:
        return (take(5) + 1) * 8 if is_small else take(JXL_BITS[take(2)]) + 1

    is_small = take(1)
    height = length()
    ratio = JXL_RATIOS[take(3)]
    return height, length() if ratio is None else height * ratio[0] // ratio[1]


def _jpeg_xr(head: bytes) -> tuple[int, int] | None:
    (place,) = _unpack("<I", head, 4)
    (n_tags,) = _unpack("<H", head, place)
    values = {}
    for k in range(n_tags):
        tag, kind, _ = _unpack("<HHI", head, place + 2 + 12 * k)
        (values[tag],) = _unpack("<H" if kind == 3 else "<I", head, place + 10 + 12 * k)
    return (values[JXR_HEIGHT], values[JXR_WIDTH]) if {JXR_HEIGHT, JXR_WIDTH} <= values.keys() else None
