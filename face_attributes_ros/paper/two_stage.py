# SPDX-License-Identifier: Apache-2.0
"""The paper's two-stage test (section 6.3; HyperFace, arXiv 1603.01249).

Stage one looks at every proposal, makes a better box from the landmarks it saw, looks again
(iterative region proposals), and merges what overlaps by medians (landmarks-based suppression).
Stage two turns each face upright by a similarity transform, looks at it and at its mirror image,
and averages.

    test = TwoStage(network, outputs, size_px=80, crop_scale=1.3)
    looks = test.first(image_bgr, boxes)   # detection, landmarks, pose
    heads = test.second(image_bgr, looks)  # age, gender, expression, smile
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from face_attributes_ros import alignment
from face_attributes_ros.boxes import iou
from face_attributes_ros.engines.seam import Network
from face_attributes_ros.errors import ModelError
from face_attributes_ros.heads import unmirrored
from face_attributes_ros.paper import aflw

MEDIANS = ('visibility', 'pose', 'gender')

SQUARE_SCALE = 1.26
"""Side of a crop over the face square that landmarks define: eyes 0.31 of the crop apart, as in
`alignment.CANONICAL_FIVE`. A detector's boxes follow its labels instead; their own scale is the
model's `crop_scale`."""


@dataclass(frozen=True)
class Looks:
    """What the network saw in N boxes: scores (N,), 21 points (N, 21, 2) in source pixels, which
    of them are visible (N, 21), and its other outputs by name, one row a box. `scale` is a crop's
    side over its box's."""

    boxes: np.ndarray
    scores: np.ndarray
    points: np.ndarray
    visible: np.ndarray
    heads: dict[str, np.ndarray]
    scale: float = SQUARE_SCALE

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, rows: np.ndarray) -> Looks:
        """The looks of these rows."""
        heads = {name: values[rows] for name, values in self.heads.items()}
        return Looks(self.boxes[rows], self.scores[rows], self.points[rows], self.visible[rows],
                     heads, self.scale)


def joined(parts: Sequence[Looks]) -> Looks:
    """Several looks as one."""
    heads = {name: np.concatenate([part.heads[name] for part in parts]) for name in parts[0].heads}
    boxes, scores, points, visible = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ('boxes', 'scores', 'points', 'visible'))
    return Looks(boxes, scores, points, visible, heads, parts[0].scale)


class TwoStage:
    """Runs an attribute network with `face` and `landmarks` (68 or 21 points) in two stages.

    `rounds` looks in all; a box goes on to the next round with a score above `keep`, counts at the
    end above `accept`.
    """

    def __init__(self, network: Network, outputs: Sequence[str], *, size_px: int,
                 crop_scale: float, rounds: int = 3, keep: float = .25, accept: float = .5,
                 overlap: float = .2, top: int = 5, batch_max: int = 32):
        missing = {'face', 'landmarks'} - set(outputs)
        if missing:
            raise ModelError(
                f'the two-stage test needs a network with {" and ".join(sorted(missing))}')
        self.network, self.outputs = network, tuple(outputs)
        self.size_px, self.crop_scale = size_px, crop_scale
        self.rounds, self.keep, self.accept = rounds, keep, accept
        self.overlap, self.top, self.batch_max = overlap, top, batch_max

    def first(self, image_bgr: np.ndarray, boxes: np.ndarray) -> Looks:
        """Stage one on proposals (N, 4): one look a face."""
        return merged(self.propose(image_bgr, boxes), self.overlap, self.top)

    def propose(self, image_bgr: np.ndarray, boxes: np.ndarray) -> Looks:
        """Iterative region proposals: the accepted looks of all rounds, before anything is
        merged."""
        rounds: list[Looks] = []
        scale = self.crop_scale
        for _ in range(self.rounds):
            looks = self.look(image_bgr, boxes, scale)
            looks = looks.take(looks.scores > self.keep)
            squares = [aflw.face_square(points, visible)
                       for points, visible in zip(looks.points, looks.visible)]
            fitted = np.array([square is not None for square in squares], bool)
            found = [square for square in squares if square is not None]
            boxes = np.array(found, np.float32).reshape(-1, 4)
            scale = SQUARE_SCALE
            rounds.append(replace(looks.take(fitted), boxes=boxes, scale=scale))
        looks = joined(rounds)
        return looks.take(looks.scores > self.accept)

    def look(self, image_bgr: np.ndarray, boxes: np.ndarray, scale: float | None = None) -> Looks:
        """One look at each box (N, 4), as the network gives it; the crop is `scale` (default
        `crop_scale`) times as wide."""
        scale = scale or self.crop_scale
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        transforms = alignment.square_transforms(boxes, scale, self.size_px)
        looks = self._looks(boxes, self._run(image_bgr, transforms), transforms)
        return replace(looks, scale=scale)

    def second(self, image_bgr: np.ndarray, looks: Looks, upright: bool = True,
               mirror: bool = True) -> dict[str, np.ndarray]:
        """Stage two: the heads of upright crops, averaged with those of their mirror images;
        landmarks in source pixels.

        A face too hidden to be turned upright is looked at as it is. Either half can be left out,
        for comparison.
        """
        transforms = self._transforms(looks, upright)
        heads = self._run(image_bgr, transforms)
        if mirror:
            other = mirrored_back(self._run(image_bgr, transforms, mirror=True))
            heads = {name: (heads[name] + other[name]) / 2 for name in self.outputs}
        heads['landmarks'] = to_source(heads['landmarks'] * self.size_px, transforms)
        if 'pose' in heads:  # turned upright, the crop's roll is that much less than the picture's
            heads['pose'][:, 2] -= np.arctan2(transforms[:, 1, 0], transforms[:, 0, 0])
        return heads

    def _transforms(self, looks: Looks, upright: bool) -> np.ndarray:
        straight = alignment.square_transforms(looks.boxes, looks.scale, self.size_px)
        if not upright:
            return straight
        turned = [aflw.aligned_transform(points, visible, self.size_px, SQUARE_SCALE)
                  for points, visible in zip(looks.points, looks.visible)]
        rows = [straight[i] if own is None else own for i, own in enumerate(turned)]
        return np.array(rows).reshape(-1, 2, 3)

    def _looks(self, boxes: np.ndarray, heads: dict[str, np.ndarray],
               transforms: np.ndarray) -> Looks:
        points = to_source(heads['landmarks'] * self.size_px, transforms)
        heads['landmarks'] = points
        points = aflw.from_68(points) if points.shape[1] == len(alignment.FLIP_68) else points
        known = np.isfinite(points).all(-1)
        visible = heads['visibility'] > .5 if 'visibility' in heads else known
        return Looks(boxes, heads['face'], points, visible, heads)

    def _run(self, image_bgr: np.ndarray, transforms: np.ndarray,
             mirror: bool = False) -> dict[str, np.ndarray]:
        crops = np.empty((len(transforms), self.size_px, self.size_px, 3), np.uint8)
        for out, transform in zip(crops, transforms):
            alignment.crop(image_bgr, transform, out)
        crops = np.ascontiguousarray(crops[:, :, ::-1]) if mirror else crops
        # An empty batch is never given to a runtime: one grey crop tells the shapes, and its row
        # is dropped.
        batches = [crops[i:i + self.batch_max]
                   for i in range(0, len(crops), self.batch_max)] or [self._blank()]
        parts = [self.network(batch) for batch in batches]
        return {name: np.concatenate([np.asarray(part[i]) for part in parts])[:len(crops)]
                for i, name in enumerate(self.outputs)}

    def _blank(self) -> np.ndarray:
        return np.full((1, self.size_px, self.size_px, 3), 128, np.uint8)


