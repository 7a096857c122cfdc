# SPDX-License-Identifier: Apache-2.0
"""Labels beside faces: where there is room, as large as the face allows, never over a face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from face_attributes_ros.captions import Words

Colour = tuple[int, int, int]
Row = Sequence[Words]

SURE_BGR: Colour = (255, 255, 255)
UNSURE_BGR: Colour = (150, 150, 150)
_EMPTY_BGR: Colour = (90, 90, 90)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SMALLEST, _LARGEST = .38, 4.
"""Scales of the font: below the first nobody can read it."""
_CHINS = 4
"""How many labels high a face must be to have its own inside."""
_FACE_PX = 230.
"""Height of a face whose label has a scale of 1, and is about as wide as the face."""


@dataclass(frozen=True)
class Label:
    """Rows of words with their sizes at one scale of the font: `width` and `height` are those of
    the panel that holds them."""

    rows: Sequence[Row]
    widths: Sequence[Sequence[int]]
    scale: float
    line_px: int
    margin_px: int

    @property
    def width(self) -> int:
        """Pixels: the stripe, the longest row and margins."""
        return max(sum(row) + self.gap_px * (len(row) - 1)
                   for row in self.widths) + 3 * self.margin_px

    @property
    def height(self) -> int:
        """Pixels: all rows and margins."""
        return self.line_px * len(self.rows) + 2 * self.margin_px

    @property
    def gap_px(self) -> int:
        """Between words of a row."""
        return max(3, round(9 * self.scale))


def measured(rows: Sequence[Row], face_px: float) -> Label:
    """The label of a face that is so many pixels high."""
    scale = min(_LARGEST, max(_SMALLEST, face_px / _FACE_PX))
    widths = [[cv2.getTextSize(words.text, _FONT, scale, _weight(scale))[0][0] for words in row]
              for row in rows]
    return Label(rows, widths, scale, round(31 * scale), max(2, round(5 * scale)))


def draw_labels(image_bgr: np.ndarray, rows: Sequence[Sequence[Row]], boxes_xyxy: np.ndarray,
                colours: Sequence[Colour]) -> None:
    """Draws a label for each face into the image (H, W, 3) uint8 BGR: beside its box (N, 4), over
    no other face and no other label."""
    for number, label, corner in placed(rows, boxes_xyxy, image_bgr.shape[:2]):
        _paint(image_bgr, label, corner, colours[number])


def placed(rows: Sequence[Sequence[Row]], boxes_xyxy: np.ndarray,
           image_shape: tuple[int, ...]) -> Iterator[tuple[int, Label, tuple[int, int]]]:
    """Number of the face, label, left and top, in an image (H, W).

    Large faces choose first. Who has no room for all rows shows fewer, at last the id alone; who
    has no room for that has no label.
    """
    taken = boxes_xyxy
    heights = boxes_xyxy[:, 3] - boxes_xyxy[:, 1]
    for number in np.argsort(-heights, kind='stable').tolist():
        for label in _shorter_and_shorter(rows[number], float(heights[number])):
            corner = place((label.width, label.height), number, taken, image_shape)
            if corner is not None:
                yield number, label, corner
                panel = (*corner, corner[0] + label.width, corner[1] + label.height)
                taken = np.vstack([taken, panel])
                break


def _shorter_and_shorter(rows: Sequence[Row], face_px: float) -> Iterator[Label]:
    for count in range(len(rows), 0, -1):
        yield measured(rows[:count], face_px)


def place(size: tuple[int, int], own: int, taken_xyxy: np.ndarray,
          image_shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Left and top of a panel of (width, height) pixels beside the box `own` of those that are
    taken (M, 4): inside the image (H, W), over none of them; None where there is no such place.

    A face with no room beside it may have its own label in it, at the chin, if it is much higher
    than that.
    """
    (width, height), (rows, columns) = size, image_shape[:2]
    x0, y0, x1, y1 = np.rint(taken_xyxy[own]).astype(int).tolist()
    if width > columns or height > rows or x1 <= 0 or y1 <= 0 or x0 >= columns or y0 >= rows:
        return None
    corners = np.array([
        (x0, y0 - height), (x1 - width, y0 - height), (x0, y1), (x1 - width, y1), (x1, y0),
        (x1, y1 - height), (x0 - width, y0), (x0 - width, y1 - height),
        (x0, y1 - height)])  # the last is inside
    corners = np.clip(corners, 0, (columns - width, rows - height))
    boxes = np.rint(taken_xyxy)
    over = ((corners[:, None] < boxes[None, :, 2:]).all(2)
            & (corners[:, None] + size > boxes[None, :, :2]).all(2))
    over[-1, own] = (y1 - y0) < _CHINS * height
    free = np.flatnonzero(~over.any(1))
    return (int(corners[free[0], 0]), int(corners[free[0], 1])) if len(free) else None


def _weight(scale: float) -> int:
    return max(1, round(1.4 * scale))


def _paint(image: np.ndarray, label: Label, corner: tuple[int, int], colour: Colour) -> None:
    left, top = corner
    panel = image[top:top + label.height, left:left + label.width]
    np.right_shift(panel, 2, out=panel)  # darker: words are read on any picture
    panel[:, :label.margin_px] = colour
    for number, (row, widths) in enumerate(zip(label.rows, label.widths)):
        x = left + 2 * label.margin_px
        bottom = top + label.margin_px + label.line_px * (number + 1)
        for words, width in zip(row, widths):
            if words.bar is not None:
                _paint_bar(image, label, (x, bottom), left, words, colour)
            cv2.putText(image, words.text, (x, bottom - round(8 * label.scale)), _FONT,
                        label.scale, SURE_BGR if words.sure else UNSURE_BGR,
                        _weight(label.scale), cv2.LINE_AA)
            x += width + label.gap_px


def _paint_bar(image: np.ndarray, label: Label, start: tuple[int, int], left: int, words: Words,
               colour: Colour) -> None:
    # Under its words, to the end of the panel.
    x, bottom = start
    end = left + label.width - label.margin_px
    top = bottom - max(2, round(4 * label.scale)) + 1
    filled = x + round((end - x) * min(1., max(0., words.bar or 0.)))
    image[top:bottom + 1, x:end] = _EMPTY_BGR
    image[top:bottom + 1, x:filled] = colour if words.sure else UNSURE_BGR
