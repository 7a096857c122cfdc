# SPDX-License-Identifier: Apache-2.0
"""The paper's losses (section 6.2) and HyperFace's (arXiv 1603.01249), as they are written there.

NaN marks a label that a face does not have; each loss is a mean over the faces that have one. The
two equations that the paper both numbers (3.1) are L_G (gender) and L_S (smile) here; (6) is L_A
(age).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from face_attributes_ros.paper.aflw import POINTS
from face_attributes_ros.training.attributes.losses import masked_mean

WEIGHTS = {
    'face': 1., 'landmarks': 5., 'visibility': .5, 'pose': 5., 'gender': 2., 'smile': 1.,
    'age': .005
}
"""HyperFace's five weights; it has no smile and no age. Age's is small because L_A is in squared
years."""

SIGMA_YEARS = 3.
"""The paper's sigma where a label has none."""

POSITIVE_IOU, NEGATIVE_IOU = .5, .35


def region_labels(iou: Tensor) -> Tensor:
    """What a proposal teaches, by its overlap (N,) with a face: 1 from 0.5, 0 below 0.35, nothing
    (NaN) between."""
    labels = torch.full_like(iou, torch.nan)
    labels[iou >= POSITIVE_IOU], labels[iou < NEGATIVE_IOU] = 1., 0.
    return labels


def two_class_loss(logits: Tensor, target: Tensor) -> Tensor:
    """L_G, L_S and the face loss: -(1 - t) log(1 - p) - t log p, p the softmax of (B, 2) logits, t
    (B,) in 0..1."""
    labelled, target = ~torch.isnan(target), torch.nan_to_num(target)
    log_probs = F.log_softmax(logits, 1)
    return masked_mean(-(1 - target) * log_probs[:, 0] - target * log_probs[:, 1], labelled)


def age_weight(step: int, switch: int = 20_000, ramp: bool = False, most: float = .9) -> float:
    """Lambda of equation (6): 0, then 1 from step `switch` on (the paper); or a line from 0 to
    `most` over those steps."""
    if ramp:
        return most * min(1., step / switch)
    return float(step >= switch)


def age_targets(low: Tensor, high: Tensor, least: float = 0.) -> tuple[Tensor, Tensor]:
    """(years, sigma) of age labels (B,): a range's middle and half its width; 3 years where it is
    a single age.

    `least` is a lower bound of sigma: 3 keeps the ramp's Gaussian wide.
    """
    half = (high - low) / 2
    sigma = torch.where(half > 0, half, torch.full_like(half, SIGMA_YEARS))
    return (low + high) / 2, sigma.clamp(min=least)


def age_loss(years: Tensor, low: Tensor, high: Tensor, lam: float,
             least_sigma: float = 0.) -> Tensor:
    """L_A, equation (6): (1 - lam) e^2 / 2 + lam (1 - exp(-e^2 / 2 sigma^2)), e = predicted (B,)
    minus true years.

    Its gradient is (1 - lam) e + lam e / sigma^2 exp(-e^2 / 2 sigma^2): after the switch to lam =
    1 a face that is ten years off teaches 0.004 per year where it taught 10 before. That is the
    paper's choice; the ramp keeps a tenth of L2.
    """
    true, sigma = age_targets(torch.nan_to_num(low), torch.nan_to_num(high), least_sigma)
    square = (years - true).square()
    values = (1 - lam) * square / 2 + lam * -torch.expm1(-square / (2 * sigma.square()))
    return masked_mean(values, ~torch.isnan(low))


def landmark_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """1 / 2N sum of v ((x' - x)^2 + (y' - y)^2), N = 21, over points (B, 21, 2); v is 0 where a
    point is NaN."""
    seen = ~torch.isnan(true).any(2)
    squares = (predicted - torch.nan_to_num(true)).square().sum(2) * seen
    return masked_mean(squares.sum(1) / (2 * POINTS), seen.any(1))


def visibility_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """1 / N sum of (v' - v)^2 over (B, 21); points without a label count nothing."""
    known = ~torch.isnan(true)
    squares = (predicted - torch.nan_to_num(true)).square() * known
    return masked_mean(squares.sum(1) / POINTS, known.any(1))


def pose_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """1 / 3 of the squared differences of yaw, pitch and roll (B, 3), radians."""
    known = ~torch.isnan(true).any(1)
    return masked_mean((predicted - torch.nan_to_num(true)).square().sum(1) / 3, known)


def all_in_one_losses(raw: Mapping[str, Tensor], labels: Mapping[str, Tensor], lam: float,
                      least_sigma: float = 0.) -> dict[str, Tensor]:
    """{head: scalar} of the all-in-one network's raw outputs.

    `labels`: `face` `p_female` `smile` (B,), `age_low` `age_high` (B,), `pose` (B, 3), `points`
    (B, 21, 2) sides from the crop's centre, `visibility` (B, 21).
    """
    return {
        'face': two_class_loss(raw['face'], labels['face']),
        'gender': two_class_loss(raw['gender'], labels['p_female']),
        'smile': two_class_loss(raw['smile'], labels['smile']),
        'age': age_loss(raw['age'][:, 0], labels['age_low'], labels['age_high'], lam, least_sigma),
        'landmarks': landmark_loss(raw['landmarks'].reshape(-1, POINTS, 2), labels['points']),
        'visibility': visibility_loss(raw['visibility'], labels['visibility']),
        'pose': pose_loss(raw['pose'], labels['pose']),
    }
