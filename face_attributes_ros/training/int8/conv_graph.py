# SPDX-License-Identifier: Apache-2.0
"""An ONNX network from its pixels to its last convolutions in torch, to be trained under the
rounding of its int8 file.

It is read off the file, not off the network's code: what is trained is what `graph.quantise`
quantises, whoever wrote the layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from face_attributes_ros.errors import ModelError
from face_attributes_ros.training.int8.graph import convolutions, leads_to_conv
from face_attributes_ros.training.int8.ranges import session
from face_attributes_ros.training.int8.rounding import RoundedTensor, rounded_weights

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Values = dict[str, Tensor]
Step = Callable[['ConvGraph', Values], Tensor]
SEVERAL = ('Concat', 'Add', 'Mul')
"""What reads more than one activation."""


def rounded_tensors(quantised: ModelProto) -> dict[str, str]:
    """{activation: the one whose range it has} of an int8 model of `graph.quantise`."""
    weights = {tensor.name for tensor in quantised.graph.initializer}
    rows = [node for node in quantised.graph.node
            if node.op_type == 'QuantizeLinear' and node.input[0] not in weights]
    owner: dict[str, str] = {}
    for node in rows:
        owner.setdefault(node.input[1], node.input[0])
    return {node.input[0]: owner[node.input[1]] for node in rows}


class ConvGraph(nn.Module):
    """Pixels (B, 3, H, W) float BGR 0..255 to the outputs of the last convolutions, in the order
    of the file.

    With `rounded` ({activation: owner of its range}) and their `ranges` it computes as the int8
    file does; convolutions in `floats` keep float weights. Raises `ModelError` where the file has
    an operation that is not read here.
    """

    def __init__(self, model: ModelProto, rounded: Mapping[str, str] | None = None,
                 ranges: Mapping[str, tuple[float, float]] | None = None,
                 floats: Sequence[str] = ()):
        super().__init__()
        from onnx import numpy_helper

        convs = convolutions(model)
        tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.pixels = convs[0].input[0]
        self.outputs = [node.output[0] for node in convs if not leads_to_conv(model, node)]
        self.names = [name for node in convs for name in node.input[1:]]
        self.parameters_ = nn.ParameterList(
            nn.Parameter(torch.from_numpy(tensors[name].astype(np.float32)))
            for name in self.names)
        self.whole = {node.input[1] for node in convs if node.name in floats}
        self.rounded, ranges = dict(rounded or {}), ranges or {}
        self.owners = sorted(set(self.rounded.values()))
        self.ranges_ = nn.ModuleList(RoundedTensor(*ranges[name]) for name in self.owners)
        for name, one in zip(self.owners, self.ranges_, strict=True):
            one.requires_grad_(name != self.pixels)      # they are whole numbers already
        self.steps = self._steps(model, tensors)

    def _steps(self, model: ModelProto,
               tensors: Mapping[str, np.ndarray]) -> list[tuple[str, Step]]:
        nodes = self._needed(model)
        constants = dict(tensors) | _computed(model, nodes, tensors)
        return [(node.output[0], _step(node, constants)) for node in nodes]

    def _needed(self, model: ModelProto) -> list[NodeProto]:
        """Nodes between pixels and outputs, in order."""
        wanted, found = set(self.outputs), []
        for node in reversed(model.graph.node):
            if wanted & set(node.output):
                found.append(node)
                wanted.update(node.input[:_data_inputs(node)])
                wanted.discard(self.pixels)
        return found[::-1]

    def weight(self, name: str) -> Tensor:
        """A convolution's weights or bias, as they are used."""
        value: Tensor = self.parameters_[self.names.index(name)]
        if not self.rounded or value.dim() == 1 or name in self.whole:
            return value
        return rounded_weights(value)

    def _on_levels(self, name: str, value: Tensor) -> Tensor:
        if self.rounded.get(name) != name:      # another's levels: pooled or repeated from there
            return value
        rounded: Tensor = self.ranges_[self.owners.index(name)](value)
        return rounded

    def forward(self, pixels: Tensor) -> list[Tensor]:
        values = {self.pixels: pixels}
        for name, step in self.steps:
            values[name] = self._on_levels(name, step(self, values))
        return [values[name] for name in self.outputs]

    def range_parameters(self) -> list[nn.Parameter]:
        """The ends of the ranges that are learned."""
        return [one for one in self.ranges_.parameters() if one.requires_grad]

    @torch.no_grad()
    def ranges(self) -> dict[str, tuple[float, float]]:
        """{activation: (low, high)}, as `graph.quantise` wants them."""
        rounding = dict(zip(self.owners, self.ranges_, strict=True))
        return {name: cast(RoundedTensor, rounding[owner]).levels()
                for name, owner in self.rounded.items()}

    @torch.no_grad()
    def put_into(self, model: ModelProto) -> ModelProto:
        """A copy of the float model with these weights and biases."""
        import onnx

        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        values = dict(zip(self.names, self.parameters_, strict=True))
        for tensor in changed.graph.initializer:
            if tensor.name in values:
                tensor.CopyFrom(onnx.numpy_helper.from_array(values[tensor.name].numpy(),
                                                             tensor.name))
        return changed


