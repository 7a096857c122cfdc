# SPDX-License-Identifier: Apache-2.0
"""Headers of the formats whose pixels lie one after the other: BMP, Netpbm (PBM, PGM, PPM, PAM),
PFM, Sun raster; and of Radiance HDR, which starts as plainly."""

from __future__ import annotations

import re
import struct

from face_attributes_ros.pictures.header import CutShort, Header, Malformed

_GAP = rb'(?:\s|#[^\n\r]*[\n\r])+'
_NETPBM = re.compile(rb'P[2356]' + _GAP.join((b'', rb'(\d{1,9})', rb'(\d{1,9})', rb'(\d{1,5})')))
_BITMAP = re.compile(rb'P[14]' + _GAP.join((b'', rb'(\d{1,9})', rb'(\d{1,9})')))
_PAM = re.compile(rb'\n(WIDTH|HEIGHT|DEPTH|MAXVAL) +(\d{1,9})')
_PFM = re.compile(rb'P[Ff]\s+(\d{1,9})\s+(\d{1,9})\s+([-+.\deE]+)\s')
_HDR = re.compile(rb'[-+]Y (\d{1,9}) [-+]X (\d{1,9})\n')


def bmp(data: bytes) -> Header:
    """The header of a BMP; CutShort where uncompressed pixels are missing."""
    start, size = struct.unpack_from('<II', data, 10)
    if size == 12:
        width, height, bits = struct.unpack_from('<HH2xH', data, 18)
        packed = 0
    else:
        width, height, bits, packed = struct.unpack_from('<ii2xHI', data, 18)
    height = abs(height)  # negative: rows from the top
    end = start + (width * bits + 31) // 32 * 4 * height if packed in (0, 3) else len(data)
    return _whole(data, width, height, end)


def netpbm(data: bytes) -> Header:
    """The header of a PBM, PGM or PPM; `white` is its maximum where that is not 255 or 65535."""
    bitmap = data[1:2] in b'14'
    found = _found(_BITMAP if bitmap else _NETPBM, data)
    width, height, white = (*map(int, found.groups()), 1)[:3]
    if data[1:2] in b'123':
        return Header(width, height, len(data), white=_white(white, bitmap))
    samples = 3 if data[1:2] == b'6' else 1
    row = (width + 7) // 8 if bitmap else width * samples * (1 + (white > 255))
    return _whole(data, width, height, found.end() + 1 + row * height, _white(white, bitmap))


def _white(most: int, bitmap: bool) -> int | None:
    if bitmap or most in (255, 65535):
        return None
    if not 0 < most < 65536:
        raise Malformed(f'has the maximum {most}, needs 1 to 65535')
    return most


def pam(data: bytes) -> Header:
    """The header of a PAM."""
    text, mark, _ = data[:4096].partition(b'\nENDHDR\n')
    found = {name: int(value) for name, value in _PAM.findall(text)}
    if not mark or len(found) < 4:
        raise Malformed('has no complete header of WIDTH, HEIGHT, DEPTH, MAXVAL, ENDHDR')
    width, height, depth, white = (found[name]
                                   for name in (b'WIDTH', b'HEIGHT', b'DEPTH', b'MAXVAL'))
    row = width * depth * (1 + (white > 255))
    end = len(text) + len(mark) + row * height
    return _whole(data, width, height, end, None if white == 1 else _white(white, False),
                  area_px=width * height * depth // 4)


def pfm(data: bytes) -> Header:
    """The header of a PFM."""
    found = _found(_PFM, data)
    width, height = int(found[1]), int(found[2])
    end = found.end() + 4 * width * height * (3 if data[1:2] == b'F' else 1)
    return _whole(data, width, height, end, floating=True)


def sun(data: bytes) -> Header:
    """The header of a Sun raster file."""
    width, height, bits, _, kind, _, colours = struct.unpack_from('>7I', data, 4)
    end = 32 + colours + (width * bits + 15) // 16 * 2 * height if kind in (0, 1, 3) else len(data)
    return _whole(data, width, height, end)


def hdr(data: bytes) -> Header:
    """The header of a Radiance picture; its end is not known before it is decoded."""
    found = _HDR.search(data, 0, 4096)
    if found is None:
        raise Malformed('has no line of its size, as -Y 480 +X 640')
    return Header(int(found[2]), int(found[1]), len(data))


def _found(pattern: re.Pattern[bytes], data: bytes) -> re.Match[bytes]:
    found = pattern.match(data, 0, 4096)
    if found is None:
        raise Malformed('has no complete header')
    return found


def _whole(data: bytes, width: int, height: int, end: int, white: int | None = None,
           area_px: int = 0, floating: bool = False) -> Header:
    if end > len(data):
        raise CutShort
    return Header(width, height, end, white=white, area_px=area_px, floating=floating)
