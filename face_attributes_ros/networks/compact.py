# SPDX-License-Identifier: Apache-2.0
"""The multi-task face attribute network that the package ships: a plain 3x3 trunk, three fused
taps, task heads.

The shape is the paper's (shared trunk, three levels on one grid, concatenation, 1x1 reduction, one
shared fully connected layer, age and gender from the deep end) on a plain body: 3x3 convolution,
batch norm, ReLU. Where a layer keeps the shape, its input is added before the ReLU; export folds
both batch norm and that addition into the kernel.
"""

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N = TypeVar('N', bound=nn.Module)
AGE_BINS = 101
LANDMARKS = 68


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of one variant; `stages` holds (channels, layers) of the three stages behind the
    stride-2 stem."""

    stem: int = 32
    stages: tuple[tuple[int, int], ...] = ((48, 2), (96, 4), (192, 4))
    adapter: int = 48
    reduced: int = 96
    shared: int = 256
    deep: int = 96
    deep_fc: int = 192
    grid: int = 4
    dropout: float = 0.2
    extra_heads: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> 'CompactConfig':
        """The configuration that `to_dict` (or a YAML table) describes."""
        values = dict(values)
        if 'stages' in values:
            values['stages'] = tuple(tuple(stage) for stage in values['stages'])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {**asdict(self), 'stages': [list(stage) for stage in self.stages]}


VARIANTS = {
    's': CompactConfig(stem=24, stages=((32, 2), (64, 3), (128, 3)), adapter=32, reduced=64,
                       shared=192, deep=64, deep_fc=128),
    'm': CompactConfig(),
    'l': CompactConfig(stem=48, stages=((72, 2), (144, 5), (288, 5)), adapter=64, reduced=128,
                       shared=384, deep=128, deep_fc=256),
}


class ConvBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU; adds its input before the ReLU where the shapes agree."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)
        self.identity = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return F.relu(y + x if self.identity else y)


class FoldedBlock(nn.Module):
    """A `ConvBlock` in evaluation mode as one 3x3 convolution with bias and a ReLU: what is
    exported."""

    def __init__(self, block: ConvBlock):
        super().__init__()
        conv, norm = block.conv, block.norm
        mean, variance = norm.running_mean, norm.running_var
        if mean is None or variance is None:
            raise ValueError('FoldedBlock: the batch norm keeps no mean and variance to fold')
        gain = norm.weight / torch.sqrt(variance + norm.eps)
        kernel = conv.weight * gain[:, None, None, None]
        if block.identity:
            channels = torch.arange(len(kernel))
            kernel[channels, channels, 1, 1] += 1.0
        self.conv = nn.Conv2d(conv.in_channels, conv.out_channels, 3, conv.stride[0], 1)
        self.conv.weight = nn.Parameter(kernel)
        self.conv.bias = nn.Parameter(norm.bias - mean * gain)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


def area_matrix(size_in: int, size_out: int) -> Tensor:
    """(size_out, size_in) weights that average `size_in` cells over `size_out` equal, possibly
    fractional, bins."""
    edges = torch.linspace(0, size_in, size_out + 1, dtype=torch.float64)
    cells = torch.arange(size_in, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], cells + 1) - torch.maximum(edges[:-1, None], cells)
    return (overlap.clamp(min=0) * size_out / size_in).float()


class GridPool(nn.Module):
    """Area-averages any (B, C, h, w) map to (B, C, grid, grid); two matrix products, so every
    runtime exports it."""

    def __init__(self, grid: int):
        super().__init__()
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        height, width = int(x.shape[2]), int(x.shape[3])
        if (height, width) == (self.grid, self.grid):
            return x
        rows = area_matrix(height, self.grid).to(x.device, x.dtype)
        columns = area_matrix(width, self.grid).to(x.device, x.dtype)
        return rows @ x @ columns.T


def trunk_stage(channels_in: int, channels_out: int, layers: int) -> nn.Sequential:
    """A stage of `layers` blocks whose first one halves the grid."""
    first = ConvBlock(channels_in, channels_out, 2)
    return nn.Sequential(first,
                         *(ConvBlock(channels_out, channels_out) for _ in range(layers - 1)))


class CompactNet(nn.Module):
    """Logits of every head from normalised crops (B, 3, S, S), S a multiple of 16; see
    `forward`."""

    def __init__(self, config: CompactConfig = VARIANTS['m']):
        super().__init__()
        self.config = config
        (c1, n1), (c2, n2), (c3, n3) = config.stages
        self.stem = ConvBlock(3, config.stem, 2)
        self.stage1 = trunk_stage(config.stem, c1, n1)
        self.stage2 = trunk_stage(c1, c2, n2)
        self.stage3 = trunk_stage(c2, c3, n3)
        self.adapter1 = nn.Conv2d(c1, config.adapter, 4, 4)
        self.adapter2 = nn.Conv2d(c2, config.adapter, 2, 2)
        self.reduce = nn.Conv2d(2 * config.adapter + c3, config.reduced, 1, bias=False)
        self.reduce_norm = nn.BatchNorm2d(config.reduced)
        self.pool: nn.Module = GridPool(config.grid)
        self.shared = nn.Linear(config.reduced * config.grid**2, config.shared)
        self.deep = ConvBlock(c3, config.deep)
        self.deep_fc = nn.Linear(config.deep * config.grid**2, config.deep_fc)
        self.dropout = nn.Dropout(config.dropout)
        heads = {name: nn.Linear(config.deep_fc, size) for name, size in DEEP_HEADS.items()}
        heads |= {name: nn.Linear(config.shared, size)
                  for name, size in head_sizes(config.extra_heads).items()}
        self.heads = nn.ModuleDict(heads)
        self.apply(initialise)
        for head in heads.values():
            nn.init.normal_(head.weight, 0, 0.01)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Raw outputs by head name: `age` (B, 101) logits, `gender` `smile` `face` `quality` (B,
        1) logits, `expression` (B, 7) logits, `pose` (B, 6) rotation columns, `landmarks` (B, 136)
        crop fractions."""
        tap1 = self.stage1(self.stem(x))  # (B, c1, S/4, S/4)
        tap2 = self.stage2(tap1)  # (B, c2, S/8, S/8)
        tap3 = self.stage3(tap2)  # (B, c3, S/16, S/16)
        levels = [F.relu(self.adapter1(tap1)), F.relu(self.adapter2(tap2)), tap3]
        fused = F.relu(self.reduce_norm(self.reduce(torch.cat(levels, 1))))
        shared = self.dropout(F.relu(self.shared(self.pool(fused).flatten(1))))
        deep = self.dropout(F.relu(self.deep_fc(self.pool(self.deep(tap3)).flatten(1))))
        outputs = {name: self.heads[name](deep) for name in DEEP_HEADS}
        outputs.update({name: self.heads[name](shared)
                        for name in head_sizes(self.config.extra_heads)})
        return outputs


