# SPDX-License-Identifier: Apache-2.0
"""Tracks drawn over a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from face_attributes_ros import captions
from face_attributes_ros.faces import COASTING, Track
from face_attributes_ros.labels import UNSURE_BGR, draw_labels

Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]

_COLOURS_BGR = ((80, 200, 80), (230, 160, 60), (80, 160, 250), (200, 100, 220), (90, 220, 230),
                (140, 140, 255), (210, 210, 90))
_COASTING_BGR = UNSURE_BGR
_ARROW_BGR = (60, 60, 255)
_SHAPE = .8
"""Width to height of what is drawn around a face: detectors frame some wider, some narrower."""
_EYES = slice(36, 48)
"""Of 68 landmarks."""
_FAR_PX = 100_000.
"""Further outside than any picture is large; OpenCV refuses coordinates that are no 32-bit
integers."""


def annotate(image_bgr: np.ndarray, tracks: Sequence[Track], *, landmarks: bool = True,
             pose: bool = True, labels: bool = True, blur: bool = False) -> np.ndarray:
    """A copy of the image (H, W, 3) uint8 BGR with a box, a label, landmarks and the facing
    direction for each track, as large as its face.

    Predicted faces and what the model is not sure of are grey; labels and arrows lie over no other
    face. With `blur`, faces are pixelated first, so that nobody can be recognised in what is
    shown.
    """
    out = image_bgr.copy()
    draw(out, tracks, landmarks=landmarks, pose=pose, labels=labels, blur=blur)
    return out


def draw(image_bgr: np.ndarray, tracks: Sequence[Track], *, landmarks: bool = True,
         pose: bool = True, labels: bool = True, blur: bool = False) -> None:
    """Does what `annotate` does, in place."""
    if not tracks:
        return
    if blur:
        for track in tracks:
            pixelate(image_bgr, track.face.box_xyxy)
    boxes = framed(_near([track.face.box_xyxy for track in tracks]))
    colours = [colour_bgr(track) for track in tracks]
    for number, track in enumerate(tracks):
        _draw_face(image_bgr, track, boxes[number], colours[number], landmarks)
        if pose:
            _draw_direction(image_bgr, track, boxes, number)
    if labels:
        draw_labels(image_bgr, [captions.rows(track) for track in tracks], boxes, colours)


def framed(boxes_xyxy: np.ndarray) -> np.ndarray:
    """The boxes (N, 4) all in one shape: around the same centres, as little larger as that
    needs."""
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    width, height = (high - low).T
    half = np.maximum(height, width / _SHAPE)[:, None] * (_SHAPE / 2, .5)
    centre = (low + high) / 2
    return np.hstack([centre - half, centre + half])


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


def _draw_face(image: np.ndarray, track: Track, box: np.ndarray, colour: Colour,
               landmarks: bool) -> None:
    x0, y0, x1, y1 = map(round, box.tolist())
    cv2.rectangle(image, (x0, y0), (x1, y1), colour, _line_px(box, 90))
    now = track.raw
    if landmarks and now is not None and now.landmarks_xy is not None:
        radius = _line_px(box, 110)
        for point in np.rint(_near(now.landmarks_xy)).astype(int).tolist():
            cv2.circle(image, point, radius, colour, -1, cv2.LINE_AA)


def _line_px(box_xyxy: np.ndarray, part: int) -> int:
    # Of a large face, a line has to be thick to be seen; of one outside of all pictures, not more
    # than OpenCV draws.
    return min(30, max(1, round(float(box_xyxy[3] - box_xyxy[1]) / part)))


def _draw_direction(image: np.ndarray, track: Track, boxes_xyxy: np.ndarray, number: int) -> None:
    now, box = track.raw, boxes_xyxy[number]
    if now is None or now.yaw_rad is None or now.pitch_rad is None:
        return
    towards = np.array([math.sin(now.yaw_rad) * math.cos(now.pitch_rad), -math.sin(now.pitch_rad)])
    start = _eyes(track, box)
    others = np.delete(boxes_xyxy, number, axis=0)
    tip = _until(start, _near(start + towards * (box[3] - box[1])), others)
    _draw_arrow(image, start, tip, _line_px(box, 60))


def _draw_arrow(image: np.ndarray, start: np.ndarray, tip: np.ndarray, thickness: int) -> None:
    # Red on a dark rim, to be seen on any picture; of a face that looks at the camera, a dot.
    ends = [tuple(map(round, point.tolist())) for point in (start, tip)]
    is_long = float(np.hypot(*(tip - start))) > 4 * thickness
    for colour, more in (((0, 0, 0), 2), (_ARROW_BGR, 0)):
        cv2.circle(image, ends[0], thickness + more // 2 + 1, colour, -1, cv2.LINE_AA)
        if is_long:
            cv2.arrowedLine(image, ends[0], ends[1], colour, thickness + more, cv2.LINE_AA,
                            tipLength=.2)


def _eyes(track: Track, box_xyxy: np.ndarray) -> np.ndarray:
    points = track.raw.landmarks_xy if track.raw else None
    if points is not None and len(points) == 68:
        between: np.ndarray = _near(points[_EYES]).mean(0)
        return between
    x0, y0, x1, y1 = box_xyxy
    return np.array([(x0 + x1) / 2, y0 + .4 * (y1 - y0)])


def _until(start: np.ndarray, tip: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    # The last of some points on the way that comes before any of the boxes.
    if not len(boxes_xyxy):
        return tip
    points = start + np.linspace(0, 1, 17)[:, None] * (tip - start)
    inside = ((points[:, None] >= boxes_xyxy[:, :2]) & (points[:, None] <= boxes_xyxy[:, 2:]))
    met = np.flatnonzero(inside.all(2).any(1))
    last: np.ndarray = points[max(0, met[0] - 1) if len(met) else -1]
    return last
