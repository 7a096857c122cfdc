# SPDX-License-Identifier: Apache-2.0
"""YOLOv3 as Darknet has it: a .cfg with the layers, a .weights with their numbers, anchors.

Redmon and Farhadi, "YOLOv3: An Incremental Improvement" (2018), section 2.1: a cell at (cx, cy) of
a level of stride s has a few anchors (pw, ph) in pixels, and says of each

    x = (sigmoid(tx) + cx) s    y = (sigmoid(ty) + cy) s    w = pw exp(tw)    h = ph exp(th)

with an objectness and a score a class; their product is the score here, as in Darknet. Any network
of YOLOv3's layers is read, so YOLOv3, YOLOv3-tiny, YOLOv3-spp, of any width and with any classes.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.contract import Grid, Raw
from face_attributes_ros.networks.darknet_cfg import Section, read_cfg
from face_attributes_ros.networks.yolov3_layers import Concat, Layers

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    'leaky': lambda: nn.LeakyReLU(.1, inplace=True), 'linear': nn.Identity,
    'relu': lambda: nn.ReLU(inplace=True)}
_BN_EPSILON = 1e-6
"""What Darknet adds to the standard deviation, where others add to the variance."""


class Shortcut(nn.Module):
    """The sum of two maps."""

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        return x + before


class MaxPool(nn.Module):
    """Darknet's max pooling: size - 1 pixels of padding, the odd one behind, that never win."""

    def __init__(self, size: int, stride: int, padding: int):
        super().__init__()
        self.size, self.stride = size, stride
        self.pads = (padding // 2, padding - padding // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, self.pads, value=-math.inf)
        return functional.max_pool2d(padded, self.size, self.stride)


class Rows(nn.Module):
    """The maps of all levels as rows (B, N, 5 + classes): level by level, anchor by anchor, cell
    by cell."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, *maps: Tensor) -> Tensor:
        return torch.cat([level.unflatten(1, (-1, self.width)).flatten(3).transpose(2, 3)
                          .flatten(1, 2) for level in maps], 1)


class Level(NamedTuple):
    """One of the network's outputs: its stride, and its anchors' widths and heights, pixels."""

    stride: int
    anchors: tuple[tuple[float, float], ...]


class DarknetNetwork(nn.Module):
    """The network of a .cfg, batch norms folded into its convolutions."""

    def __init__(self, layers: Layers, levels: Sequence[Level]):
        super().__init__()
        self.layers, self.levels = layers, tuple(levels)

    def forward(self, image: Tensor) -> Raw:
        rows: Tensor = self.layers(image)
        return (rows,)

    def grid(self, height: int, width: int, device: torch.device) -> Grid:
        """For each row: its cell's corner (N, 2), its stride (N, 1), its anchor (N, 2), pixels."""
        corners, strides, anchors = [], [], []
        for level in self.levels:
            ys, xs = (torch.arange(0, side, level.stride, device=device).float()
                      for side in (height, width))
            y, x = torch.meshgrid(ys, xs, indexing='ij')
            cells = torch.stack([x, y], 2).view(-1, 2)
            for anchor in level.anchors:
                corners.append(cells)
                strides.append(torch.full_like(cells[:, :1], level.stride))
                anchors.append(torch.tensor(anchor, device=device).expand_as(cells))
        return torch.cat(corners), torch.cat(strides), torch.cat(anchors)

    def decode(self, raw: Raw, grid: Grid) -> Tensor:
        """(B, N, 4 + classes) float32: boxes in pixels, and objectness times class score."""
        rows = raw[0].float()
        corners, strides, anchors = grid
        centres = rows[..., :2].sigmoid() * strides + corners
        half = anchors * rows[..., 2:4].exp() / 2
        scores = rows[..., 4:5].sigmoid() * rows[..., 5:].sigmoid()
        return torch.cat([centres - half, centres + half, scores], 2)

    def folded(self) -> nn.Conv2d:
        """Its first convolution; the batch norms are folded already."""
        return next(module for module in self.modules() if isinstance(module, nn.Conv2d))


class Darknet(NamedTuple):
    """A network that was read, the names of its classes, and the longer side of the pictures that
    its .cfg speaks of."""

    network: DarknetNetwork
    names: tuple[str, ...]
    input_px: int


def load_darknet(path: str | Path) -> Darknet:
    """The network of NAME.cfg and NAME.weights, with the classes of NAME.names where there is one;
    ModelError says what is wrong with which."""
    cfg, weights, names = (Path(path).with_suffix(end) for end in ('.cfg', '.weights', '.names'))
    for file in (cfg, weights):
        if not file.is_file():
            raise ModelError(f'{path}: {file} is missing; a Darknet network is NAME.cfg and '
                             'NAME.weights in one folder')
    net, *sections = read_cfg(cfg)
    builder = _Builder(cfg, net, sections)
    _fill(builder.convolutions, weights, cfg)
    network = DarknetNetwork(builder.layers(), builder.levels)
    return Darknet(network, _names(names, builder.classes),
                   max(net.number('width'), net.number('height')))


def _names(path: Path, count: int) -> tuple[str, ...]:
    if not path.is_file():
        return tuple(map(str, range(count)))
    text = path.read_text(encoding='utf-8', errors='replace')
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) != count:
        raise ModelError(f'{path} has {len(names)} names, the .cfg {count} classes')
    return names