def to_source(points: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Crop points (N, P, 2) as source points, each row through its own transform."""
    rows = [alignment.to_source(some, transform) for some, transform in zip(points, transforms)]
    return np.array(rows, np.float64).reshape(points.shape)


def mirrored_back(heads: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Heads of mirrored crops as if they had not been mirrored; landmarks and visibility of 21
    points swap sides too."""
    if heads['landmarks'].shape[1] != aflw.POINTS:
        return unmirrored(heads)
    points = heads['landmarks'][:, aflw.FLIP_21] * [-1, 1] + [1, 0]
    others = {name: values for name, values in heads.items() if name != 'landmarks'}
    back = {**unmirrored(others), 'landmarks': points}
    if 'visibility' in back:
        back['visibility'] = back['visibility'][:, aflw.FLIP_21]
    return back


def precise_boxes(looks: Looks) -> np.ndarray:
    """Tight boxes (N, 4) around each look's visible points."""
    points = np.where(looks.visible[..., None], looks.points, np.nan)
    if not len(points):
        return np.zeros((0, 4))
    return np.concatenate([np.nanmin(points, 1), np.nanmax(points, 1)], 1)


def clusters(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> list[np.ndarray]:
    """Row numbers of each face: the best box left and whatever overlaps it by more than `overlap`,
    best score first."""
    order = np.argsort(-scores, kind='stable')
    found: list[np.ndarray] = []
    while order.size:
        together = iou(boxes[order[:1]], boxes[order])[0] > overlap
        together[0] = True
        found.append(order[together])
        order = order[~together]
    return found


def merged(looks: Looks, overlap: float = .2, top: int = 5) -> Looks:
    """Landmarks-based suppression: one look a cluster, the medians of its `top` best; the score is
    the best one's."""
    groups = clusters(precise_boxes(looks), looks.scores, overlap)
    best = looks.take(np.array([rows[0] for rows in groups], np.intp))
    for face, rows in enumerate(groups):
        rows = rows[:top]
        best.points[face] = np.median(looks.points[rows], 0)
        best.visible[face] = np.median(looks.visible[rows], 0) > .5
        for name in set(MEDIANS) & set(best.heads):
            best.heads[name][face] = np.median(looks.heads[name][rows], 0)
        square = aflw.face_square(best.points[face], best.visible[face])
        best.boxes[face] = np.median(looks.boxes[rows], 0) if square is None else square
    return best
