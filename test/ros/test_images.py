# SPDX-License-Identifier: Apache-2.0
"""Image messages to BGR, each encoding against pixels worked out by hand, and every kind of
message that lies."""

import sys
import types

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from face_attributes_ros.errors import ImageError
from face_attributes_ros.pictures.depth import Depth
from face_attributes_ros.ros import compressed, images

GREY = 120
BLUE, GREEN, RED = 200, 100, 50
COLOUR = np.tile(np.array([BLUE, GREEN, RED], np.uint8), (6, 8, 1))
"""A flat 8x6 picture: chroma subsampling and mosaics lose nothing of it."""


def message(encoding, pixels, *, pad=0, bigendian=False, height=None, width=None):
    """An Image of `pixels` with `pad` bytes of rubbish after each row."""
    pixels = np.ascontiguousarray(pixels)
    rows = pixels.reshape(pixels.shape[0], -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, pad)), constant_values=77)
    return Image(encoding=encoding, height=height or pixels.shape[0], width=width
                 or pixels.shape[1], step=padded.shape[1], is_bigendian=int(bigendian),
                 data=padded.tobytes())


def mosaic(pattern):
    """The flat picture as a sensor with that pattern of colour filters sees it."""
    values = {'r': RED, 'g': GREEN, 'b': BLUE}
    return np.tile(np.array([values[c] for c in pattern], np.uint8).reshape(2, 2), (3, 4))


def yuv_levels():
    """Y, U, V of the flat colour by BT.601 in video range, as in ITU-R BT.601 section 2.5.2."""
    r, g, b = RED / 255, GREEN / 255, BLUE / 255
    luma = .299 * r + .587 * g + .114 * b
    return round(16 + 219 * luma), round(128 + 224 * (b - luma) / 1.772), round(128 + 224 *
                                                                                (r - luma) / 1.402)


def packed(order):
    y, u, v = yuv_levels()
    pair = [{'y': y, 'u': u, 'v': v}[c] for c in order]
    return np.tile(np.array(pair, np.uint8).reshape(1, 2, 2), (6, 4, 1))


def planar(order):
    y, u, v = yuv_levels()
    chroma = np.tile(np.array([u, v] if order == 'uv' else [v, u], np.uint8), (3, 4))
    return np.concatenate([np.full((6, 8), y, np.uint8), chroma])


GREY_RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
RANDOM = np.random.default_rng(1).integers(0, 256, (6, 8, 4), np.uint8)


def bgr_of(grey):
    return np.repeat(grey[..., None], 3, axis=2)


CASES = [
    # encoding, pixels in memory, what they are in BGR, how far off 8-bit arithmetic may be
    ('bgr8', RANDOM[..., :3], RANDOM[..., :3], 0),
    ('8UC3', RANDOM[..., :3], RANDOM[..., :3], 0),
    ('rgb8', RANDOM[..., :3], RANDOM[..., 2::-1], 0),
    ('bgra8', RANDOM, RANDOM[..., :3], 0),
    ('rgba8', RANDOM, RANDOM[..., 2::-1], 0),
    ('mono8', GREY_RAMP, bgr_of(GREY_RAMP), 0),
    ('8UC1', GREY_RAMP, bgr_of(GREY_RAMP), 0),
    ('mono16', GREY_RAMP.astype('<u2') * 257, bgr_of(GREY_RAMP), 0),
    ('16UC1', GREY_RAMP.astype('<u2') * 257, bgr_of(GREY_RAMP), 0),
    ('bgr16', RANDOM[..., :3].astype('<u2') * 257, RANDOM[..., :3], 0),
    ('16UC3', RANDOM[..., :3].astype('<u2') * 257, RANDOM[..., :3], 0),
    ('rgb16', RANDOM[..., :3].astype('<u2') * 257, RANDOM[..., 2::-1], 0),
    ('bgra16', RANDOM.astype('<u2') * 257, RANDOM[..., :3], 0),
    ('rgba16', RANDOM.astype('<u2') * 257, RANDOM[..., 2::-1], 0),
    ('32FC1', (GREY_RAMP / 255).astype('<f4'), bgr_of(GREY_RAMP), 0),
    ('32FC3', (RANDOM[..., :3] / 255).astype('<f4'), RANDOM[..., :3], 0),
    ('yuv422', packed('uyvy'), COLOUR, 3),
    ('uyvy', packed('uyvy'), COLOUR, 3),
    ('yuv422_yuy2', packed('yuyv'), COLOUR, 3),
    ('yuyv', packed('yuyv'), COLOUR, 3),
    ('nv12', planar('uv'), COLOUR, 3),
    ('nv21', planar('vu'), COLOUR, 3),
    *[(f'bayer_{pattern}8', mosaic(pattern), COLOUR, 0)
      for pattern in ('rggb', 'bggr', 'gbrg', 'grbg')],
    *[(f'bayer_{pattern}16', mosaic(pattern).astype('<u2') * 257, COLOUR, 0)
      for pattern in ('rggb', 'bggr', 'gbrg', 'grbg')],
]


