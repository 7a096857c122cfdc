# SPDX-License-Identifier: Apache-2.0
"""Box maths in numpy: overlap, suppression, and the letterbox with its exact inverse.

Boxes are (N, 4) float32 x0, y0, x1, y1; the continuous image runs from 0 to width and 0 to height.
N = 0 is legal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

LETTERBOX_GREY = 114
NMS_BLOCK = 128


def area(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Areas (N,) of the boxes, zero for an inverted one."""
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0)
    areas: np.ndarray = sides[:, 0] * sides[:, 1]
    return areas


def iou(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of every box of `a_xyxy` with every box of `b_xyxy`."""
    # One axis at a time: sums and products over an axis of two are numpy's slowest.
    width = (np.minimum(a_xyxy[:, 2, None], b_xyxy[:, 2])
             - np.maximum(a_xyxy[:, 0, None], b_xyxy[:, 0]))
    height = (np.minimum(a_xyxy[:, 3, None], b_xyxy[:, 3])
              - np.maximum(a_xyxy[:, 1, None], b_xyxy[:, 1]))
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    union = area(a_xyxy)[:, None] + area(b_xyxy) - intersection
    overlaps: np.ndarray = intersection / np.maximum(union, np.finfo(np.float32).tiny)
    return overlaps


def nms(boxes_xyxy: np.ndarray, scores: np.ndarray, iou_threshold: float,
        max_boxes: int | None = None) -> NDArray[np.intp]:
    """Indices of the boxes that greedy suppression keeps, best score first, at most
    `max_boxes`."""
    order = np.argsort(-scores, kind='stable')
    kept: list[int] = []
    while order.size and (max_boxes is None or len(kept) < max_boxes):
        # Overlaps within blocks of bounded size, all at once: numpy's cost is in its calls, not in
        # its arithmetic.
        block, order = order[:NMS_BLOCK], order[NMS_BLOCK:]
        new = _suppressed(iou(boxes_xyxy[block], boxes_xyxy[block]) > iou_threshold)
        kept += block[new].tolist()
        if order.size:
            order = order[(iou(boxes_xyxy[block[new]], boxes_xyxy[order]) <= iou_threshold).all(0)]
    return np.array(kept[:max_boxes], dtype=np.intp)


def _suppressed(overlaps: np.ndarray) -> list[int]:
    # Indices that survive when each, in order, removes the later ones that it overlaps, which
    # `overlaps` (N, N) bool says.
    alive, kept = np.ones(len(overlaps), bool), []
    for index in range(len(overlaps)):
        if alive[index]:
            kept.append(index)
            alive[index + 1:] &= ~overlaps[index, index + 1:]
    return kept


def clip(boxes_xyxy: np.ndarray, width: int, height: int) -> np.ndarray:
    """The boxes cut off at the image's edges."""
    limits = np.array([width, height, width, height], dtype=np.float32)
    clipped: np.ndarray = np.clip(boxes_xyxy, 0, limits)
    return clipped


def halved(image: np.ndarray, shrink: float) -> np.ndarray:
    """The image at half its size, as often as `shrink` (source pixels a target pixel) contains a
    factor of two.

    Bilinear interpolation reads 4 pixels only: below half size it skips the rest, so whole halves
    are averaged away first. Exact halves are also the only averages that OpenCV computes quickly.
    """
    while shrink >= 2 and min(image.shape[:2]) >= 2:
        height, width = image.shape[:2]
        image = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        shrink /= 2
    return image


@dataclass(frozen=True)
class Letterbox:
    """Where a source image of `width` x `height` lies in a network canvas: scaled by (`sx`, `sy`),
    moved by (`dx`, `dy`)."""

    width: int
    height: int
    canvas_width: int
    canvas_height: int

    @cached_property
    def scale(self) -> float:
        """Canvas pixels a source pixel, before the inner size is rounded."""
        return min(self.canvas_width / self.width, self.canvas_height / self.height)

    @cached_property
    def inner(self) -> tuple[int, int]:
        """Width and height in canvas pixels of the scaled image; never zero, however thin the
        source."""
        return max(1, round(self.width * self.scale)), max(1, round(self.height * self.scale))

    @cached_property
    def offset(self) -> tuple[int, int]:
        """Left and top margin in canvas pixels."""
        inner_width, inner_height = self.inner
        return (self.canvas_width - inner_width) // 2, (self.canvas_height - inner_height) // 2

    def apply(self, image_bgr: np.ndarray, canvas: np.ndarray) -> np.ndarray:
        """Draws the image into `canvas` (canvas_height, canvas_width, 3), bilinear, grey
        margins."""
        (dx, dy), (inner_width, inner_height) = self.offset, self.inner
        canvas[:dy] = canvas[dy + inner_height:] = LETTERBOX_GREY
        canvas[:, :dx] = canvas[:, dx + inner_width:] = LETTERBOX_GREY
        cv2.resize(halved(image_bgr, 1 / self.scale), self.inner,
                   dst=canvas[dy:dy + inner_height, dx:dx + inner_width],
                   interpolation=cv2.INTER_LINEAR)
        return canvas

    def to_source(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Canvas boxes as source boxes: the exact inverse of `apply`, rounding of the inner size
        included."""
        (dx, dy), (inner_width, inner_height) = self.offset, self.inner
        gain = np.array([self.width / inner_width, self.height / inner_height] * 2,
                        dtype=np.float32)
        moved: np.ndarray = boxes_xyxy - np.array([dx, dy, dx, dy], dtype=np.float32)
        return moved * gain

    def to_canvas(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Source boxes as canvas boxes."""
        (dx, dy), (inner_width, inner_height) = self.offset, self.inner
        gain = np.array([inner_width / self.width, inner_height / self.height] * 2,
                        dtype=np.float32)
        scaled: np.ndarray = boxes_xyxy * gain
        return scaled + np.array([dx, dy, dx, dy], dtype=np.float32)


def canvas_size(width: int, height: int, longest_px: int, stride: int = 32) -> tuple[int, int]:
    """Canvas width and height for an image: the longest side `longest_px`, the other as the aspect
    needs, in strides.

    A 1280x720 image and 448 give 448x256: 57 % of the square's work.
    """
    scale = longest_px / max(width, height)
    canvas_width, canvas_height = (
        min(longest_px, max(stride, -(-round(side * scale) // stride) * stride))
        for side in (width, height))
    return canvas_width, canvas_height
