# SPDX-License-Identifier: Apache-2.0
"""The paper's networks, layer by layer: output shape, parameters, multiply-accumulates of one
image.

    face-attributes describe all_in_one
    face-attributes describe vgg_age --markdown

Nothing is computed: the layers run on torch's `meta` device, which has shapes and no numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from face_attributes_ros.paper.all_in_one import INPUT_PX, AllInOneNet
from face_attributes_ros.paper.pool5 import CaffeNetPool5
from face_attributes_ros.paper.vgg_age import INPUT_PX as VGG_PX
from face_attributes_ros.paper.vgg_age import VggAgeNet

NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, str]] = {
    'all_in_one': (AllInOneNet, INPUT_PX,
                   'face, 21 landmarks, visibility, pose, smile, age, gender; no identity branch'),
    'vgg_age': (VggAgeNet, VGG_PX, 'eight age groups; the convolutions are frozen'),
    'pool5': (CaffeNetPool5, CaffeNetPool5.input_px,
              'expression features for a support vector machine'),
}


class Layer(NamedTuple):
    """One row: the layer's dotted name, what it is, its output without the batch, and its cost."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `describe`."""
    parser.add_argument('network', choices=NETWORKS, help='which network')
    parser.add_argument('--markdown', action='store_true', help='as a Markdown table')


def run(args: argparse.Namespace) -> int:
    """Prints the table; returns the exit status."""
    print(table(args.network, markdown=args.markdown))
    return 0


def layers(name: str) -> list[Layer]:
    """The rows of a network in the order of computation; a PReLU's slopes count to the layer
    before it."""
    make, side, _ = NETWORKS[name]
    rows: list[Layer] = []
    with torch.device('meta'):
        network = make().eval()
        hooks = [module.register_forward_hook(_recorder(rows, path))
                 for path, module in network.named_modules() if not list(module.children())]
        network(torch.empty(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return rows


def _recorder(rows: list[Layer], path: str) -> Callable[[nn.Module, Any, Tensor], None]:
    def record(module: nn.Module, _: Any, output: Tensor) -> None:
        parameters = sum(p.numel() for p in module.parameters())
        if isinstance(module, nn.PReLU):
            rows[-1] = rows[-1]._replace(kind=f'{rows[-1].kind}, PReLU',
                                         parameters=rows[-1].parameters + parameters)
        elif kind := _kind(module):
            shape = tuple(output.shape[1:])
            rows.append(Layer(path, kind, shape, parameters, _macs(module, output)))

    return record


def _kind(module: nn.Module) -> str | None:
    if isinstance(module, nn.Conv2d):
        groups = f' in {module.groups} groups' if module.groups > 1 else ''
        return f'conv {module.kernel_size[0]}x{module.kernel_size[0]} /{module.stride[0]}{groups}'
    if isinstance(module, nn.MaxPool2d):
        return f'max pool {module.kernel_size}x{module.kernel_size} /{module.stride}'
    if isinstance(module, nn.Linear):
        return 'fully connected'
    return 'local response norm' if isinstance(module, nn.LocalResponseNorm) else None


def _macs(module: nn.Module, output: Tensor) -> int:
    """Multiply-accumulates of one image: every output value costs one row of the layer's
    weights."""
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return 0
    return output[0].numel() * module.weight[0].numel()


def table(name: str, markdown: bool = False) -> str:
    """The layer table as text, totals last."""
    _, side, about = NETWORKS[name]
    rows = layers(name)
    parameters, macs = sum(row.parameters for row in rows), sum(row.macs for row in rows)
    in_words = f'{parameters / 1e6:.1f} M parameters, {macs / 1e9:.3f} GMAC'
    total = Layer('total', in_words, (), parameters, macs)
    cells = [('layer', 'what', 'output', 'parameters', 'MACs')]
    cells += [(row.name, row.kind, 'x'.join(map(str, row.shape)), f'{row.parameters:,}',
               f'{row.macs:,}') for row in [*rows, total]]
    title = f'{name}: {side} x {side} x 3 in; {about}'
    return f'{title}\n\n{_markdown(cells)}' if markdown else f'{title}\n{_plain(cells)}'


def _markdown(cells: Sequence[Sequence[str]]) -> str:
    lines = ['| ' + ' | '.join(row) + ' |' for row in cells]
    return '\n'.join([lines[0], '|---|---|---|--:|--:|', *lines[1:]])


def _plain(cells: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells)]
    return '\n'.join('  '.join(_padded(row, widths)) for row in cells)


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    # Names to the left, shapes to the left, numbers to the right.
    return [cell.rjust(width) if index > 2 else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths))]
