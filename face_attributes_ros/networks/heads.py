# SPDX-License-Identifier: Apache-2.0
"""From the compact network's raw head outputs to probabilities, angles and points, and the
rotation maths between.

Rotations are R = Rz(roll) Ry(yaw) Rx(pitch) with x right, y down, z away from the camera; turning
the image by an angle therefore adds it to roll and leaves yaw and pitch. Yaw is positive when the
face turns to the image's right, pitch when it looks up, roll when it tilts clockwise: GENKI's own
signs.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LANDMARK_SPREAD = 0.25
"""A raw landmark output of 1 lies this fraction of the crop's side from its centre."""

SIX_D_REST = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Added to the raw pose output, so that zero means a frontal face."""


def rotation_from_6d(six: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) from two columns (B, 6) by Gram-Schmidt (Zhou et al., CVPR 2019,
    eq. 14)."""
    first = F.normalize(six[:, :3], dim=1)
    second = F.normalize(six[:, 3:] - (first * six[:, 3:]).sum(1, keepdim=True) * first, dim=1)
    return torch.stack([first, second, cross(first, second)], dim=2)


def cross(a: Tensor, b: Tensor) -> Tensor:
    """The cross product (B, 3), written out because ONNX has no operator for it."""
    (a0, a1, a2), (b0, b1, b2) = a.unbind(1), b.unbind(1)
    return torch.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], dim=1)


def rotation_from_euler(angles: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) from (B, 3) yaw, pitch, roll in radians."""
    (sy, sp, sr), (cy, cp, cr) = angles.sin().unbind(1), angles.cos().unbind(1)
    first = torch.stack([cr * cy, sr * cy, -sy], dim=1)
    second = torch.stack([cr * sy * sp - sr * cp, sr * sy * sp + cr * cp, cy * sp], dim=1)
    return torch.stack([first, second, cross(first, second)], dim=2)


def euler_from_rotation(rotation: Tensor) -> Tensor:
    """(B, 3) yaw, pitch, roll in radians; yaw within +-pi/2."""
    level = (rotation[:, 0, 0].square() + rotation[:, 1, 0].square()).sqrt()
    yaw = torch.atan2(-rotation[:, 2, 0], level)
    pitch = torch.atan2(rotation[:, 2, 1], rotation[:, 2, 2])
    roll = torch.atan2(rotation[:, 1, 0], rotation[:, 0, 0])
    return torch.stack([yaw, pitch, roll], dim=1)


def predicted_rotation(raw_pose: Tensor, rest: Tensor | Sequence[float] = SIX_D_REST) -> Tensor:
    """Rotation matrices (B, 3, 3) from the pose head's raw (B, 6); `rest` may be a tensor that is
    already in place."""
    return rotation_from_6d(raw_pose + _like(rest, raw_pose))


def _like(values: Tensor | Sequence[float], other: Tensor) -> Tensor:
    # A CUDA graph cannot copy constants from the host: who captures one passes tensors of its
    # device, which stay as they are.
    return torch.as_tensor(values, dtype=other.dtype, device=other.device)


def predicted_landmarks(raw: Tensor) -> Tensor:
    """(B, 68, 2) crop fractions from the landmark head's raw (B, 136)."""
    return raw.reshape(-1, raw.shape[1] // 2, 2) * LANDMARK_SPREAD + 0.5


def expected_age(age_probs: Tensor) -> Tensor:
    """(B,) years: the mean of the distribution over whole years."""
    years = torch.arange(age_probs.shape[1], device=age_probs.device, dtype=age_probs.dtype)
    return (age_probs * years).sum(1)


def probabilities(logits: Tensor) -> Tensor:
    """(B,) sigmoid of one logit a row (B, 1), or (B, N) softmax of several."""
    return logits.sigmoid().squeeze(1) if logits.shape[1] == 1 else logits.softmax(1)


def decode(raw: Mapping[str, Tensor], temperatures: Mapping[str, float] | None = None,
           offsets: Mapping[str, Tensor] | None = None,
           pose_rest: Tensor | Sequence[float] = SIX_D_REST) -> dict[str, Tensor]:
    """The outputs of the file format by name, from raw head outputs.

    Offsets are added to the logits of a head, then logits are divided by their temperature.
    `age` (B, 101) and `expression` (B, 7) probabilities, `gender` `smile` `face` `quality` (B,),
    `pose` (B, 3) radians, `landmarks` (B, 68, 2) crop fractions.
    """
    temperatures = temperatures or {}
    raw = {**raw, **{name: raw[name] + offset for name, offset in (offsets or {}).items()}}
    outputs = {
        name: probabilities(logits / temperatures.get(name, 1.0))
        for name, logits in raw.items() if name not in ('pose', 'landmarks')
    }
    outputs['pose'] = euler_from_rotation(predicted_rotation(raw['pose'], pose_rest))
    outputs['landmarks'] = predicted_landmarks(raw['landmarks'])
    return outputs
