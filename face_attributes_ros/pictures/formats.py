# SPDX-License-Identifier: Apache-2.0
"""The formats of pictures that are read: one row each. Everything that asks what a picture is
called, or how it begins, asks here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2

from face_attributes_ros.pictures import gif, isobmff, jpeg, jpeg2000, plain, png, tiff, webp
from face_attributes_ros.pictures.header import Header

_BGR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_DEEP = _BGR | cv2.IMREAD_ANYDEPTH


@dataclass(frozen=True)
class Format:
    """How a format begins, what its files end in, how its header is read (struct.error,
    IndexError or CutShort where it is cut short), and OpenCV's flags for it."""

    name: str
    title: str
    suffixes: tuple[str, ...]
    begins: Callable[[bytes], bool]
    measure: Callable[[bytes], Header]
    flags: int = _BGR


def _starts(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(starts)


def _netpbm(data: bytes) -> bool:
    return data[:1] == b'P' and data[1:2] in tuple(b'%d' % n for n in range(1, 7)) \
        and data[2:3].isspace()


def _webp(data: bytes) -> bool:
    return data[:4] == b'RIFF' and data[8:12] == b'WEBP'


def _avif(data: bytes) -> bool:
    return data[4:8] == b'ftyp' and any(brand in data[8:64] for brand in (b'avif', b'avis'))


_ROWS = (
    Format('jpeg', 'JPEG', ('.jpg', '.jpeg', '.jpe', '.jfif'), _starts(b'\xff\xd8\xff'),
           jpeg.measure),
    Format('png', 'PNG', ('.png', '.apng'), _starts(png.START), png.measure, _DEEP),
    Format('bmp', 'BMP', ('.bmp', '.dib'), _starts(b'BM'), plain.bmp),
    Format('gif', 'GIF', ('.gif',), _starts(b'GIF87a', b'GIF89a'), gif.measure),
    Format('webp', 'WebP', ('.webp',), _webp, webp.measure),
    Format('tiff', 'TIFF', ('.tif', '.tiff'),
           _starts(b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'), tiff.measure, _DEEP),
    Format('avif', 'AVIF', ('.avif', '.avifs'), _avif, isobmff.measure),
    Format('jp2', 'JPEG 2000', ('.jp2', '.j2k', '.j2c', '.jpc'),
           _starts(b'\0\0\0\x0cjP  \r\n\x87\n', jpeg2000.BARE), jpeg2000.measure, _DEEP),
    Format('netpbm', 'Netpbm', ('.ppm', '.pgm', '.pbm', '.pnm'), _netpbm, plain.netpbm, _DEEP),
    Format('pam', 'PAM', ('.pam',), _starts(b'P7\n'), plain.pam, _DEEP),
    Format('pfm', 'PFM', ('.pfm',), _starts(b'PF\n', b'Pf\n', b'PF ', b'Pf '), plain.pfm),
    Format('sun', 'Sun raster', ('.sr', '.ras'), _starts(b'\x59\xa6\x6a\x95'), plain.sun),
    Format('hdr', 'Radiance', ('.hdr', '.pic'), _starts(b'#?RADIANCE', b'#?RGBE'), plain.hdr),
)
FORMATS = {row.name: row for row in _ROWS}
"""By name."""

SUFFIXES = tuple(suffix for row in _ROWS for suffix in row.suffixes)
"""What files of pictures end in, in small letters."""


def format_of(data: bytes) -> Format | None:
    """The format that data begins like, whatever its file is called; None for no picture."""
    return next((row for row in _ROWS if row.begins(data)), None)
