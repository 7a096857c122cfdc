# SPDX-License-Identifier: Apache-2.0
"""Readers of head-pose and landmark sets in their standard layouts, in our signs: see
`networks/heads.py`."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.attributes.data.packs import picture_size
from face_attributes_ros.training.attributes.data.readers_people import listed
from face_attributes_ros.training.attributes.data.tables import Sample

MARGIN = 0.25
"""Share of the landmarks' extent that is added on every side to cut a face out."""


def read_genki(folder: Path, split: str = 'train') -> list[Sample]:
    """GENKI-4K: `labels.txt` (smile, yaw, pitch, roll in radians, a line a picture),
    `files/file0001.jpg` and so on.

    Its signs are ours: looked at in its pictures, yaw grows towards the image's right, pitch
    upwards, roll clockwise.
    """
    if split != 'train':
        return []
    folder = Path(folder)
    lines = (folder / 'labels.txt').read_text().splitlines()
    rows = [[float(value) for value in line.split()] for line in lines if line.strip()]
    return [Sample(str(folder / 'files' / f'file{number:04d}.jpg'), 'genki4k', smile=row[0],
                   pose=tuple(row[1:4]))
            for number, row in enumerate(rows, 1)]


def read_300w_lp(folder: Path, split: str = 'train') -> list[Sample]:
    """300W-LP and AFLW2000-3D: a `.mat` beside each `.jpg` with Pose_Para (pitch, yaw, roll, ...)
    and 68 points.

    Yaw there grows towards the image's left, as public code draws it: its sign is changed. The
    face is cut out around its points; subsets called `*_Flip` hold mirrored copies and are left
    out, since training mirrors by itself.
    """
    if split != 'train':
        return []
    from scipy.io import loadmat
    samples = []
    for path in listed(folder, '*.mat'):
        picture = path.with_suffix('.jpg')
        if not picture.is_file() or any(part.endswith('_Flip') for part in path.parts):
            continue
        values = loadmat(path)
        points = np.asarray(values['pt2d' if 'pt2d' in values else 'pt3d_68'], np.float64)[:2].T
        pitch, yaw, roll = np.asarray(values['Pose_Para'], np.float64).ravel()[:3]
        box, landmarks = framed(points / picture_size(str(picture)))
        samples.append(
            Sample(str(picture), '300w_lp', pose=(-yaw, pitch, roll), landmarks=landmarks,
                   box_fraction=box))
    return samples


def framed(points: np.ndarray) -> tuple[tuple[float, ...], np.ndarray]:
    """(box, points as fractions of the box): the points' extent with a margin, cut off at the
    picture's edge.
    """
    low, high = points.min(0), points.max(0)
    margin = MARGIN * (high - low)
    low, high = np.clip(low - margin, 0, 1), np.clip(high + margin, 0, 1)
    return (*low.tolist(), *high.tolist()), (points - low) / (high - low)


AFLW_QUERY = """SELECT images.filepath, rect.x, rect.y, rect.w, rect.h, pose.yaw, pose.pitch,
pose.roll, meta.sex FROM Faces faces JOIN FaceImages images ON images.file_id = faces.file_id JOIN
FaceRect rect ON rect.face_id = faces.face_id JOIN FacePose pose ON pose.face_id = faces.face_id
LEFT JOIN FaceMetaData meta ON meta.face_id = faces.face_id ORDER BY faces.face_id"""


def read_aflw(folder: Path, split: str = 'train') -> list[Sample]:
    """AFLW: `aflw.sqlite` (tables Faces, FaceImages, FaceRect, FacePose, FaceMetaData) and
    `flickr/`.

    Yaw and roll have the opposite signs of ours there, as public code uses them. Its 21 points are
    not our 68: not read.
    """
    if split != 'train':
        return []
    path = Path(folder) / 'aflw.sqlite'
    if not path.is_file():
        raise DataError(f'{path} is missing')
    with sqlite3.connect(f'file:{path}?mode=ro', uri=True) as database:
        rows = database.execute(AFLW_QUERY).fetchall()
    database.close()
    samples = []
    for name, x, y, width, height, yaw, pitch, roll, sex in rows:
        image = str(Path(folder) / 'flickr' / name)
        corners = np.array([[x, y], [x + width, y + height]]) / picture_size(image)
        box = tuple(np.clip(corners, 0, 1).ravel().tolist())
        samples.append(Sample(image, 'aflw', p_female={'f': 1.0, 'm': 0.0}.get(sex),
                              pose=(-yaw, pitch, -roll),
                              box_fraction=box))
    return samples
