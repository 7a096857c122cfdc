# SPDX-License-Identifier: Apache-2.0
"""YOLOv3 in plain torch: Darknet-53, YOLOv3-tiny and the shipped variants, from a model table.

A model table (`model` in config/training/detector_*.yaml, and in the header of our weight files)
has rows [sources, repeats, layer, arguments] in its `backbone` and its `head`. Sources are layer
numbers, -1 the layer before. Tables and tensor names are those of ultralytics, whose programs can
read our files; a Darknet .cfg is read by `darknet.py`.
"""
from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.contract import ContractDetector, Grid, Raw, cell_grid, decode
from face_attributes_ros.networks.yolov3_layers import (
    Bottleneck,
    Concat,
    Conv,
    Detect,
    Layers,
    Predictions,
)
from face_attributes_ros.weights import read_weights

ACTIVATIONS = {'LeakyReLU': nn.LeakyReLU, 'ReLU': nn.ReLU, 'SiLU': nn.SiLU}
TABLE_KEYS = {'nc', 'reg_max', 'depth_multiple', 'width_multiple', 'activation', 'backbone',
              'head'}
MOST_REPEATS, MOST_LAYERS, MOST_WEIGHTS = 99, 300, 1 << 28
"""A few digits in a file's header could ask for more than there is; Darknet-53 has 104 million
weights."""


class YOLOv3(nn.Module):
    """The network of a model table; `strides` are those of its levels in pixels."""

    def __init__(self, table: Mapping[str, Any]):
        super().__init__()
        layers, sources, self.strides = _layers(table)
        self.model = Layers(layers, sources)
        self.head.begin(self.strides)

    @property
    def head(self) -> Detect:
        """The last layer."""
        return cast(Detect, self.model[-1])

    def forward(self, image: Tensor) -> Predictions:
        predictions: Predictions = self.model(image)
        return predictions

    def grid(self, height: int, width: int, device: torch.device) -> Grid:
        """Centres (N, 2) and strides (N, 1) of all cells, pixels."""
        return cell_grid(height, width, self.strides, device)

    def decode(self, raw: Raw, grid: Grid) -> Tensor:
        """(B, N, 4 + classes) float32: boxes in pixels, and scores."""
        return decode(raw, self.head.reg_max, grid)

    def folded(self) -> nn.Conv2d:
        """This network with its batch norms folded; returns its first convolution."""
        for module in list(self.modules()):
            if isinstance(module, Conv):
                module.fold()
        return next(module for module in self.modules() if isinstance(module, nn.Conv2d))


def build_yolov3(table: Mapping[str, Any]) -> YOLOv3:
    """A network with fresh weights from a model table; ModelError where it is not one."""
    if not isinstance(table, Mapping):
        raise ModelError(f'model table: is a {type(table).__name__}')
    strange = sorted(set(table) - TABLE_KEYS, key=str)
    if strange:
        raise ModelError(f'model table: {strange[0]!r:.100} is none of '
                         f'{", ".join(sorted(TABLE_KEYS))}')
    try:
        with torch.device('meta'):  # takes no memory
            outline = YOLOv3(table)
    except ArithmeticError as error:  # of strides and classes that are 0
        raise ModelError(f'cannot build this YOLOv3: {error}') from error
    count = sum(weights.numel() for weights in outline.parameters())
    if count > MOST_WEIGHTS:
        raise ModelError(f'cannot build this YOLOv3: {count} weights, needs at most '
                         f'{MOST_WEIGHTS}')
    return YOLOv3(table)


class _Output(NamedTuple):
    channels: int
    stride: int


def _layers(table: Mapping[str, Any],
            ) -> tuple[list[nn.Module], list[list[int]], tuple[int, ...]]:
    # Modules, where each takes its inputs from, and the strides of the levels.
    layers: list[nn.Module] = []
    sources: list[list[int]] = []
    outputs = {-1: _Output(3, 1)}
    number, row = 0, None
    try:
        maker, rows = _Maker(table), [*table['backbone'], *table['head']]
        if len(rows) > MOST_LAYERS:
            raise ValueError(f'{len(rows)} layers, needs {MOST_LAYERS} at most')
        for number, row in enumerate(rows):
            taken, repeats, kind, arguments = row
            some = [number + source if source < 0 else source
                    for source in ([taken] if isinstance(taken, int) else taken)]
            given = [outputs[source] for source in some]
            layer, outputs[number] = maker.make(kind, given, repeats, arguments)
            layers.append(layer)
            sources.append(some)
        if not isinstance(layers[-1], Detect):
            raise ValueError('the last layer has to be Detect')
    except Exception as error:  # of tables that are none Python and torch raise what comes along
        reason = (str(error) or '?').splitlines()[0]
        raise ModelError(f'cannot build this YOLOv3: layer {number}, {row!r:.200}: '
                         f'{type(error).__name__}: {reason:.300}') from error
    return layers, sources, tuple(output.stride for output in given)


