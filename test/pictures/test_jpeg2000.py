# SPDX-License-Identifier: Apache-2.0
"""Bombs that only JPEG 2000 has: not the picture is large, but the number of its parts."""

import struct

import cv2
import numpy as np
import pytest

from face_attributes_ros.errors import ImageError
from face_attributes_ros.pictures import jpeg2000
from face_attributes_ros.pictures.reader import decode

TILE_PART = b'\xff\x90' + struct.pack('>HHIBB', 10, 0, 30, 0, 1)
END = b'\xff\x93' + bytes(16) + b'\xff\xd9'


def segment(marker, body):
    return marker + struct.pack('>H', len(body) + 2) + body


def style(layers=1, levels=5, block=(4, 4), precincts=b''):
    return segment(b'\xff\x52', struct.pack('>BBHB5B', bool(precincts), 0, layers, 0, levels,
                                            *block, 0, 1) + precincts)


def codestream(size=(64, 64), tile=None, parts=3, main=None, in_tile=b''):
    """A bare codestream of a few hundred bytes."""
    (wide, high), tile = size, tile or size
    head = b'\xff\x4f' + segment(b'\xff\x51', struct.pack(
        '>H8IH', 0, wide, high, 0, 0, *tile, 0, 0, parts) + b'\x07\x01\x01' * parts)
    levels = segment(b'\xff\x5c', b'\x40' + b'\x48' * 16)
    return head + (style() if main is None else main) + levels + TILE_PART + in_tile + END


def component_style(precincts):
    return segment(b'\xff\x53', bytes([0, 1, len(precincts) - 1, 4, 4, 0, 1]) + precincts)


BOMBS = {
    'tiles': codestream((255, 255), (1, 1)),
    'components of tiles': codestream((255, 255), (1, 1), parts=250),
    'precincts': codestream((4000, 4000), main=style(levels=0, precincts=b'\0')),
    'precincts of a resolution': codestream((4000, 4000), main=style(precincts=b'\x11' * 6)),
    'precincts of one component': codestream((4000, 4000), main=style() +
                                             component_style(b'\x11' * 6)),
    'precincts of a tile': codestream((4000, 4000), in_tile=style(precincts=b'\x11' * 6)),
    'code-blocks': codestream((6000, 6000), main=style(block=(0, 0))),
    'layers': codestream((2048, 2048), main=style(65535, precincts=b'\x66' * 6)),
}


@pytest.mark.parametrize('kind', BOMBS)
def test_many_parts_are_as_good_as_many_pixels(kind):
    with pytest.raises(ImageError, match='megapixels'):
        decode(BOMBS[kind], 'x')


def test_what_cameras_and_satellites_send_is_not_a_bomb():
    for size, tile in (((8000, 6000), None), ((8000, 6000), (512, 512)), ((64, 64), None)):
        header = jpeg2000.measure(codestream(size, tile, main=style(12)))
        assert header.megapixels < 64
    deep = jpeg2000.measure(codestream((4000, 4000), (1024, 1024),
                                       main=style(20, precincts=b'\x77' * 5 + b'\x88')))
    assert deep.megapixels < 32


def test_pictures_that_opencv_writes_need_little_more_than_their_pixels():
    pixels = np.zeros((480, 640, 3), np.uint8)
    data = cv2.imencode('.jp2', pixels)[1].tobytes()
    assert jpeg2000.measure(data).megapixels < 1.2 * 640 * 480 / 1e6
    assert (decode(data, 'x') == 0).all()


@pytest.mark.parametrize('data', [
    codestream(tile=(0, 0)), codestream(main=segment(b'\xff\x52', b'')),
    codestream(main=segment(b'\xff\x52', b'\x01\0\0\1\0\x20')),
    codestream(main=segment(b'\xff\x64', b'') * 20_000), codestream(in_tile=b'\xff\x52\xff\xff')])
def test_headers_that_lie_are_refused(data):
    with pytest.raises(ImageError):
        decode(data, 'x')
