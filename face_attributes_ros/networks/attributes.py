# SPDX-License-Identifier: Apache-2.0
"""The attribute network in the form that ships: uint8 crops in, probabilities, angles and points
out.

The ONNX file is this module's export; the torch path runs the module itself. Its safetensors file
carries the network's sizes and, once `export attributes --torch` wrote it, the calibration: what
is added to and divides the logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.bodies import AttributeNet, build, check_sizes, config_of
from face_attributes_ros.networks.compact import HEADS, area_matrix, folded
from face_attributes_ros.networks.heads import SIX_D_REST, decode
from face_attributes_ros.networks.joint import JointNet
from face_attributes_ros.weights import read_weights

OUTPUTS = HEADS
"""In the order in which the file gives them; keys of the package's `heads.HEADS`."""

_TRIAL_PX = 64  # fits every body


class Shipped(nn.Module):
    """uint8 BGR crops (B, S, S, 3) to the decoded outputs in the order of OUTPUTS, float32."""

    pose_rest: Tensor

    def __init__(self, network: AttributeNet, temperatures: Mapping[str, float] | None = None,
                 offsets: Mapping[str, float | Sequence[float]] | None = None):
        super().__init__()
        self.network, self.temperatures = folded(network), dict(temperatures or {})
        offsets = offsets or {}
        self.shifted = tuple(offsets)
        for head, offset in offsets.items():
            self.register_buffer(f'{head}_offset', torch.tensor(offset, dtype=torch.float32),
                                 persistent=False)
        self.register_buffer('pose_rest', torch.tensor(SIX_D_REST), persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        pixels = image.permute(0, 3, 1, 2).float() * (2 / 255) - 1
        raw = self.network(pixels.to(self.network.shared.weight.dtype))
        raw = {name: value.float() for name, value in raw.items()}
        offsets = {head: getattr(self, f'{head}_offset').float() for head in self.shifted}
        outputs = decode(raw, self.temperatures, offsets, self.pose_rest.float())
        return tuple(outputs[name] for name in OUTPUTS)


class FixedPool(nn.Module):
    """`compact.GridPool` for one size of map: its matrices wait on the device, where a CUDA graph
    needs them."""

    matrix: Tensor

    def __init__(self, size: int, grid: int):
        super().__init__()
        self.register_buffer('matrix', area_matrix(size, grid), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.matrix @ x @ self.matrix.T


def with_fixed_pool(shipped: Shipped, size_px: int) -> Shipped:
    """The module for crops of one size only, with no copy from the host left in its forward pass;
    changed in place."""
    network = shipped.network
    if isinstance(network, JointNet):
        network, size_px = network.plain, size_px // 2
    weight = network.shared.weight
    network.pool = FixedPool(size_px // 16, network.config.grid).to(weight.device, weight.dtype)
    return shipped


def load_shipped(path: str | Path) -> Shipped:
    """The module from a safetensors file of `export attributes --torch`; ModelError where the
    calibration is not in it."""
    tensors, about = read_weights(path)
    calibration = about.get('calibration')
    if 'network' not in about or not isinstance(calibration, Mapping) or \
            not {'temperatures', 'offsets'} <= calibration.keys():
        raise ModelError(f'{path} has no network or no calibration, or an old one, in its '
                         'metadata: write it with export attributes --torch')
    check_sizes(about['network'])
    try:
        with torch.device('meta'):  # takes no memory: what does not fit is not made
            build(config_of(about['network'])).load_state_dict(tensors, assign=True)
        network = build(config_of(about['network']))
        network.load_state_dict(tensors)
        shipped = Shipped(network, calibration['temperatures'],
                          calibration['offsets']).eval().requires_grad_(False)
        shipped(torch.zeros(1, _TRIAL_PX, _TRIAL_PX, 3, dtype=torch.uint8))
        return shipped
    except Exception as error:  # tables of the wrong types raise what comes along
        raise ModelError(f'{path} does not fit the network that its metadata describes') from error
