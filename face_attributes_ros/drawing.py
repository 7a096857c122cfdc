# SPDX-License-Identifier: Apache-2.0
"""Tracks drawn over a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from face_attributes_ros import captions
from face_attributes_ros.faces import COASTING, Track

Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]

_COLOURS_BGR = ((80, 200, 80), (230, 160, 60), (80, 160, 250), (200, 100, 220), (90, 220, 230),
                (140, 140, 255), (210, 210, 90))
_COASTING_BGR = (150, 150, 150)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FAR_PX = 100_000.
"""Further outside than any picture is large; OpenCV refuses coordinates that are no 32-bit
integers."""


def annotate(image_bgr: np.ndarray, tracks: Sequence[Track], *, landmarks: bool = True,
             pose: bool = True, labels: bool = True, blur: bool = False) -> np.ndarray:
    """A copy of the image (H, W, 3) uint8 BGR with a box, a label, landmarks and the facing
    direction for each track.

    With `blur`, faces are pixelated first, so that nobody can be recognised in what is shown.
    """
    out = image_bgr.copy()
    draw(out, tracks, landmarks=landmarks, pose=pose, labels=labels, blur=blur)
    return out


def draw(image_bgr: np.ndarray, tracks: Sequence[Track], *, landmarks: bool = True,
         pose: bool = True, labels: bool = True, blur: bool = False) -> None:
    """Does what `annotate` does, in place."""
    if blur:
        for track in tracks:
            pixelate(image_bgr, track.face.box_xyxy)
    for track in tracks:
        _draw_track(image_bgr, track, landmarks, pose, labels)


def pixelate(image_bgr: np.ndarray, box_xyxy: Box, blocks: int = 6) -> None:
    """Replaces the box in the image, in place, by `blocks` x `blocks` flat tiles."""
    height, width = image_bgr.shape[:2]
    left, top, right, bottom = _near(box_xyxy).tolist()
    x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
    x1, y1 = min(width, math.ceil(right)), min(height, math.ceil(bottom))
    if x1 > x0 and y1 > y0:
        tiles = cv2.resize(image_bgr[y0:y1, x0:x1], (blocks, blocks), interpolation=cv2.INTER_AREA)
        image_bgr[y0:y1, x0:x1] = cv2.resize(tiles, (x1 - x0, y1 - y0),
                                             interpolation=cv2.INTER_NEAREST)


def colour_bgr(track: Track) -> Colour:
    """The track's colour: always the same for one id."""
    number = int(''.join(filter(str.isdigit, track.track_id.rpartition('f')[2])) or 0)
    return _COASTING_BGR if track.state == COASTING else _COLOURS_BGR[number % len(_COLOURS_BGR)]


def _near(pixels: object) -> np.ndarray:
    # Coordinates that OpenCV can draw with; what is no number lies far outside.
    known = np.nan_to_num(np.asarray(pixels, np.float64), nan=-_FAR_PX, posinf=_FAR_PX,
                          neginf=-_FAR_PX)
    near: np.ndarray = np.clip(known, -_FAR_PX, _FAR_PX)
    return near


def _draw_track(image: np.ndarray, track: Track, landmarks: bool, pose: bool,
                labels: bool) -> None:
    box = _near(track.face.box_xyxy)
    x0, y0, x1, y1 = map(round, box.tolist())
    thickness = max(1, round(max(image.shape[:2]) / 500))
    colour = colour_bgr(track)
    cv2.rectangle(image, (x0, y0), (x1, y1), colour, thickness, cv2.LINE_AA)
    now = track.raw
    if landmarks and now is not None and now.landmarks_xy is not None:
        _draw_points(image, now.landmarks_xy, max(1, round((x1 - x0) / 90)), colour)
    if pose and now is not None and now.yaw_rad is not None and now.pitch_rad is not None:
        _draw_direction(image, box, now.yaw_rad, now.pitch_rad, thickness)
    if labels:
        _draw_caption(image, captions.lines(track), (x0, y0, x1, y1), colour)


def _draw_points(image: np.ndarray, points_xy: Sequence[tuple[float, float]], radius: int,
                 colour: Colour) -> None:
    for x, y in _near(points_xy).tolist():
        cv2.circle(image, (round(x), round(y)), radius, colour, -1, cv2.LINE_AA)


def _draw_direction(image: np.ndarray, box_xyxy: np.ndarray, yaw_rad: float, pitch_rad: float,
                    thickness: int) -> None:
    x0, y0, x1, y1 = box_xyxy.tolist()
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    towards = np.array(
        [math.sin(yaw_rad) * math.cos(pitch_rad), -math.sin(pitch_rad)])
    tip = _near(centre + towards * (x1 - x0))
    cv2.arrowedLine(image, tuple(map(round, centre.tolist())), tuple(map(round, tip.tolist())),
                    (60, 60, 255), thickness, cv2.LINE_AA, tipLength=.2)


def _draw_caption(image: np.ndarray, lines: Sequence[str], box: tuple[int, int, int, int],
                  colour: Colour) -> None:
    x0, y0, x1, y1 = box
    scale = min(1.2, max(.38, (x1 - x0) / 220))
    line_px = round(30 * scale)
    sizes = [cv2.getTextSize(line, _FONT, scale, 1)[0] for line in lines]
    width, height = max(w for w, _ in sizes) + 6, line_px * len(lines) + 4
    left = int(np.clip(x0, 0, max(0, image.shape[1] - width)))
    top = y0 - height if y0 >= height else min(y1, image.shape[0] - height)
    cv2.rectangle(image, (left, top), (left + width, top + height), colour, -1)
    for i, line in enumerate(lines):
        cv2.putText(image, line, (left + 3, top + line_px * (i + 1) - round(6 * scale)), _FONT,
                    scale, (0, 0, 0), 1, cv2.LINE_AA)
