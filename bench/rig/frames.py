# SPDX-License-Identifier: Apache-2.0
"""Frames with a chosen number of real faces: one face out of the photographs that ultralytics
carries, on a grid."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

Boxes = Sequence[tuple[float, float, float, float]]
SIZES = {480: (640, 480), 720: (1280, 720), 1080: (1920, 1080)}
"""Width and height by height."""
COUNTS = (1, 4, 16)

_FACE = (910, 52, 1062, 295)  # the face on the right of zidane.jpg
_AROUND = 1.6  # side of the patch over the longer side of the face


def photograph() -> np.ndarray:
    """The picture (720, 1280, 3) BGR that the face comes from; found without importing
    ultralytics."""
    spec = importlib.util.find_spec('ultralytics')
    if spec is None or spec.origin is None:
        raise SystemExit(
            'bench: the package ultralytics, whose photograph is used, is not installed')
    picture = cv2.imread(str(Path(spec.origin).parent / 'assets' / 'zidane.jpg'))
    assert picture is not None
    return picture


def patch() -> tuple[np.ndarray, np.ndarray]:
    """A square of the photograph around the face, and the face's box in it as fractions of its
    side."""
    x0, y0, x1, y1 = _FACE
    side = round(_AROUND * max(x1 - x0, y1 - y0))
    left, top = (x0 + x1 - side) // 2, max(0, (y0 + y1 - side) // 2)
    box = np.array([x0 - left, y0 - top, x1 - left, y1 - top]) / side
    return photograph()[top:top + side, left:left + side], box


def frame(width: int, height: int, count: int,
          seed: int = 0) -> tuple[np.ndarray, Boxes]:
    """A frame (height, width, 3) with `count` (a square number) faces, and their boxes: a list of
    x0, y0, x1, y1."""
    columns = round(count ** .5)
    cell_width, cell_height = width // columns, height // columns
    picture, box = patch()
    side = min(cell_width, cell_height)
    picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(seed).integers(60, 160, (9, 16, 3), np.uint8)
    out = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    boxes = []
    for number in range(count):
        x = number % columns * cell_width + (cell_width - side) // 2
        y = number // columns * cell_height + (cell_height - side) // 2
        out[y:y + side, x:x + side] = picture
        x0, y0, x1, y1 = (np.array([x, y, x, y]) + box * side).tolist()
        boxes.append((x0, y0, x1, y1))
    return out, boxes
