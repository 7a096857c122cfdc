# SPDX-License-Identifier: Apache-2.0
"""The detector's loss: which cells answer for which face, and how wrong they are.

- Assignment: Feng et al., "TOOD: Task-aligned One-stage Object Detection" (2021). How good a cell
  is for a face is score**ALPHA * overlap**BETA; the best TOP inside the face answer for it.
- Scores: binary cross entropy against that alignment, scaled so that a face's best cell is to say
  the largest overlap that the face has found.
- Boxes: Zheng et al., "Distance-IoU Loss" (2020), complete IoU; and the distribution focal loss of
  Li et al., "Generalized Focal Loss" (2020) for each edge.

Constants are those with which the shipped weights were trained. One class: faces.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.contract import Grid, distances, edges
from face_attributes_ros.networks.yolov3 import YOLOv3
from face_attributes_ros.networks.yolov3_layers import Predictions

ALPHA, BETA, TOP = .5, 6., 10
GAINS = {'box': 7.5, 'cls': .5, 'dfl': 1.5}
OUR_LOSS = 'face_attributes_ros'
"""Stands in the metadata of what was trained with this loss alone."""
_TINY = 1e-7


class Targets(NamedTuple):
    """The faces of a batch: whose picture each is on (G,) int64, and boxes (G, 4) x0 y0 x1 y1 in
    pixels."""

    owners: Tensor
    boxes_xyxy: Tensor

    def to(self, device: torch.device) -> Targets:
        """These on another device."""
        return Targets(self.owners.to(device), self.boxes_xyxy.to(device))


class Assigned(NamedTuple):
    """Pairs of a face and a cell that answers for it, and the score (K,) that it should give."""

    faces: Tensor
    cells: Tensor
    scores: Tensor


class DetectionLoss:
    """`loss(predictions, size, targets)` gives the parts box, cls and dfl of a batch of pictures
    of `size` (height, width), each a scalar, by the sum of what the cells should say."""

    def __init__(self, network: YOLOv3):
        self.network, self.reg_max = network, network.head.reg_max
        self.least_px = float(sorted(network.strides)[min(1, len(network.strides) - 1)])
        if self.reg_max < 2 or network.head.classes != 1:
            raise ModelError('training needs a model table with nc 1 and reg_max of 2 or more')

    def __call__(self, predictions: Predictions, size: tuple[int, int],
                 targets: Targets) -> dict[str, Tensor]:
        logits = predictions.scores[:, 0]                                          # (B, N)
        grid = self.network.grid(*size, logits.device)
        boxes = edges(distances(predictions.boxes, self.reg_max), *grid)           # (B, N, 4)
        assigned = assign(logits.detach().sigmoid(), boxes.detach(), grid[0], targets,
                          self.least_px)
        owners, cells = targets.owners[assigned.faces], assigned.cells
        wanted = torch.zeros_like(logits)
        wanted[owners, cells] = assigned.scores
        total, weights = wanted.sum().clamp(min=1), assigned.scores
        faces = targets.boxes_xyxy[assigned.faces]
        overlap = complete_iou(boxes[owners, cells], faces)
        spread = predictions.boxes.unflatten(1, (4, self.reg_max))[owners, :, :, cells]
        parts = {
            'box': ((1 - overlap) * weights).sum(),
            'cls': functional.binary_cross_entropy_with_logits(logits, wanted, reduction='sum'),
            'dfl': (distribution_loss(spread, _strides_away(faces, grid, cells)) * weights).sum()}
        return {name: part * GAINS[name] / total for name, part in parts.items()}


def _strides_away(faces: Tensor, grid: Grid, cells: Tensor) -> Tensor:
    # How many strides the four edges of boxes (K, 4) are away from the centres of cells (K,).
    centres, strides = grid[0][cells], grid[1][cells]
    return torch.cat([centres - faces[:, :2], faces[:, 2:] - centres], 1) / strides


def distribution_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """(K,) cross entropy of distributions (K, 4, cells) against numbers (K, 4), each shared
    between the two whole numbers beside it; the mean over the four edges."""
    wanted = wanted.clamp(0, logits.shape[2] - 1.01)
    below = wanted.floor()
    share = wanted - below
    chances = logits.log_softmax(2)
    left = chances.gather(2, below.long()[..., None])[..., 0]
    right = chances.gather(2, below.long()[..., None] + 1)[..., 0]
    return -(left * (1 - share) + right * share).mean(1)


@torch.no_grad()
def assign(scores: Tensor, boxes_xyxy: Tensor, centres: Tensor, targets: Targets,
           least_px: float) -> Assigned:
    """Which cells answer for which faces, from scores (B, N) and boxes (B, N, 4) as predicted.

    Candidates are the cells whose centres lie in the face, its sides taken as `least_px` at
    least. A cell that several faces want goes to the one that it overlaps most.
    """
    count = scores.shape[1]
    inside = _inside(centres, targets.boxes_xyxy, least_px)                        # (G, N)
    faces, cells = inside.nonzero(as_tuple=True)
    owners = targets.owners[faces]
    overlap = complete_iou(targets.boxes_xyxy[faces], boxes_xyxy[owners, cells]).clamp(min=0)
    fit = scores[owners, cells] ** ALPHA * overlap ** BETA
    keys = owners * count + cells      # a cell of a picture
    chosen = _best(fit, faces, cells, inside)
    chosen = _without_rivals(chosen, overlap, faces, keys, scores.numel())
    faces, cells, fit, overlap = (each[chosen] for each in (faces, cells, fit, overlap))
    best_fit, best_overlap = (_largest(each, faces, len(inside)) for each in (fit, overlap))
    return Assigned(faces, cells, fit * best_overlap[faces] / (best_fit[faces] + 1e-9))


def _inside(centres: Tensor, boxes_xyxy: Tensor, least_px: float) -> Tensor:
    # (G, N): does the centre lie in the box, once the box has sides of `least_px` at least?
    middle = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    half = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).clamp(min=least_px) / 2
    away = (centres - middle[:, None]).abs()                                       # (G, N, 2)
    return (away < half[:, None]).all(2)


def _best(fit: Tensor, faces: Tensor, cells: Tensor, inside: Tensor) -> Tensor:
    # Which of the pairs are among the TOP of their face.
    dense = torch.zeros(inside.shape, device=fit.device)
    dense[faces, cells] = fit
    top = dense.topk(min(TOP, dense.shape[1]), 1).indices
    return torch.zeros_like(inside).scatter_(1, top, True)[faces, cells]


def _without_rivals(chosen: Tensor, overlap: Tensor, faces: Tensor, keys: Tensor,
                    count: int) -> Tensor:
    # `chosen` where each cell that several faces chose goes to the one that it overlaps most, the
    # first of equals, be it one of them or not.
    wanted = torch.zeros(count, device=keys.device).index_add_(0, keys, chosen.float())
    most = _largest(overlap, keys, count)
    equal = overlap == most[keys]
    first = torch.full((count,), len(faces), device=keys.device).scatter_reduce_(
        0, keys[equal], faces[equal], 'amin')
    return torch.where(wanted[keys] > 1, faces == first[keys], chosen)


def _largest(values: Tensor, keys: Tensor, count: int) -> Tensor:
    # The largest of the values (K,) of each of `count` keys, which are not negative; 0 for none.
    return values.new_zeros(count).scatter_reduce_(0, keys, values, 'amax')


def complete_iou(ours: Tensor, theirs: Tensor) -> Tensor:
    """(K,) complete IoU of boxes (K, 4): IoU, less the centres' distance over the diagonal of both
    together (squares), less a term for the aspect, whose weight has no gradient."""
    low = torch.maximum(ours[:, :2], theirs[:, :2])
    high = torch.minimum(ours[:, 2:], theirs[:, 2:])
    common = (high - low).clamp(min=0).prod(1)
    our_sides, their_sides = ours[:, 2:] - ours[:, :2], theirs[:, 2:] - theirs[:, :2]
    iou = common / (our_sides.prod(1) + their_sides.prod(1) - common + _TINY)
    around = (torch.maximum(ours[:, 2:], theirs[:, 2:])
              - torch.minimum(ours[:, :2], theirs[:, :2])).square().sum(1)
    apart = (ours[:, :2] + ours[:, 2:] - theirs[:, :2] - theirs[:, 2:]).square().sum(1) / 4
    aspect = 4 / math.pi ** 2 * (_angle(their_sides) - _angle(our_sides)).square()
    with torch.no_grad():
        weight = aspect / (1 - iou + aspect + _TINY)
    return iou - apart / (around + _TINY) - weight * aspect


def _angle(sides: Tensor) -> Tensor:
    return torch.atan(sides[:, 0] / (sides[:, 1] + _TINY))
