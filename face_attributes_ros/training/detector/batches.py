# SPDX-License-Identifier: Apache-2.0
"""Training batches of the detector: images decoded once, every batch a function of (seed, step).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import torch

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.detector import augment as augmentation
from face_attributes_ros.training.detector.augment import Augment, Picture
from face_attributes_ros.training.detector.config import Recipe
from face_attributes_ros.training.detector.data import Sample, split_small
from face_attributes_ros.training.detector.losses import Targets
from face_attributes_ros.training.detector.occlusion import hide_parts
from face_attributes_ros.training.detector.scenes import crowd, distant

Batch = tuple[torch.Tensor, Targets]


class PictureBank:
    """Decoded training images: without those `maybe_unlabelled`; tiny and ignored faces painted
    over.
    """

    def __init__(self, samples: Sequence[Sample], longest_px: int = 416,
                 repeats: Mapping[str, int] | None = None):
        chosen = [sample for sample in samples if not sample.maybe_unlabelled]
        if not chosen:
            raise DataError('the training list holds no usable image')
        self.pictures = [_load(sample, longest_px) for sample in chosen]
        self.deck = _deck([sample.name for sample in chosen], repeats or {})
        self.empty = [picture for picture in self.pictures if not len(picture.boxes)]
        self.peopled = [index for index in self.deck if len(self.pictures[index].boxes)]

    def __len__(self) -> int:
        return len(self.deck)

    def picture(self, card: int) -> Picture:
        """The picture at a place of the deck, where one stands as often as its source is repeated.
        """
        return self.pictures[self.deck[card]]

    def draw(self, rng: np.random.Generator) -> Picture:
        """Any picture."""
        return self.picture(int(rng.integers(len(self.deck))))

    def draw_peopled(self, rng: np.random.Generator) -> Picture:
        """Any picture with a face."""
        return self.pictures[self.peopled[rng.integers(len(self.peopled))]]


def _deck(names: Sequence[str], repeats: Mapping[str, int]) -> np.ndarray:
    """Indices of the pictures, each as often as `repeats` says for its name's prefix: whole times,
    once without.
    """
    times = [
        next((count for prefix, count in repeats.items() if name.startswith(prefix)), 1)
        for name in names
    ]
    return np.repeat(np.arange(len(names)), times)


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
    """Batch `step` of process `rank`: images (B, 3, S, S) uint8 RGB, and their faces."""

    def __init__(self, bank: PictureBank, train: Recipe, augment: Augment, seed: int,
                 rank: int = 0, processes: int = 1):
        self.bank, self.train, self.augment = bank, train, augment
        self.seed, self.rank, self.processes = seed, rank, processes

    def __call__(self, step: int, calm: bool = False) -> Batch:
        size = self._size(step, calm)
        rng = np.random.default_rng([self.seed, step, self.rank])
        augment = self.augment
        if calm:
            augment = replace(
                augment, mosaic=0.0, composite=augment.composite / 2, crowd=augment.crowd / 2
            )
        pictures = [self._picture(index, size, rng, augment) for index in self._indices(step)]
        images = np.stack([_worse(picture, rng, augment)[..., ::-1] for picture in pictures])
        return torch.from_numpy(images).permute(0, 3, 1, 2), _targets(pictures)

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
        kind = self._kind(rng, augment)
        picture = self.bank.picture(index)
        if kind == 'mosaic':
            others = [self.bank.draw(rng) for _ in range(rng.choice(augment.mosaic_counts) - 1)]
            return augmentation.mosaic([picture, *others], size, rng, augment)
        if kind == 'plain' or not self.bank.empty or not self.bank.peopled:
            return augmentation.random_view(picture, size, size, rng, augment)
        background = self.bank.empty[rng.integers(len(self.bank.empty))]
        if kind == 'crowd':
            return crowd(background, lambda: self.bank.draw_peopled(rng), size, rng, augment)
        if kind == 'distant':
            return distant(background, picture, size, rng, augment)
        givers = [self.bank.draw_peopled(rng) for _ in range(rng.integers(2, 9))]
        return augmentation.composite(background, givers, size, rng, augment)

    @staticmethod
    def _kind(rng: np.random.Generator, augment: Augment) -> str:
        draw = rng.random()
        for kind in ('mosaic', 'composite', 'crowd', 'distant'):
            draw -= getattr(augment, kind)
            if draw < 0:
                return kind
        return 'plain'


class Ahead:
    """Batches, each made by a second thread while the step before it computes."""

    def __init__(self, batches: Batches):
        self.batches = batches
        self.asked: tuple[int, bool] | None = None
        self.coming: Future[Batch] | None = None
        self.maker = ThreadPoolExecutor(1)

    def __call__(self, step: int, calm: bool = False) -> Batch:
        ready = self.coming if self.asked == (step, calm) else None
        batch = ready.result() if ready else self.batches(step, calm)
        self.asked = (step + 1, calm)
        self.coming = self.maker.submit(self.batches, *self.asked)
        return batch


def _worse(picture: Picture, rng: np.random.Generator, augment: Augment) -> np.ndarray:
    """The picture's pixels with faces partly hidden, under other light, through a worse camera."""
    if rng.random() < augment.occlusion:
        hide_parts(picture.image, picture.boxes, rng)
    return augmentation.photometric(picture.image, rng, augment)


def _targets(pictures: Sequence[Picture]) -> Targets:
    boxes = torch.from_numpy(np.concatenate([picture.boxes for picture in pictures]))
    owners = np.repeat(np.arange(len(pictures)), [len(picture.boxes) for picture in pictures])
    return Targets(torch.from_numpy(owners), boxes.float())
