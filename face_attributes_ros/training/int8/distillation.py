# SPDX-License-Identifier: Apache-2.0
"""How far a detector is from the float one that it was: losses on what its last convolutions give.

Maps of a level come in pairs of one size: score logits (B, 1, H, W) and the logits of four
distributions of distances (B, 4 R, H, W). What counts are the cells where either of both networks
sees something.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from face_attributes_ros.errors import ModelError

LEAST_SCORE = .003
"""What scores less in both networks is no detection to anybody."""
LOSSES = ('score', 'box', 'edge')


class Cells(NamedTuple):
    """All cells of all levels: score logits (N,), distance logits (N, 4, R)."""

    scores: Tensor
    boxes: Tensor


def cells(maps: Sequence[Tensor]) -> Cells:
    """The cells of the maps, which may come in any order. Raises `ModelError` where they are not
    pairs."""
    scores = sorted((one for one in maps if one.shape[1] == 1), key=lambda one: one.shape[2:])
    boxes = sorted((one for one in maps if one.shape[1] > 1), key=lambda one: one.shape[2:])
    if [one.shape[2:] for one in scores] != [one.shape[2:] for one in boxes]:
        raise ModelError('this network does not give a map of scores and one of boxes a level')
    flat = [one.flatten(2).transpose(1, 2).reshape(-1, 4, one.shape[1] // 4) for one in boxes]
    return Cells(torch.cat([one.flatten() for one in scores]), torch.cat(flat))


def distillation(student: Cells, teacher: Cells) -> dict[str, Tensor]:
    """{loss: scalar}: squared differences of score logits, weighted by the root of the larger
    score; divergence of the distance distributions, and distances in cells, by the teacher's."""
    sure = teacher.scores.sigmoid()
    seen = torch.maximum(sure, student.scores.detach().sigmoid())
    weights = seen.sqrt() * (seen > LEAST_SCORE)
    apart = functional.smooth_l1_loss(student.scores, teacher.scores, reduction='none')
    divergence = functional.kl_div(student.boxes.log_softmax(2), teacher.boxes.log_softmax(2),
                                   reduction='none', log_target=True).sum((1, 2))
    edges = (distances(student.boxes) - distances(teacher.boxes)).abs().sum(1)
    sure = sure * (sure > LEAST_SCORE)
    return {'score': _mean(apart, weights), 'box': _mean(divergence, sure),
            'edge': _mean(edges, sure)}


def distances(boxes: Tensor) -> Tensor:
    """(N, 4) distances in cells: the means of the distributions (N, 4, R)."""
    return boxes.softmax(2) @ torch.arange(boxes.shape[2], dtype=boxes.dtype)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1e-3)
