# SPDX-License-Identifier: Apache-2.0
"""The face attribute network on a MobileNet v1 body, which starts from weights that know faces.

Howard et al., 2017, width 1.0, batch norms folded into the kernels: 27 convolutions with bias and
ReLU6, stride 32. Age and gender read the mean of the last map; the other heads also read a small
grid of the map at stride 16, which still says where things are. Pixels are -1..1, as
`compact.CompactNet` takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from face_attributes_ros.networks.compact import DEEP_HEADS, GridPool, head_sizes, initialise

BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
          (512, 1), (512, 1), (1024, 2), (1024, 1))
"""(channels, stride) of the 13 pairs of a depthwise and a pointwise convolution after the stem."""

GRID_LAYER = 22
"""Number of the last convolution at stride 16."""


@dataclass(frozen=True)
class MobileConfig:
    """Sizes of the parts behind the body; `width` scales its channels, for tests."""

    body: str = 'mobilenet_v1'
    width: float = 1.0
    local: int = 96
    shared: int = 256
    grid: int = 5
    dropout: float = 0.2
    extra_heads: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MobileConfig:
        """The configuration that `to_dict` (or a YAML table) describes."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)


class ClippedConv(nn.Module):
    """A convolution with bias and ReLU6, padded as TensorFlow's 'same' is."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1,
                 groups: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride,
                              kernel // 2 if stride == 1 else 0, groups=groups)
        self.strided = stride > 1
        self.slow_in_bf16 = self.strided and groups > 1

    def forward(self, x: Tensor) -> Tensor:
        if self.strided:
            x = F.pad(x, same(x))
        # A CPU takes twenty times as long in bf16 as in fp32 for the gradient of a strided
        # depthwise convolution.
        if self.slow_in_bf16 and self.training and x.dtype == torch.bfloat16 and not x.is_cuda:
            with torch.autocast('cpu', enabled=False):
                return F.relu6(self.conv(x.float()), inplace=True)
        return F.relu6(self.conv(x), inplace=True)


def same(x: Tensor) -> tuple[int, int, int, int]:
    """Padding (left, right, top, bottom) of a 3x3 convolution of stride 2."""
    height, width = int(x.shape[2]), int(x.shape[3])
    return width % 2, 1, height % 2, 1


def mobile_body(width: float) -> nn.Sequential:
    """The 27 convolutions; channels are those of the paper times `width`."""
    channels = int(32 * width)
    layers = [ClippedConv(3, channels, 3, 2)]
    for wide, stride in BLOCKS:
        layers.append(ClippedConv(channels, channels, 3, stride, channels))
        layers.append(ClippedConv(channels, int(wide * width), 1))
        channels = int(wide * width)
    return nn.Sequential(*layers)


class MobileNet(nn.Module):
    """Logits of every head from normalised crops (B, 3, S, S), S a multiple of 16."""

    def __init__(self, config: MobileConfig = MobileConfig()):
        super().__init__()
        self.config = config
        self.body = mobile_body(config.width)
        wide, middle = int(1024 * config.width), int(512 * config.width)
        self.local = nn.Conv2d(middle, config.local, 1)
        self.pool = GridPool(config.grid)
        self.shared = nn.Linear(config.local * config.grid**2, config.shared)
        self.dropout = nn.Dropout(config.dropout)
        heads = {name: nn.Linear(wide, size) for name, size in DEEP_HEADS.items()}
        heads |= {name: nn.Linear(wide + config.shared, size)
                  for name, size in head_sizes(config.extra_heads).items()}
        self.heads = nn.ModuleDict(heads)
        self.apply(initialise)
        for head in heads.values():
            nn.init.normal_(head.weight, 0, 0.01)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Raw outputs by head name, as `CompactNet.forward` gives them, and the extra heads'."""
        middle = self.body[:GRID_LAYER + 1](x)  # (B, 512, S/16, S/16)
        pooled = self.body[GRID_LAYER + 1:](middle).mean((2, 3))  # (B, 1024)
        local = F.relu(self.shared(self.pool(F.relu(self.local(middle))).flatten(1)))
        deep, both = self.dropout(pooled), self.dropout(torch.cat([pooled, local], 1))
        return {name: head(deep if name in DEEP_HEADS else both)
                for name, head in self.heads.items()}
