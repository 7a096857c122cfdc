# SPDX-License-Identifier: Apache-2.0
"""An AVIF's boxes may claim a small picture around a large one."""

import struct

import cv2
import numpy as np
import pytest

from face_attributes_ros.errors import ImageError
from face_attributes_ros.pictures.av1 import frame_px
from face_attributes_ros.pictures.formats import FORMATS
from face_attributes_ros.pictures.reader import decode

SHAPE = (480, 640)


@pytest.fixture(scope='module')
def avif():
    return cv2.imencode('.avif', np.full((*SHAPE, 3), 90, np.uint8))[1].tobytes()


def claiming(data, width, height):
    at = data.index(b'ispe') + 8
    return data[:at] + struct.pack('>II', width, height) + data[at + 8:]


def test_the_bitstream_tells_the_size_of_its_frames(avif):
    start = avif.index(b'mdat') + 4
    assert frame_px(avif, start, len(avif)) == 640 * 480
    assert FORMATS['avif'].measure(avif).megapixels == pytest.approx(.3072)


def test_what_the_boxes_claim_is_not_believed(avif):
    small = claiming(avif, 16, 16)
    assert FORMATS['avif'].measure(small).megapixels == pytest.approx(.3072)
    with pytest.raises(ImageError, match=r'16x16 pixels \(0.3 megapixels\), allowed are 0.1'):
        decode(small, 'x', max_megapixels=.1)


@pytest.mark.parametrize('data', [b'', b'\x0a', b'\x0a\x0b', b'\x12\x00', b'\x0a\xff\xff\xff'])
def test_what_has_no_header_of_a_sequence_is_a_cut_or_of_no_size(data):
    try:
        assert frame_px(data, 0, len(data)) == 0
    except IndexError:  # which the reader says is a cut
        pass


def test_a_film_beside_the_picture_is_looked_at(avif):
    """The header of a film's track stands elsewhere; decoders may prefer it."""
    start = avif.index(b'mdat') + 4
    offsets = b'stco' + struct.pack('>III', 0, 1, start)
    moov = struct.pack('>I', len(offsets) + 4) + offsets
    film = claiming(avif, 16, 16) + struct.pack('>I', len(moov) + 8) + b'moov' + moov
    hidden = film.replace(b'av01', b'Exif')  # items that are no pictures are not looked at
    assert FORMATS['avif'].measure(hidden).megapixels == pytest.approx(.3072)
