# SPDX-License-Identifier: Apache-2.0
"""The paper's expression features (Algorithm 2): a grey face through CaffeNet's five convolutions
to POOL5, 256 x 6 x 6 = 9216 numbers, and a support vector machine on top.

CaffeNet pools before it normalises. Its ImageNet weights are the user's to supply. The same
algorithm runs on what is to be had: `lite0` and `faceres` of `stand_ins`, `compact`, the trunk of
the attribute network that this package trains, and `pixels`, the grey picture itself: what the
machine can do without any network.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from face_attributes_ros.errors import ModelError
from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.networks.compact import VARIANTS, CompactConfig, CompactNet
from face_attributes_ros.paper.all_in_one import initialise, pooling
from face_attributes_ros.paper.normalise import Normalise
from face_attributes_ros.paper.preprocessing import LUMA_RGB
from face_attributes_ros.paper.stand_ins import STAND_INS, FaceResGrid, Lite0Grid

GREY_PX = 64
"""The paper resizes emotion crops to 64 x 64 grey; the network's own input size is reached from
there."""

PAIRS = tuple(itertools.combinations(range(len(EXPRESSIONS)), 2))
"""The classes of each one-against-one machine, in scikit-learn's order."""

ALEXNET_INDICES = (0, 3, 6, 8, 10)
"""Where torchvision's alexnet keeps its five convolutions within `features`; Caffe calls them
conv1 to conv5."""


class CaffeNetPool5(nn.Module):
    """Normalised (B, 3, 227, 227) to POOL5 (B, 9216): CaffeNet's convolutions, groups and local
    response normalisation."""

    kind, input_px = 'caffe', 227

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 96, 11, 4), nn.ReLU(inplace=True),
            pooling(), nn.LocalResponseNorm(5),
            nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(inplace=True),
            pooling(), nn.LocalResponseNorm(5),
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(inplace=True), pooling())
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features.flatten(1)


class AlexNetPool5(nn.Module):
    """Normalised (B, 3, 224, 224) to POOL5 (B, 9216): the single-column AlexNet whose weights
    torchvision publishes."""

    kind, input_px = 'imagenet', 224

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features.flatten(1)


class CompactPool(nn.Module):
    """Normalised (B, 3, 96, 96) to the last stage of our attribute network, (B, 192 * 6 * 6) for
    the size m."""

    kind, input_px = 'signed', 96

    def __init__(self, config: CompactConfig = VARIANTS['m']):
        super().__init__()
        network = CompactNet(config)
        self.stages = nn.Sequential(network.stem, network.stage1, network.stage2, network.stage3)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.stages(x)
        return features.flatten(1)


class Pixels(nn.Module):
    """Normalised (B, 3, 64, 64), thrice the same grey, to its (B, 4096) levels."""

    kind, input_px = 'signed', GREY_PX

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0].flatten(1)


TRUNKS = ('caffenet', 'alexnet', 'lite0', 'faceres', 'compact', 'pixels')
Trunk = CaffeNetPool5 | AlexNetPool5 | CompactPool | Lite0Grid | FaceResGrid | Pixels


def new_trunk(name: str, config: Mapping[str, Any] | None = None) -> Trunk:
    """The named trunk with fresh weights; `config` is the compact network's table."""
    if name not in TRUNKS:
        raise ModelError(f'trunk is {name!r}, needs one of {", ".join(TRUNKS)}')
    if name == 'compact':
        return CompactPool(CompactConfig.from_dict(config or {}))
    if name == 'pixels':
        return Pixels()
    if name in STAND_INS:
        return STAND_INS[name]()
    return CaffeNetPool5() if name == 'caffenet' else AlexNetPool5()


