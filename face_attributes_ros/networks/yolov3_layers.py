# SPDX-License-Identifier: Apache-2.0
"""The layers of YOLOv3 and the order in which they are called.

Redmon and Farhadi, "YOLOv3: An Incremental Improvement" (2018): convolutions with batch norm and a
leaky activation, shortcut blocks, and predictions at strides 32, 16 and 8, the finer ones from
upsampled maps beside earlier ones. The head here is the one without anchors: a cell says how far
the four edges of its box are, each as a distribution over `reg_max` whole strides (Li et al.,
"Generalized Focal Loss", 2020). Attributes have the names that tensors have in our files.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Conv(nn.Module):
    """Convolution, batch norm, activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, act: nn.Module):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(outputs, eps=1e-3, momentum=.03)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y

    def fold(self) -> None:
        """Makes one convolution with a bias of convolution and batch norm."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv.eval(), self.bn.eval())
            self.bn = nn.Identity()


class Bottleneck(nn.Module):
    """Two 3x3 convolutions, the first to half of the channels; with `add` they change what passes
    by them, Darknet-53's shortcut block."""

    def __init__(self, inputs: int, outputs: int, add: bool, act: nn.Module):
        super().__init__()
        self.cv1 = Conv(inputs, outputs // 2, 3, 1, act)
        self.cv2 = Conv(outputs // 2, outputs, 3, 1, act)
        self.add = add and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cv2(self.cv1(x))
        return x + y if self.add else y


class Concat(nn.Module):
    """Maps of several layers, channel behind channel."""

    def forward(self, *maps: Tensor) -> Tensor:
        return torch.cat(maps, 1)


class Cells(nn.Module):
    """The mean of a distribution over `count` cells; files hold the cells' numbers as a
    convolution."""

    def __init__(self, count: int):
        super().__init__()
        self.conv = nn.Conv2d(count, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.copy_(torch.arange(count, dtype=torch.float32).view(1, -1, 1, 1))


class Predictions(NamedTuple):
    """What a head without anchors says of N cells: logits of distances (B, 4 * reg_max, N), edge
    by edge, and of scores (B, classes, N)."""

    boxes: Tensor
    scores: Tensor


class Detect(nn.Module):
    """The head without anchors: `cv2` for the edges, `cv3` for the classes, a branch a level."""

    def __init__(self, classes: int, reg_max: int, channels: Sequence[int], act: nn.Module):
        super().__init__()
        self.classes, self.reg_max = classes, reg_max
        edges = max(16, channels[0] // 4, 4 * reg_max)
        kinds = max(channels[0], min(classes, 100))
        self.cv2 = nn.ModuleList(_branch(c, edges, 4 * reg_max, act) for c in channels)
        self.cv3 = nn.ModuleList(_branch(c, kinds, classes, act) for c in channels)
        if reg_max > 1:
            self.dfl = Cells(reg_max)

    def forward(self, *maps: Tensor) -> Predictions:
        edges = [branch(x).flatten(2) for branch, x in zip(self.cv2, maps)]
        kinds = [branch(x).flatten(2) for branch, x in zip(self.cv3, maps)]
        return Predictions(torch.cat(edges, 2), torch.cat(kinds, 2))

    @torch.no_grad()
    def begin(self, strides: Sequence[int]) -> None:
        """Biases to start from: boxes of some size, and scores as of a picture of 640 px with five
        faces on each level, so that the first steps are not spent on the background."""
        for edges, kinds, stride in zip(self.cv2, self.cv3, strides):
            edges[-1].bias.fill_(2.)                                    # type: ignore[index]
            score = 5 / len(kinds[-1].bias) / (640 / stride) ** 2       # type: ignore[index]
            kinds[-1].bias.fill_(math.log(score))                       # type: ignore[index]


def _branch(inputs: int, width: int, outputs: int, act: nn.Module) -> nn.Sequential:
    return nn.Sequential(Conv(inputs, width, 3, 1, act), Conv(width, width, 3, 1, act),
                         nn.Conv2d(width, outputs, 1))


class Layers(nn.ModuleList):
    """Layers in order, each called with the outputs of its `sources`, -1 being the picture; gives
    what the last one gives."""

    def __init__(self, layers: Sequence[nn.Module], sources: Sequence[Sequence[int]]):
        super().__init__(layers)
        self.sources = [tuple(some) for some in sources]
        last = {source: number for number, some in enumerate(sources) for source in some}
        self.done = [[source for source, end in last.items() if end == number]
                     for number in range(len(layers))]

    def forward(self, image: Tensor) -> Any:
        outputs: dict[int, Any] = {-1: image}
        for number, layer in enumerate(self):
            outputs[number] = layer(*(outputs[source] for source in self.sources[number]))
            for source in self.done[number]:     # nobody needs it any more
                del outputs[source]
        return outputs[len(self) - 1]
