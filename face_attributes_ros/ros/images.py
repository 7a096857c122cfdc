# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image <-> numpy. bgr8, rgb8 and mono8 are views of the message's own memory, row
padding and all.

Encodings of ENCODINGS are converted here, the same on every machine. One that is not there goes
through cv_bridge, where one is importable that knows it.
"""

from __future__ import annotations

import array
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from face_attributes_ros.errors import ImageError
from face_attributes_ros.pictures import depth
from face_attributes_ros.pictures.depth import Depth

Convert = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Encoding:
    """How pixels lie in memory, and what makes BGR of them once they have 8 bits, as they lie if
    None. `even` is what width and height have to be multiples of; `rows` is the number of rows in
    memory for each row of the image."""

    channels: int
    dtype: str = 'u1'
    to_bgr: Convert | None = None
    even: tuple[int, int] = (1, 1)
    rows: float = 1.


def _colour(code: int) -> Convert:
    return lambda pixels: cv2.cvtColor(pixels, code)


_GRAY, _RGB = _colour(cv2.COLOR_GRAY2BGR), _colour(cv2.COLOR_RGB2BGR)
_BGRA, _RGBA = _colour(cv2.COLOR_BGRA2BGR), _colour(cv2.COLOR_RGBA2BGR)
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
    'rgb8': Encoding(3, to_bgr=_RGB),
    'mono8': Encoding(1, to_bgr=_GRAY),
    '8UC1': Encoding(1, to_bgr=_GRAY),
    'bgra8': Encoding(4, to_bgr=_BGRA),
    'rgba8': Encoding(4, to_bgr=_RGBA),
    'mono16': Encoding(1, 'u2', _GRAY),
    '16UC1': Encoding(1, 'u2', _GRAY),
    'bgr16': Encoding(3, 'u2'),
    '16UC3': Encoding(3, 'u2'),
    'rgb16': Encoding(3, 'u2', _RGB),
    'bgra16': Encoding(4, 'u2', _BGRA),
    'rgba16': Encoding(4, 'u2', _RGBA),
    '32FC1': Encoding(1, 'f4', _GRAY),
    '32FC3': Encoding(3, 'f4'),
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUY2,
    'yuyv': _YUY2,
    'nv12': Encoding(1, 'u1', _colour(cv2.COLOR_YUV2BGR_NV12), (2, 2), 1.5),
    'nv21': Encoding(1, 'u1', _colour(cv2.COLOR_YUV2BGR_NV21), (2, 2), 1.5),
    **{f'bayer_{name}{bits}': Encoding(1, f'u{bits // 8}', _colour(code), (2, 2))
       for bits in (8, 16) for name, code in _BAYER.items()},
}
"""What `to_bgr` understands without help."""


def view(msg: Image) -> np.ndarray:
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


def _checked(msg: Image) -> Encoding:
    encoding = ENCODINGS.get(msg.encoding)
    if encoding is None:
        raise ImageError(
            f'image encoding is {msg.encoding!r}, needs one of {", ".join(ENCODINGS)}')
    size = f'{msg.width}x{msg.height}'
    across, down = encoding.even
    if msg.width % across or msg.height % down or not msg.width or not msg.height:
        needs = 'both above 0' if across == 1 else f'multiples of {across} and {down} above 0'
        raise ImageError(f'{msg.encoding} image is {size}, needs {needs}')
    least = msg.width * encoding.channels * np.dtype(encoding.dtype).itemsize
    if msg.step < least:
        raise ImageError(f'{msg.encoding} image {msg.width} wide has step {msg.step}, needs at '
                         f'least {least} bytes')
    rows = round(msg.height * encoding.rows)
    needed = msg.step * (rows - 1) + least  # the last row may come without its padding
    if len(msg.data) < needed:
        raise ImageError(f'{msg.encoding} image {size} has {len(msg.data)} bytes of data, needs '
                         f'{needed}')
    return encoding


def to_bgr(msg: Image, bits: Depth | None = None) -> np.ndarray:
    """An Image as (H, W, 3) uint8 BGR; for bgr8 a view of the message, else new. ImageError where
    that cannot be.

    bits: the camera's, kept from frame to frame, for encodings of 16 bits; without, each image
    says alone how many of them it uses.
    """
    if msg.encoding not in ENCODINGS:
        found = _BRIDGE.convert(msg)
        if found is not None:
            return found
    pixels = _eight_bit(view(msg), bits)
    convert = ENCODINGS[msg.encoding].to_bgr
    return pixels if convert is None else _converted(convert, pixels, msg)


def _eight_bit(pixels: np.ndarray, bits: Depth | None) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind == 'f':
        return depth.unit_to_bytes(pixels)
    native = np.ascontiguousarray(pixels, np.uint16)
    return depth.to_bytes(native, (1 << (bits or Depth())(native)) - 1)


def _converted(convert: Convert, pixels: np.ndarray, msg: Image) -> np.ndarray:
    try:
        return convert(pixels)
    except cv2.error as error:
        raise ImageError(
            f'{msg.encoding} image {msg.width}x{msg.height}: {error.err or error}') from error


class Bridge:
    """cv_bridge if there is one, for what we do not know; remembers the encodings that it does not
    know either. It is looked for when first needed."""

    def __init__(self) -> None:
        self._bridge: Any = None
        self._sought, self._failed = False, set[str]()

    def convert(self, msg: Image) -> np.ndarray | None:
        """The Image as (H, W, 3) uint8 BGR, or None if cv_bridge is missing or cannot do it."""
        if not self._sought:
            self._sought, self._bridge = True, _cv_bridge()
        if self._bridge is None or msg.encoding in self._failed:
            return None
        try:
            pixels = np.asarray(self._bridge.imgmsg_to_cv2(msg, 'bgr8'))
        except Exception:  # its C++ and Python halves, of all versions, have none in common
            pixels = np.zeros(0)
        if pixels.shape != (msg.height, msg.width, 3) or pixels.dtype != np.uint8:
            self._failed.add(msg.encoding)
            return None
        return pixels


def _cv_bridge() -> Any:
    try:
        from cv_bridge import CvBridge

        return CvBridge()
    except Exception:  # one built against another NumPy raises what it likes
        logging.getLogger(__name__).debug('no usable cv_bridge', exc_info=True)
        return None


_BRIDGE = Bridge()


def from_array(pixels: np.ndarray, header: Header, encoding: str = 'bgr8') -> Image:
    """An Image with a copy of (H, W) or (H, W, channels) pixels and a given header."""
    msg = Image(header=header, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    msg.step = pixels[0].size * pixels.itemsize
    msg.is_bigendian = int(sys.byteorder == 'big')
    data = array.array('B')  # the one type that rclpy takes over without looking at every byte
    data.frombytes(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)
    msg.data = data
    return msg
