# SPDX-License-Identifier: Apache-2.0
"""camera_info to what a pinhole needs, for images of any size that show what it describes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo

Focal = tuple[float, float, float, float]
"""fx, fy, cx, cy of a camera, pixels."""

FISHEYE = 'equidistant'
"""The distortion model of sensor_msgs that OpenCV keeps apart from the others."""


@dataclass(frozen=True)
class Calibration:
    """fx, fy, cx, cy over the width of the image that the camera sends, and its distortion: the
    coefficients of OpenCV's model, none for a rectified image."""

    shares: Focal
    distortion: tuple[float, ...] = ()
    model: str = ''

    def focal_px(self, width: int) -> Focal:
        """(fx, fy, cx, cy) in our pixels of an image that is `width` wide, whatever size it was
        calibrated at."""
        fx, fy, cx, cy = (share * width for share in self.shares)
        return fx, fy, cx, cy

    def rays(self, points_xy: Sequence[tuple[float, float]],
             width: int) -> list[tuple[float, float]]:
        """x/z and y/z of what is seen at pixels of an image that is `width` wide, distortion taken
        out."""
        fx, fy, cx, cy = self.focal_px(width)
        bent = [((x - cx) / fx, (y - cy) / fy) for x, y in points_xy]
        return _straight(bent, self) if self.distortion else bent


def _straight(bent: Sequence[tuple[float, float]],
              calibrated: Calibration) -> list[tuple[float, float]]:
    undistort = (cv2.fisheye.undistortPoints if calibrated.model == FISHEYE
                 else cv2.undistortPoints)
    points = np.array(bent, np.float64).reshape(-1, 1, 2)
    found = undistort(points, np.eye(3), np.array(calibrated.distortion, np.float64))
    return [(x, y) for x, y in found.reshape(-1, 2).tolist()]


def calibration(info: CameraInfo, rectified: bool = False) -> Calibration | None:
    """The calibration of a camera's images; None where camera_info has none (K or P is zero).

    `rectified` images follow P, others K. Where only a part of the sensor is sent (`roi`), the
    image is that part. Shares are of the width: binning of both axes changes none, of one axis
    alone those of the height. The pixels' centres lie at whole numbers in ROS and at halves here
    (REP-104, sensor_msgs).
    """
    fx, fy, cx, cy = matrix = _matrix(info, rectified)
    width = info.roi.width or info.width
    if width <= 0 or fx <= 0 or fy <= 0 or not all(map(math.isfinite, matrix)):
        return None
    centre = cx + .5 - info.roi.x_offset, cy + .5 - info.roi.y_offset
    stretch = max(info.binning_x, 1) / max(info.binning_y, 1)
    shares = (fx / width, fy / width * stretch, centre[0] / width, centre[1] / width * stretch)
    if not shares[0] > 0 < shares[1]:
        return None  # too small to be told from zero
    return Calibration(shares, () if rectified else _distortion(info), info.distortion_model)


def why_none(info: CameraInfo, rectified: bool = False) -> str:
    """What a camera_info without a calibration lacks."""
    name, matrix = 'P' if rectified else 'K', _matrix(info, rectified)
    if not any(matrix):
        return f'{name} is zero'
    if not (info.roi.width or info.width):
        return 'width is zero'
    return f'{name} is none: fx {matrix[0]:g}, fy {matrix[1]:g}'


def _matrix(info: CameraInfo, rectified: bool) -> Focal:
    fx, fy, cx, cy = (info.p[0], info.p[5], info.p[2], info.p[6]) if rectified else (
        info.k[0], info.k[4], info.k[2], info.k[5])
    return float(fx), float(fy), float(cx), float(cy)  # numpy's own would warn if they overflow


def _distortion(info: CameraInfo) -> tuple[float, ...]:
    # As many coefficients as OpenCV's models have; a lens without any is a pinhole.
    found = tuple(map(float, info.d))
    lengths = (4,) if info.distortion_model == FISHEYE else (4, 5, 8, 12, 14)
    fits = len(found) in lengths and any(found) and all(map(math.isfinite, found))
    return found if fits else ()
