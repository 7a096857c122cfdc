# SPDX-License-Identifier: Apache-2.0
"""The paper's all-in-one network (section 6.1; Ranjan et al., arXiv 1611.00851), from its
face-identification trunk.

Convolutions with PReLU; taps after pool1, conv3 and pool5 are brought to one 6 x 6 grid,
concatenated, reduced to 256 channels, and feed the heads that do not depend on who it is. Age and
gender read the deeper pool6. The seventh convolution belongs to the identity branch, which is left
out: recognising people is not what this package is for. Input 227 x 227; 224 x 224 gives the same
grid, because pooling rounds up as Caffe's does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from face_attributes_ros.paper.aflw import POINTS
from face_attributes_ros.paper.normalise import Normalise

INPUT_PX = 227
SHARED_HEADS = {'face': 2, 'landmarks': 2 * POINTS, 'visibility': POINTS, 'pose': 3, 'smile': 2}
DEEP_HEADS = {'age': 1, 'gender': 2}
AGE_SIGMA_YEARS = 3.
"""Spread of the age distribution that is published around the network's single number: the paper's
own sigma."""

GRID = 6


@dataclass(frozen=True)
class AllInOneConfig:
    """`width` scales every layer but the outputs; 1 is the paper's network. `dropout` is the share
    dropped.

    Fully connected layers start from N(0, 0.01) at width 1; narrower ones from wider spreads, so
    that signals stay as large.
    """

    width: float = 1.
    dropout: float = .6

    def of(self, channels: int) -> int:
        """A layer's size at this width."""
        return max(1, round(channels * self.width))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)


def convolution(channels_in: int, channels_out: int, kernel: int, stride: int = 1,
                padding: int = 0) -> nn.Sequential:
    """A convolution followed by its PReLU, one slope a channel."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, kernel, stride, padding),
                         nn.PReLU(channels_out))


def pooling() -> nn.MaxPool2d:
    """Maximum over 3 x 3, every second cell, rounding up as Caffe does."""
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def branch(inputs: int, hidden: Sequence[int], outputs: int, dropout: float) -> nn.Sequential:
    """Fully connected layers of the sizes `hidden` with PReLU and dropout, then the output
    layer."""
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(inputs, size), nn.PReLU(size), nn.Dropout(dropout)]
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class AllInOneNet(nn.Module):
    """Raw outputs of every head from normalised crops (B, 3, 227, 227); see `forward`."""

    def __init__(self, config: AllInOneConfig = AllInOneConfig()):
        super().__init__()
        self.config, of = config, config.of
        self.pool1, self.pool2, self.pool5, self.pool6 = pooling(), pooling(), pooling(), pooling()
        self.conv1 = convolution(3, of(96), 11, 4)
        self.conv2 = convolution(of(96), of(256), 5, padding=2)
        self.conv3 = convolution(of(256), of(384), 3, padding=1)
        self.conv4 = convolution(of(384), of(384), 3, padding=1)
        self.conv5 = convolution(of(384), of(512), 3, padding=1)
        self.conv6 = convolution(of(512), of(512), 3, padding=1)
        self.conv1a = convolution(of(96), of(256), 4, 4)
        self.conv3a = convolution(of(384), of(256), 2, 2)
        self.conv_all = convolution(2 * of(256) + of(512), of(256), 1)
        self.fc_full = nn.Sequential(nn.Linear(of(256) * GRID ** 2, of(2048)), nn.PReLU(of(2048)),
                                     nn.Dropout(config.dropout))
        heads = {name: branch(of(2048), (of(512),), size, config.dropout)
                 for name, size in SHARED_HEADS.items()}
        deep = of(512) * GRID**2
        heads |= {name: branch(deep, (of(1024), of(128)), size, config.dropout)
                  for name, size in DEEP_HEADS.items()}
        self.heads = nn.ModuleDict(heads)
        self.apply(lambda module: initialise(module, .01 / config.width**.5))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """By head: `face` `smile` `gender` (B, 2) logits (no/yes; gender male/female), `landmarks`
        (B, 42) x, y of AFLW's points from the crop's centre in sides, `visibility` (B, 21), `pose`
        (B, 3) yaw, pitch, roll in radians, `age` (B, 1) years."""
        fused, deep = self.maps(x)
        shared = self.fc_full(fused.flatten(1))             # (B, 2048)
        deep = deep.flatten(1)                              # (B, 18432)
        return {name: head(deep if name in DEEP_HEADS else shared)
                for name, head in self.heads.items()}

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the convolutions give: the fused taps (B, 256, 6, 6), and pool6 (B, 512, 6, 6)."""
        tap1 = self.pool1(self.conv1(x))                    # (B, 96, 27, 27)
        tap3 = self.conv3(self.pool2(self.conv2(tap1)))     # (B, 384, 13, 13)
        deep = self.conv5(self.conv4(tap3))                 # (B, 512, 13, 13)
        taps = [self.conv1a(tap1), self.conv3a(tap3), self.pool5(deep)]
        return self.conv_all(torch.cat(taps, 1)), self.pool6(self.conv6(deep))


def initialise(module: nn.Module, std: float = .01) -> None:
    """The paper's N(0, 0.01) and zero bias for fully connected layers; He for convolutions, which
    it takes pretrained."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, std)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=.25)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def age_distribution(years: Tensor, sigma: float = AGE_SIGMA_YEARS) -> Tensor:
    """(B, 101) probabilities over whole years around (B,) years.

    A Gaussian, narrower where it would hang over 0 or 100, so that its mean stays the number it
    was made from.
    """
    years = years.clamp(0, 100)[:, None]
    spread = torch.minimum((years + 1) / 3, (101 - years) / 3).clamp(max=sigma)
    bins = torch.arange(101, device=years.device, dtype=years.dtype)
    return torch.softmax(-(bins - years) ** 2 / (2 * spread**2), 1)


class AllInOneContract(nn.Module):
    """The network as our attribute files define it: uint8 (B, 227, 227, 3) BGR in, outputs by
    name.

    As `heads.HEADS` where the paper has the head (`age`, `gender`, `smile`, `pose`, `face`);
    `landmarks` (B, 21, 2) crop fractions and `visibility` (B, 21) besides.
    """

    outputs = ('age', 'gender', 'smile', 'pose', 'face', 'landmarks', 'visibility')

    def __init__(self, network: AllInOneNet, kind: str = 'signed'):
        super().__init__()
        self.network, self.normalise = network, Normalise(kind)
        self.eval()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        raw = self.network(self.normalise(image))
        outputs = {name: raw[name].softmax(1)[:, 1] for name in ('gender', 'smile', 'face')}
        outputs |= {'pose': raw['pose'], 'visibility': raw['visibility'],
                    'age': age_distribution(raw['age'][:, 0])}
        outputs['landmarks'] = raw['landmarks'].reshape(-1, POINTS, 2) + .5
        return outputs
