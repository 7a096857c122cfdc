# SPDX-License-Identifier: Apache-2.0
"""The loss of each head over those faces that carry its label, divided by their count; NaN marks a
missing label.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from face_attributes_ros.networks.heads import (
    expected_age,
    predicted_landmarks,
    predicted_rotation,
    rotation_from_euler,
)

AGE_SIGMA_YEARS = 2.0


def masked_mean(values: Tensor, labelled: Tensor) -> Tensor:
    """The mean of values (B,) over the labelled rows; zero, with a gradient of zero, where there
    is none."""
    kept = torch.where(labelled, values, torch.zeros_like(values))
    return kept.sum() / labelled.sum().clamp(min=1)


def age_targets(low: Tensor, high: Tensor, bins: int,
                sigma: float = AGE_SIGMA_YEARS) -> Tensor:
    """(B, bins) soft labels: a Gaussian of `sigma` years around an exact age."""
    years = torch.arange(bins, dtype=torch.float32, device=low.device)
    centre = ((low + high) / 2).clamp(max=bins - 1)[:, None]
    return torch.softmax(-((years - centre) ** 2) / (2 * sigma**2), 1)


def age_loss(logits: Tensor, low: Tensor, high: Tensor, error_weight: float = 0.1) -> Tensor:
    """Exact ages: cross-entropy to a Gaussian; ranges: -log of the mass inside; plus
    `error_weight` times the years by which the expectation misses the age or leaves the range."""
    labelled = ~torch.isnan(low)
    low, high = torch.nan_to_num(low), torch.nan_to_num(high)
    log_probs = F.log_softmax(logits, 1)
    years = torch.arange(logits.shape[1], dtype=torch.float32, device=logits.device)
    inside = (years >= low[:, None]) & (years <= high[:, None])
    in_range = -torch.logsumexp(log_probs.masked_fill(~inside, -30.0), 1)
    exact = -(age_targets(low, high, logits.shape[1]) * log_probs).sum(1)
    expected = expected_age(log_probs.exp())
    last = logits.shape[1] - 1
    missed = (expected - torch.minimum(torch.maximum(expected, low.clamp(max=last)),
                                       high.clamp(max=last))).abs()
    return masked_mean(torch.where(low == high, exact, in_range) + error_weight * missed, labelled)


def binary_loss(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of one logit (B, 1) with a probability (B,)."""
    labelled = ~torch.isnan(target)
    soft = torch.nan_to_num(target) * (1 - smoothing) + smoothing / 2
    return masked_mean(F.binary_cross_entropy_with_logits(logits[:, 0], soft, reduction='none'),
                       labelled)


def expression_loss(logits: Tensor, target: Tensor, class_weights: Tensor) -> Tensor:
    """Cross-entropy with shares (B, 7), each face weighted by the mean weight of its classes."""
    labelled = ~torch.isnan(target[:, 0])
    target = torch.nan_to_num(target)
    weights = target @ class_weights
    return masked_mean(-(target * F.log_softmax(logits, 1)).sum(1) * weights, labelled)


def pose_loss(raw: Tensor, angles: Tensor) -> Tensor:
    """The angle (radians) between predicted and true rotation, smoothed at zero."""
    labelled = ~torch.isnan(angles[:, 0])
    difference = predicted_rotation(raw) - rotation_from_euler(torch.nan_to_num(angles))
    chord = (difference.square().sum((1, 2)) + 1e-8).sqrt() / 8**0.5
    return masked_mean(2 * torch.asin(chord.clamp(max=0.999)), labelled)


def landmark_loss(raw: Tensor, points: Tensor) -> Tensor:
    """Mean absolute error in fractions of the crop's side."""
    labelled = ~torch.isnan(points[:, 0, 0])
    return masked_mean((predicted_landmarks(raw) - torch.nan_to_num(points)).abs().mean((1, 2)),
                       labelled)


def class_weights(expression_shares: np.ndarray, power: float = 0.25) -> Tensor:
    """(7,) weights, the frequency of a class to minus `power`, such that the mean over all faces
    is 1."""
    counts = torch.as_tensor(expression_shares)
    counts = counts[~torch.isnan(counts[:, 0])].sum(0)
    weights = counts.clamp(min=1).pow(-power)
    return weights * counts.sum() / (weights * counts).sum()


TEMPERATURE = 2.0
"""Of distillation: logits are divided by it, gaps multiplied by its square (Hinton et al.,
2015)."""


def distribution_gap(raw: Tensor, taught: Tensor) -> Tensor:
    """KL divergence of a student's distribution (B, K logits) from its teacher's."""
    student = F.log_softmax(raw / TEMPERATURE, 1)
    return F.kl_div(student, F.softmax(taught / TEMPERATURE, 1),
                    reduction='batchmean') * TEMPERATURE**2


def yes_no_gap(raw: Tensor, taught: Tensor) -> Tensor:
    """The same of a yes-or-no logit: binary cross-entropy above its least value."""
    goal = torch.sigmoid(taught / TEMPERATURE)
    least = F.binary_cross_entropy(goal, goal)
    gap = F.binary_cross_entropy_with_logits(raw / TEMPERATURE, goal) - least
    return gap * TEMPERATURE**2


def distance_gap(raw: Tensor, taught: Tensor) -> Tensor:
    """Mean absolute difference of raw outputs."""
    return F.l1_loss(raw, taught)
