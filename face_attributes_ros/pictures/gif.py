# SPDX-License-Identifier: Apache-2.0
"""The header of a GIF file, and where it ends: block by block to the trailer (GIF89a)."""

from __future__ import annotations

import struct

from face_attributes_ros.pictures.header import CutShort, Header, Malformed

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2c, 0x3b


def measure(data: bytes) -> Header:
    """The header; `area_px` is that of the largest frame; CutShort without a trailer."""
    width, height, flags = struct.unpack_from('<HHB', data, 6)
    at, area = 13 + _colours(flags), 0
    while data[at] != _TRAILER:
        if data[at] == _EXTENSION:
            at += 2
        elif data[at] == _IMAGE:
            left, top, wide, high, flags = struct.unpack_from('<HHHHB', data, at + 1)
            area = max(area, (left + wide) * (top + high))
            at += 11 + _colours(flags)  # and one byte of code size
        else:
            raise Malformed(f'has a block {data[at]:#x} at byte {at}')
        at = _behind_blocks(data, at)
    if not area:
        raise CutShort
    return Header(width, height, at + 1, area_px=area)


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _behind_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += 1 + data[at]
    return at + 1
