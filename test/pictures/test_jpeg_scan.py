# SPDX-License-Identifier: Apache-2.0
"""JPEG data that ends too early behind an end marker, and grey pictures that do not."""

import cv2
import numpy as np
import pytest

from face_attributes_ros.errors import ImageError
from face_attributes_ros.pictures.reader import decode


def noise(height=250, width=333):
    small = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def jpeg(pixels, quality=80, *options):
    return cv2.imencode('.jpg', pixels, (cv2.IMWRITE_JPEG_QUALITY, quality, *options))[1].tobytes()


PLAIN, RESTARTS, PROGRESSIVE = (), (cv2.IMWRITE_JPEG_RST_INTERVAL, 7), (
    cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
OPTIMISED = (cv2.IMWRITE_JPEG_OPTIMIZE, 1)
FULL = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


@pytest.mark.parametrize('options', [PLAIN, RESTARTS, OPTIMISED, FULL, PROGRESSIVE],
                         ids=['plain', 'restarts', 'optimised', '4:4:4', 'progressive'])
@pytest.mark.parametrize('shape', [(250, 333), (241, 320), (256, 337), (48, 48)], ids=str)
@pytest.mark.parametrize('grey', [False, True], ids=['colour', 'grey'])
def test_missing_data_is_noticed_behind_an_end_marker_too(options, shape, grey):
    pixels = noise(*shape)
    data = jpeg(pixels[..., 0] if grey else pixels, 80, *options)
    assert decode(data, 'x').shape == (*shape, 3)
    start = data.rindex(b'\xff\xda') if options != PROGRESSIVE else data.index(b'\xff\xda')
    few = options == PROGRESSIVE and (grey or min(shape) < 100)  # blocks in the last scan
    parts = (.1, .3) if few else (.1, .4, .7)
    for part in parts:
        stop = start + 14 + int((len(data) - start - 16) * part)
        for tail in (b'', b'\xff\xd9', b'\xff\xff\xd9', b'\xff\xd9\r\n'):
            with pytest.raises(ImageError, match='cut short'):
                decode(data[:stop].rstrip(b'\xff') + tail, 'x')


@pytest.mark.parametrize('options', [PLAIN, RESTARTS, OPTIMISED, FULL, PROGRESSIVE],
                         ids=['plain', 'restarts', 'optimised', '4:4:4', 'progressive'])
@pytest.mark.parametrize('side, factor', [(0, 2), (0, 1.2), (1, 2)])
def test_a_header_that_claims_more_than_there_is_is_noticed(options, side, factor):
    pixels = noise(240, 320)
    claimed = [240, 320]
    claimed[side] = round(claimed[side] * factor)
    sizes = (int.to_bytes(240, 2, 'big') + int.to_bytes(320, 2, 'big'),
             b''.join(int.to_bytes(n, 2, 'big') for n in claimed))
    for grey in (False, True):
        data = jpeg(pixels[..., 0] if grey else pixels, 80, *options)
        with pytest.raises(ImageError, match='cut short'):
            decode(data.replace(*sizes, 1), 'x')


def test_data_lost_in_the_middle_is_noticed():
    data = jpeg(noise())
    middle = len(data) // 2
    with pytest.raises(ImageError, match='cut short'):
        decode(data[:middle] + data[middle + 1500:], 'x')


def test_a_lost_restart_interval_is_noticed():
    data = jpeg(noise(), 80, *RESTARTS)
    first, second = (data.index(b'\xff' + bytes([0xd0 + n])) for n in (2, 3))
    with pytest.raises(ImageError, match='cut short'):
        decode(data[:first] + data[second:], 'x')


def greys():
    whole = np.full((120, 160, 3), 128, np.uint8)
    yield 'all grey', whole
    below, corner, edge, spots = (noise(250, 333) for _ in range(4))
    below[100:] = corner[200:, 250:] = edge[:, 300:] = 128
    spots[::32] = 128
    yield from {'grey below': below, 'grey corner': corner, 'grey edge': edge,
                'grey lines': spots}.items()
    lined = whole.copy()
    lined[::16] = 140
    yield 'lines on grey', lined
    for value in (127, 129, 0, 255):
        yield f'all {value}', np.full((120, 160, 3), value, np.uint8)
    yield 'nearly grey', whole + (np.random.default_rng(1).random(whole.shape) < .05)


@pytest.mark.parametrize('name, pixels', list(greys()), ids=lambda value: value
                         if isinstance(value, str) else '')
@pytest.mark.parametrize('options', [PLAIN, RESTARTS, OPTIMISED, FULL, PROGRESSIVE],
                         ids=['plain', 'restarts', 'optimised', '4:4:4', 'progressive'])
def test_pictures_that_are_grey_themselves_are_whole(name, pixels, options):
    pixels = pixels.astype(np.uint8)
    for quality in (30, 75, 95, 100):
        for one in (pixels, pixels[..., 0]):
            assert decode(jpeg(one, quality, *options), 'x').shape[:2] == pixels.shape[:2]


def test_a_grey_picture_that_was_cut_is_noticed():
    pixels = noise(250, 333)
    pixels[120:] = 128
    data = jpeg(pixels)
    start = data.index(b'\xff\xda')
    with pytest.raises(ImageError, match='cut short'):
        decode(data[:start + (len(data) - start) // 3] + b'\xff\xd9', 'x')


def test_motion_jpeg_without_tables_is_read():
    data = jpeg(noise())
    while (at := data.find(b'\xff\xc4')) >= 0:
        data = data[:at] + data[at + 2 + int.from_bytes(data[at + 2:at + 4], 'big'):]
    assert np.array_equal(decode(data, 'x'), decode(jpeg(noise()), 'x'))
