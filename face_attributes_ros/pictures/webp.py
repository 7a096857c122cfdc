# SPDX-License-Identifier: Apache-2.0
"""The header of a WebP file, and where it ends (RFC 9649)."""

from __future__ import annotations

import struct

from face_attributes_ros.pictures.exif import orientation
from face_attributes_ros.pictures.header import CutShort, Header, Malformed


def measure(data: bytes) -> Header:
    """The header; CutShort where RIFF's size says more than there is."""
    size, kind = struct.unpack_from('<4xI4x4s', data, 0)
    end = 8 + size
    if end > len(data):
        raise CutShort
    reader = {b'VP8 ': _lossy, b'VP8L': _lossless, b'VP8X': _extended}.get(kind)
    if reader is None:
        raise Malformed(f'begins with a chunk {kind!r}')
    width, height = reader(data, 20)
    turn = _turn(data, end) if kind == b'VP8X' else 1
    return Header(width, height, end, turn)


def _lossy(data: bytes, at: int) -> tuple[int, int]:
    width, height = struct.unpack_from('<HH', data, at + 6)  # after frame tag and start code
    return width & 0x3fff, height & 0x3fff


def _lossless(data: bytes, at: int) -> tuple[int, int]:
    bits, = struct.unpack_from('<I', data, at + 1)
    return (bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1


def _extended(data: bytes, at: int) -> tuple[int, int]:
    low, high = struct.unpack_from('<HB', data, at + 4), struct.unpack_from('<HB', data, at + 7)
    return low[0] + (low[1] << 16) + 1, high[0] + (high[1] << 16) + 1


def _turn(data: bytes, end: int) -> int:
    at = 12
    while at + 8 <= end:
        kind, size = struct.unpack_from('<4sI', data, at)
        if kind == b'EXIF':
            return orientation(data[at + 8:at + 8 + size])
        at += 8 + size + size % 2
    return 1
