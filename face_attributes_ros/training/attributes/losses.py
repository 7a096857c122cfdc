# SPDX-License-Identifier: Apache-2.0
"""The loss of each head over those faces that carry its label, divided by their count; NaN marks a
missing label.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from face_attributes_ros.networks.heads import (
    expected_age,
    predicted_landmarks,
    predicted_rotation,
    rotation_from_euler,
)

WEIGHTS = {
    'age': 1.0, 'gender': 1.0, 'expression': 1.0, 'smile': 0.5, 'pose': 2.0, 'landmarks': 10.0,
    'face': 0.3, 'quality': 0.2
}
AGE_SIGMA_YEARS = 2.0


def masked_mean(values, labelled):
    """The mean of values (B,) over the labelled rows; zero, with a gradient of zero, where there
    is none."""
    kept = torch.where(labelled, values, torch.zeros_like(values))
    return kept.sum() / labelled.sum().clamp(min=1)


def age_targets(low, high, bins, sigma=AGE_SIGMA_YEARS):
    """(B, bins) soft labels: a Gaussian of `sigma` years around an exact age."""
    years = torch.arange(bins, dtype=torch.float32, device=low.device)
    centre = ((low + high) / 2).clamp(max=bins - 1)[:, None]
    return torch.softmax(-((years - centre) ** 2) / (2 * sigma**2), 1)


def age_loss(logits, low, high, error_weight=0.1):
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


def binary_loss(logits, target, smoothing=0.0):
    """Cross-entropy of one logit (B, 1) with a probability (B,)."""
    labelled = ~torch.isnan(target)
    soft = torch.nan_to_num(target) * (1 - smoothing) + smoothing / 2
    return masked_mean(F.binary_cross_entropy_with_logits(logits[:, 0], soft, reduction='none'),
                       labelled)


def expression_loss(logits, target, class_weights):
    """Cross-entropy with shares (B, 7), each face weighted by the mean weight of its classes."""
    labelled = ~torch.isnan(target[:, 0])
    target = torch.nan_to_num(target)
    weights = target @ class_weights
    return masked_mean(-(target * F.log_softmax(logits, 1)).sum(1) * weights, labelled)


def pose_loss(raw, angles):
    """The angle (radians) between predicted and true rotation, smoothed at zero."""
    labelled = ~torch.isnan(angles[:, 0])
    difference = predicted_rotation(raw) - rotation_from_euler(torch.nan_to_num(angles))
    chord = (difference.square().sum((1, 2)) + 1e-8).sqrt() / 8**0.5
    return masked_mean(2 * torch.asin(chord.clamp(max=0.999)), labelled)


def landmark_loss(raw, points):
    """Mean absolute error in fractions of the crop's side."""
    labelled = ~torch.isnan(points[:, 0, 0])
    return masked_mean((predicted_landmarks(raw) - torch.nan_to_num(points)).abs().mean((1, 2)),
                       labelled)


def head_losses(raw, labels, class_weights):
    """{head: scalar loss} of a batch; `labels` as in `WIDTHS` of `attribute_tables`, with
    `quality`."""
    raw = {name: value.float() for name, value in raw.items()}
    return {
        'age': age_loss(raw['age'], labels['age_low'], labels['age_high']),
        'gender': binary_loss(raw['gender'], labels['p_female'], 0.05),
        'expression': expression_loss(raw['expression'], labels['expression'], class_weights),
        'smile': binary_loss(raw['smile'], labels['smile'], 0.05),
        'pose': pose_loss(raw['pose'], labels['pose']),
        'landmarks': landmark_loss(raw['landmarks'], labels['landmarks']),
        'face': binary_loss(raw['face'], labels['face']),
        'quality': binary_loss(raw['quality'], labels['quality']),
    }


def class_weights(expression_shares, power=0.25):
    """(7,) weights, the frequency of a class to minus `power`, such that the mean over all faces
    is 1."""
    counts = torch.as_tensor(expression_shares)
    counts = counts[~torch.isnan(counts[:, 0])].sum(0)
    weights = counts.clamp(min=1).pow(-power)
    return weights * counts.sum() / (weights * counts).sum()


def distillation_loss(raw, taught, temperature=2.0):
    """How far a student's raw outputs are from its teacher's, over every face, labelled or not.

    Distributions: KL divergence at a temperature, times its square (Hinton et al., 2015);
    yes-or-no heads the same as binary cross-entropy above its least value; pose and landmarks:
    mean absolute difference of the raw outputs.
    """
    total = 0.0
    for head in ('age', 'expression'):
        student = F.log_softmax(raw[head].float() / temperature, 1)
        total = total + F.kl_div(student, F.softmax(taught[head] / temperature, 1),
                                 reduction='batchmean') * temperature**2
    for head in ('gender', 'smile', 'face', 'quality'):
        goal = torch.sigmoid(taught[head] / temperature)
        least = F.binary_cross_entropy(goal, goal)
        gap = F.binary_cross_entropy_with_logits(raw[head].float() / temperature, goal) - least
        total = total + gap * temperature**2
    for head in ('pose', 'landmarks'):
        total = total + F.l1_loss(raw[head].float(), taught[head])
    return total
