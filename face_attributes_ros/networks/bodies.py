# SPDX-License-Identifier: Apache-2.0
"""The attribute network that a table of sizes describes; its entry `body` says which body."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from face_attributes_ros.networks.compact import CompactConfig, CompactNet
from face_attributes_ros.networks.mobilenet import MobileConfig, MobileNet


def config_of(values: dict) -> CompactConfig | MobileConfig:
    """The configuration of plain values; without `body` that of the plain 3x3 network."""
    kind = MobileConfig if values.get('body') == 'mobilenet_v1' else CompactConfig
    return kind.from_dict(values)


def build(config: CompactConfig | MobileConfig) -> nn.Module:
    """A network with fresh weights."""
    return MobileNet(config) if isinstance(config, MobileConfig) else CompactNet(config)


@torch.no_grad()
def merged(network: nn.Module, shares: dict[str, float]) -> nn.Module:
    """A network with one expression head: the sum of its heads' logits by `shares`."""
    plain = build(replace(network.config, extra_heads=False))
    wanted = plain.state_dict()
    state = {name: value for name, value in network.state_dict().items() if name in wanted}
    for part in ('weight', 'bias'):
        parts = [share * getattr(network.heads[name], part) for name, share in shares.items()]
        state[f'heads.expression.{part}'] = torch.stack(parts).sum(0)
    plain.load_state_dict(state)
    return plain.eval()
