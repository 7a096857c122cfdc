# SPDX-License-Identifier: Apache-2.0
"""Image to faces: letterbox, network, threshold, suppression, back to source pixels."""

from __future__ import annotations

import numpy as np

from face_attributes_ros import boxes
from face_attributes_ros.errors import ImageError, ModelError
from face_attributes_ros.faces import Face
from face_attributes_ros.stopwatch import Stopwatch


def check_image(image_bgr):
    """Raises ImageError unless the array is (H, W, 3) uint8 with at least one pixel."""
    shape, dtype = getattr(image_bgr, 'shape', None), getattr(image_bgr, 'dtype',
                                                              type(image_bgr).__name__)
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ImageError(
            f'image is {dtype} of shape {shape}, needs uint8 (height, width, 3) with at least one pixel'
        )


class FaceDetector:
    """Finds faces in BGR images of any size.

    `network` takes (B, H, W, 3) uint8 and gives [(B, N, 5)]: x0, y0, x1, y1 in canvas pixels and a
    score. `imgsz_px` is the canvas's longest side; its other side follows the image's aspect
    unless `square`, the paper's 448x448.
    """

    def __init__(self, network, *, imgsz_px=448, confidence=.5, iou=.45, max_faces=100,
                 min_face_px=0, square=False):
        self.network, self.imgsz_px, self.square = network, imgsz_px, square
        self.confidence, self.iou, self.max_faces, self.min_face_px = confidence, iou, max_faces, min_face_px
        self.watch = Stopwatch()
        self._canvases = {}

    def __call__(self, image_bgr):
        """The faces of one image, best score first."""
        return self.detect([image_bgr])[0]

    def detect(self, images_bgr):
        """The faces of each image, as a list a picture; images of one canvas shape share a
        batch."""
        for image in images_bgr:
            check_image(image)
        letterboxes = [self._letterbox(image) for image in images_bgr]
        faces = [[] for _ in images_bgr]
        for group in _by_canvas(letterboxes).values():
            rows = self._run([images_bgr[i] for i in group], [letterboxes[i] for i in group])
            with self.watch('nms'):
                for index, row in zip(group, rows):
                    faces[index] = self.faces_of(row, letterboxes[index])
        return faces

    def _letterbox(self, image):
        height, width = image.shape[:2]
        side = self.imgsz_px
        canvas = (side, side) if self.square else boxes.canvas_size(width, height, side)
        return boxes.Letterbox(width, height, *canvas)

    def _run(self, images, letterboxes):
        shape = (len(images), letterboxes[0].canvas_height, letterboxes[0].canvas_width, 3)
        if shape not in self._canvases:
            self._canvases[shape] = np.empty(shape, np.uint8)
        batch = self._canvases[shape]
        with self.watch('letterbox'):
            for image, letterbox, canvas in zip(images, letterboxes, batch):
                letterbox.apply(image, canvas)
        with self.watch('detect'):
            rows = np.asarray(self.network(batch)[0])
        if rows.ndim != 3 or rows.shape[0] != len(images) or rows.shape[2] != 5:
            raise ModelError(f'detector gave shape {rows.shape}, needs ({len(images)}, N, 5)')
        return rows

    def faces_of(self, row, letterbox):
        """The faces in the network's rows (N, 5) for one image, best score first, in source
        pixels."""
        row = row[row[:, 4] >= self.confidence]
        row = row[boxes.nms(row[:, :4], row[:, 4], self.iou)]
        found = boxes.clip(letterbox.to_source(row[:, :4]), letterbox.width, letterbox.height)
        sides = found[:, 2:] - found[:, :2]
        keep = np.flatnonzero((sides.min(1, initial=np.inf) > 0)
                              & (sides.max(1, initial=0) >= self.min_face_px))
        return [Face(tuple(found[i].tolist()), float(row[i, 4])) for i in keep[:self.max_faces]]


def _by_canvas(letterboxes):
    groups = {}
    for index, letterbox in enumerate(letterboxes):
        groups.setdefault((letterbox.canvas_width, letterbox.canvas_height), []).append(index)
    return groups
