# SPDX-License-Identifier: Apache-2.0
"""Which way up a picture is to be seen: EXIF's orientation, and pixels turned by it."""

from __future__ import annotations

import struct

import numpy as np

_ORIENTATION = 0x0112
_SHORT = 3


def orientation(block: bytes) -> int:
    """EXIF's orientation, 1 to 8, of a TIFF-shaped EXIF block; 1 where it says none or nonsense.

    A damaged block costs the turn, not the picture (EXIF 2.32, section 4.6.4)."""
    try:
        return _read(block.removeprefix(b'Exif\0\0'))
    except (struct.error, KeyError):
        return 1


def _read(block: bytes) -> int:
    order = {b'II': '<', b'MM': '>'}[block[:2]]
    at, = struct.unpack_from(f'{order}I', block, 4)
    count, = struct.unpack_from(f'{order}H', block, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, _, value = struct.unpack_from(f'{order}HHIH', block, entry)
        if tag == _ORIENTATION and kind == _SHORT:
            return value if 1 <= value <= 8 else 1
    return 1


def turned(pixels: np.ndarray, turn: int) -> np.ndarray:
    """Pixels as they are to be seen, for EXIF's orientation 1 to 8; contiguous."""
    if turn == 1:
        return pixels
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
