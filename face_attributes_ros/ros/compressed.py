# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CompressedImage <-> numpy, JPEG and PNG."""

from __future__ import annotations

import array

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from face_attributes_ros.errors import ImageError
from face_attributes_ros.pictures import reader
from face_attributes_ros.pictures.depth import Depth

LONGEST_PX = 65_500
"""Of a JPEG, as libjpeg writes it."""

KINDS = ('jpeg', 'png')
"""What may come over a topic: cameras send nothing else, and a network is no place to offer every
decoder there is."""


def to_bgr(msg: CompressedImage, max_megapixels: float = reader.MAX_MEGAPIXELS,
           bits: Depth | None = None) -> np.ndarray:
    """A CompressedImage as (H, W, 3) uint8 BGR; ImageError unless its data begins with one whole
    JPEG or PNG picture of at most `max_megapixels`. What stands behind its end is ignored.

    It is not turned by its EXIF data: camera geometry is that of the sensor. bits: the camera's,
    for PNG of 16 bits.
    """
    return reader.decode(bytes(msg.data), f'compressed image of format {msg.format!r}', turn=False,
                         kinds=KINDS, max_megapixels=max_megapixels, bits=bits)


def from_bgr(pixels: np.ndarray, header: Header, quality: int = 80) -> CompressedImage:
    """A JPEG CompressedImage of (H, W, 3) uint8 BGR pixels with a given header; quality 1 to 100.
    ImageError for more pixels in a row or column than JPEG can have."""
    height, width = pixels.shape[:2]
    if max(height, width) > LONGEST_PX:
        raise ImageError(f'image of {width}x{height} pixels as JPEG: needs at most {LONGEST_PX} '
                         'in a row or column')
    _, encoded = cv2.imencode('.jpg', pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))
    data = array.array('B')
    data.frombytes(encoded.data)
    return CompressedImage(header=header, format='bgr8; jpeg compressed bgr8', data=data)