def test_the_table_has_every_encoding():
    assert {case[0] for case in CASES} == set(images.ENCODINGS)


@pytest.mark.parametrize('pad', [0, 4, 5])
@pytest.mark.parametrize('encoding, pixels, expected, tolerance', CASES,
                         ids=[case[0] for case in CASES])
def test_each_encoding_becomes_bgr(encoding, pixels, expected, tolerance, pad):
    found = images.to_bgr(message(encoding, pixels, pad=pad, height=6, width=8))
    assert found.shape == (6, 8, 3) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize('encoding, pixels, expected, tolerance',
                         [c for c in CASES if c[1].dtype.itemsize > 1],
                         ids=[c[0] for c in CASES if c[1].dtype.itemsize > 1])
def test_byte_order_is_honoured(encoding, pixels, expected, tolerance):
    swapped = pixels.byteswap()
    assert np.array_equal(images.to_bgr(message(encoding, swapped, bigendian=True, pad=3)),
                          expected)


@pytest.mark.parametrize('encoding, channels', [('bgr8', 3), ('rgb8', 3), ('mono8', 1)])
def test_view_copies_nothing(encoding, channels):
    msg = message(encoding, RANDOM[..., :channels], pad=7)
    images.view(msg)[2, 3] = 9
    assert list(msg.data[2 * msg.step + 3 * channels:][:channels]) == [9] * channels


def test_bgr8_is_a_view_and_what_it_came_from_can_be_drawn_on():
    msg = message('bgr8', RANDOM[..., :3], pad=2)
    cv2.rectangle(images.to_bgr(msg), (0, 0), (7, 5), (1, 2, 3), 1)
    assert list(msg.data[:3]) == [1, 2, 3]


@pytest.mark.parametrize('width, height', [(1, 1), (8000, 6000)])
def test_tiny_and_huge_images(width, height):
    assert images.to_bgr(message('rgb8', np.zeros((height, width, 3),
                                                  np.uint8))).shape == (height, width, 3)


def changed(msg, **fields):
    for name, value in fields.items():
        setattr(msg, name, value)
    return msg


def bgr8():
    return message('bgr8', RANDOM[..., :3])


