# SPDX-License-Identifier: Apache-2.0
"""The paper's age network (section 5; Qawaqneh et al., arXiv 1709.01664): VGG-16's convolutions,
frozen, and four new fully connected layers of 4096, 5000, 5000 and 8 that answer with one of
Adience's eight age groups.

The paper's "eleven layers, eight convolutional" counts blocks; the published VGG-Face network is
VGG-16 (configuration D): thirteen convolutions, each followed by a ReLU, in five blocks that end
in pooling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from face_attributes_ros.errors import ModelError
from face_attributes_ros.faces import AGE_GROUPS_YEARS
from face_attributes_ros.paper.all_in_one import initialise
from face_attributes_ros.paper.normalise import Normalise
from face_attributes_ros.paper.stand_ins import (
    LITE0_LAST,
    STAND_INS,
    FaceResGrid,
    GridMeans,
    Lite0Grid,
    StandIn,
)

INPUT_PX = 224
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
GRID = 7


@dataclass(frozen=True)
class VggAgeConfig:
    """`width` scales every layer but the output; 1 is the paper's network. `kind` says what the
    convolutions were trained to see (`normalise.KINDS`), `dropout` is the share dropped.

    `trunk` is `vgg`, or one of `stand_ins.STAND_INS` in place of VGG-Face's convolutions, with the
    same layers on the mean of its last grid. Lite0's width is not scaled.
    """

    width: float = 1.
    dropout: float = .6
    kind: str = 'vgg_face'
    trunk: str = 'vgg'

    def of(self, channels: int) -> int:
        """A layer's size at this width."""
        return max(1, round(channels * self.width))

    @property
    def features(self) -> int:
        """Length of what the convolutions give: 25088 of VGG at width 1."""
        if self.trunk == 'vgg':
            return self.of(BLOCKS[-1][0]) * GRID**2
        return LITE0_LAST if self.trunk == 'lite0' else int(1024 * self.width)

    def stand_in(self) -> StandIn:
        """The trunk with fresh weights; ModelError where it is none of STAND_INS."""
        if self.trunk not in STAND_INS:
            raise ModelError(f'trunk is {self.trunk!r}, needs vgg or one of '
                             f'{", ".join(STAND_INS)}')
        return Lite0Grid() if self.trunk == 'lite0' else FaceResGrid(self.width)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)


class VggConvolutions(nn.Module):
    """VGG-16 up to its last pooling: normalised (B, 3, 224, 224) to (B, 512, 7, 7). Layers are
    named conv1_1 to conv5_3."""

    def __init__(self, config: VggAgeConfig = VggAgeConfig()):
        super().__init__()
        self.pool, inputs = nn.MaxPool2d(2, 2), 3
        self.names: list[str] = []
        for number, (channels, layers) in enumerate(BLOCKS, 1):
            for layer in range(1, layers + 1):
                name, outputs = f'conv{number}_{layer}', config.of(channels)
                convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
                self.add_module(name, nn.Sequential(convolution, nn.ReLU(inplace=True)))
                self.names.append(name)
                inputs = outputs
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.names:
            if name.endswith('_1') and name != 'conv1_1':
                x = self.pool(x)
            x = getattr(self, name)(x)
        return self.pool(x)


class VggAgeHeads(nn.Sequential):
    """The four new layers: features (B, 25088) to logits (B, 8).

    They start from N(0, 0.01) as in the paper; the first one from a wider spread where it reads
    fewer numbers, so that signals stay as large.
    """

    def __init__(self, config: VggAgeConfig = VggAgeConfig()):
        sizes = [config.features, config.of(4096), config.of(5000), config.of(5000)]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(sizes, sizes[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True),
                       nn.Dropout(config.dropout)]
        super().__init__(*layers, nn.Linear(sizes[-1], len(AGE_GROUPS_YEARS)))
        self.apply(initialise)
        first = self[0]
        if config.trunk != 'vgg' and isinstance(first, nn.Linear):
            nn.init.normal_(first.weight, 0, .01 * (BLOCKS[-1][0] * GRID**2 / config.features)**.5)


class VggAgeNet(nn.Module):
    """Convolutions and heads in one: normalised crops (B, 3, 224, 224) to logits (B, 8) of
    AGE_GROUPS_YEARS.

    `years_in_group` (8, 101) is how ages spread within a group: evenly, until training puts its
    own labels' histogram in.
    """

    years_in_group: Tensor

    def __init__(self, config: VggAgeConfig = VggAgeConfig()):
        super().__init__()
        self.config = config
        self.convolutions: nn.Module = VggConvolutions(
            config) if config.trunk == 'vgg' else GridMeans(config.stand_in())
        self.heads = VggAgeHeads(config)
        self.register_buffer('years_in_group', even_years())

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.heads(self.convolutions(x).flatten(1))
        return logits


def even_years() -> Tensor:
    """(8, 101): each group's mass in equal parts over its years."""
    rows = torch.zeros(len(AGE_GROUPS_YEARS), 101)
    for row, (low, high) in zip(rows, AGE_GROUPS_YEARS):
        row[low:high + 1] = 1 / (high + 1 - low)
    return rows


class VggAgeContract(nn.Module):
    """The network as our attribute files define it: uint8 (B, 224, 224, 3) BGR to `age` (B, 101)
    probabilities."""

    outputs = ('age',)

    def __init__(self, network: VggAgeNet):
        super().__init__()
        self.network, self.normalise = network, Normalise(network.config.kind)
        self.eval()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        groups = self.network(self.normalise(image)).softmax(1)
        return {'age': groups @ self.network.years_in_group}


TORCHVISION_INDICES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Where torchvision's vgg16 keeps its thirteen convolutions within `features`."""


def load_convolutions(convolutions: VggConvolutions, tensors: Mapping[str, Tensor],
                      path: str | Path) -> None:
    """Fills the convolutions from a user's tensors, named `conv1_1.weight` (VGG-Face) or
    `features.0.weight` (torchvision).

    Raises ModelError where a layer is missing or has another shape.
    """
    state = {}
    for name, index in zip(convolutions.names, TORCHVISION_INDICES):
        layer = getattr(convolutions, name)[0]
        for part, own in (('weight', layer.weight), ('bias', layer.bias)):
            found = tensors.get(f'{name}.{part}', tensors.get(f'features.{index}.{part}'))
            if found is None or found.shape != own.shape:
                shape = 'missing' if found is None else tuple(found.shape)
                raise ModelError(f'{path}: {name}.{part} (or features.{index}.{part}) is {shape}, '
                                 f'needs {tuple(own.shape)}')
            state[f'{name}.0.{part}'] = found.float()
    convolutions.load_state_dict(state)
