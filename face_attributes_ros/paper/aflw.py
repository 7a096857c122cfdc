# SPDX-License-Identifier: Apache-2.0
"""The 21 points of the AFLW set, which the paper's all-in-one network predicts, and the face
square that they define.

Order, sides as in the image: 0-5 brows, 6-8 left eye, 9-11 right eye (7 and 10 the centres), 12
left ear, 13-15 nose, 16 right ear, 17-19 mouth, 20 chin. A point that is not known is NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from face_attributes_ros.alignment import similarity_from_points

POINTS = 21
LEFT_EYE, RIGHT_EYE, EARS = 7, 10, (12, 16)
FLIP_21 = np.array([5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 16, 15, 14, 13, 12, 19, 18, 17, 20])
"""FLIP_21[i] is the point that point i becomes in the mirrored face; it is its own inverse."""

FROM_68: tuple[tuple[int, ...], ...] = (
    (17,), (19,), (21,), (22,), (24,), (26,), (36,), (36, 37, 38, 39, 40, 41), (39,),
    (42,), (42, 43, 44, 45, 46, 47), (45,), (), (31,), (30,), (35,), (), (48,),
    (60, 61, 62, 63, 64, 65, 66, 67), (54,), (8,))
"""The iBUG landmarks whose mean is each point; they have no ears."""

_LEFT_HALF = np.array([[-.905, -.256], [-.59, -.359], [-.292, -.304], [-.69, -.012], [-.5, 0],
                       [-.303, .009], [np.nan, np.nan], [-.192, .692], [-.4, 1.06]])
_MIDDLE = {14: (0., .586), 18: (0., 1.068), 20: (0., 1.798)}

SIDE_EYES, DOWN_EYES = 2.56, .5
"""The face square of AFLW's own tools: its side, and its centre below the eyes' midpoint, in
distances between the eyes."""

FEWEST_POINTS = 4


def _template() -> np.ndarray:
    points = np.full((POINTS, 2), np.nan)
    left = [0, 1, 2, 6, 7, 8, 12, 13, 17]
    points[left], points[FLIP_21[left]] = _LEFT_HALF, _LEFT_HALF * [-1, 1]
    for index, point in _MIDDLE.items():
        points[index] = point
    return points


TEMPLATE = _template()
"""Where the points of a frontal face lie, in eye distances from the eyes' midpoint, x right, y
down; ears NaN. The symmetrised median of 1,023 near-frontal faces (turned upright, eye distance 1)
of YouTube Faces with 68 points."""


def from_68(landmarks: ArrayLike) -> np.ndarray:
    """The 21 points (..., 21, 2) of 68 landmarks (..., 68, 2); ears are NaN."""
    landmarks = np.asarray(landmarks)
    points = np.full((*landmarks.shape[:-2], POINTS, 2), np.nan, landmarks.dtype)
    for index, sources in enumerate(FROM_68):
        if sources:
            points[..., index, :] = landmarks[..., list(sources), :].mean(-2)
    return points


def upright(points: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray | None:
    """The similarity (2, 3) from TEMPLATE's units to the picture that fits the visible points
    best.

    Eye centres alone decide where both are visible. None where fewer than four points are: such a
    face is dropped.
    """
    known = np.isfinite(points).all(-1) & (True if visible is None else visible)
    if known[[LEFT_EYE, RIGHT_EYE]].all():
        known = np.isin(np.arange(POINTS), (LEFT_EYE, RIGHT_EYE))
    else:
        known = known & np.isfinite(TEMPLATE).all(-1)
        if known.sum() < FEWEST_POINTS:
            return None
    transform = similarity_from_points(TEMPLATE[known], points[known])
    return transform if np.linalg.det(transform[:, :2]) > 1e-9 else None


def face_square(points: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray | None:
    """The face's square x0, y0, x1, y1 from 21 points (21, 2): side 2.56 eye distances, centre
    half of one below the eyes.

    "Below" follows the face's own tilt. None where `upright` finds no face.
    """
    transform = upright(points, visible)
    if transform is None:
        return None
    centre = transform[:, :2] @ [0, DOWN_EYES] + transform[:, 2]
    half = SIDE_EYES / 2 * np.hypot(*transform[:, 0])
    return np.concatenate([centre - half, centre + half])


def aligned_transform(points: np.ndarray, visible: np.ndarray | None, size_px: int,
                      scale: float = 1.) -> np.ndarray | None:
    """The transform (2, 3) to the upright crop of the face square, `scale` times as wide; None
    where there is no face."""
    transform = upright(points, visible)
    if transform is None:
        return None
    gain = size_px / (SIDE_EYES * scale)  # crop pixels an eye distance
    linear = np.linalg.inv(transform[:, :2]) * gain
    shift = np.array([size_px / 2, size_px / 2 - DOWN_EYES * gain])
    return np.column_stack([linear, shift - linear @ transform[:, 2]])
