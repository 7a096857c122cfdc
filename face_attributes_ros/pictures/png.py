# SPDX-License-Identifier: Apache-2.0
"""The header of a PNG file, and where it ends: chunk by chunk to IEND (W3C PNG, section 5)."""

from __future__ import annotations

import struct

from face_attributes_ros.pictures.exif import orientation
from face_attributes_ros.pictures.header import CutShort, Header, Malformed

START = b'\x89PNG\r\n\x1a\n'


def measure(data: bytes) -> Header:
    """The header; CutShort where a chunk is, or IEND is missing, and Malformed where IHDR is not
    the first chunk."""
    length, kind, width, height = struct.unpack_from('>I4sII', data, 8)
    if kind != b'IHDR' or length != 13:
        raise Malformed('has no IHDR first')
    at, turn = 8, 1
    while kind != b'IEND':
        length, kind = struct.unpack_from('>I4s', data, at)
        if at + 12 + length > len(data):
            raise CutShort
        if kind == b'eXIf':
            turn = orientation(data[at + 8:at + 8 + length])
        at += 12 + length
    return Header(width, height, at, turn)
