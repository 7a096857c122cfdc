# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CompressedImage <-> numpy, JPEG and PNG."""

from __future__ import annotations

import array

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage

from face_attributes_ros.errors import ImageError

# Each kind by how it begins and ends: OpenCV decodes half a file without a word, and fills the
# rest with grey.
_KINDS = {'jpeg': (b'\xff\xd8\xff', b'\xff\xd9'), 'png': (b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82')}
# Camera geometry is that of the sensor: an orientation tag must not turn the image.
_READ = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def to_bgr(msg):
    """A CompressedImage as (H, W, 3) uint8 BGR; ImageError unless its data is one whole JPEG or
    PNG file."""
    data = bytes(msg.data)
    kind = next((name for name, (start, _) in _KINDS.items() if data.startswith(start)), None)
    if kind is None:
        raise ImageError(
            f'compressed image of format {msg.format!r} begins with {data[:4]!r}, needs JPEG or PNG'
        )
    if not data.rstrip(b'\0').endswith(_KINDS[kind][1]):  # some drivers pad with zeros
        raise ImageError(f'{kind} image is cut short after {len(data)} bytes')
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _READ)
    except cv2.error as error:
        raise ImageError(f'{kind} image of {len(data)} bytes: {error.err or error}') from error
    if pixels is None:
        raise ImageError(f'{kind} image of {len(data)} bytes cannot be decoded')
    return pixels


def from_bgr(pixels, header, quality=80):
    """A JPEG CompressedImage of (H, W, 3) uint8 BGR pixels with a given header; quality 1 to
    100."""
    _, encoded = cv2.imencode('.jpg', pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))
    data = array.array('B')
    data.frombytes(encoded.data)
    return CompressedImage(header=header, format='bgr8; jpeg compressed bgr8', data=data)
