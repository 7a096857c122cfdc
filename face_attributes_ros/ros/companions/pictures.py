# SPDX-License-Identifier: Apache-2.0
"""Pictures from files, folders, videos and cameras, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from face_attributes_ros.errors import ParameterError

PICTURES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')


@dataclass(frozen=True)
class Picture:
    """Pixels (H, W, 3) uint8 BGR, what they came from, and whether they are to be held on to (a
    still) or not (a video)."""

    source: str
    bgr: np.ndarray
    still: bool


def expand(sources):
    """Files and camera indices for files, folders and camera indices; ParameterError names what is
    not there."""
    found = []
    for source in sources:
        path = Path(source)
        if source.isdigit() or path.is_file():
            found.append(source)
        elif path.is_dir():
            inside = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in PICTURES)
            if not inside:
                raise ParameterError(
                    f'source {source}: no pictures in this folder ({", ".join(PICTURES)})')
            found += inside
        else:
            raise ParameterError(f'source {source!r} is no file, no folder and no camera index')
    if not found:
        raise ParameterError('sources is empty, needs pictures, folders, videos or camera indices')
    return found


def pictures(sources) -> Iterator[Picture]:
    """The pictures of expanded sources, in order; ParameterError where one cannot be read."""
    for source in sources:
        if Path(source).suffix.lower() in PICTURES:
            bgr = cv2.imread(source, cv2.IMREAD_COLOR)
            if bgr is None:
                raise ParameterError(f'source {source}: this is no picture that OpenCV can read')
            yield Picture(source, bgr, True)
        else:
            yield from _video(source)


def _video(source):
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    try:
        good, bgr = capture.read()
        if not good:
            raise ParameterError(f'source {source}: no video or camera that OpenCV can read')
        while good:
            yield Picture(source, bgr, False)
            good, bgr = capture.read()
    finally:
        capture.release()
