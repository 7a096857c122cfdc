# SPDX-License-Identifier: Apache-2.0
"""The header of a JPEG file, where it ends, and whether its scans are whole (ITU-T T.81, annex B).

libjpeg decodes half a picture without an error and fills the rest with grey, also where somebody
has put an end marker behind the half."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from face_attributes_ros.pictures import jpeg_progressive, jpeg_scan
from face_attributes_ros.pictures.exif import orientation
from face_attributes_ros.pictures.header import CutShort, Header, Malformed
from face_attributes_ros.pictures.jpeg_scan import Scan

_SIZES = frozenset(range(0xc0, 0xd0)) - {0xc4, 0xc8, 0xcc}
_TABLES, _END, _SCAN, _RESTARTS, _APP1 = 0xc4, 0xd9, 0xda, 0xdd, 0xe1
_MARKER = re.compile(rb'\xff[^\x00\x01\xd0-\xd8\xff]')  # of a segment; the others stand alone
_NEXT = re.compile(rb'\xff[^\x00\xff\xd0-\xd7]')  # the marker that ends a scan
_PROGRESSIVE = {0xc2, 0xc6, 0xca, 0xce}
_HUFFMAN, _PROGRESSIVE_HUFFMAN = (0xc0, 0xc1), 0xc2
MOST_SCANS = 100
"""A few kilobytes can hold thousands of scans, each of which costs a pass over the picture."""

MOST_SEGMENTS = 10_000
"""A megabyte can hold a quarter of a million."""


@dataclass
class _Parts:
    kind: int = 0
    width: int = 0
    height: int = 0
    components: dict[int, tuple[int, int]] = field(default_factory=dict)
    tables: dict[int, bytes] = field(default_factory=dict)
    interval: int = 0
    turn: int = 1
    scans: list[Scan] = field(default_factory=list)


def measure(data: bytes) -> Header:
    """The header; CutShort where the end marker or a scan is missing; `whole` looks for missing
    data inside the scan."""
    parts = _Parts()
    end = _walk(data, parts)
    if not parts.kind or not parts.scans:
        raise CutShort
    _check_scans(parts)
    return Header(parts.width, parts.height, end, parts.turn, whole=_check_of(data, parts))


def _check_of(data: bytes, parts: _Parts) -> Callable[[np.ndarray], bool] | None:
    first, last = parts.scans[0], parts.scans[-1]
    checks: list[Callable[[np.ndarray], bool]] = []
    alone = parts.kind in _HUFFMAN and len(parts.scans) == 1
    levels = parts.kind == _PROGRESSIVE_HUFFMAN and not first.last and \
        len(first.components) == len(parts.components)
    if alone or levels:
        checks.append(partial(jpeg_scan.whole, data, first, parts.components, parts.interval))
    brightness = next(iter(parts.components))
    if parts.kind in _PROGRESSIVE and last.refines and last.components[0][0] == brightness:
        checks.append(partial(jpeg_progressive.whole, data, last.segment))
    return (lambda pixels: all(check(pixels) for check in checks)) if checks else None


def _walk(data: bytes, parts: _Parts) -> int:
    """Reads the segments into `parts`; the byte behind the end marker."""
    at = 2
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            raise CutShort
        at, code = found.start(), data[found.start() + 1]
        if code == _END:
            return at + 2
        length, = struct.unpack_from('>H', data, at + 2)
        segment = data[at + 4:at + 2 + length]
        if length < 2 or at + 2 + length > len(data):
            raise CutShort
        at += 2 + length
        _segment(parts, code, segment)
        if code == _SCAN:
            at = _behind_scan(data, at, parts, segment)
    raise Malformed(f'has more than {MOST_SEGMENTS} segments')


def _segment(parts: _Parts, code: int, segment: bytes) -> None:
    if code in _SIZES:
        _size(parts, code, segment)
    elif code == _TABLES:
        _read_tables(parts.tables, segment)
    elif code == _RESTARTS:
        parts.interval, = struct.unpack_from('>H', segment)
    elif code == _APP1 and segment.startswith(b'Exif\0\0'):
        parts.turn = orientation(segment)


def _size(parts: _Parts, code: int, segment: bytes) -> None:
    if parts.kind:
        raise Malformed('has two sizes')
    parts.kind = code
    _, parts.height, parts.width, count = struct.unpack_from('>BHHB', segment)
    if not count:
        raise Malformed('has no components')
    for at in range(6, 6 + 3 * count, 3):
        name, sampling = struct.unpack_from('>BB', segment, at)
        parts.components[name] = (sampling >> 4, sampling & 15)


def _read_tables(tables: dict[int, bytes], segment: bytes) -> None:
    at = 0
    while at + 17 <= len(segment):
        size = 17 + sum(segment[at + 1:at + 17])
        tables[segment[at]] = segment[at + 1:at + size]
        at += size


def _behind_scan(data: bytes, at: int, parts: _Parts, segment: bytes) -> int:
    found = _NEXT.search(data, at)
    if found is None:
        raise CutShort
    if len(parts.scans) == MOST_SCANS:
        raise Malformed(f'has more than {MOST_SCANS} scans')
    names = segment[1:1 + 2 * segment[0]:2]
    chosen = segment[2:2 + 2 * segment[0]:2]
    first, last, step = struct.unpack_from('>BBB', segment, 1 + 2 * segment[0])
    parts.scans.append(Scan(at - 4 - len(segment), at, found.start(), tuple(zip(names, chosen)),
                            first, last, step & 15, step > 15, dict(parts.tables), parts.width,
                            parts.height))
    return found.start()


def _check_scans(parts: _Parts) -> None:
    """CutShort unless the scans hold every component, of progressive ones every coefficient to
    its last bit."""
    rest = {name: [1] * 64 for name in parts.components}
    for scan in parts.scans:
        last, bit = (scan.last, scan.bit) if parts.kind in _PROGRESSIVE else (63, 0)
        for name, _ in scan.components:
            for index in range(scan.first, min(last, 63) + 1):
                rest.get(name, [0] * 64)[index] = bit
    if any(map(any, rest.values())):
        raise CutShort