@pytest.mark.parametrize('msg, text', [
    (changed(bgr8(), encoding=''), "encoding is '', needs one of bgr8"),
    (changed(bgr8(), encoding='bgr9'), "encoding is 'bgr9'"),
    (changed(bgr8(), width=0), 'bgr8 image is 0x6, needs both above 0'),
    (changed(bgr8(), height=0), 'bgr8 image is 8x0'),
    (changed(bgr8(), step=23), 'bgr8 image 8 wide has step 23, needs at least 24 bytes'),
    (changed(bgr8(), step=0), 'step 0'),
    (changed(bgr8(), data=bytes(143)), 'has 143 bytes of data, needs 144'),
    (changed(bgr8(), data=b''), 'has 0 bytes'),
    (changed(bgr8(), height=2 ** 32 - 1, width=2 ** 30, step=2 ** 32 - 1), 'bytes of data, needs'),
    (message('yuv422', packed('uyvy'),
             width=7), 'yuv422 image is 7x6, needs multiples of 2 and 1 above 0'),
    (message('nv12', planar('uv'), height=5, width=8), 'multiples of 2 and 2'),
    (message('nv12',
             planar('uv')[:6], height=6, width=8), 'needs 72'),
    (message('32FC1', np.array([[0, np.nan]], '<f4')), 'float image has values from nan'),
    (message('32FC1', np.array([[0, np.inf]],
                               '<f4')), 'from 0.0 to inf, needs brightness from 0 to 1'),
    (message('32FC1', np.array([[.5, 3]], '<f4')), 'a depth image?'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_wrong_images_are_refused_with_the_reason(msg, text):
    with pytest.raises(ImageError, match='image') as caught:
        images.to_bgr(msg)
    assert text in str(caught.value)


def test_last_row_may_come_without_its_padding():
    msg = message('bgr8', RANDOM[..., :3], pad=8)
    msg.data = msg.data[:-8]
    assert np.array_equal(images.to_bgr(msg), RANDOM[..., :3])


@pytest.mark.parametrize('encoding, pixels', [('bgr8', RANDOM[..., :3]), ('mono8', GREY_RAMP),
                                              ('mono16', GREY_RAMP.astype('u2'))])
def test_from_array_and_back(encoding, pixels):
    header = Header(frame_id='eye')
    msg = images.from_array(pixels[:, ::-1], header, encoding)
    assert msg.header == header and np.array_equal(images.view(msg), pixels[:, ::-1])


# --- cv_bridge


def fake_bridge(monkeypatch, convert):
    class CvBridge:
        calls = []

        def imgmsg_to_cv2(self, msg, desired_encoding):
            self.calls.append((msg.encoding, desired_encoding))
            return convert(msg)

    monkeypatch.setitem(sys.modules, 'cv_bridge', types.SimpleNamespace(CvBridge=CvBridge))
    monkeypatch.setattr(images, '_BRIDGE', images.Bridge())
    return CvBridge.calls


def test_cv_bridge_is_asked_for_what_we_do_not_know_and_nothing_else(monkeypatch):
    calls = fake_bridge(monkeypatch, lambda msg: np.full((6, 8, 3), 5, np.uint8))
    for encoding, pixels, expected, tolerance in CASES:
        found = images.to_bgr(message(encoding, pixels, height=6, width=8))
        assert np.abs(found.astype(int) - expected).max() <= tolerance, encoding
    assert images.to_bgr(message('64FC1', GREY_RAMP.astype('f8')))[0, 0, 0] == 5
    assert calls == [('64FC1', 'bgr8')]


def _broken(msg):
    raise TypeError('OpenCV 5 is not what ROS 1 expected')


@pytest.mark.parametrize('convert',
                         [_broken, lambda msg: None, lambda msg: np.zeros((6, 8), np.uint8)])
def test_what_cv_bridge_cannot_do_is_refused_and_it_is_not_asked_again(monkeypatch, convert):
    calls = fake_bridge(monkeypatch, convert)
    for _ in range(2):
        with pytest.raises(ImageError, match="encoding is '64FC1', needs one of bgr8"):
            images.to_bgr(message('64FC1', GREY_RAMP.astype('f8')))
    assert len(calls) == 1


def test_the_real_cv_bridge_agrees():
    bridge = pytest.importorskip('cv_bridge',
                                 reason='cv_bridge is not on PyPI for ROS 2').CvBridge()
    unknown = ('nv12', 'nv21', '32FC1', '32FC3')  # to cv_bridge, or what their values mean is
    for encoding, pixels, expected, tolerance in (case for case in CASES
                                                  if case[0] not in unknown):
        theirs = bridge.imgmsg_to_cv2(message(encoding, pixels), 'bgr8')
        assert np.abs(theirs.astype(int) - expected).max() <= max(3, tolerance), encoding


# --- compressed images


def encoded(suffix, pixels=COLOUR):
    return cv2.imencode(suffix, pixels)[1].tobytes()


@pytest.mark.parametrize('suffix, tolerance', [('.png', 0), ('.jpg', 3)])
@pytest.mark.parametrize('tail', [
    b'', b'\0' * 5, b'\r\n', b'\xff\xd9', b'\0\0\0\0IEND\xaeB`\x82', bytes(range(256)) * 40,
    encoded('.jpg'), encoded('.png')[:60]
], ids=['none', 'zeros', 'crlf', 'an end', 'a chunk', 'stale', 'a picture', 'half a picture'])
def test_bytes_behind_the_end_are_ignored(suffix, tolerance, tail):
    found = compressed.to_bgr(CompressedImage(format='whatever', data=encoded(suffix) + tail))
    assert found.shape == (6, 8, 3) and np.abs(found.astype(int) - COLOUR).max() <= tolerance


@pytest.mark.parametrize('bits', [8, 10, 12, 14, 16])
def test_sixteen_bit_png_is_scaled_by_what_is_in_it(bits):
    ramp = np.round(GREY_RAMP / 255 * ((1 << bits) - 1))
    ramp[0, 0] = (1 << bits) - 1
    found = compressed.to_bgr(CompressedImage(data=encoded('.png', ramp.astype(np.uint16))))
    assert np.abs(found.astype(int) - bgr_of(ramp / ((1 << bits) - 1) * 255)).max() <= 1


@pytest.mark.parametrize('data, text', [
    (b'', "format 'x': not a picture, begins with b'', needs JPEG, PNG"),
    (b'RIFF????WEBP', 'needs JPEG, PNG'),
    (encoded('.bmp'), 'needs JPEG, PNG'),
    (encoded('.jpg')[:-2], 'JPEG picture is cut short after'),
    (encoded('.jpg')[:300], 'cut short'),
    (encoded('.png')[:-20], 'PNG picture is cut short'),
    (encoded('.png')[:-20] + encoded('.png')[-12:], 'PNG picture'),
    (b'\xff\xd8\xff' + b'rubbish' * 9 + b'\xff\xd9', 'cut short'),
])
def test_wrong_compressed_images_are_refused_with_the_reason(data, text):
    with pytest.raises(ImageError) as caught:
        compressed.to_bgr(CompressedImage(format='x', data=data))
    assert text in str(caught.value)


def test_pictures_that_a_header_calls_huge_are_refused_before_they_are_decoded():
    data = bytearray(encoded('.jpg'))
    at = data.index(b'\xff\xc0') + 5
    data[at:at + 4] = (30000).to_bytes(2, 'big') * 2
    with pytest.raises(ImageError, match='30000x30000 pixels .900.0 megapixels., allowed are 64'):
        compressed.to_bgr(CompressedImage(data=bytes(data)))
    with pytest.raises(ImageError, match='allowed are 1e-05'):
        compressed.to_bgr(CompressedImage(data=encoded('.png')), max_megapixels=1e-5)


# --- more bits than 8


@pytest.mark.parametrize('encoding', ['mono16', '16UC1', 'bgr16', 'bayer_rggb16'])
@pytest.mark.parametrize('bits', [10, 12, 14, 16])
def test_sixteen_bits_are_scaled_by_those_in_use(encoding, bits):
    white = (1 << bits) - 1
    shape = (6, 8, 3) if encoding == 'bgr16' else (6, 8)
    pixels = np.full(shape, white, '<u2')
    assert (images.to_bgr(message(encoding, pixels)) == 255).all()


def test_a_cameras_bits_are_kept_when_it_gets_dark():
    bits = Depth()
    bright, dark = np.full((6, 8), 4000, '<u2'), np.full((6, 8), 200, '<u2')
    assert images.to_bgr(message('mono16', bright), bits)[0, 0, 0] == round(4000 / 4095 * 255)
    assert images.to_bgr(message('mono16', dark), bits)[0, 0, 0] == round(200 / 4095 * 255)


def test_jpeg_out_can_be_read_back():
    header = Header(frame_id='eye')
    msg = compressed.from_bgr(COLOUR, header, 95)
    assert msg.header == header and 'jpeg' in msg.format
    assert np.abs(compressed.to_bgr(msg).astype(int) - COLOUR).max() <= 3


def test_what_is_too_long_for_a_jpeg_is_said():
    with pytest.raises(ImageError, match='70000x2 pixels as JPEG: needs at most 65500'):
        compressed.from_bgr(np.zeros((2, 70_000, 3), np.uint8), Header())
