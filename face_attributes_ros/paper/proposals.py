# SPDX-License-Identifier: Apache-2.0
"""Where faces might be: the first step of the paper's two-stage test.

A proposer is a function from an image (H, W, 3) uint8 BGR to boxes (N, 4) float32 xyxy and scores
(N,); N = 0 is legal.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.seam import Network
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.settings import Settings

Proposals = tuple[np.ndarray, np.ndarray]
Proposer = Callable[[np.ndarray], Proposals]

PROPOSERS = ('yolov3', 'selective_search', 'sliding')
LOWEST_SCORE = .05
"""YOLOv3 proposes down to this score; the second network decides."""

_SEARCH_PX = 160       # longer side that Selective Search works on
_MOST_PROPOSALS = 500
_ASPECTS = (.4, 1.6)   # width over height of a region that may be a face
_SMALLEST = .06        # of the longer side


def open_proposer(kind: str, network: Network | None = None, imgsz_px: int = 448) -> Proposer:
    """The proposer of a name in PROPOSERS; `network` is the detector's, for yolov3."""
    if kind not in PROPOSERS:
        raise ParameterError(f'proposals are {kind!r}, need one of {", ".join(PROPOSERS)}')
    if kind == 'yolov3':
        if network is None:
            raise ParameterError('proposals yolov3 need a detector, network is None')
        return from_detector(FaceDetector(network, imgsz_px=imgsz_px))
    return selective_search if kind == 'selective_search' else sliding


def from_detector(detector: FaceDetector) -> Proposer:
    """A proposer that asks a FaceDetector."""
    settings = Settings(detector_confidence=LOWEST_SCORE, detector_min_face_px=0)

    def propose(image_bgr: np.ndarray) -> Proposals:
        faces = detector(image_bgr, settings)
        boxes = np.array([face.box_xyxy for face in faces], np.float32).reshape(-1, 4)
        return boxes, np.array([face.score for face in faces], np.float32)

    return propose


def selective_search(image_bgr: np.ndarray) -> Proposals:
    """OpenCV's Selective Search (Uijlings et al. 2013), fast mode, on a small copy; scores are
    zero, order is its ranking.

    Needs opencv-contrib in place of opencv; ParameterError without it.
    """
    if not hasattr(cv2, 'ximgproc'):
        raise ParameterError('proposals selective_search need cv2.ximgproc: install '
                             'opencv-contrib-python-headless in place of '
                             'opencv-python-headless, or use yolov3 or sliding')
    scale = min(1., _SEARCH_PX / max(image_bgr.shape[:2]))
    small = cv2.resize(image_bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(small)
    search.switchToSelectiveSearchFast()
    x, y, width, height = np.asarray(search.process(), np.float32).reshape(-1, 4).T
    boxes = np.stack([x, y, x + width, y + height], 1)
    aspect = width / np.maximum(height, 1)
    likely = ((aspect > _ASPECTS[0]) & (aspect < _ASPECTS[1])
              & (np.minimum(width, height) > _SMALLEST * max(small.shape)))
    boxes = boxes[likely][:_MOST_PROPOSALS] / np.float32(scale)
    return boxes, np.zeros(len(boxes), np.float32)


def sliding(image_bgr: np.ndarray, smallest: float = .15, step: float = 2 ** .5,
            stride: float = .35) -> Proposals:
    """Squares on a grid: sides from `smallest` of the shorter side up to all of it, each `step`
    times the last, `stride` sides apart; scores are zero."""
    height, width = image_bgr.shape[:2]
    side, found = float(min(height, width)), []
    while side >= smallest * min(height, width):
        xs, ys = (_starts(extent, side, side * stride) for extent in (width, height))
        corners = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)
        found.append(np.concatenate([corners, corners + side], 1))
        side /= step
    boxes = np.concatenate(found).astype(np.float32)
    return boxes, np.zeros(len(boxes), np.float32)


def _starts(extent: int, side: float, stride: float) -> np.ndarray:
    return np.linspace(0, extent - side, max(1, round((extent - side) / stride) + 1))
