# SPDX-License-Identifier: Apache-2.0
"""Cameras that are mounted turned: their images are put upright for the networks, and what is
found is given back in the pixels of the image as it came."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from face_attributes_ros.faces import Attributes, Face, Track

_CV2 = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def upright(image_bgr: np.ndarray, turn_deg: int) -> np.ndarray:
    """The image turned clockwise by one of `settings.TURNS_DEG`; itself for 0."""
    return image_bgr if turn_deg == 0 else np.asarray(cv2.rotate(image_bgr, _CV2[turn_deg]))


def as_it_came(track: Track, turn_deg: int, size: tuple[int, int]) -> Track:
    """A track found in an image that `upright` turned, in pixels of the image before, which has
    `size` (width, height)."""
    if turn_deg == 0:
        return track
    x0, y0, x1, y1 = track.face.box_xyxy
    (ax, ay), (bx, by) = (_point(x, y, turn_deg, size) for x, y in ((x0, y0), (x1, y1)))
    box = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
    return replace(track, face=Face(box, track.face.score),
                   attributes=_turned(track.attributes, turn_deg, size),
                   raw=_turned(track.raw, turn_deg, size))


def _point(x: float, y: float, turn_deg: int, size: tuple[int, int]) -> tuple[float, float]:
    width, height = size
    return {90: (y, height - x), 180: (width - x, height - y), 270: (width - y, x)}[turn_deg]


def _turned(seen: Attributes | None, turn_deg: int, size: tuple[int, int]) -> Attributes | None:
    # Turning the image back adds to roll and leaves yaw and pitch (networks/heads.py).
    if seen is None:
        return None
    changes: dict[str, Any] = {}
    if seen.roll_rad is not None:
        changes['roll_rad'] = math.remainder(seen.roll_rad - math.radians(turn_deg), math.tau)
    if seen.landmarks_xy is not None:
        changes['landmarks_xy'] = tuple(_point(x, y, turn_deg, size)
                                        for x, y in seen.landmarks_xy)
    return replace(seen, **changes)
