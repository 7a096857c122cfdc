# SPDX-License-Identifier: Apache-2.0
"""Training batches of the detector: images decoded once, every batch a function of (seed,
step)."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.detector import augment as augmentation
from face_attributes_ros.training.detector.augment import Augment, Picture
from face_attributes_ros.training.detector.config import Recipe
from face_attributes_ros.training.detector.data import Sample, split_small


class PictureBank:
    """Decoded training images: without those `maybe_unlabelled`; tiny and ignored faces painted
    over."""

    def __init__(self, samples: Sequence[Sample], longest_px: int = 416):
        chosen = [sample for sample in samples if not sample.maybe_unlabelled]
        if not chosen:
            raise DataError('the training list holds no usable image')
        self.pictures = [_load(sample, longest_px) for sample in chosen]
        self.empty = [picture for picture in self.pictures if not len(picture.boxes)]
        self.peopled = [picture for picture in self.pictures if len(picture.boxes)]

    def __len__(self) -> int:
        return len(self.pictures)


def _load(sample: Sample, longest_px: int) -> Picture:
    image = sample.image()
    factor = longest_px / max(image.shape[:2])
    if factor < 1:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    height, width = image.shape[:2]
    faces, small = split_small(sample.boxes, width, height)
    size = np.array([width, height] * 2, np.float32)
    augmentation.paint_over(image, np.concatenate([small, sample.ignore]) * size)
    return Picture(image, faces * size)


class Batches:
    """Batch `step` of process `rank`: (images (B, 3, S, S) uint8 RGB, ultralytics' target
    table)."""

    def __init__(self, bank: PictureBank, train: Recipe, augment: Augment, seed: int,
                 rank: int = 0, processes: int = 1):
        self.bank, self.train, self.augment = bank, train, augment
        self.seed, self.rank, self.processes = seed, rank, processes

    def __call__(self, step: int,
                 calm: bool = False) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        size = self._size(step, calm)
        rng = np.random.default_rng([self.seed, step, self.rank])
        augment = self.augment
        if calm:
            augment = replace(augment, mosaic=0.0, composite=augment.composite / 2)
        pictures = [self._picture(index, size, rng, augment) for index in self._indices(step)]
        images = np.stack(
            [augmentation.photometric(p.image, rng, augment)[..., ::-1] for p in pictures])
        return torch.from_numpy(images).permute(0, 3, 1, 2), _targets(pictures, size)

    def _size(self, step: int, calm: bool) -> int:
        sizes = self.train.calm_sizes_px if calm else self.train.sizes_px
        return int(np.random.default_rng([self.seed, step]).choice(sizes))

    def _indices(self, step: int) -> list[int]:
        """Positions in the shuffled epochs; all processes together see each image once an
        epoch."""
        batch, total = self.train.batch, len(self.bank)
        first = (step * self.processes + self.rank) * batch
        epochs = {at // total for at in range(first, first + batch)}
        order = {
            epoch: np.random.default_rng([self.seed, 7, epoch]).permutation(total)
            for epoch in epochs
        }
        return [int(order[at // total][at % total]) for at in range(first, first + batch)]

    def _picture(self, index: int, size: int, rng: np.random.Generator,
                 augment: Augment) -> Picture:
        bank, draw = self.bank, rng.random()
        if draw < augment.mosaic:
            count = 9 if rng.random() < 0.25 else 4
            others = [bank.pictures[rng.integers(len(bank))] for _ in range(count - 1)]
            return augmentation.mosaic([bank.pictures[index], *others], size, rng, augment)
        if draw < augment.mosaic + augment.composite and bank.empty and bank.peopled:
            givers = [
                bank.peopled[rng.integers(len(bank.peopled))] for _ in range(rng.integers(2, 9))
            ]
            background = bank.empty[rng.integers(len(bank.empty))]
            return augmentation.composite(background, givers, size, rng, augment)
        return augmentation.random_view(bank.pictures[index], size, size, rng, augment)


def _targets(pictures: Sequence[Picture], size: int) -> dict[str, torch.Tensor]:
    boxes = torch.from_numpy(np.concatenate([picture.boxes for picture in pictures])) / size
    owners = np.repeat(np.arange(len(pictures)), [len(picture.boxes) for picture in pictures])
    centres_sizes = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
    return {'batch_idx': torch.from_numpy(owners).float(), 'cls': torch.zeros(len(boxes)),
            'bboxes': centres_sizes}
