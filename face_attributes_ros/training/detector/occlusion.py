# SPDX-License-Identifier: Apache-2.0
"""Faces partly hidden: a mask over the mouth, dark glasses, something in front of a side; boxes do
not change.
"""

from __future__ import annotations

import cv2
import numpy as np

SHARE_OF_FACES = 0.6


def hide_parts(image: np.ndarray, boxes: np.ndarray, rng: np.random.Generator) -> None:
    """Hides a part of some of the faces (N, 4) xyxy px, in place."""
    for box in boxes:
        if rng.random() < SHARE_OF_FACES:
            (put_mask, _glasses, _object)[rng.integers(3)](image, box, rng)


def put_mask(image: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> None:
    """A polygon over mouth and chin, the nose perhaps."""
    x, y, width, height = _frame(box)
    top = rng.uniform(0.5, 0.68)
    outline = np.array(
        [
            [0.05, top],
            [0.5, top - rng.uniform(0, 0.12)],
            [0.95, top],
            [0.85, 0.92],
            [0.5, 1.0],
            [0.15, 0.92],
        ]
    )
    points = np.array([x, y]) + (outline + rng.uniform(-0.04, 0.04, outline.shape)) * [
        width,
        height,
    ]
    cv2.fillPoly(image, [points.round().astype(np.int32)], _colour(rng), cv2.LINE_AA)


def _glasses(image: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> None:
    """Two dark ellipses where the eyes are."""
    x, y, width, height = _frame(box)
    colour = tuple(int(level) for level in rng.integers(0, 60, 3))
    for at in (0.3, 0.7):
        centre = (round(x + at * width), round(y + rng.uniform(0.36, 0.44) * height))
        cv2.ellipse(
            image,
            centre,
            (max(1, round(0.18 * width)), max(1, round(0.12 * height))),
            0,
            0,
            360,
            colour,
            -1,
            cv2.LINE_AA,
        )


def _object(image: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> None:
    hide_side(image, box, rng, rng.uniform(0.15, 0.4))


def hide_side(image: np.ndarray, box: np.ndarray, rng: np.random.Generator,
              share: float) -> None:
    """A piece of the same picture, or a colour, in front of `share` of the face, from a random
    side.
    """
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    side, width, height = rng.integers(3), x1 - x0, y1 - y0
    if side == 0:
        x1 = x0 + int(width * share)
    elif side == 1:
        x0 = x1 - int(width * share)
    else:
        y0 = y1 - int(height * share)
    rows, columns = image.shape[:2]
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, columns), min(y1, rows)
    if x1 > x0 and y1 > y0:
        image[y0:y1, x0:x1] = _stuff(image, x1 - x0, y1 - y0, rng)


def _stuff(image: np.ndarray, width: int, height: int,
           rng: np.random.Generator) -> np.ndarray | tuple[int, ...]:
    """What stands in front: a colour, or a piece (`height`, `width`, 3) of the picture."""
    if rng.random() < 0.5:
        return _colour(rng)
    rows, columns = image.shape[:2]
    left, top = rng.integers(columns - width + 1), rng.integers(rows - height + 1)
    return image[top : top + height, left : left + width].copy()


def _frame(box: np.ndarray) -> tuple[float, float, float, float]:
    return box[0], box[1], box[2] - box[0], box[3] - box[1]


def _colour(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(level) for level in rng.integers(0, 256, 3))
