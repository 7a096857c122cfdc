# SPDX-License-Identifier: Apache-2.0
"""What a kind of network is calibrated and judged on: training batches, and figures of a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.models import Model
from face_attributes_ros.engines.seam import Network, OpenNetwork
from face_attributes_ros.errors import DataError
from face_attributes_ros.training.attributes.data.cache import read_picture
from face_attributes_ros.training.attributes.data.packs import read_pack
from face_attributes_ros.training.attributes.data.tables import LabelTable, Sample, table_of
from face_attributes_ros.training.attributes.predict import whole_crops
from face_attributes_ros.training.detector.data import Sample as DetectionSample
from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.int8.scores import attribute_figures, detector_figures

_CROPS_A_BATCH = 32
T = TypeVar('T')


class Room(Protocol):
    """Pictures and figures of one network."""

    def batches(self, count: int, seed: int) -> list[np.ndarray]:
        """Training pictures as the network sees them."""
        ...

    def figures(self, network: OpenNetwork, split: str) -> dict[str, float]:
        """Every figure of a network on a split."""
        ...


def room_of(model: Model, data: Path) -> Room:
    """The room of a model's task."""
    return DetectorRoom(model, data) if model.task == 'detector' else AttributesRoom(model, data)


class DetectorRoom:
    """Pictures, figures and candidates of a detector."""

    def __init__(self, model: Model, data: Path):
        self.model, self.data = model, data

    def batches(self, count: int, seed: int) -> list[np.ndarray]:
        """Letterboxed training pictures as the detector sees them, one a batch."""
        return letterboxed(_some(read_samples(self.data, 'train'), count, seed),
                           self.model.input_px)

    def figures(self, network: Network, split: str) -> dict[str, float]:
        """Every figure of a network on a split."""
        return detector_figures(network, read_samples(self.data, split), self.model.input_px)


def letterboxed(samples: Sequence[DetectionSample], input_px: int) -> list[np.ndarray]:
    """Pictures as a detector sees them, one a batch (1, H, W, 3) uint8 BGR."""
    found: list[np.ndarray] = []

    def remember(batch: np.ndarray) -> list[np.ndarray]:
        found.append(batch.copy())
        return [np.zeros((len(batch), 0, 5), np.float32)]

    detector = FaceDetector(remember, imgsz_px=input_px)
    for sample in samples:
        detector(sample.image())
    return found


class AttributesRoom:
    """The same of an attribute network."""

    def __init__(self, model: Model, data: Path):
        self.model, self.data = model, data
        self._read: dict[str, tuple[LabelTable, list[np.ndarray]]] = {}

    def batches(self, count: int, seed: int) -> list[np.ndarray]:
        """Training crops, the sources mixed in equal shares."""
        by_source: dict[str, list[Sample]] = {}
        for sample in read_pack(self.data, ('train',)):
            by_source.setdefault(sample.source, []).append(sample)
        each = -(-count // max(1, len(by_source)))
        some = [sample for group in by_source.values() for sample in _some(group, each, seed)]
        crops = whole_crops(
            [read_picture(sample.image) for sample in _some(some, len(some), seed)],
            self.model.input_px)
        return [
            crops[start:start + _CROPS_A_BATCH] for start in range(0, len(crops), _CROPS_A_BATCH)
        ]

    def figures(self, network: OpenNetwork, split: str) -> dict[str, float]:
        """Every figure of a network on a split; test has JAFFE, too."""
        if split not in self._read:
            labelled = table_of(
                read_pack(self.data, ('test', 'crossval') if split == 'test' else (split, )))
            self._read[split] = labelled, [read_picture(image) for image in labelled.images]
        labelled, pictures = self._read[split]
        return attribute_figures(network, pictures, labelled, self.model)


def _some(items: Sequence[T], count: int, seed: int) -> list[T]:
    if not items:
        raise DataError('the training split is empty: nothing to calibrate on')
    order = np.random.default_rng(seed).permutation(len(items))[:count]
    return [items[index] for index in order]
