# SPDX-License-Identifier: Apache-2.0
"""camera_info to what a pinhole needs, for images of any size that show what it describes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sensor_msgs.msg import CameraInfo

from face_attributes_ros.ros.messages import Focal


@dataclass(frozen=True)
class Calibration:
    """fx, fy, cx, cy over the width of the image that the camera sends."""

    shares: Focal

    def focal_px(self, width: int) -> Focal:
        """(fx, fy, cx, cy) in our pixels of an image that is `width` wide, whatever size it was
        calibrated at."""
        fx, fy, cx, cy = (share * width for share in self.shares)
        return fx, fy, cx, cy


def calibration(info: CameraInfo, rectified: bool = False) -> Calibration | None:
    """The calibration of a camera's images; None where camera_info has none (K or P is zero).

    `rectified` images follow P, others K. Where only a part of the sensor is sent (`roi`), the
    image is that part; binning divides sizes and focal lengths alike and so changes no share. The
    pixels' centres lie at whole numbers in ROS and at halves here (REP-104, sensor_msgs).
    """
    matrix = (info.p[0], info.p[5], info.p[2], info.p[6]) if rectified else (
        info.k[0], info.k[4], info.k[2], info.k[5])
    fx, fy, cx, cy = map(float, matrix)  # numpy's own would warn where they grow too large
    width = info.roi.width or info.width
    if width <= 0 or fx <= 0 or fy <= 0 or not all(map(math.isfinite, matrix)):
        return None
    centre = cx + .5 - info.roi.x_offset, cy + .5 - info.roi.y_offset
    return Calibration((fx / width, fy / width, centre[0] / width, centre[1] / width))
