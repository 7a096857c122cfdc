# SPDX-License-Identifier: Apache-2.0
"""Pixels of more than 8 bits to 8 bits.

Sensors of 10, 12 or 14 bits come in 16-bit pixels, often with the upper bits 0: taken for the full
range such a picture is black, and no face is found in it. The range is therefore read from the
pixels: the fewest of 8, 10, 12, 14 and 16 bits that hold all but one in ten thousand.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from face_attributes_ros.errors import ImageError

_BITS = (8, 10, 12, 14, 16)
_STRAY = 10_000
"""One pixel in so many may be brighter than the range: a hot one, or damage on the way."""


class Depth:
    """The bits that a camera's pixels use: the most that one of its frames needed, so that the
    brightness does not jump from frame to frame. `bits` is 0 before the first."""

    def __init__(self) -> None:
        self.bits = 0

    def __call__(self, pixels: np.ndarray) -> int:
        """The bits to read these uint16 pixels with."""
        if self.bits < _BITS[-1]:
            self.bits = max(self.bits, bits_used(pixels))
        return self.bits


def bits_used(pixels: np.ndarray) -> int:
    """The fewest of 8, 10, 12, 14, 16 bits that hold uint16 pixels, strays aside."""
    most = int(pixels.max(initial=0))
    least = next(bits for bits in _BITS if most < 1 << bits)
    fits = (bits for bits in _BITS if bits < least
            and np.count_nonzero(pixels >= 1 << bits) <= pixels.size // _STRAY)
    return next(fits, least)


def to_bytes(pixels: np.ndarray, white: int) -> np.ndarray:
    """uint16 or uint8 pixels as uint8 with 0 to `white` on 0 to 255; above is white. An array of
    the same shape, contiguous."""
    native: Any = np.ascontiguousarray(pixels, 'u1' if pixels.dtype == np.uint8 else 'u2')
    scaled: np.ndarray = cv2.convertScaleAbs(native, alpha=255 / white).reshape(native.shape)
    return scaled


def unit_to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Float pixels from 0 to 1 as uint8; ImageError for any other value."""
    low, high = (float(value) for value in (pixels.min(), pixels.max()))
    if not 0 <= low <= high <= 1:  # false for NaN too
        raise ImageError(f'float image has values from {low} to {high}, needs brightness from 0 '
                         'to 1 (a depth image?)')
    native = np.ascontiguousarray(pixels, np.float32)
    return cv2.convertScaleAbs(native, alpha=255).reshape(native.shape)