class _Convolution(NamedTuple):
    module: nn.Conv2d
    normalised: bool

    @property
    def numbers(self) -> int:
        """How many numbers the file has for it."""
        outputs = self.module.out_channels
        return self.module.weight.numel() + outputs * (4 if self.normalised else 1)


class _Builder:
    """Makes the layers of a .cfg, without numbers yet."""

    def __init__(self, path: Path, net: Section, sections: Sequence[Section]):
        self.path = path
        self.channels, self.strides = [net.number('channels', 3)], [1]
        self.made: list[nn.Module] = []
        self.sources: list[tuple[int, ...]] = []
        self.convolutions: list[_Convolution] = []
        self.levels: list[Level] = []
        self.heads: list[int] = []
        self.classes = 0
        makers = {'convolutional': self._convolutional, 'maxpool': self._maxpool,
                  'upsample': self._upsample, 'route': self._route, 'shortcut': self._shortcut,
                  'yolo': self._yolo}
        # Sizes are checked before numbers are read: a network on `meta` has none.
        with torch.device('meta'):
            for section in sections:
                makers[section.name](section)

    def layers(self) -> Layers:
        """All of them, with the rows of all levels at the end."""
        rows = Rows(5 + self.classes)
        return Layers([*self.made, rows], [*self.sources, self.heads])

    def _add(self, module: nn.Module, sources: Sequence[int], channels: int, stride: int) -> None:
        self.made.append(module)
        self.sources.append(tuple(sources))
        self.channels.append(channels)
        self.strides.append(stride)

    def _at(self, section: Section, reference: int) -> int:
        # The layer that a section means; those below 0 count back from it.
        number = len(self.made) + reference if reference < 0 else reference
        if not 0 <= number < len(self.made):
            raise section.wrong(f'layer {reference} is not one before it')
        return number

    def _convolutional(self, section: Section) -> None:
        outputs, size = section.number('filters', 1), section.number('size', 1)
        stride = section.number('stride', 1)
        padding = size // 2 if section.number('pad', 0, least=0) else section.number(
            'padding', 0, least=0)
        act = section.word('activation', ACTIVATIONS, 'logistic')
        module = nn.Conv2d(self.channels[-1], outputs, size, stride, padding)
        normalised = bool(section.number('batch_normalize', 0, least=0))
        self.convolutions.append(_Convolution(module, normalised))
        self._add(nn.Sequential(module, ACTIVATIONS[act]()), [len(self.made) - 1], outputs,
                  self.strides[-1] * stride)

    def _maxpool(self, section: Section) -> None:
        stride = section.number('stride', 1)
        size = section.number('size', stride)
        padding = section.number('padding', size - 1, least=0)
        self._add(MaxPool(size, stride, padding), [len(self.made) - 1], self.channels[-1],
                  self.strides[-1] * stride)

    def _upsample(self, section: Section) -> None:
        factor = section.number('stride', 2)
        if self.strides[-1] % factor:
            raise section.wrong(f'stride {factor} of a map of stride {self.strides[-1]}')
        self._add(nn.Upsample(scale_factor=factor, mode='nearest'), [len(self.made) - 1],
                  self.channels[-1], self.strides[-1] // factor)

    def _route(self, section: Section) -> None:
        sources = [self._at(section, number) for number in section.numbers('layers')]
        strides = {self.strides[source + 1] for source in sources}
        if len(strides) != 1:
            raise section.wrong(f'its layers have strides {sorted(strides)}, need one')
        self._add(Concat(), sources, sum(self.channels[source + 1] for source in sources),
                  strides.pop())

    def _shortcut(self, section: Section) -> None:
        section.word('activation', ('linear',), 'linear')
        source, last = self._at(section, section.numbers('from')[0]), len(self.made) - 1
        shapes = [(self.channels[number + 1], self.strides[number + 1])
                  for number in (last, source)]
        if shapes[0] != shapes[1]:
            raise section.wrong(f'channels and strides {shapes[0]} and {shapes[1]} differ')
        self._add(Shortcut(), [last, source], *shapes[0])

    def _yolo(self, section: Section) -> None:
        values = section.floats('anchors')
        pairs = list(zip(values[::2], values[1::2]))
        mask = section.numbers('mask', tuple(range(len(pairs))))
        self.classes = self.classes or section.number('classes', 20)
        needed = len(mask) * (5 + self.classes)
        if section.number('classes', 20) != self.classes:
            raise section.wrong(f'{section.number("classes", 20)} classes, the one before it has '
                                f'{self.classes}')
        if len(values) % 2 or not all(0 <= number < len(pairs) for number in mask):
            raise section.wrong(f'mask {list(mask)} of {len(values)} numbers in anchors')
        if self.channels[-1] != needed:
            raise section.wrong(f'{len(mask)} anchors and {self.classes} classes need {needed} '
                                f'channels, the layer before it has {self.channels[-1]}')
        if 32 % self.strides[-1]:
            raise section.wrong(f'its stride is {self.strides[-1]}, needs one that divides 32')
        self.levels.append(Level(self.strides[-1], tuple(pairs[number] for number in mask)))
        self.heads.append(len(self.made))
        self._add(nn.Identity(), [len(self.made) - 1], self.channels[-1], self.strides[-1])


@torch.no_grad()
def _fill(convolutions: Sequence[_Convolution], path: Path, cfg: Path) -> None:
    """Puts the numbers of a .weights file into the convolutions, in order."""
    numbers, needed = _numbers(path), sum(each.numbers for each in convolutions)
    if len(numbers) != needed:
        word = 'short' if len(numbers) < needed else 'long'
        raise ModelError(f'{path} is too {word}: {len(numbers)} numbers, {cfg.name} needs '
                         f'{needed}')
    at = 0

    def take(count: int) -> Tensor:
        nonlocal at
        at += count
        return torch.from_numpy(numbers[at - count:at].astype(np.float32))

    for module, normalised in convolutions:
        outputs, shape = module.out_channels, module.weight.shape
        bias = take(outputs)
        scale = torch.ones(outputs)
        if normalised:
            gain, mean, variance = (take(outputs) for _ in range(3))
            scale = gain / (variance.sqrt() + _BN_EPSILON)
            bias = bias - mean * scale
        weight = take(shape.numel()).view(shape) * scale.view(-1, 1, 1, 1)
        module.weight, module.bias = nn.Parameter(weight), nn.Parameter(bias)


def _numbers(path: Path) -> np.ndarray:
    # Version as three int32, then how many pictures were seen: 64 bits from version 0.2 on.
    try:
        data = np.memmap(path, np.uint8, 'r')
    except (OSError, ValueError) as error:
        raise ModelError(f'{path} cannot be read: {error}') from error
    if len(data) < 16:
        raise ModelError(f'{path} is too short: {len(data)} bytes, a header alone has 16')
    major, minor, _ = data[:12].view('<i4').tolist()
    wide = major * 10 + minor >= 2 and major < 1000 and minor < 1000
    body = data[20 if wide else 16:]
    if len(body) % 4:
        raise ModelError(f'{path} is too short or too long: {len(body)} bytes behind its header '
                         'are no whole number of float32')
    return body.view('<f4')
