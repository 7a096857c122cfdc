# SPDX-License-Identifier: Apache-2.0
"""Face detection data: a YOLO-format folder or WIDER FACE's layout, read into a list of `Sample`.

YOLO:  DIR/{train,val,test}.txt list images/NAME.jpg; labels/NAME.txt holds `0 cx cy w h` a face,
       fractions; ignore/NAME.txt (optional) holds real faces without a label; manifest.csv
       (optional) has `name` and `maybe_unlabelled`.
WIDER: DIR/wider_face_split/wider_face_{train,val}_bbx_gt.txt and
       DIR/WIDER_{train,val}/images/EVENT/NAME.jpg.
"""
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_attributes_ros.errors import DataError, ImageError
from face_attributes_ros.pictures.reader import read
from face_attributes_ros.training.common.yolo import doubtful_names, yolo_boxes

SMALLEST_FACE = 0.02      # sqrt(w * h) over the image's longer side; smaller boxes are ignored
_WIDER_INVALID = 7        # column of the `invalid` flag in WIDER FACE's box lines


@dataclass(frozen=True)
class Sample:
    """One image on disk: its faces and regions to ignore, both (N, 4) float32 xyxy fractions of
    the image."""

    path: Path
    boxes: np.ndarray
    ignore: np.ndarray
    maybe_unlabelled: bool = False

    @property
    def name(self) -> str:
        return self.path.stem

    def image(self) -> np.ndarray:
        """The decoded picture (H, W, 3) uint8 BGR; DataError where it is no whole picture."""
        try:
            return read(self.path)
        except ImageError as error:
            raise DataError(str(error)) from error


def read_samples(root: Path, split: str) -> list[Sample]:
    """The samples of `split` ('train', 'val' or 'test') under `root`, in the order of its list."""
    root = Path(root)
    if (root / f'{split}.txt').is_file():
        return _read_yolo(root, split)
    if (root / 'wider_face_split').is_dir():
        return _read_wider(root, split)
    raise DataError(f'{root} holds neither {split}.txt (YOLO) nor wider_face_split/ (WIDER FACE)')


def split_small(boxes: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Faces to find and faces to ignore: boxes under `SMALLEST_FACE` of the longer side go to the
    second."""
    sides = (boxes[:, 2:] - boxes[:, :2]) * np.array([width, height], np.float32)
    small = np.sqrt(sides.clip(0).prod(1)) / max(width, height) < SMALLEST_FACE
    return boxes[~small], boxes[small]


def data_hash(samples: Sequence[Sample]) -> str:
    """SHA-256 over names, boxes and image sizes on disk: a changed data set gives a changed
    hash."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f'{sample.name} {sample.path.stat().st_size}'.encode())
        digest.update(np.round(sample.boxes, 4).astype('<f4').tobytes())
    return digest.hexdigest()


def _read_yolo(root: Path, split: str) -> list[Sample]:
    flagged = doubtful_names(root / 'manifest.csv')
    lines = (root / f'{split}.txt').read_text().split()
    return [_yolo_sample(root, root / line, flagged) for line in lines]


def _yolo_sample(root: Path, path: Path, flagged: frozenset[str]) -> Sample:
    if not path.is_file():
        raise DataError(f'{path} is listed but does not exist')
    boxes, ignore = (yolo_boxes(root / folder / f'{path.stem}.txt', np.float32).clip(0, 1)
                     for folder in ('labels', 'ignore'))
    return Sample(path, boxes, ignore, path.stem in flagged)


def _read_wider(root: Path, split: str) -> list[Sample]:
    lines = (root / 'wider_face_split' / f'wider_face_{split}_bbx_gt.txt').read_text().splitlines()
    samples, at = [], 0
    while at < len(lines):
        name, count = lines[at], int(lines[at + 1])
        rows = lines[at + 2:at + 2 +
                     max(count, 1)]  # an image without faces still has one line of zeros
        samples.append(
            _wider_sample(root / f'WIDER_{split}' / 'images' / name, rows if count else []))
        at += 2 + max(count, 1)
    return samples


def _wider_sample(path: Path, rows: Sequence[str]) -> Sample:
    if not path.is_file():
        raise DataError(f'{path} is listed but does not exist')
    nothing = np.zeros((0, 4), np.float32)
    height, width = Sample(path, nothing, nothing).image().shape[:2]
    table = np.array([row.split()[:10] for row in rows], np.float32).reshape(len(rows), 10)
    size = np.array([width, height] * 2, np.float32)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], 1) / size
    valid = (table[:, _WIDER_INVALID] == 0) & (table[:, 2:4] > 0).all(1)
    return Sample(path, boxes[valid].clip(0, 1), boxes[~valid].clip(0, 1))
