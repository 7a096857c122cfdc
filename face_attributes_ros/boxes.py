# SPDX-License-Identifier: Apache-2.0
"""Box maths in numpy: overlap, suppression, and the letterbox with its exact inverse.

Boxes are (N, 4) float32 x0, y0, x1, y1; the continuous image runs from 0 to width and 0 to height. N = 0 is legal.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

LETTERBOX_GREY = 114


def area(boxes_xyxy):
    """Areas (N,) of the boxes, zero for an inverted one."""
    return np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None).prod(1)


def iou(a_xyxy, b_xyxy):
    """Intersection over union (N, M) of every box of `a_xyxy` with every box of `b_xyxy`."""
    top_left = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    bottom_right = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    intersection = np.clip(bottom_right - top_left, 0, None).prod(2)
    union = area(a_xyxy)[:, None] + area(b_xyxy)[None] - intersection
    return intersection / np.maximum(union, np.finfo(np.float32).tiny)


def nms(boxes_xyxy, scores, iou_threshold, max_boxes=None):
    """Indices of the boxes that greedy suppression keeps, best score first (at most `max_boxes`)."""
    order = np.argsort(-scores, kind='stable')
    kept = []
    while order.size and (max_boxes is None or len(kept) < max_boxes):
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[iou(boxes_xyxy[best:best + 1], boxes_xyxy[rest])[0] <= iou_threshold]
    return np.array(kept, dtype=np.intp)


def clip(boxes_xyxy, width, height):
    """The boxes cut off at the image's edges."""
    return np.clip(boxes_xyxy, 0, np.array([width, height, width, height], dtype=np.float32))


def halved(image, shrink):
    """The image at half its size, as often as `shrink` (source pixels a target pixel) contains a factor of two.

    Bilinear interpolation reads 4 pixels only: below half size it skips the rest, so whole halves are averaged away first.
    Exact halves are also the only averages that OpenCV computes quickly.
    """
    while shrink >= 2 and min(image.shape[:2]) >= 2:
        height, width = image.shape[:2]
        image, shrink = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), shrink / 2
    return image


@dataclass(frozen=True)
class Letterbox:
    """Where a source image of `width` x `height` lies in a network canvas: scaled by (`sx`, `sy`), moved by (`dx`, `dy`)."""

    width: int
    height: int
    canvas_width: int
    canvas_height: int

    @property
    def scale(self):
        return min(self.canvas_width / self.width, self.canvas_height / self.height)

    @property
    def inner(self):
        """Width and height in canvas pixels of the scaled image; never zero, however thin the source."""
        return tuple(max(1, round(side * self.scale)) for side in (self.width, self.height))

    @property
    def offset(self):
        """Left and top margin in canvas pixels."""
        inner_width, inner_height = self.inner
        return (self.canvas_width - inner_width) // 2, (self.canvas_height - inner_height) // 2

    def apply(self, image_bgr, canvas):
        """Draws the image into `canvas` (canvas_height, canvas_width, 3), bilinear, grey margins."""
        (dx, dy), (inner_width, inner_height) = self.offset, self.inner
        canvas[:dy] = canvas[dy + inner_height:] = LETTERBOX_GREY
        canvas[:, :dx] = canvas[:, dx + inner_width:] = LETTERBOX_GREY
        inner = canvas[dy:dy + inner_height, dx:dx + inner_width]
        inner[:] = cv2.resize(halved(image_bgr, 1 / self.scale), self.inner, interpolation=cv2.INTER_LINEAR)
        return canvas

    def to_source(self, boxes_xyxy):
        """Canvas boxes as source boxes: the exact inverse of `apply`, rounding of the inner size included."""
        (dx, dy), (inner_width, inner_height) = self.offset, self.inner
        gain = np.array([self.width / inner_width, self.height / inner_height] * 2, dtype=np.float32)
        return (boxes_xyxy - np.array([dx, dy, dx, dy], dtype=np.float32)) * gain

    def to_canvas(self, boxes_xyxy):
        """Source boxes as canvas boxes."""
        (dx, dy), (inner_width, inner_height) = self.offset, self.inner
        gain = np.array([inner_width / self.width, inner_height / self.height] * 2, dtype=np.float32)
        return boxes_xyxy * gain + np.array([dx, dy, dx, dy], dtype=np.float32)


def canvas_size(width, height, longest_px, stride=32):
    """Canvas width and height for an image: the longest side `longest_px`, the other as the aspect needs, in strides.

    A 1280x720 image and 448 give 448x256: 57 % of the square's work.
    """
    scale = longest_px / max(width, height)
    return tuple(min(longest_px, max(stride, -(-round(side * scale) // stride) * stride)) for side in (width, height))
