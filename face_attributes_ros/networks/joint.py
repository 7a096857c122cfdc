# SPDX-License-Identifier: Apache-2.0
"""Two bodies on one crop: the plain network at half the size, and a MobileNet v1 that knows faces.

The plain network answers everything; what the MobileNet's last map says of age and gender is read
by a hidden layer, and its logits are averaged with the plain network's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from face_attributes_ros.networks.compact import AGE_BINS, CompactConfig, CompactNet
from face_attributes_ros.networks.mobilenet import mobile_body


@dataclass(frozen=True)
class JointConfig:
    """`plain` are the plain network's sizes, `hidden` the reader's; `share` is the reader's part
    of the logits of age and gender; `width` scales the MobileNet's channels, for tests."""

    body: str = 'plain_and_mobilenet_v1'
    plain: CompactConfig = field(default_factory=CompactConfig)
    hidden: int = 512
    share: float = 0.5
    width: float = 1.0
    extra_heads: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JointConfig:
        """The configuration that `to_dict` describes."""
        return cls(**dict(values) | {'plain': CompactConfig.from_dict(values['plain'])})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self) | {'plain': self.plain.to_dict()}


class JointNet(nn.Module):
    """Logits of every head from normalised crops (B, 3, S, S), S a multiple of 32."""

    def __init__(self, config: JointConfig):
        super().__init__()
        self.config = config
        self.plain = CompactNet(config.plain)
        self.body = mobile_body(config.width)
        self.reader = nn.Sequential(nn.Linear(int(1024 * config.width), config.hidden), nn.ReLU(),
                                    nn.Linear(config.hidden, AGE_BINS + 1))

    @property
    def shared(self) -> nn.Linear:
        """The plain network's shared layer, by which its precision is told."""
        return self.plain.shared

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Raw outputs by head name, as `CompactNet.forward` gives them."""
        raw: dict[str, Tensor] = self.plain(F.avg_pool2d(x, 2))
        read, share = self.reader(self.body(x).mean((2, 3))), self.config.share
        raw['age'] = (1 - share) * raw['age'] + share * read[:, :AGE_BINS]
        raw['gender'] = (1 - share) * raw['gender'] + share * read[:, AGE_BINS:]
        return raw
