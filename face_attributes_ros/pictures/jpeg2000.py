# SPDX-License-Identifier: Apache-2.0
"""The header of a JPEG 2000 picture, in boxes (JP2) or bare (ISO/IEC 15444-1, annexes A and I).

A hundred bytes can ask for thousands of tiles, millions of precincts or code-blocks, and 65,535
layers, for each of which OpenJPEG takes memory before it looks at the data.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from face_attributes_ros.pictures.header import CutShort, Header, Malformed
from face_attributes_ros.pictures.isobmff import boxes

BARE = b'\xff\x4f\xff\x51'
_TILE_PART, _DATA, _END = b'\xff\x90', b'\xff\x93', b'\xff\xd9'
_STYLE, _STYLE_OF_ONE = b'\xff\x52', b'\xff\x53'
_MOST_MARKERS = 10_000
_PIXEL_BYTES = 4
"""What a pixel of one component takes: what else is needed is told in pixels of this size."""

_TILE_BYTES, _TILE_COMPONENT_BYTES, _PRECINCT_BYTES, _BLOCK_BYTES = 6000, 1200, 600, 200


@dataclass(frozen=True)
class _Style:
    """A coding style: layers, the area of a code-block, and width and height of the precincts of
    each resolution, the smallest first; sizes in pixels."""

    layers: int
    block_px: int
    precincts_px: tuple[tuple[int, int], ...]

    def bytes_of(self, width: int, height: int) -> int:
        """What one component of a tile takes beside its pixels."""
        deepest = len(self.precincts_px) - 1
        cells = [-(-(width >> deepest - level) // wide) * -(-(height >> deepest - level) // high)
                 for level, (wide, high) in enumerate(self.precincts_px)]
        included = 2 * (self.layers + 1) * max(cells) * len(cells)
        blocks = width * height // self.block_px
        return included + sum(cells) * _PRECINCT_BYTES + blocks * _BLOCK_BYTES


def measure(data: bytes) -> Header:
    """The header; `area_px` counts components above four, tiles, precincts, code-blocks and
    layers; CutShort where a tile part is."""
    if data.startswith(BARE):
        return _codestream(data, 0, len(data))
    for kind, start, stop in boxes(data, 0, len(data)):
        if kind == b'jp2c':
            return _codestream(data, start, stop)
    raise CutShort


def _codestream(data: bytes, start: int, stop: int) -> Header:
    if data[start:start + 4] != BARE:
        raise Malformed('has no size at the start of its codestream')
    right, bottom, left, top, wide, high, *at = struct.unpack_from('>8I', data, start + 8)
    parts, bits = struct.unpack_from('>HB', data, start + 40)
    if not wide or not high:
        raise Malformed('has tiles of no size')
    width, height = right - left, bottom - top
    white = (1 << (bits & 0x7f) + 1) - 1
    styles: list[_Style] = []
    end = _behind_header(data, start + 2, parts, styles)
    end = _behind_tiles(data, end, stop, parts, styles)
    tiles = max(-(-(right - at[0]) // wide) * -(-(bottom - at[1]) // high), 1)
    more = tiles * (_TILE_BYTES + parts * _TILE_COMPONENT_BYTES) + parts * max(
        (style.bytes_of(min(wide, right), min(high, bottom)) for style in styles), default=0)
    area = max(width * height, right * bottom * max(parts, 4) // 4)
    return Header(width, height, end, white=None if white in (255, 65535) else white,
                  area_px=area + more // _PIXEL_BYTES)


def _behind_header(data: bytes, at: int, parts: int, styles: list[_Style]) -> int:
    """Where the first tile part, or the data of a tile part, begins; adds the styles on the
    way."""
    for _ in range(_MOST_MARKERS):
        marker = data[at:at + 2]
        if marker in (_TILE_PART, _DATA):
            return at
        length, = struct.unpack_from('>H', data, at + 2)
        if at + 2 + length > len(data) or length < 2:
            raise CutShort
        if marker in (_STYLE, _STYLE_OF_ONE):
            styles.append(_style(data[at + 4:at + 2 + length], marker, parts, styles))
        at += 2 + length
    raise Malformed(f'has more than {_MOST_MARKERS} segments')


def _style(segment: bytes, marker: bytes, parts: int, styles: list[_Style]) -> _Style:
    if marker == _STYLE:
        layers, levels = struct.unpack_from('>H', segment, 2)[0], 5
    else:
        layers, levels = styles[0].layers if styles else 1, 2 if parts < 257 else 3
    own = segment[0 if marker == _STYLE else levels - 1] & 1
    count = min(segment[levels], 32) + 1
    across, down = (segment[levels + at] & 15 for at in (1, 2))
    sizes = segment[levels + 5:levels + 5 + count] if own else b'\xff' * count
    if len(sizes) < count:
        raise CutShort
    return _Style(layers, 1 << across + down + 4,
                  tuple((1 << (size & 15), 1 << (size >> 4)) for size in sizes))


def _behind_tiles(data: bytes, at: int, stop: int, parts: int, styles: list[_Style]) -> int:
    while data[at:at + 2] == _TILE_PART:
        length, = struct.unpack_from('>I', data, at + 6)
        if at + 12 < stop and len(styles) < _MOST_MARKERS:
            _behind_header(data, at + 12, parts, styles)
        if length == 0:  # the last one, to the end
            at = data.rfind(_END, at, stop)
            break
        at += max(length, 12)
    if at < 0 or at > stop:
        raise CutShort
    return min(at + 2, stop)