class _Maker:
    """Makes the layers of one table."""

    def __init__(self, table: Mapping[str, Any]):
        self.classes, self.reg_max = int(table['nc']), int(table.get('reg_max', 16))
        self.width = float(table.get('width_multiple', 1.))
        self.depth = float(table.get('depth_multiple', 1.))
        self.act = activation(table.get('activation', 'nn.SiLU(inplace=True)'))
        self.makers: dict[str, Callable[..., tuple[nn.Module, _Output]]] = {
            'Conv': self._conv, 'Bottleneck': self._bottleneck, 'Concat': self._concat,
            'nn.MaxPool2d': self._max_pool, 'nn.ZeroPad2d': self._zero_pad,
            'nn.Upsample': self._upsample, 'Detect': self._detect}

    def make(self, kind: str, given: Sequence[_Output], repeats: int,
             arguments: Sequence[Any]) -> tuple[nn.Module, _Output]:
        """The layer, `repeats` of them in a row, and what comes out."""
        if kind not in self.makers:
            raise ValueError(f'{kind} is no layer of YOLOv3, which are {", ".join(self.makers)}')
        times = max(round(repeats * self.depth), 1) if repeats > 1 else 1
        if times > MOST_REPEATS:
            raise ValueError(f'{times} repeats, needs {MOST_REPEATS} at most')
        layers = []
        for _ in range(times):
            layer, output = self.makers[kind](given, *arguments)
            layers.append(layer)
            given = [output]
        return nn.Sequential(*layers) if times > 1 else layers[0], output

    def _channels(self, count: int) -> int:
        return math.ceil(count * self.width / 8) * 8

    def _conv(self, given: Sequence[_Output], outputs: int, kernel: int = 1,
              stride: int = 1) -> tuple[nn.Module, _Output]:
        one, = given
        outputs = self._channels(outputs)
        return (Conv(one.channels, outputs, kernel, stride, self.act),
                _Output(outputs, one.stride * stride))

    def _bottleneck(self, given: Sequence[_Output], outputs: int,
                    add: bool = True) -> tuple[nn.Module, _Output]:
        one, = given
        outputs = self._channels(outputs)
        return (Bottleneck(one.channels, outputs, add, self.act),
                one._replace(channels=outputs))

    def _max_pool(self, given: Sequence[_Output], kernel: int, stride: int,
                   padding: int = 0) -> tuple[nn.Module, _Output]:
        one, = given
        return nn.MaxPool2d(kernel, stride, padding), one._replace(stride=one.stride * stride)

    def _zero_pad(self, given: Sequence[_Output],
                   padding: Sequence[int]) -> tuple[nn.Module, _Output]:
        one, = given
        left, right, top, bottom = padding
        return nn.ZeroPad2d((left, right, top, bottom)), one

    def _upsample(self, given: Sequence[_Output], size: None, factor: int,
                  mode: str) -> tuple[nn.Module, _Output]:
        one, = given
        if size is not None or mode != 'nearest':
            raise ValueError('an Upsample needs null, a factor and nearest')
        return (nn.Upsample(scale_factor=factor, mode=mode),
                one._replace(stride=one.stride // factor))

    def _concat(self, given: Sequence[_Output], axis: int) -> tuple[nn.Module, _Output]:
        strides = {one.stride for one in given}
        if axis != 1 or len(strides) != 1:
            raise ValueError(f'a Concat needs maps of one stride, gets {sorted(strides)}')
        return Concat(), _Output(sum(one.channels for one in given), strides.pop())

    def _detect(self, given: Sequence[_Output], classes: str) -> tuple[nn.Module, _Output]:
        del classes     # the table's `nc`
        channels = [one.channels for one in given]
        return Detect(self.classes, self.reg_max, channels, self.act), _Output(0, 0)


def activation(text: str) -> nn.Module:
    """The module that a table's `activation` writes down as a call, which is read, not run;
    ValueError for any but those in ACTIVATIONS."""
    call = ast.parse(text, mode='eval').body
    name = text.partition('(')[0].rpartition('.')[2]
    if not isinstance(call, ast.Call) or name not in ACTIVATIONS:
        raise ValueError(f'activation {text!r} is none of {", ".join(ACTIVATIONS)}')
    values = [ast.literal_eval(value) for value in call.args]
    named = {key.arg or '': ast.literal_eval(key.value) for key in call.keywords}
    made: nn.Module = ACTIVATIONS[name](*values, **named)
    return made


@torch.no_grad()
def start_as_identity(network: YOLOv3, trained_layers: set[int]) -> None:
    """Makes every shortcut block outside of `trained_layers` pass its input on unchanged, until
    trained."""
    for number, layer in enumerate(network.model):
        for block in layer.modules() if number not in trained_layers else ():
            if isinstance(block, Bottleneck) and block.add:
                nn.init.zeros_(block.cv2.bn.get_parameter('weight'))


def load_yolov3(path: str | Path) -> YOLOv3:
    """The network in a safetensors file of ours, which carries its own model table."""
    return _loaded(path)[0]


def _loaded(path: str | Path) -> tuple[YOLOv3, bool]:
    """(network, whether its file holds fp16)."""
    tensors, about = read_weights(path)
    table = about.get('model')
    if not isinstance(table, Mapping):
        raise ModelError(f'{path} lacks the `model` table that the training command writes')
    network = build_yolov3(table)
    state = {key: value.float() for key, value in tensors.items()}
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:       # shapes
        telling = str(error).strip().splitlines()[-1].strip()
        raise ModelError(f'{path} does not fit its model: {telling}') from error
    missing = [key for key in missing if not key.endswith('num_batches_tracked')]
    if missing or unexpected:
        raise ModelError(
            f'{path} does not fit its model: missing {missing[:3]}, unexpected {unexpected[:3]}')
    return network, any(tensor.dtype == torch.float16 for tensor in tensors.values())


def load_detector(path: str | Path) -> ContractDetector:
    """The contract's detector from a safetensors file of ours; from one in fp16 the same numbers
    that the ONNX file beside it holds."""
    network, is_half = _loaded(path)
    detector = ContractDetector(network)
    detector = detector.rounded() if is_half else detector
    try:
        with torch.inference_mode():
            detector(torch.zeros(1, 128, 128, 3, dtype=torch.uint8))
    except Exception as error:  # of layers that do not go together torch raises what comes along
        raise ModelError(f'{path}: its network does not work') from error
    return detector
