# SPDX-License-Identifier: Apache-2.0
"""Where a head is and how it is turned, in the camera's optical frame (x right, y down, z
forward), from landmarks or from the network's angles.

A face's own axes are those of REP 155: x out of the face, y to its left, z to its scalp, origin
where the nose begins between the eyes (sellion).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

Point = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

FRONTAL = np.array([[0., 1., 0.], [0., 0., -1.], [-1., 0., 0.]])
"""The rotation of a face that looks straight into the camera: its columns are the face's axes."""

GAZE_IN_FACE: Quaternion = (-.5, .5, -.5, .5)
"""Turns a face's axes into those of a gaze: z out of the face, x to its right, y down."""

_MODEL_MM = {
    27: (0., 0., 0.),  # sellion
    30: (13.5, 0., -35.9),  # tip of the nose
    33: (-.6, 0., -44.9),  # where the nose meets the lip
    36: (-18.6, -45., 2.4), 45: (-18.6, 45., 2.4),  # outer corners of the eyes
    39: (-14.5, -20., 1.), 42: (-14.5, 20., 1.),  # inner corners
    48: (-20.7, -28.2, -62.2), 54: (-20.7, 28.2, -62.2),  # corners of the mouth
    0: (-63.2, -75., 2.), 16: (-63.2, 75., 2.),  # ends of the jaw, before the ears
}
"""A face by iBUG number, millimetres in the face's axes: where `attributes_m` puts its landmarks
on faces whose pose is labelled (training/attributes/face_model.py), at the size at which the outer
corners of the eyes are 90 mm apart (L. G. Farkas, Anthropometry of the Head and Face, 1994). What
moves with the jaw is left out."""

INDICES = tuple(_MODEL_MM)
MODEL_M = np.array(list(_MODEL_MM.values()), np.float64) / 1000

FARTHEST_M = 100.
WORST_FIT = .3
"""A pose whose points miss the landmarks by more than this share of their own spread is none."""

_IDEAL = np.eye(3)


@dataclass(frozen=True)
class Position:
    """The centre of a face in the camera's optical frame, metres, and whether its distance was
    measured by a depth image or guessed from the size of the face."""

    point: Point
    measured: bool = False

    @property
    def distance_m(self) -> float:
        """From the camera."""
        return math.hypot(*self.point)


@dataclass(frozen=True)
class Pose:
    """A head: `origin` is its sellion, metres; the columns of `rotation` (3, 3) are its axes. Both
    are in the camera's optical frame."""

    origin: Point
    rotation: np.ndarray


def forward(yaw_rad: float, pitch_rad: float, roll_rad: float) -> Point:
    """The unit vector out of a face, in the optical frame, as the three angles have it."""
    x, y, z = rotation_from_angles(yaw_rad, pitch_rad, roll_rad)[:, 0].tolist()
    return x, y, z


def rotation_from_angles(yaw_rad: float, pitch_rad: float, roll_rad: float) -> np.ndarray:
    """The rotation (3, 3) of a face with the angles of `Attributes`: Rz(roll) Ry(-yaw) Rx(-pitch)
    after FRONTAL, since yaw is positive to the image's right and pitch upwards."""
    (sy, cy), (sp, cp), (sr, cr) = ((math.sin(a), math.cos(a))
                                    for a in (-yaw_rad, -pitch_rad, roll_rad))
    found: np.ndarray = np.array(
        [[cr * cy, cr * sy * sp - sr * cp, cr * sy * cp + sr * sp],
         [sr * cy, sr * sy * sp + cr * cp, sr * sy * cp - cr * sp],
         [-sy, cy * sp, cy * cp]]) @ FRONTAL
    return found


def towards(ray: tuple[float, float]) -> np.ndarray:
    """The rotation (3, 3), by the shortest way, that takes the optical axis to the direction of a
    ray (x/z, y/z).

    A network that sees only the crop of a face judges its angles against that ray.
    """
    length = math.hypot(*ray)
    if length < 1e-9:
        return np.eye(3)
    angle = math.atan(length)
    around = np.array([-ray[1], ray[0], 0.]) * (angle / length)
    turned: np.ndarray = cv2.Rodrigues(around)[0]
    return turned


