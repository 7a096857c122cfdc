# SPDX-License-Identifier: Apache-2.0
"""The three-dimensional face of `headpose.py`, and how well it tells the pose of a head.

    python -m face_attributes_ros.training.attributes.face_model --data DIR \\
        --out bench/results/face_pose.json

A network's landmarks lie where it has learned to put them, not where a book on anthropometry has
them. So the face is fitted to its landmarks on the training pictures whose pose is labelled: each
is the face, turned as its label says, scaled and shifted. What solvePnP then says of the val
pictures is compared with their labels, and so is what the network itself says.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from face_attributes_ros import headpose
from face_attributes_ros.alignment import FLIP_68
from face_attributes_ros.build import build_pipeline
from face_attributes_ros.faces import Attributes
from face_attributes_ros.settings import Settings
from face_attributes_ros.training.attributes.data.cache import read_picture
from face_attributes_ros.training.attributes.data.packs import read_pack

EYES_APART_M = .09
"""Between the outer corners of the eyes (Farkas, 1994)."""

ROUNDS = 80
WORST = 95
"""Per cent of the faces that a round fits: some labels and landmarks are wrong."""

FOCAL_SHARE = 6.
"""Focal length in widths of a crop: that of a face a metre away."""


def fit(landmarks: np.ndarray, rotations: np.ndarray,
        indices: Sequence[int] = headpose.INDICES) -> np.ndarray:
    """The face (P, 3), metres in its own axes, whose views under weak perspective, turned by
    rotations (N, 3, 3), are nearest to landmarks (N, 68, 2), y down; P are those of `indices`.

    Scales and shifts, and the face, in turns, each in closed form; left and right are made equal.
    """
    indices = list(indices)
    seen = landmarks[:, indices]
    mirror = [indices.index(int(FLIP_68[index])) for index in indices]
    face = _flat(seen)
    for _ in range(ROUNDS):
        views = np.einsum('nij,pj->npi', rotations[:, :2], face)
        scales, shifts = _placed(views, seen)
        missed = np.square(seen - scales * views - shifts).sum((1, 2)) / scales[:, 0, 0] ** 2
        good = missed <= np.percentile(missed, WORST)
        left = (scales * rotations[:, :2])[good].reshape(-1, 3)
        right = np.swapaxes((seen - shifts)[good], 1, 2).reshape(-1, len(indices))
        face = np.linalg.lstsq(left, right, rcond=None)[0].T
        face = (face + face[mirror] * [1, -1, 1]) / 2
        face -= face[indices.index(27)]
        apart = np.linalg.norm(face[indices.index(36)] - face[indices.index(45)])
        face *= EYES_APART_M / apart
    return face


def _flat(seen: np.ndarray) -> np.ndarray:
    # To begin with: the mean of the landmarks, as a picture on a wall, about as large as a face.
    mean = seen.mean(0) - seen.mean((0, 1))
    return np.column_stack([np.zeros(len(mean)), mean[:, 0], -mean[:, 1]]) * .1 / np.ptp(mean)


def _placed(views: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Scales (N, 1, 1) and shifts (N, 1, 2) in the least squares sense.
    mean_view, mean_seen = views.mean(1, keepdims=True), seen.mean(1, keepdims=True)
    centred = views - mean_view
    scales = ((centred * (seen - mean_seen)).sum((1, 2)) / np.square(centred).sum((1, 2)))
    scales = scales[:, None, None]
    return scales, mean_seen - scales * mean_view


def solved(landmarks: np.ndarray, width: int, height: int) -> headpose.Pose | None:
    """What solvePnP says of a crop, with no help from the network's angles."""
    points = landmarks[list(headpose.INDICES)]
    rays = (points - [width / 2, height / 2]) / (FOCAL_SHARE * width)
    return headpose.pose_from_landmarks(rays, headpose.Pose((0., 0., 1.), headpose.FRONTAL))


def errors_deg(found: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Mean absolute errors of angles (N, 3), and over all of them, degrees."""
    each = np.degrees(np.abs(found - labels)).mean(0).round(2).tolist()
    return dict(zip(('yaw', 'pitch', 'roll', 'all'), [*each, round(float(np.mean(each)), 2)]))


def looked_at(data: Path, split: str) -> tuple[list[Attributes], np.ndarray, np.ndarray]:
    """What the default network says of the pictures of a split whose pose is labelled; their
    labels (N, 3), and widths and heights (N, 2)."""
    samples = [sample for sample in read_pack(data, [split]) if sample.pose is not None]
    pipeline = build_pipeline(Settings(device='cpu', precision='fp32'))
    pictures = [read_picture(sample.image) for sample in samples]
    return ([pipeline.crop(picture) for picture in pictures],
            np.array([sample.pose for sample in samples]),
            np.array([picture.shape[1::-1] for picture in pictures]))


def landmarks_of(seen: Sequence[Attributes]) -> np.ndarray:
    """(N, 68, 2)."""
    return np.array([each.landmarks_xy for each in seen])


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the face, and writes how well poses are told."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, help='folder with labels.csv')
    parser.add_argument('--out', type=Path, required=True)
    options = parser.parse_args(arguments)
    seen, labels, _ = looked_at(options.data, 'train')
    turned = np.array([headpose.rotation_from_angles(*label) for label in labels.tolist()])
    face = fit(landmarks_of(seen), turned)
    for index, point in zip(headpose.INDICES, (1000 * face).round(1).tolist()):
        print(index, point)
    record = {'train_faces': len(seen), 'apart_from_shipped_mm': round(
        1000 * float(np.abs(face - headpose.MODEL_M).max()), 2)} | told(options.data)
    options.out.write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(record))
    return 0


def told(data: Path) -> dict[str, object]:
    """Errors on val of the network's angles and of solvePnP's, where that finds a pose."""
    seen, labels, sizes = looked_at(data, 'val')
    poses = [solved(points, *size) for points, size in zip(landmarks_of(seen), sizes.tolist())]
    known = np.array([pose is not None for pose in poses])
    pnp = np.array([headpose.angles(pose.rotation) for pose in poses if pose is not None])
    own = np.array([(each.yaw_rad, each.pitch_rad, each.roll_rad) for each in seen], float)
    return {'val_faces': len(seen), 'without_a_pose': int((~known).sum()),
            'network_deg': errors_deg(own[known], labels[known]),
            'solve_pnp_deg': errors_deg(pnp, labels[known])}


if __name__ == '__main__':
    raise SystemExit(main())
