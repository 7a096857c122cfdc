# SPDX-License-Identifier: Apache-2.0
"""JAFFE: 213 posed expressions of ten women (Lyons et al. 1998; research only), read by the names
of its files.

A path is a folder of the pictures or a zip of them: the originals, or face crops made from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from face_attributes_ros.alignment import crop, square_transforms
from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.errors import DataError
from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.paper.preprocessing import grey
from face_attributes_ros.training.attributes.data.cache import open_archive, read_picture
from face_attributes_ros.training.attributes.data.readers_expression import JAFFE_CODES

_NAME = re.compile(r'(?P<person>[A-Z]{2})\.(?P<code>[A-Z]{2})\d+\.\d+\.(?:jpe?g|png|tiff?|bmp)$',
                   re.IGNORECASE)


class Portrait(NamedTuple):
    """One picture: where it is (a path or `archive.zip!member`), who it shows, and which
    expression she posed."""

    image: str
    person: str
    expression: str


def read_portraits(path: Path) -> list[Portrait]:
    """The portraits, by file name. Raises `DataError` where there is none."""
    path = Path(path)
    if path.suffix == '.zip':
        names = [f'{path}!{name}' for name in open_archive(str(path)).namelist()]
    else:
        names = [str(file) for file in path.glob('*')] if path.is_dir() else []
    found = [portrait for name in sorted(names) if (portrait := _portrait(name))]
    if not found:
        raise DataError(f'{path} holds no picture named as JAFFE names them (KA.AN1.39.tiff)')
    return found


def _portrait(name: str) -> Portrait | None:
    match = _NAME.search(name)
    expression = JAFFE_CODES.get(match['code'].upper()) if match else None
    return Portrait(name, match['person'].upper(), expression) if match and expression else None


def labels(portraits: Sequence[Portrait]) -> tuple[np.ndarray, np.ndarray]:
    """(expressions (N,) indices of EXPRESSIONS, persons (N,) strings)."""
    return (np.array([EXPRESSIONS.index(portrait.expression) for portrait in portraits]),
            np.array([portrait.person for portrait in portraits]))


def grey_pictures(portraits: Sequence[Portrait]) -> Iterator[np.ndarray]:
    """The pictures (H, W, 3) uint8 with three equal channels: Algorithm 2 starts by taking the
    colour away."""
    for portrait in portraits:
        levels = grey(read_picture(portrait.image)).round().astype(np.uint8)
        yield np.repeat(levels[..., None], 3, 2)


def face_crops(pictures: Iterable[np.ndarray], detector: FaceDetector | None, size_px: int,
               crop_scale: float) -> tuple[np.ndarray, int]:
    """((N, size, size, 3) uint8, missed): the best face of each picture; the whole picture where
    none was found, and everywhere where `detector` is None: the pictures are crops already."""
    crops, missed = [], 0
    for picture in pictures:
        box = best_box(picture, detector)
        missed += box is None and detector is not None
        transform, = square_transforms(
            whole(picture, crop_scale) if box is None else box, crop_scale, size_px)
        crops.append(crop(picture, transform, np.empty((size_px, size_px, 3), np.uint8)))
    return np.stack(crops), missed


def best_box(picture: np.ndarray, detector: FaceDetector | None) -> np.ndarray | None:
    """The best face's box (1, 4), or None."""
    faces = detector(picture) if detector else []
    return np.array([faces[0].box_xyxy], np.float32) if faces else None


def whole(picture: np.ndarray, crop_scale: float) -> np.ndarray:
    """The box (1, 4) whose crop is the whole picture."""
    height, width = picture.shape[:2]
    centre, half = np.array([width, height]) / 2, max(width, height) / crop_scale / 2
    return np.concatenate([centre - half, centre + half])[None].astype(np.float32)
