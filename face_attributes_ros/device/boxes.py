# SPDX-License-Identifier: Apache-2.0
"""Suppression on the device with fixed shapes and without a synchronisation: `boxes.nms` for the
best `candidates` boxes.

Greedy suppression keeps a box unless a kept better one overlaps it. That sentence, applied to all
boxes at once and again to what it gave, settles the k-th box of a chain of overlaps in k rounds,
and once nothing changes it is the greedy answer. Faces settle in two or three rounds; whether
ROUNDS sufficed is part of what comes out, and so is how many candidates there were.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CANDIDATES, ROUNDS = 256, 8


class Kept(NamedTuple):
    """Rows (B, K, 5) by score, `keep` (B, K) of them; `exact` (B,) is false where K or ROUNDS was
    too few to be sure."""

    rows: Tensor
    keep: Tensor
    exact: Tensor


def overlaps(boxes_xyxy: Tensor) -> Tensor:
    """Intersection over union (B, K, K), in the order of operations of `boxes.iou`."""
    x0, y0, x1, y1 = boxes_xyxy.unbind(2)
    width = torch.minimum(x1[:, :, None], x1[:, None]) - torch.maximum(x0[:, :, None], x0[:, None])
    height = (torch.minimum(y1[:, :, None], y1[:, None])
              - torch.maximum(y0[:, :, None], y0[:, None]))
    intersection = width.clamp(min=0) * height.clamp(min=0)
    area = (x1 - x0).clamp(min=0) * (y1 - y0).clamp(min=0)
    union = area[:, :, None] + area[:, None] - intersection
    return intersection / union.clamp(min=torch.finfo(torch.float32).tiny)


def suppress(rows: Tensor, confidence: Tensor, iou: Tensor, candidates: int = CANDIDATES,
             rounds: int = ROUNDS) -> Kept:
    """What greedy suppression keeps of detector rows (B, N, 5) float32; thresholds are tensors, so
    that a graph can follow them.

    Equal scores keep the order of the rows.
    """
    sure = rows[..., 4] >= confidence
    scores = rows[..., 4].masked_fill(~sure, -1)
    enough = min(candidates, rows.shape[1])
    scores, order = (part[:, :enough] for part in scores.sort(dim=1, descending=True, stable=True))
    best = rows.gather(1, order.unsqueeze(2).expand(-1, -1, 5))
    valid = scores >= 0
    pairs = (overlaps(best[..., :4]) > iou).triu(1) & valid.unsqueeze(2)
    pairs, valid = pairs.float(), valid.float()         # as numbers, a round is one matrix product
    alive = before = valid
    for _ in range(rounds):
        before, alive = alive, valid * (torch.bmm(alive.unsqueeze(1), pairs).squeeze(1) == 0)
    whole = sure.sum(1) <= enough
    return Kept(best, alive > 0, whole & (alive == before).all(1))


def to_source(rows: Tensor, offset: Tensor, gain: Tensor, limits: Tensor) -> Tensor:
    """Rows with boxes in canvas pixels as rows with boxes in source pixels, cut off at the image:
    `Letterbox.to_source`, `clip`.

    `offset`, `gain` and `limits` are (4,): x, y, x, y.
    """
    boxes = torch.minimum(((rows[..., :4] - offset) * gain).clamp(min=0), limits)
    # A crop at "not a number" would end the CUDA context.
    return torch.cat([boxes.nan_to_num(0), rows[..., 4:]], 2)


def front(rows: Tensor, keep: Tensor, min_face_px: Tensor,
          max_faces: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (B, K, 5) with the faces in front, best score first, and their numbers (B,): at most
    `max_faces`, no flat boxes."""
    sides = rows[..., 2:4] - rows[..., :2]
    keep = keep & (sides.amin(2) > 0) & (sides.amax(2) >= min_face_px)
    order = (~keep).byte().sort(dim=1, stable=True).indices
    in_front = rows.gather(1, order.unsqueeze(2).expand(-1, -1, 5))
    return in_front, torch.minimum(keep.sum(1), max_faces)
