# SPDX-License-Identifier: Apache-2.0
"""The header of an AVIF file, which is made of boxes (ISO/IEC 14496-12, 23008-12; AV1 Image File
Format)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from face_attributes_ros.pictures.av1 import frame_px
from face_attributes_ros.pictures.header import CutShort, Header, Malformed

_TURNS = (1, 8, 3, 6)  # EXIF's word for so many quarter turns against the clock
_MIRRORED = {1: (4, 2), 8: (5, 7), 3: (2, 4), 6: (7, 5)}
"""EXIF's word for a turn followed by a mirror: top with bottom (axis 0), left with right (1)."""

Box = tuple[bytes, int, int]
"""Type, and where its contents start and end."""


def boxes(data: bytes, at: int, end: int) -> Iterator[Box]:
    """The boxes between two places; CutShort where one would end behind `end`."""
    while at + 8 <= end:
        size, kind = struct.unpack_from('>I4s', data, at)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from('>Q', data, at + 8), 16
        size = size or end - at
        if size < head or at + size > end:
            raise CutShort
        yield kind, at + head, at + size
        at += size


def measure(data: bytes) -> Header:
    """The header; `area_px` is that of the largest frame, by the boxes and by the bitstreams;
    CutShort where a part of the picture does not lie in the data."""
    meta, film, end = None, (0, 0), 0
    try:
        for kind, start, stop in boxes(data, 0, len(data)):
            if not kind.isalnum():
                break
            end = stop
            meta = (start + 4, stop) if kind == b'meta' and meta is None else meta
            film = (start, stop) if kind == b'moov' else film
    except CutShort:  # or bytes behind the end that look like a box: the extents tell
        pass
    if meta is None:
        raise CutShort
    inside = {kind: (start, stop) for kind, start, stop in boxes(data, *meta)}
    if b'iprp' not in inside or b'iloc' not in inside:
        raise Malformed('has no properties of its pictures')
    extents = list(_extents(data, inside[b'iloc'][0], inside.get(b'idat', (0, 0))[0]))
    end = max(end, *(stop for _, _, stop in extents), 0)
    if end > len(data):
        raise CutShort
    return _described(data, inside, end, _coded_px(data, inside, extents, film))


def _coded_px(data: bytes, inside: dict[bytes, tuple[int, int]],
              extents: list[tuple[int, int, int]], film: tuple[int, int]) -> int:
    """Pixels of the largest frame that a bitstream announces."""
    pictures = _pictures(data, inside)
    starts = {item: (start, stop) for item, start, stop in reversed(extents)
              if pictures is None or item in pictures}  # of several extents the first
    places = [*starts.values(), *((at, len(data)) for at in _samples(data, *film))]
    return max((frame_px(data, *place) for place in places), default=0)


def _pictures(data: bytes, inside: dict[bytes, tuple[int, int]]) -> set[int] | None:
    """The numbers of the items that are AV1; None where the file does not say what they are."""
    if b'iinf' not in inside:
        return None
    start, stop = inside[b'iinf']
    found = set()
    for kind, at, _ in boxes(data, start + (8 if data[start] else 6), stop):
        if kind == b'infe' and data[at] >= 2:
            form = '>H2x4s' if data[at] == 2 else '>I2x4s'
            number, name = struct.unpack_from(form, data, at + 4)
            found |= {number} if name == b'av01' else set()
    return found


def _samples(data: bytes, at: int, stop: int) -> Iterator[int]:
    """Where the bitstreams of a film's tracks begin."""
    for name, layout in ((b'stco', '>I'), (b'co64', '>Q')):
        found = data.find(name, at, stop)
        while found >= 0:
            yield struct.unpack_from(layout, data, found + 12)[0]
            found = data.find(name, found + 4, stop)


def _described(data: bytes, inside: dict[bytes, tuple[int, int]], end: int,
               coded_px: int) -> Header:
    parts = {kind: (start, stop) for kind, start, stop in boxes(data, *inside[b'iprp'])}
    properties = list(boxes(data, *parts[b'ipco'])) if b'ipco' in parts else []
    sizes = [struct.unpack_from('>II', data, start + 4) for kind, start, _ in properties
             if kind == b'ispe']
    if not sizes:
        raise Malformed('has no size')
    own = _of_primary(data, inside, parts)
    mine = [properties[index - 1] for index in own if 0 < index <= len(properties)]
    at = next((start for kind, start, _ in mine if kind == b'ispe'), None)
    width, height = sizes[0] if at is None else struct.unpack_from('>II', data, at + 4)
    return Header(width, height, end, _turn(data, mine),
                  area_px=max(coded_px, *(wide * high for wide, high in sizes)))


def _turn(data: bytes, properties: list[Box]) -> int:
    found = {kind: data[start] for kind, start, _ in properties if kind in (b'irot', b'imir')}
    turn = _TURNS[found.get(b'irot', 0) & 3]
    return _MIRRORED[turn][found[b'imir'] & 1] if b'imir' in found else turn


def _of_primary(data: bytes, inside: dict[bytes, tuple[int, int]],
                parts: dict[bytes, tuple[int, int]]) -> list[int]:
    """The numbers, from 1, of the properties of the primary picture, in order."""
    if b'pitm' not in inside or b'ipma' not in parts:
        return []
    start = inside[b'pitm'][0]
    primary, = struct.unpack_from('>I' if data[start] else '>H', data, start + 4)
    at = parts[b'ipma'][0]
    version, wide = data[at], data[at + 3] & 1
    count, = struct.unpack_from('>I', data, at + 4)
    at += 8
    for _ in range(count):
        item, number = struct.unpack_from('>IB' if version else '>HB', data, at)
        at += 5 if version else 3
        found = struct.unpack_from(f'>{number}{"H" if wide else "B"}', data, at)
        if item == primary:
            return [value & (0x7fff if wide else 0x7f) for value in found]
        at += number * (1 + wide)
    return []


def _extents(data: bytes, at: int, idat: int) -> Iterator[tuple[int, int, int]]:
    """(item, start, stop) of what the items of an `iloc` box need."""
    version, sizes = data[at], struct.unpack_from('>H', data, at + 4)[0]
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    count, = struct.unpack_from('>I' if version == 2 else '>H', data, at + 6)
    at += 10 if version == 2 else 8
    for _ in range(count):
        item, = struct.unpack_from('>I' if version == 2 else '>H', data, at)
        at += 4 if version == 2 else 2
        method = struct.unpack_from('>H', data, at)[0] & 15 if version else 0
        at += (2 if version else 0) + 2
        origin = _number(data, at, base) + (idat if method == 1 else 0)
        extents, = struct.unpack_from('>H', data, at + base)
        at += base + 2
        for _ in range(extents):
            at += index if version else 0
            start = origin + _number(data, at, offset)
            yield item, start, start + _number(data, at + offset, length)
            at += offset + length


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise CutShort
    return int.from_bytes(data[at:at + size], 'big')
