# SPDX-License-Identifier: Apache-2.0
"""Detections on labelled images, found by the product's own `FaceDetector`, next to the labels."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.seam import Network
from face_attributes_ros.networks.yolov3 import YOLOv3, load_detector
from face_attributes_ros.settings import Settings
from face_attributes_ros.training.detector.data import Sample, split_small
from face_attributes_ros.training.detector.score import Result

Detect = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""`detect(image_bgr) -> (boxes (N, 4) px, scores (N,))`."""

LOWEST_SCORE = 0.01
NMS_IOU = 0.5
MOST_FACES = 300


def torch_network(network: YOLOv3, bf16: bool = False) -> Network:
    """A network in eval mode as a `Network`: uint8 (B, H, W, 3) BGR -> [(B, N, 5)]."""
    parameter = next(network.parameters())

    @torch.inference_mode()
    def run(batch: np.ndarray) -> list[np.ndarray]:
        pixels = torch.from_numpy(batch[..., ::-1].copy()).to(parameter.device)
        pixels = pixels.permute(0, 3, 1, 2).float() / 255
        with torch.autocast(parameter.device.type, torch.bfloat16, enabled=bf16):
            output = network(pixels)
        height, width = batch.shape[1:3]
        grid = network.grid(height, width, pixels.device)
        return [network.decode(output, grid).cpu().numpy()]

    return run


def torch_detector(path: Path) -> Network:
    """The `Network` of a training run's safetensors."""
    detector = load_detector(path)

    @torch.inference_mode()
    def run(batch: np.ndarray) -> list[np.ndarray]:
        return [detector(torch.from_numpy(batch)).numpy()]

    return run


def make_detect(network: Network, input_px: int, tiles: int = 0) -> Detect:
    """`detect(image_bgr) -> (boxes (N, 4) px, scores (N,))` down to the low scores that a curve
    needs."""
    detector = FaceDetector(network, imgsz_px=input_px, tiles=tiles)
    settings = Settings(detector_confidence=LOWEST_SCORE, detector_iou=NMS_IOU,
                        detector_max_faces=MOST_FACES, detector_min_face_px=0)

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        faces = detector(image, settings)
        boxes = np.array([face.box_xyxy for face in faces], np.float32).reshape(-1, 4)
        return boxes, np.array([face.score for face in faces], np.float32)

    return detect


def labels(sample: Sample, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(faces, ignore) of a sample in pixels of `image`; faces under the smallest size count as
    ignored."""
    height, width = image.shape[:2]
    size = np.array([width, height] * 2, np.float32)
    faces, small = split_small(sample.boxes, width, height)
    return faces * size, np.concatenate([small, sample.ignore]) * size


def predict(detect: Detect, samples: Iterable[Sample]) -> list[Result]:
    """The `Result` of each sample, in pixels of its image."""
    results = []
    for sample in samples:
        image = sample.image()
        results.append(Result(*detect(image), *labels(sample, image), max(image.shape[:2])))
    return results
