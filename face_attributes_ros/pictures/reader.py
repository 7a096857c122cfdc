# SPDX-License-Identifier: Apache-2.0
"""Bytes and files to BGR pixels, checked before they are decoded: the one reader of pictures.

A picture that a header calls larger than allowed is refused before memory is taken for it; one
that is cut short is refused; bytes behind a picture's end are none of its; and it is turned as its
EXIF data, or its AVIF boxes, say.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import cv2
import numpy as np

from face_attributes_ros.errors import ImageError
from face_attributes_ros.paths import printable
from face_attributes_ros.pictures import depth
from face_attributes_ros.pictures.exif import turned
from face_attributes_ros.pictures.formats import FORMATS, Format, format_of
from face_attributes_ros.pictures.header import CutShort, Header, Malformed

MAX_MEGAPIXELS = 64.
"""What a picture may have, unless told otherwise: 8K has 33, the largest telephones' have 50."""

_FILE_BYTES_PER_PIXEL = 16  # four samples of 32 bits
_FILE_BYTES_MORE = 64 << 20  # for what else a file may carry


def read(path: str | os.PathLike[str], max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """The picture in a file as (H, W, 3) uint8 BGR, turned as it is to be seen; ImageError if it
    cannot be read, is cut short or too large."""
    return decode(_contents(path, max_megapixels), printable(path), max_megapixels=max_megapixels)


def _contents(path: str | os.PathLike[str], max_megapixels: float) -> bytes:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            kind = 'a folder' if stat.S_ISDIR(found.st_mode) else 'no regular file'
            raise ImageError(f'{printable(path)}: is {kind}')
        most = max_megapixels * 1e6 * _FILE_BYTES_PER_PIXEL + _FILE_BYTES_MORE
        if found.st_size > most:
            raise ImageError(f'{printable(path)}: a file of {found.st_size} bytes is larger than '
                             f'a picture of {max_megapixels:g} megapixels can be')
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f'{printable(path)}: no such file') from error
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, 'strerror', None) or error
        raise ImageError(f'{printable(path)}: cannot be read, {reason}') from error


def decode(data: bytes, name: str, *, turn: bool = True, kinds: tuple[str, ...] = tuple(FORMATS),
           max_megapixels: float = MAX_MEGAPIXELS,
           bits: depth.Depth | None = None) -> np.ndarray:
    """The picture in `data` as (H, W, 3) uint8 BGR.

    name: what ImageError calls it. turn: False leaves it as the sensor saw it. kinds: which of
    FORMATS may come. bits: of a camera, what its 16-bit pictures use; without, each tells alone.
    ImageError if it cannot be read, is cut short or has more than `max_megapixels`.
    """
    kind = format_of(data)
    if kind is None or kind.name not in kinds:
        allowed = ', '.join(FORMATS[kind].title for kind in kinds)
        raise ImageError(f'{name}: not a picture, begins with {data[:4]!r}, needs {allowed}')
    title = f'{name}: {kind.title} picture'
    header = measured(data, kind, title)
    if header.megapixels > max_megapixels:
        raise ImageError(f'{title} of {header.width}x{header.height} pixels '
                         f'({header.megapixels:.1f} megapixels), allowed are {max_megapixels:g}')
    found = _decoded(data, kind, header, title)
    if header.whole and not header.whole(found):
        raise ImageError(f'{title} is cut short: parts of its {len(data)} bytes are missing')
    pixels = _eight_bit(found, header, bits)
    return turned(pixels, header.turn) if turn else pixels


def measured(data: bytes, kind: Format, title: str) -> Header:
    """The header of a picture; ImageError names it by `title`."""
    try:
        header = kind.measure(data)
    except (CutShort, struct.error, IndexError, OverflowError) as error:  # of a 64-bit offset
        raise ImageError(f'{title} is cut short after {len(data)} bytes') from error
    except Malformed as error:
        raise ImageError(f'{title} {error}') from error
    if header.width < 1 or header.height < 1:
        raise ImageError(f'{title} of {header.width}x{header.height} pixels, needs both above 0')
    return header


def _decoded(data: bytes, kind: Format, header: Header, title: str) -> np.ndarray:
    content = np.frombuffer(header.unturned or data, np.uint8, header.end)
    flags = cv2.IMREAD_UNCHANGED if header.floating else kind.flags
    try:
        pixels = cv2.imdecode(content, flags)
    except cv2.error as error:
        raise ImageError(f'{title} of {len(data)} bytes: {error.err or error}') from error
    if pixels is None:
        raise ImageError(f'{title} of {len(data)} bytes cannot be decoded')
    return _three_channels(pixels)


def _three_channels(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    return pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)


def _eight_bit(pixels: np.ndarray, header: Header, bits: depth.Depth | None) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels if header.white is None else depth.to_bytes(pixels, header.white)
    if pixels.dtype == np.uint16:
        white = header.white or (1 << (bits or depth.Depth())(pixels)) - 1
        return depth.to_bytes(pixels, white)
    return depth.unit_to_bytes(pixels)
