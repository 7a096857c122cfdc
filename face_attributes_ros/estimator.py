# SPDX-License-Identifier: Apache-2.0
"""Images and faces to attributes: every face of a frame in one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from face_attributes_ros import alignment
from face_attributes_ros.detector import check_image
from face_attributes_ros.errors import ModelError
from face_attributes_ros.faces import Attributes, Face
from face_attributes_ros.heads import HEADS, in_picture, unmirrored
from face_attributes_ros.settings import Settings
from face_attributes_ros.stopwatch import Stopwatch

Job = tuple[np.ndarray, np.ndarray]
"""An image and the transform (2, 3) to one crop of it."""

Heads = dict[str, np.ndarray]
"""Rows (N, *shape) by name of the head."""


class AttributeEstimator:
    """Reads attributes off faces.

    `network` takes square crops (B, S, S, 3) uint8 BGR; `outputs` names what it gives, in order
    (keys of HEADS). `gender_threshold` and `expression_threshold` are the model's own, kept in
    `own` by the name of their setting: confidences (probability of the likeliest label) below the
    settings' thresholds are 'unknown'. With `aligned`, a second pass looks at the upright crop
    and its mirror image and the answers are averaged: the paper's two-stage test, three times the
    work.
    """

    def __init__(self, network: Callable[[np.ndarray], Sequence[np.ndarray]],
                 outputs: Sequence[str], *, size_px: int, crop_scale: float,
                 gender_threshold: float = 0., expression_threshold: float = 0.,
                 batch_max: int = 16, aligned: bool = False, watch: Stopwatch | None = None):
        unknown = [name for name in outputs if name not in HEADS]
        if unknown:
            raise ModelError(
                f'attribute network gives {", ".join(unknown)}, known are {", ".join(HEADS)}')
        if aligned and 'landmarks' not in outputs:
            raise ModelError('attributes.aligned needs a network with landmarks')
        self.network, self.outputs = network, tuple(outputs)
        self.size_px, self.crop_scale = size_px, crop_scale
        self.own = {'attributes_gender_threshold': gender_threshold,
                    'attributes_expression_threshold': expression_threshold}
        self.batch_max, self.aligned = batch_max, aligned
        self.watch = watch or Stopwatch()
        self._crops = np.empty((batch_max, size_px, size_px, 3), np.uint8)

    def __call__(self, image_bgr: np.ndarray, faces: Sequence[Face],
                 settings: Settings | None = None) -> list[Attributes]:
        """Attributes of each face of one image."""
        return self.estimate([image_bgr], [faces], settings)[0]

    def estimate(self, images_bgr: Sequence[np.ndarray], faces: Sequence[Sequence[Face]],
                 settings: Settings | None = None) -> list[list[Attributes]]:
        """Attributes of each face of each image, in the order given; all faces of all images go
        through in one batch."""
        for image in images_bgr:
            check_image(image)
        jobs = [(image, transform)
                for image, some in zip(images_bgr, faces)
                for transform in self._squares(some)]
        found = iter(self._estimate(jobs, settings or Settings().filled(self.own)))
        return [[next(found) for _ in some] for some in faces]

    def crops(self, images_bgr: Sequence[np.ndarray],
              settings: Settings | None = None) -> list[Attributes]:
        """Attributes of pictures that are one face crop each: the network sees the whole picture,
        padded to a square."""
        for image in images_bgr:
            check_image(image)
        sizes = np.array([image.shape[1::-1] for image in images_bgr],
                         dtype=np.float32).reshape(-1, 2)
        whole = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
        jobs = list(zip(images_bgr, alignment.square_transforms(whole, 1., self.size_px)))
        return self._estimate(jobs, settings or Settings().filled(self.own))

    def _squares(self, faces: Sequence[Face]) -> np.ndarray:
        box = np.array([face.box_xyxy for face in faces], dtype=np.float32).reshape(-1, 4)
        transforms: np.ndarray = alignment.square_transforms(box, self.crop_scale, self.size_px)
        return transforms

    def _estimate(self, jobs: Sequence[Job], settings: Settings) -> list[Attributes]:
        if not jobs:
            return []
        heads, transforms = self._run(jobs), np.stack([transform for _, transform in jobs])
        if self.aligned:
            return self.records(self._second_look(jobs, heads, transforms), len(jobs), settings)
        return self.records(heads, len(jobs), settings, transforms)

    def records(self, heads: Mapping[str, np.ndarray], count: int, settings: Settings,
                transforms: np.ndarray | None = None) -> list[Attributes]:
        """Attributes of `count` faces from the rows of each head; with `transforms` (N, 2, 3) the
        rows are of those crops, else of the picture."""
        with self.watch('records'):
            if transforms is not None:
                heads = in_picture(heads, transforms, self.size_px)
            columns = _columns(heads, settings)
            return [
                Attributes(**dict(zip(columns, row)))
                for _, *row in zip(range(count), *columns.values())
            ]

    def _run(self, jobs: Sequence[Job], mirror: bool = False) -> Heads:
        parts = []
        for start in range(0, len(jobs), self.batch_max):
            some = jobs[start:start + self.batch_max]
            batch = self._crops[:len(some)]
            with self.watch('crop'):
                for (image, transform), out in zip(some, batch):
                    alignment.crop(image, transform, out)
            with self.watch('attributes'):
                seen = np.ascontiguousarray(batch[:, :, ::-1]) if mirror else batch
                parts.append(self._checked(self.network(seen), len(some)))
        return parts[0] if len(parts) == 1 else {
            name: np.concatenate([part[name] for part in parts]) for name in self.outputs
        }

    def _checked(self, arrays: Sequence[np.ndarray], count: int) -> Heads:
        heads = {name: np.array(array) for name, array in zip(self.outputs, arrays)}
        for name, array in heads.items():
            needed = (count, *HEADS[name].shape)
            if array.shape != needed:
                raise ModelError(f'attribute network: {name} has shape {array.shape}, '
                                 f'needs {needed}')
            if array.dtype.kind != 'f' or not np.isfinite(array).all():
                raise ModelError(f'attribute network gave numbers in {name} that are not finite: '
                                 'its weights are damaged')
        return heads

    def _second_look(self, jobs: Sequence[Job], first: Heads, transforms: np.ndarray) -> Heads:
        first = in_picture(first, transforms, self.size_px)
        upright = np.stack([alignment.aligned_transform(points, self.size_px)
                            for points in first['landmarks']])
        jobs = [(image, transform) for (image, _), transform in zip(jobs, upright)]
        straight = in_picture(self._run(jobs), upright, self.size_px)
        mirrored = in_picture(unmirrored(self._run(jobs, mirror=True)), upright, self.size_px)
        return {name: (first[name] + straight[name] + mirrored[name]) / 3 for name in self.outputs}


def _columns(heads: Mapping[str, np.ndarray], settings: Settings) -> dict[str, Sequence[object]]:
    # Fields of Attributes, each as a list over faces: arithmetic face by face would cost more
    # than the tracker.
    columns: dict[str, Sequence[object]] = {}
    for name, rows in heads.items():
        head = HEADS[name]
        columns.update(zip(head.reads, head.columns(rows)))
        if head.label:
            choose = head.label.choose
            columns[head.label.field] = [choose(value, None, settings)[0]
                                         for value in columns[head.label.of]]
    return columns