@torch.no_grad()
def folded(network: N) -> N:
    """A copy for inference in which every block is one convolution; gives the same outputs up to
    rounding."""
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ConvBlock):
                setattr(parent, name, FoldedBlock(child))
    return network


def multiply_adds(network: nn.Module, size: int) -> int:
    """Multiply-adds of convolutions and linear layers for one crop of side `size`."""
    total = 0

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        cells = output.shape[2] * output.shape[3] if output.ndim == 4 else 1
        weight: Any = module.weight
        total += weight.numel() * cells

    hooks = [m.register_forward_hook(count) for m in network.modules()
             if isinstance(m, nn.Conv2d | nn.Linear)]
    copy.deepcopy(network).eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return total


DEEP_HEADS = {'age': AGE_BINS, 'gender': 1}
SHARED_HEADS = {
    'expression': 7, 'smile': 1, 'pose': 6, 'landmarks': 2 * LANDMARKS, 'face': 1, 'quality': 1
}
HEADS = (*DEEP_HEADS, *SHARED_HEADS)

EXPRESSION_HEADS = ('expression', 'expression_votes', 'expression_taught')
"""Heads of a network in training with `extra_heads`; `bodies.merged` makes one of them."""


def head_sizes(extra: bool) -> dict[str, int]:
    """Outputs of every head but age and gender by name, with the extra ones or without."""
    more = EXPRESSION_HEADS if extra else ()
    return SHARED_HEADS | dict.fromkeys(more, SHARED_HEADS['expression'])


def initialise(module: nn.Module) -> None:
    """He initialisation for convolutions and linear layers, zero biases."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, (2 / module.in_features) ** 0.5)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
