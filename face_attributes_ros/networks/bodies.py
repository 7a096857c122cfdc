# SPDX-License-Identifier: Apache-2.0
"""The attribute network that a table of sizes describes; its entry `body` says which body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.compact import CompactConfig, CompactNet
from face_attributes_ros.networks.joint import JointConfig, JointNet
from face_attributes_ros.networks.mobilenet import MobileConfig, MobileNet

Config = CompactConfig | MobileConfig | JointConfig
AttributeNet = CompactNet | MobileNet | JointNet
BODIES: dict[str, tuple[Any, Any]] = {
    '': (CompactConfig, CompactNet), 'mobilenet_v1': (MobileConfig, MobileNet),
    'plain_and_mobilenet_v1': (JointConfig, JointNet)
}
"""(configuration, network) by the entry `body`."""

_LARGEST, _LONGEST, _DEEPEST = 4096, 64, 4


def config_of(values: Mapping[str, Any]) -> Config:
    """The configuration of plain values; without `body` that of the plain 3x3 network."""
    kind, _ = BODIES[values.get('body', '')]
    config: Config = kind.from_dict(values)
    return config


def check_sizes(table: Any) -> None:
    """ModelError unless this may be a table of sizes: a few digits in a file's header could ask
    for more memory than there is."""
    if not isinstance(table, Mapping) or not _are_sizes(table, 0):
        raise ModelError(f'the sizes of the network are {table!r:.100}, needs a table of numbers '
                         f'from 0 to {_LARGEST}')


def _are_sizes(value: Any, deep: int) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return deep < _DEEPEST and len(value) <= _LONGEST and all(
            _are_sizes(inner, deep + 1) for inner in value)
    return isinstance(value, (str, bool)) or (
        type(value) in (int, float) and 0 <= value <= _LARGEST)


def build(config: Config) -> AttributeNet:
    """A network with fresh weights."""
    network: AttributeNet = next(make for kind, make in BODIES.values()
                              if isinstance(config, kind))(config)
    return network


@torch.no_grad()
def merged(network: CompactNet | MobileNet,
           shares: dict[str, float]) -> CompactNet | MobileNet:
    """A network with one expression head: the sum of its heads' logits by `shares`."""
    plain = type(network)(replace(network.config, extra_heads=False))  # type: ignore[arg-type]
    wanted = plain.state_dict()
    state = {name: value for name, value in network.state_dict().items() if name in wanted}
    for part in ('weight', 'bias'):
        parts = [share * getattr(network.heads[name], part) for name, share in shares.items()]
        state[f'heads.expression.{part}'] = torch.stack(parts).sum(0)
    plain.load_state_dict(state)
    return plain.eval()
