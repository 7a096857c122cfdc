# SPDX-License-Identifier: Apache-2.0
"""Training pictures with many small faces, made from pictures with few large ones.

A crowd is rows of heads in front of a view of a picture without faces, the rows further up smaller
and behind. A distant picture is a whole one, reduced, in such a view: what a small detector sees
of a far group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from face_attributes_ros.training.detector.augment import (
    Augment,
    Picture,
    cut_face,
    erase_lost,
    log_uniform,
    paste_soft,
    random_view,
)

SMALLEST_HEAD_PX, LARGEST_HEAD_PX = 8, 64
ROW_STEP = 1.7  # of a head's size, from one row to the next
NEIGHBOUR_STEP = (1.35, 2.2)
GROWTH = (1.0, 1.5)  # of the heads from one row to the next


def crowd(background: Picture, draw_giver: Callable[[], Picture], size: int,
          rng: np.random.Generator, augment: Augment) -> Picture:
    """Up to four rows of heads, of pictures that `draw_giver()` gives, on a `size` x `size` view
    of `background`.
    """
    view = random_view(background, size, size, rng, augment)
    boxes = [view.boxes]
    head_px = log_uniform(rng, SMALLEST_HEAD_PX, LARGEST_HEAD_PX)
    y = rng.uniform(0.05, 0.6) * size
    for _ in range(rng.integers(1, 5)):
        boxes += _row(view.image, draw_giver, y, head_px, rng)
        y += ROW_STEP * head_px
        head_px = min(head_px * rng.uniform(*GROWTH), LARGEST_HEAD_PX)
    image, kept = erase_lost(view.image, np.concatenate(boxes).astype(np.float32))
    return Picture(image, kept)


def _row(canvas: np.ndarray, draw_giver: Callable[[], Picture], y: float, head_px: float,
         rng: np.random.Generator) -> list[np.ndarray]:
    """Pastes one row of heads whose middles lie about `y`; returns their boxes, a list of (N, 4).
    """
    boxes: list[np.ndarray] = []
    size, x = canvas.shape[0], rng.uniform(0, 2) * head_px
    while x < size:
        face = cut_face(draw_giver(), head_px * rng.uniform(0.8, 1.25), rng)
        height, width = face.image.shape[:2]
        left, top = int(x), int(y + rng.uniform(-0.2, 0.2) * head_px - height / 2)
        if 0 <= top and top + height <= size and left + width <= size:
            covered = np.array([left, top, left + width, top + height])
            if not _touches(boxes, covered, 0.15 * head_px):
                paste_soft(canvas, face.image, (left, top))
                boxes.append(face.boxes + np.array([left, top] * 2, np.float32))
        x += rng.uniform(*NEIGHBOUR_STEP) * head_px
    return boxes


def _touches(boxes: Sequence[np.ndarray], patch: np.ndarray, slack_px: float) -> bool:
    """Whether a patch reaches further than `slack_px` into one of the boxes."""
    if not boxes:
        return False
    there = np.concatenate(boxes)
    low = np.maximum(there[:, :2], patch[:2])
    high = np.minimum(there[:, 2:], patch[2:])
    return bool(((high - low) > slack_px).all(1).any())


def distant(background: Picture, picture: Picture, size: int, rng: np.random.Generator,
            augment: Augment) -> Picture:
    """The whole `picture` at a quarter to seven tenths of the canvas, in a `size` x `size` view of
    `background`.
    """
    view = random_view(background, size, size, rng, augment)
    side = int(size * log_uniform(rng, 0.25, 0.7))
    small = random_view(picture, side, side, rng, augment)
    x, y = (int(rng.integers(0, size - side + 1)) for _ in range(2))
    view.image[y : y + side, x : x + side] = small.image
    inside = small.boxes + np.array([x, y] * 2, np.float32)
    return Picture(view.image, np.concatenate([view.boxes, inside]).astype(np.float32))