def angles(rotation: np.ndarray) -> Point:
    """Yaw, pitch and roll of a face's rotation (3, 3), radians: what `rotation_from_angles` takes.
    """
    m = (rotation @ FRONTAL.T).tolist()
    return (math.asin(max(-1., min(1., m[2][0]))), -math.atan2(m[2][1], m[2][2]),
            math.atan2(m[1][0], m[0][0]))


def pose_turned(rays: np.ndarray, rotation: np.ndarray) -> Pose | None:
    """The pose of a head whose rotation is known that sends the model's points nearest to the rays
    (P, 2) of the landmarks of INDICES (x/z, y/z, distortion taken out); None where there is none
    in front of the camera that fits.

    Each point gives two linear equations in the origin: x + px = rx (z + pz), and for y.
    """
    seen = _seen(rays)
    if seen is None:
        return None
    points = MODEL_M @ rotation.T
    left = np.zeros((len(seen), 2, 3))
    left[:, 0, 0] = left[:, 1, 1] = 1
    left[:, :, 2] = -seen
    right = seen * points[:, 2:] - points[:, :2]
    origin = np.linalg.lstsq(left.reshape(-1, 3), right.reshape(-1), rcond=None)[0]
    return _fitting(origin, rotation, seen)


def pose_from_landmarks(rays: np.ndarray, guess: Pose) -> Pose | None:
    """The same where the rotation is not known either: OpenCV's iterative solvePnP, from a
    guess."""
    seen = _seen(rays)
    if seen is None:
        return None
    turn, where = cv2.Rodrigues(guess.rotation)[0], np.array(guess.origin).reshape(3, 1)
    try:
        done, turn, where = cv2.solvePnP(MODEL_M, seen, _IDEAL, None, turn, where,
                                         useExtrinsicGuess=True, flags=cv2.SOLVEPNP_ITERATIVE)
    except cv2.error:
        return None
    return _fitting(where.ravel(), cv2.Rodrigues(turn)[0], seen) if done else None


def _seen(rays: np.ndarray) -> np.ndarray | None:
    seen = np.ascontiguousarray(rays, np.float64)
    return seen if (np.abs(seen) < FARTHEST_M).all() else None  # nor is not-a-number


def _fitting(origin: np.ndarray, rotation: np.ndarray, seen: np.ndarray) -> Pose | None:
    x, y, z = origin.tolist()
    if not 0 < z < FARTHEST_M or not math.isfinite(x + y):
        return None
    found = Pose((x, y, z), rotation)
    return found if _fits(found, seen) else None


def _fits(pose: Pose, seen: np.ndarray) -> bool:
    points = MODEL_M @ pose.rotation.T + pose.origin
    if not (points[:, 2] > 0).all():
        return False
    missed = points[:, :2] / points[:, 2:] - seen
    return bool(np.square(missed).sum() <= WORST_FIT ** 2 * np.square(seen - seen.mean(0)).sum())


def at_depth(pose: Pose, depth_m: float) -> Pose:
    """The pose moved along its ray to where its z is `depth_m`."""
    x, y, z = pose.origin
    return Pose((x / z * depth_m, y / z * depth_m, depth_m), pose.rotation)


def quaternion(rotation: np.ndarray) -> Quaternion:
    """A rotation (3, 3) as x, y, z, w of length 1, w not negative."""
    m = rotation.tolist()
    trace = m[0][0] + m[1][1] + m[2][2]
    # The four ways to the same numbers; the one with the largest root is exact (Shepperd, 1978).
    squares = (m[0][0] * 2 - trace, m[1][1] * 2 - trace, m[2][2] * 2 - trace, trace)
    best = max(range(4), key=squares.__getitem__)
    root = math.sqrt(max(0., 1 + squares[best]))
    parts = [0., 0., 0., 0.]
    parts[best] = root / 2
    a, b = (best + 1) % 3, (best + 2) % 3
    if best == 3:
        parts[:3] = ((m[2][1] - m[1][2]) / (2 * root), (m[0][2] - m[2][0]) / (2 * root),
                     (m[1][0] - m[0][1]) / (2 * root))
    else:
        parts[a] = (m[a][best] + m[best][a]) / (2 * root)
        parts[b] = (m[b][best] + m[best][b]) / (2 * root)
        parts[3] = (m[b][a] - m[a][b]) / (2 * root)
    sign = -1. if parts[3] < 0 else 1.
    x, y, z, w = (sign * part for part in parts)
    return x, y, z, w
