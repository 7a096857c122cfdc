# SPDX-License-Identifier: Apache-2.0
"""The header of a TIFF file's first picture (TIFF 6.0; BigTIFF)."""

from __future__ import annotations

import struct

import numpy as np

from face_attributes_ros.pictures.header import CutShort, Header, Malformed

_WIDTH, _HEIGHT, _BITS, _TURN, _SAMPLES, _NUMBERS = 256, 257, 258, 274, 277, 339
_FLOAT = 3
_PLACES = ((273, 279), (324, 325))  # where strips, and tiles, lie and how long they are
_TILE, _ROWS, _PLANAR = (322, 323), 278, 284
_WANTED = {_WIDTH, _HEIGHT, _BITS, _TURN, _SAMPLES, _NUMBERS, *_TILE, *sum(_PLACES, ()), _ROWS,
           _PLANAR}
_KINDS = {1: 'u1', 3: 'u2', 4: 'u4', 16: 'u8'}
_MOST = 1 << 24  # values in an entry


def measure(data: bytes) -> Header:
    """The header; `area_px` counts tiles larger than the picture, and samples above four;
    CutShort where a strip or tile is not listed, or does not lie in the data."""
    order = '<' if data[:2] == b'II' else '>'
    tags, turn_at = _directory(data, order)
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise Malformed('has no size')
    width, height = (_first(tags, tag, 0) for tag in (_WIDTH, _HEIGHT))
    _check_places(tags, len(data))
    across, down = (_first(tags, tag, 0) for tag in _TILE)
    _check_count(tags, width, height, across, down)
    tile = across * down
    samples = max(_first(tags, _SAMPLES, 1) * _first(tags, _BITS, 8) // 32, 1)
    turn = _first(tags, _TURN, 1)
    turn = turn if 1 <= turn <= 8 else 1
    flat = None if turn_at is None else (
        data[:turn_at] + struct.pack(f'{order}H', 1) + data[turn_at + 2:])
    return Header(width, height, len(data), turn,
                  area_px=max(tile, width * height) * samples,
                  floating=_first(tags, _NUMBERS, 1) == _FLOAT, unturned=flat)


def _directory(data: bytes, order: str) -> tuple[dict[int, np.ndarray], int | None]:
    """Values by tag of the first directory, and where the turn stands if it is to be changed."""
    big = struct.unpack_from(f'{order}H', data, 2)[0] == 43
    at, = struct.unpack_from(f'{order}Q' if big else f'{order}I', data, 8 if big else 4)
    count, = struct.unpack_from(f'{order}Q' if big else f'{order}H', data, at)
    at, step, room = (at + 8, 20, 8) if big else (at + 2, 12, 4)
    if at + step * count > len(data):
        raise CutShort
    tags, turn_at = {}, None
    for entry in range(at, at + step * count, step):
        tag, kind = struct.unpack_from(f'{order}HH', data, entry)
        if tag in _WANTED and kind in _KINDS:
            tags[tag] = _values(data, order, entry + 4, kind, room)
            if tag == _TURN and kind == 3 and _first(tags, tag, 1) != 1:
                turn_at = entry + step - room
    return tags, turn_at


def _values(data: bytes, order: str, at: int, kind: int, room: int) -> np.ndarray:
    number, letter = np.dtype(order + _KINDS[kind]), 'Q' if room == 8 else 'I'
    count, = struct.unpack_from(order + letter, data, at)
    if count > _MOST:
        raise Malformed(f'has an entry of {count} values')
    start = at + room
    if count * number.itemsize > room:
        start, = struct.unpack_from(order + letter, data, start)
    if start + count * number.itemsize > len(data):
        raise CutShort
    return np.frombuffer(data, number, count, start)


def _first(tags: dict[int, np.ndarray], tag: int, default: int) -> int:
    return int(tags[tag][0]) if tag in tags and len(tags[tag]) else default


def _check_count(tags: dict[int, np.ndarray], width: int, height: int, across: int,
                 down: int) -> None:
    # What is not listed stays black.
    planes = _first(tags, _SAMPLES, 1) if _first(tags, _PLANAR, 1) == 2 else 1
    rows = _first(tags, _ROWS, height) or height
    needed = -(-width // across) * -(-height // down) if across and down else -(-height // rows)
    offsets = tags.get(_PLACES[1 if across and down else 0][0])
    if offsets is not None and len(offsets) < needed * planes:
        raise CutShort


def _check_places(tags: dict[int, np.ndarray], size: int) -> None:
    for offsets, counts in _PLACES:
        if offsets in tags and counts in tags and len(tags[offsets]) == len(tags[counts]):
            ends = tags[offsets].astype(float) + tags[counts]
            if ends.size and ends.max() > size:
                raise CutShort