def _data_inputs(node: NodeProto) -> int:
    return len(node.input) if node.op_type in SEVERAL else 1


def _computed(model: ModelProto, nodes: Sequence[NodeProto],
              known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What else the nodes read: constants, and what the file computes from constants alone."""
    names = [name for node in nodes if node.op_type not in SEVERAL
             for name in node.input[1:] if name and name not in known]
    batch = np.zeros((1, 64, 64, 3), np.uint8)
    found = session(model, names).run(names, {'image': batch}) if names else []
    return dict(zip(names, found, strict=True))


def _step(node: NodeProto, constants: Mapping[str, np.ndarray]) -> Step:
    import onnx

    _refuse(node, node.op_type not in _READERS)
    about = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return _READERS[node.op_type](node, about, constants)


def _refuse(node: NodeProto, unknown: bool) -> None:
    if unknown:
        raise ModelError(f'{node.name}: this kind of {node.op_type} is not trained under int8')


def _conv(node: NodeProto, about: Mapping[str, Any], _: Mapping[str, np.ndarray]) -> Step:
    source, weight, *bias = node.input
    pads = about.get('pads', [0] * 4)
    options = {'stride': about.get('strides', 1), 'dilation': about.get('dilations', 1),
               'groups': about.get('group', 1), 'padding': pads[:2]}
    _refuse(node, pads[:2] != pads[2:])
    return lambda graph, values: functional.conv2d(
        values[source], graph.weight(weight), graph.weight(bias[0]) if bias else None, **options)


def _relu(node: NodeProto, about: Mapping[str, Any], _: Mapping[str, np.ndarray]) -> Step:
    slope = 0. if node.op_type == 'Relu' else about.get('alpha', .01)
    return lambda _, values: functional.leaky_relu(values[node.input[0]], slope)


def _max_pool(node: NodeProto, about: Mapping[str, Any], _: Mapping[str, np.ndarray]) -> Step:
    pads = about.get('pads', [0] * 4)
    _refuse(node, pads[:2] != pads[2:] or bool(about.get('ceil_mode')))
    return lambda _, values: functional.max_pool2d(
        values[node.input[0]], about['kernel_shape'], about.get('strides', [1, 1]), pads[:2])


def _pad(node: NodeProto, about: Mapping[str, Any], constants: Mapping[str, np.ndarray]) -> Step:
    _refuse(node, about.get('mode', b'constant') != b'constant')
    top, left, bottom, right = constants[node.input[1]].reshape(2, -1)[:, 2:].ravel().tolist()
    value = float(constants[node.input[2]]) if len(node.input) > 2 and node.input[2] else 0.
    return lambda _, values: functional.pad(values[node.input[0]], (left, right, top, bottom),
                                            value=value)


def _resize(node: NodeProto, about: Mapping[str, Any],
            constants: Mapping[str, np.ndarray]) -> Step:
    _refuse(node, about.get('mode', b'nearest') != b'nearest' or len(node.input) != 3)
    scale = tuple(constants[node.input[2]][2:].tolist())
    return lambda _, values: functional.interpolate(values[node.input[0]], scale_factor=scale)


def _concat(node: NodeProto, about: Mapping[str, Any], _: Mapping[str, np.ndarray]) -> Step:
    return lambda _, values: torch.cat([values[name] for name in node.input], about['axis'])


def _sigmoid(node: NodeProto, _: Mapping[str, Any], __: Mapping[str, np.ndarray]) -> Step:
    return lambda _, values: values[node.input[0]].sigmoid()


def _pair(node: NodeProto, _: Mapping[str, Any], constants: Mapping[str, np.ndarray]) -> Step:
    _refuse(node, not constants.keys().isdisjoint(node.input))
    joined = torch.add if node.op_type == 'Add' else torch.mul
    return lambda _, values: joined(values[node.input[0]], values[node.input[1]])


_READERS: dict[str, Callable[..., Step]] = {
    'Conv': _conv, 'LeakyRelu': _relu, 'Relu': _relu, 'Sigmoid': _sigmoid, 'MaxPool': _max_pool,
    'Pad': _pad, 'Resize': _resize, 'Concat': _concat, 'Add': _pair, 'Mul': _pair
}
