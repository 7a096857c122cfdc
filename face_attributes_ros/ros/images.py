# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image <-> numpy. bgr8, rgb8 and mono8 are views of the message's own memory, row
padding and all.

What needs arithmetic goes through cv_bridge where one is importable that can do it, and through
OpenCV here where not: the only cv_bridge on PyPI is ROS 1's, which fails on today's OpenCV.
"""

from __future__ import annotations

import array
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from sensor_msgs.msg import Image

from face_attributes_ros.errors import ImageError


@dataclass(frozen=True)
class Encoding:
    """How pixels lie in memory, and what makes them BGR: `to_bgr` takes the view of the message's
    data. `even` is what width and height have to be multiples of; `rows` is the number of rows in
    memory for each row of the image."""

    channels: int
    dtype: str = 'u1'
    to_bgr: Callable[[np.ndarray], np.ndarray] | None = None
    even: tuple[int, int] = (1, 1)
    rows: float = 1.


def _colour(code):
    return lambda pixels: cv2.cvtColor(pixels, code)


def _sixteen_bit(to_bgr):
    # As cv_bridge does: the full range of 16 bits becomes that of 8.
    return lambda pixels: to_bgr(
        cv2.convertScaleAbs(np.ascontiguousarray(pixels, np.uint16), alpha=255 / 65535))


def _float(to_bgr):
    return lambda pixels: to_bgr(_unit_to_bytes(pixels))


def _unit_to_bytes(pixels):
    low, high = float(pixels.min()), float(pixels.max())
    if not 0 <= low <= high <= 1:  # false for NaN too
        raise ImageError(
            f'float image has values from {low} to {high}, needs brightness from 0 to 1 (a depth image?)'
        )
    return cv2.convertScaleAbs(np.ascontiguousarray(pixels, np.float32), alpha=255)


def _same(pixels):
    return pixels


_GRAY = _colour(cv2.COLOR_GRAY2BGR)
_UYVY, _YUY2 = (Encoding(2, 'u1', _colour(code), (2, 1))
                for code in (cv2.COLOR_YUV2BGR_UYVY, cv2.COLOR_YUV2BGR_YUY2))
# OpenCV names a mosaic by the second and third pixel of its second row, ROS by the first two of
# the first.
_BAYER = {
    'rggb': cv2.COLOR_BayerBG2BGR, 'bggr': cv2.COLOR_BayerRG2BGR, 'gbrg': cv2.COLOR_BayerGR2BGR,
    'grbg': cv2.COLOR_BayerGB2BGR
}

ENCODINGS = {
    'bgr8': Encoding(3),
    '8UC3': Encoding(3),
    'rgb8': Encoding(3, to_bgr=_colour(cv2.COLOR_RGB2BGR)),
    'mono8': Encoding(1, to_bgr=_GRAY),
    '8UC1': Encoding(1, to_bgr=_GRAY),
    'bgra8': Encoding(4, to_bgr=_colour(cv2.COLOR_BGRA2BGR)),
    'rgba8': Encoding(4, to_bgr=_colour(cv2.COLOR_RGBA2BGR)),
    'mono16': Encoding(1, 'u2', _sixteen_bit(_GRAY)),
    '16UC1': Encoding(1, 'u2', _sixteen_bit(_GRAY)),
    'bgr16': Encoding(3, 'u2', _sixteen_bit(_same)),
    'rgb16': Encoding(3, 'u2', _sixteen_bit(_colour(cv2.COLOR_RGB2BGR))),
    '32FC1': Encoding(1, 'f4', _float(_GRAY)),
    '32FC3': Encoding(3, 'f4', _float(_same)),
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUY2,
    'yuyv': _YUY2,
    'nv12': Encoding(1, 'u1', _colour(cv2.COLOR_YUV2BGR_NV12), (2, 2), 1.5),
    'nv21': Encoding(1, 'u1', _colour(cv2.COLOR_YUV2BGR_NV21), (2, 2), 1.5),
    **{
        f'bayer_{name}8': Encoding(1, 'u1', _colour(code), (2, 2)) for name, code in _BAYER.items(
        )
    },
    **{
        f'bayer_{name}16': Encoding(1, 'u2', _sixteen_bit(_colour(code)), (2, 2)) for name, code in _BAYER.items(
        )
    },
}
"""What `to_bgr` understands."""

_VIEWS = ('bgr8', '8UC3', 'rgb8', 'mono8', '8UC1')
_NOT_FOR_BRIDGE = (*_VIEWS, '32FC1', '32FC3')  # cv_bridge has no opinion on what a float means


def view(msg):
    """The pixels of an Image as they lie in memory: a writable view (H, W) or (H, W, channels)
    that copies nothing.

    Row padding (`step`) and byte order are honoured; planar encodings have their chroma rows
    below. ImageError if the encoding is not one of ENCODINGS or the sizes do not agree with the
    data.
    """
    encoding = _checked(msg)
    shape = (round(msg.height * encoding.rows), msg.width, encoding.channels)
    dtype = np.dtype(('>' if msg.is_bigendian else '<') + encoding.dtype)
    pixels = np.ndarray(shape, dtype, msg.data,
                        strides=(msg.step, encoding.channels * dtype.itemsize, dtype.itemsize))
    return pixels[..., 0] if encoding.channels == 1 else pixels


def _checked(msg):
    encoding = ENCODINGS.get(msg.encoding)
    if encoding is None:
        raise ImageError(
            f'image encoding is {msg.encoding!r}, needs one of {", ".join(ENCODINGS)}')
    if msg.width % encoding.even[0] or msg.height % encoding.even[
            1] or not msg.width or not msg.height:
        needs = f'multiples of {encoding.even[0]} and {encoding.even[1]} above 0' if encoding.even != (
            1, 1) else 'both above 0'
        raise ImageError(f'{msg.encoding} image is {msg.width}x{msg.height}, needs {needs}')
    least = msg.width * encoding.channels * np.dtype(encoding.dtype).itemsize
    if msg.step < least:
        raise ImageError(
            f'{msg.encoding} image {msg.width} wide has step {msg.step}, needs at least {least} bytes'
        )
    needed = msg.step * (round(msg.height * encoding.rows) -
                         1) + least  # the last row may come without its padding
    if len(msg.data) < needed:
        raise ImageError(
            f'{msg.encoding} image {msg.width}x{msg.height} has {len(msg.data)} bytes of data, needs {needed}'
        )
    return encoding


def to_bgr(msg):
    """An Image as (H, W, 3) uint8 BGR; for bgr8 a view of the message, else new. ImageError where
    that cannot be."""
    pixels = view(msg)
    convert = ENCODINGS[msg.encoding].to_bgr
    if convert is None:
        return pixels
    found = None if msg.encoding in _NOT_FOR_BRIDGE else _BRIDGE.convert(msg)
    return found if found is not None else _converted(convert, pixels, msg)


def _converted(convert, pixels, msg):
    try:
        return convert(pixels)
    except cv2.error as error:
        raise ImageError(
            f'{msg.encoding} image {msg.width}x{msg.height}: {error.err or error}') from error


class Bridge:
    """cv_bridge if there is one; remembers the encodings it failed on."""

    def __init__(self):
        self._bridge, self._failed = None, set()
        try:
            from cv_bridge import CvBridge

            self._bridge = CvBridge()
        except Exception:  # not only ImportError: one built against another NumPy raises what it likes
            logging.getLogger(__name__).debug('no usable cv_bridge', exc_info=True)

    def convert(self, msg):
        """The Image as (H, W, 3) uint8 BGR, or None if cv_bridge is missing or cannot do it."""
        if self._bridge is None or msg.encoding in self._failed:
            return None
        try:
            pixels = np.asarray(self._bridge.imgmsg_to_cv2(msg, 'bgr8'))
        except Exception:  # cv_bridge's C++ and Python halves, of all versions, have no exception in common
            pixels = None
        if pixels is None or pixels.shape != (msg.height, msg.width,
                                              3) or pixels.dtype != np.uint8:
            self._failed.add(msg.encoding)
            return None
        return pixels


_BRIDGE = Bridge()


def from_array(pixels, header, encoding='bgr8'):
    """An Image with a copy of (H, W) or (H, W, channels) pixels and a given header."""
    msg = Image(header=header, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    msg.step = pixels[0].size * pixels.itemsize
    msg.is_bigendian = int(sys.byteorder == 'big')
    data = array.array('B')  # the one type that rclpy takes over without looking at every byte
    data.frombytes(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)
    msg.data = data
    return msg
