# SPDX-License-Identifier: Apache-2.0
"""Face crops: square ones around a box, and upright ones from landmarks.

Landmarks are the 68 points of iBUG, (68, 2) x, y. A transform is a (2, 3) float matrix from source
pixels to crop pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from face_attributes_ros.boxes import halved

FIVE_POINTS = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47), (30,), (48,), (54,))
"""The landmarks whose means are the image-left eye, image-right eye, nose tip and mouth
corners."""

CANONICAL_FIVE = np.array([[.345, .38], [.655, .38], [.5, .565], [.37, .745], [.63, .745]],
                          dtype=np.float32)
"""Where those five points lie in an upright crop, as fractions of its side (proportions of an
average adult face)."""

_JAW_BROWS = [*range(16, -1, -1), *range(26, 16, -1)]
_NOSE = [27, 28, 29, 30, 35, 34, 33, 32, 31]
_EYES = [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
_MOUTH = [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
FLIP_68 = np.array(_JAW_BROWS + _NOSE + _EYES + _MOUTH)
"""FLIP_68[i] is the point that point i becomes in the mirrored face; it is its own inverse."""


_LONGEST = 32_766  # of an image that OpenCV warps


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """The five points (..., 5, 2) of 68 landmarks (..., 68, 2)."""
    return np.stack([landmarks[..., list(points), :].mean(-2) for points in FIVE_POINTS], axis=-2)


def similarity_from_points(source_xy: ArrayLike, target_xy: ArrayLike) -> NDArray[np.float64]:
    """The rotation, uniform scale and shift (2, 3), without reflection, that best takes points
    (N, 2) to points (N, 2).

    Least squares in closed form (Umeyama 1991, restricted to the plane); N >= 2 and not all points
    equal.
    """
    source, target = np.asarray(source_xy, float), np.asarray(target_xy, float)
    source_mean, target_mean = source.mean(0), target.mean(0)
    (x, y), (u, v) = (source - source_mean).T, (target - target_mean).T
    power = (x * x + y * y).sum()
    if power == 0:
        raise ValueError('similarity_from_points: all source points are equal')
    a, b = (x * u + y * v).sum() / power, (x * v - y * u).sum() / power
    rotation = np.array([[a, -b], [b, a]])
    return np.column_stack([rotation, target_mean - rotation @ source_mean])


def square_transforms(boxes_xyxy: np.ndarray, crop_scale: float,
                      size_px: int) -> NDArray[np.float64]:
    """Transforms (N, 2, 3) to square crops: side `crop_scale` times the box's longer side, same
    centre."""
    centre = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    side = np.maximum(np.max(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], axis=1), 1) * crop_scale
    transforms = np.zeros((len(boxes_xyxy), 2, 3))
    transforms[:, 0, 0] = transforms[:, 1, 1] = gain = size_px / side
    transforms[:, :, 2] = size_px / 2 - gain[:, None] * centre
    return transforms


def aligned_transform(landmarks_xy: ArrayLike, size_px: int,
                      scale: float = 1.0) -> NDArray[np.float64]:
    """The transform (2, 3) to an upright crop, from 68 landmarks in source pixels; `scale` > 1
    shows more around the face."""
    target = ((CANONICAL_FIVE - .5) / scale + .5) * size_px
    return similarity_from_points(five_points(np.asarray(landmarks_xy)), target)


def crop(image_bgr: np.ndarray, transform: np.ndarray, out: np.ndarray,
         border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
    """Fills `out` (S, S, 3) uint8 with the crop; what lies outside of the image repeats its edge,
    or is what another of OpenCV's borders says.

    Pixel centres lie at half coordinates, as in `boxes`; far shrinking averages, so that no
    aliasing reaches the network.
    """
    size, shrink = out.shape[0], 1 / max(math.hypot(transform[0, 0], transform[1, 0]), 1e-9)
    if shrink >= 2 or max(image_bgr.shape) > _LONGEST:
        image_bgr, transform = _shrunk(image_bgr, transform, size, shrink)
    cv2.warpAffine(image_bgr, _pixel_centred(transform), (size, size), dst=out,
                   flags=cv2.INTER_LINEAR, borderMode=border)
    return out


def _shrunk(image_bgr: np.ndarray, transform: np.ndarray, size_px: int,
            shrink: float) -> tuple[np.ndarray, np.ndarray]:
    # The part of the image that the crop covers, halved as often as it can be, and the transform
    # from there.
    factor = 2 ** int(math.log2(max(shrink, 1)))
    (x0, x1), (y0, y1) = _source_bounds(transform, size_px, image_bgr.shape, factor)
    part = image_bgr[y0:y1, x0:x1]
    small = halved(part, shrink)
    gain_x, gain_y = part.shape[1] / small.shape[1], part.shape[0] / small.shape[0]
    return small, np.array([[a * gain_x, b * gain_y, shift + a * x0 + b * y0]
                            for a, b, shift in transform.tolist()])


def _source_bounds(transform: np.ndarray, size_px: int, shape: Sequence[int],
                   multiple: int) -> list[tuple[int, int]]:
    # First and last column and row that the crop needs, as whole multiples where the image has
    # room for them. Plain floats: on four corners numpy would take longer than the resampling.
    bounds = []
    inverse = cv2.invertAffineTransform(transform).tolist()
    for (x, y, shift), limit in zip(inverse, (shape[1], shape[0])):
        low = shift + size_px * (min(x, 0.) + min(y, 0.))
        high = shift + size_px * (max(x, 0.) + max(y, 0.))
        first = min(max(math.floor(low) - 1, 0), limit - 1)
        span = -(-(math.ceil(high) + 1 - first) // multiple) * multiple
        bounds.append((first, min(max(first + span, first + 1), limit)))
    return bounds


def _pixel_centred(transform: np.ndarray) -> np.ndarray:
    # OpenCV counts pixel centres as whole numbers; ours lie at halves.
    return np.array([[a, b, shift + (a + b) / 2 - .5] for a, b, shift in transform.tolist()])


def to_source(points: ArrayLike, transform: ArrayLike) -> np.ndarray:
    """Crop points (..., 2) as source points, through the transform's inverse."""
    inverse = cv2.invertAffineTransform(np.asarray(transform, dtype=np.float64))
    found: np.ndarray = np.asarray(points) @ inverse[:, :2].T + inverse[:, 2]
    return found
