# SPDX-License-Identifier: Apache-2.0
"""The header of a JPEG 2000 picture, in boxes (JP2) or bare (ISO/IEC 15444-1, annexes A and I)."""

from __future__ import annotations

import struct

from face_attributes_ros.pictures.header import CutShort, Header, Malformed
from face_attributes_ros.pictures.isobmff import boxes

BARE = b'\xff\x4f\xff\x51'
_TILE_PART, _END = b'\xff\x90', b'\xff\xd9'


def measure(data: bytes) -> Header:
    """The header; `area_px` counts components above four; CutShort where a tile part is."""
    if data.startswith(BARE):
        return _codestream(data, 0, len(data))
    for kind, start, stop in boxes(data, 0, len(data)):
        if kind == b'jp2c':
            return _codestream(data, start, stop)
    raise CutShort


def _codestream(data: bytes, start: int, stop: int) -> Header:
    if data[start:start + 4] != BARE:
        raise Malformed('has no size at the start of its codestream')
    right, bottom, left, top, *_ = struct.unpack_from('>4I', data, start + 8)
    parts, bits = struct.unpack_from('>HB', data, start + 40)
    width, height = right - left, bottom - top
    white = (1 << (bits & 0x7f) + 1) - 1
    end = _behind_tiles(data, _behind_main_header(data, start), stop)
    return Header(width, height, end, white=None if white in (255, 65535) else white,
                  area_px=right * bottom * max(parts, 4) // 4)


def _behind_main_header(data: bytes, at: int) -> int:
    at += 2
    while data[at:at + 2] != _TILE_PART:
        at += 2 + struct.unpack_from('>H', data, at + 2)[0]
        if at >= len(data):
            raise CutShort
    return at


def _behind_tiles(data: bytes, at: int, stop: int) -> int:
    while data[at:at + 2] == _TILE_PART:
        length, = struct.unpack_from('>I', data, at + 6)
        if length == 0:  # the last one, to the end
            at = data.rfind(_END, at, stop)
            break
        at += max(length, 12)
    if at < 0 or at > stop:
        raise CutShort
    return min(at + 2, stop)
