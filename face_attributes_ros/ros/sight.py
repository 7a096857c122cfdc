# SPDX-License-Identifier: Apache-2.0
"""Where the faces of one image are in space, made when the first output asks for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from face_attributes_ros.engagement import Attention, Engagement
from face_attributes_ros.faces import COASTING, Track
from face_attributes_ros.headpose import (
    FRONTAL,
    INDICES,
    Pose,
    Position,
    at_depth,
    pose_from_landmarks,
    pose_turned,
    rotation_from_angles,
    towards,
)
from face_attributes_ros.ros.calibration import Calibration
from face_attributes_ros.ros.depth import DepthImages
from face_attributes_ros.settings import Settings


@dataclass
class Sight:
    """The tracks of one image of `size` (width, height), pixels, as seen with what is known of the
    camera: each list has an entry a track, None where it cannot be said."""

    tracks: Sequence[Track]
    size: tuple[int, int]
    stamp_s: float
    settings: Settings
    calibration: Calibration | None = None
    depth: DepthImages | None = None
    engagement: Engagement | None = None

    @cached_property
    def positions(self) -> list[Position | None]:
        """Where each face is; None without camera_info."""
        if self.calibration is None or not self.tracks:
            return [None] * len(self.tracks)
        rays = _box_rays(self.tracks, self.calibration, self.size[0])
        return [_position(three, depth_m, self.settings.position_face_width)
                for three, depth_m in zip(rays, self._depths())]

    @cached_property
    def poses(self) -> list[Pose | None]:
        """Each head with how it is turned, for the faces that this image shows and of which a
        position and the head's angles or landmarks are known."""
        return [_pose(track, position, self.calibration, self.size[0])
                if position is not None and self.calibration is not None else None
                for track, position in zip(self.tracks, self.positions)]

    @cached_property
    def attention(self) -> list[Attention | None]:
        """How much each face looks at the camera; None before its head pose was seen."""
        engagement = self.engagement or Engagement()
        distances = [None if position is None else position.distance_m
                     for position in self.positions]
        return engagement.update(list(zip(self.tracks, distances)), self.stamp_s, self.settings)

    def _depths(self) -> list[float | None]:
        if self.depth is None:
            return [None] * len(self.tracks)
        return self.depth.distances([track.face.box_xyxy for track in self.tracks], self.size,
                                    self.stamp_s, self.settings)


def _box_rays(tracks: Sequence[Track], calibrated: Calibration,
              width: int) -> list[list[tuple[float, float]]]:
    # Of the middle of the left and right sides of each box, and of its centre.
    points = []
    for track in tracks:
        x0, y0, x1, y1 = track.face.box_xyxy
        middle = (y0 + y1) / 2
        points += [(x0, middle), (x1, middle), ((x0 + x1) / 2, middle)]
    rays = calibrated.rays(points, width)
    return [rays[first:first + 3] for first in range(0, len(rays), 3)]


def _position(rays: Sequence[tuple[float, float]], depth_m: float | None,
              face_width_m: float) -> Position | None:
    # Pinhole camera: a face of known width that spans that share of z is width / share away.
    (left, _), (right, _), (x, y) = rays
    if depth_m is None:
        if face_width_m <= 0 or not right > left:
            return None
        z = face_width_m / (right - left)
    else:
        z = depth_m
    # Of a calibration that cannot be true, no position is better than one that is no number.
    point = x * z, y * z, z
    known = z > 0 and all(map(math.isfinite, point))
    return Position(point, depth_m is not None) if known else None


def _pose(track: Track, position: Position, calibrated: Calibration, width: int) -> Pose | None:
    seen = track.raw
    if seen is None or track.state == COASTING:
        return None
    # The network's angles are nearer to the truth than solvePnP's (docs/decisions.md), which is
    # for when they are off. Landmarks say where the head is either way.
    x, y, z = position.point
    points = seen.landmarks_xy
    rays = None if points is None else np.array(
        calibrated.rays([points[index] for index in INDICES], width))
    pose: Pose | None = None
    if seen.yaw_rad is not None and seen.pitch_rad is not None:
        turned = towards((x / z, y / z)) @ rotation_from_angles(seen.yaw_rad, seen.pitch_rad,
                                                                seen.roll_rad or 0.)
        placed = None if rays is None else pose_turned(rays, turned)
        pose = placed or Pose(position.point, turned)
    elif rays is not None:
        pose = pose_from_landmarks(rays, Pose(position.point, towards((x / z, y / z)) @ FRONTAL))
    return at_depth(pose, z) if pose is not None and position.measured else pose
