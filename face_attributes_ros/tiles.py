# SPDX-License-Identifier: Apache-2.0
"""Overlapping parts of a large picture, for faces that are too small in the whole of it.

The picture is looked at whole as well, so a tile need not show large faces: what an inner edge of
a tile cuts is left to the neighbour or to the whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

OVERLAP = .25
"""Of a tile's side, with the next one: at 448 px more than any face that the whole picture shows
too small."""
CUT_PX = 2.
"""Canvas pixels: a box that comes so near to an inner edge is taken for a part of a face."""
MOST_TILES = 8
"""Along each side."""


@dataclass(frozen=True)
class Tile:
    """A part of a picture of `width` x `height`, in its pixels; the whole is one, too."""

    x: int
    y: int
    width: int
    height: int
    of_width: int
    of_height: int

    def view(self, image: np.ndarray) -> np.ndarray:
        """The part's pixels, not copied."""
        return image[self.y:self.y + self.height, self.x:self.x + self.width]

    def whole_boxes(self, boxes_xyxy: np.ndarray, margin: float) -> np.ndarray:
        """Which boxes (N, 4), in the tile's pixels, keep `margin` from those edges behind which
        the picture goes on."""
        inner = (self.x > 0, self.y > 0, self.x + self.width < self.of_width,
                 self.y + self.height < self.of_height)
        size = np.array([self.width, self.height], np.float32)
        room = np.concatenate([boxes_xyxy[:, :2], size - boxes_xyxy[:, 2:]], 1)
        found: np.ndarray = np.all(room[:, np.array(inner)] > margin, axis=1)
        return found

    def to_picture(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """The tile's boxes as boxes of the picture."""
        moved: np.ndarray = boxes_xyxy + np.array([self.x, self.y] * 2, np.float32)
        return moved


def tiles_of(width: int, height: int, count: int, canvas_px: int) -> list[Tile]:
    """The whole picture, and behind it `count` x `count` tiles of its shape.

    There are fewer where one would be enlarged to fill a canvas of `canvas_px` on its longer
    side: nothing more is to be seen there.
    """
    whole = Tile(0, 0, width, height, width, height)
    count = min(count, math.ceil(max(width, height) / canvas_px))
    if count < 2:
        return [whole]
    columns, rows = (_spans(side, count) for side in (width, height))
    return [whole, *(Tile(x, y, wide, high, width, height) for y, high in rows
                     for x, wide in columns)]


def _spans(side: int, count: int) -> list[tuple[int, int]]:
    """(start, length) of `count` equal parts that overlap by `OVERLAP` and cover `side`."""
    length = min(side, math.ceil(side / (count - (count - 1) * OVERLAP)))
    return [(round(index * (side - length) / (count - 1)), length) for index in range(count)]