def load_trunk(trunk: Trunk, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Fills a trunk from a user's tensors: Caffe's or torchvision's names, those of a stand-in's
    origin, or those of our attribute network."""
    if isinstance(trunk, CompactPool):
        stages = enumerate(('stem', 'stage1', 'stage2', 'stage3'))
        found = {f'stages.{i}.{name[len(stage) + 1:]}': tensor for i, stage in stages
                 for name, tensor in tensors.items() if name.startswith(stage + '.')}
    elif isinstance(trunk, CaffeNetPool5 | AlexNetPool5):
        found = dict(_convolutions(trunk, tensors))
    else:
        found = {} if isinstance(trunk, Pixels) else trunk.renamed(tensors)
    missing = [name for name, own in trunk.state_dict().items()
               if name not in found or tuple(found[name].shape) != tuple(own.shape)]
    if missing:
        raise ModelError(f'{path} does not fit {type(trunk).__name__}: {", ".join(missing[:3])} '
                         'missing or of another shape')
    trunk.load_state_dict(found)


def _convolutions(trunk: CaffeNetPool5 | AlexNetPool5,
                  tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    own = [i for i, layer in enumerate(trunk.layers) if isinstance(layer, nn.Conv2d)]
    for number, (alexnet, index) in enumerate(zip(ALEXNET_INDICES, own), 1):
        for part in ('weight', 'bias'):
            found = tensors.get(f'conv{number}.{part}', tensors.get(f'features.{alexnet}.{part}'))
            if found is not None:
                yield f'layers.{index}.{part}', found.float()


class GreyFace(nn.Module):
    """uint8 (B, H, W, 3) BGR to (B, side, side, 3) floats 0..255: grey, shrunk to 64 x 64,
    enlarged, thrice the same."""

    luma: Tensor

    def __init__(self, side: int):
        super().__init__()
        self.side = side
        self.register_buffer('luma', torch.tensor(LUMA_RGB[::-1]), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        grey = (image.to(self.luma.dtype) @ self.luma)[:, None]
        small = F.interpolate(grey, (GREY_PX, GREY_PX), mode='bilinear', align_corners=False,
                              antialias=True)
        large = F.interpolate(small, (self.side, self.side), mode='bilinear', align_corners=False)
        return large.permute(0, 2, 3, 1).expand(-1, -1, -1, 3)


class Features(nn.Module):
    """uint8 (B, H, W, 3) BGR face crops to a trunk's features (B, F), as Algorithm 2 prepares
    them."""

    def __init__(self, trunk: Trunk):
        super().__init__()
        self.prepare = nn.Sequential(GreyFace(trunk.input_px), Normalise(trunk.kind))
        self.trunk = trunk
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.trunk(self.prepare(image))
        return features


class SvmHead(nn.Module):
    """A fitted linear one-against-one machine as tensors: features (B, F) to scores (B, 7) and
    probabilities.

    A class's score is its number of won duels plus a little for how clearly, as scikit-learn's
    'ovr' shape counts. Probabilities are the softmax of scores over a temperature fitted on faces
    that the machine was not trained on.
    """

    mean: Tensor
    scale: Tensor
    coefficients: Tensor
    intercepts: Tensor
    temperature: Tensor

    def __init__(self, features: int):
        super().__init__()
        self.register_buffer('mean', torch.zeros(features))
        self.register_buffer('scale', torch.ones(features))
        self.register_buffer('coefficients', torch.zeros(len(PAIRS), features))
        self.register_buffer('intercepts', torch.zeros(len(PAIRS)))
        self.register_buffer('temperature', torch.ones(()))

    def scores(self, features: Tensor) -> Tensor:
        """(B, 7) in the order of EXPRESSIONS."""
        # Above 0 the pair's first class has won.
        duels = (features - self.mean) / self.scale @ self.coefficients.T + self.intercepts
        scores = duels.new_zeros(len(duels), len(EXPRESSIONS))
        clear = torch.zeros_like(scores)
        for column, (first, second) in enumerate(PAIRS):
            margin, won = duels[:, column], duels[:, column] >= 0
            scores[:, first] += won
            scores[:, second] += ~won
            clear[:, first] += margin
            clear[:, second] -= margin
        return scores + clear / (3 * (clear.abs() + 1))

    def forward(self, features: Tensor) -> Tensor:
        return (self.scores(features) / self.temperature).softmax(1)


class Pool5Contract(nn.Module):
    """Features and machine as our attribute files define a network: uint8 (B, S, S, 3) BGR to
    `expression` (B, 7)."""

    outputs = ('expression',)

    def __init__(self, features: Features, head: SvmHead):
        super().__init__()
        self.features, self.head = features, head
        self.eval()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {'expression': self.head(self.features(image))}
