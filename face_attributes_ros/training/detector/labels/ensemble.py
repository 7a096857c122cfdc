# SPDX-License-Identifier: Apache-2.0
"""Faces that several detectors agree on: the labels of pictures that no human has labelled.

Three voters, in this order everywhere: YuNet, SCRFD, RetinaFace. Their scores mean different
things, so each level of trust has a score a voter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from face_attributes_ros.boxes import area, iou

SAME_FACE_IOU = 0.45
SEEN = np.array([0.45, 0.38, 0.40], np.float32)  # all three so sure: a face
STRONG = np.array([0.65, 0.48, 0.85], np.float32)  # two so sure: a face
DECISIVE = np.array([0.85, 0.68, np.inf], np.float32)  # or one so sure and any second that sees it
DOUBTFUL = np.array(
    [0.30, 0.30, 0.60], np.float32
)  # from here on not to be called background either
PART_OF_A_FACE = 0.5  # of a region's area, in a face: not to be ignored but a part of it
SMALLEST_PX = 10.0  # smaller ones are regions to ignore, as are those
SMALLEST_SHARE = 0.02  # under this share of the longer side


class Votes(NamedTuple):
    """Candidates: mean boxes (N, 4) float32 xyxy px, and each voter's best score (N, 3), 0 for
    none.
    """

    boxes: np.ndarray
    scores: np.ndarray


def gather(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> Votes:
    """`Votes` from each voter's (boxes (N, 4), scores (N,)): what overlaps is one candidate.

    A candidate starts at the surest detection left, a score counting by its share of the voter's
    `STRONG`; of each voter it takes the best that overlaps it. The box is the mean of the voters',
    weighted by those shares.
    """
    boxes = np.concatenate([part[0] for part in found]).astype(np.float32).reshape(-1, 4)
    scores = np.concatenate([part[1] for part in found]).astype(np.float32)
    voter = np.repeat(np.arange(len(found)), [len(part[1]) for part in found])
    weights, free = scores / STRONG[voter], np.ones(len(scores), bool)
    overlaps, candidates = iou(boxes, boxes), []
    for index in np.argsort(-weights, kind='stable'):
        if free[index]:
            members = free & (overlaps[index] > SAME_FACE_IOU)
            free &= ~members
            candidates.append(_candidate(boxes, scores, weights, voter, members))
    if not candidates:
        return Votes(np.zeros((0, 4), np.float32), np.zeros((0, len(found)), np.float32))
    return Votes(*(np.stack(part) for part in zip(*candidates, strict=True)))


def _candidate(boxes: np.ndarray, scores: np.ndarray, weights: np.ndarray, voter: np.ndarray,
               members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    best = np.zeros(len(STRONG), np.float32)
    chosen = []
    for one in np.unique(voter[members]):
        at = np.flatnonzero(members & (voter == one))
        chosen.append(at[scores[at].argmax()])
        best[one] = scores[chosen[-1]]
    return np.average(boxes[chosen], axis=0, weights=weights[chosen]).astype(np.float32), best


def are_faces(scores: np.ndarray, witnessed: np.ndarray | bool = False) -> np.ndarray:
    """Which candidates (N,) the voters are sure of; one that a human mark witnesses needs one
    voter only.
    """
    seen = scores >= SEEN
    sure = seen.all(1) | ((scores >= STRONG).sum(1) >= 2)
    sure |= (scores >= DECISIVE).any(1) & (seen.sum(1) >= 2)
    return sure | (witnessed & seen.any(1))


def labels_of(votes: Votes, longer_side_px: float,
              marks: np.ndarray | Sequence = ()) -> tuple[np.ndarray, np.ndarray]:
    """(faces (N, 4), ignore (M, 4)) px of a picture from its `Votes`.

    `marks` (K, 2) are points that a human set on faces, if there are such. A candidate that is
    neither a face nor nothing is a region to ignore, as is a face too small to learn from; one
    that is a part of a face, a chin or a hand on it, is neither.
    """
    points = np.asarray(marks, np.float32).reshape(-1, 2)
    witnessed: np.ndarray = np.asarray(_contains(votes.boxes, points).any(1))
    sure = are_faces(votes.scores, witnessed)
    side = np.sqrt((votes.boxes[:, 2:] - votes.boxes[:, :2]).clip(0).prod(1))
    large = (side >= SMALLEST_PX) & (side >= SMALLEST_SHARE * longer_side_px)
    doubtful = (votes.scores >= DOUBTFUL).any(1)
    faces, ignore = votes.boxes[sure & large], votes.boxes[(sure & ~large) | (~sure & doubtful)]
    return faces, ignore[share_inside(ignore, faces) < PART_OF_A_FACE]


def share_inside(boxes: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(N,) the largest share of each box (N, 4) that lies in one of the faces (M, 4); 0 without
    any.
    """
    low = np.maximum(boxes[:, None, :2], faces[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], faces[None, :, 2:])
    covered: np.ndarray = (high - low).clip(0).prod(2) / np.maximum(area(boxes), 1e-9)[:, None]
    return covered.max(1, initial=0)


def unexplained(boxes: np.ndarray, marks: np.ndarray | Sequence) -> np.ndarray:
    """Which of the human `marks` (K, 2) lie in none of the boxes (N, 4)."""
    points = np.asarray(marks, np.float32).reshape(-1, 2)
    return np.asarray(~_contains(boxes, points).any(0))


def _contains(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    over, under = points[None] >= boxes[:, None, :2], points[None] <= boxes[:, None, 2:]
    inside: np.ndarray = over & under
    return np.asarray(inside.all(2))
