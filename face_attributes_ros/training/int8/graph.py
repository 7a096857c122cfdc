# SPDX-License-Identifier: Apache-2.0
"""A float ONNX network as an int8 one: quantize and dequantize nodes around its convolutions
(QDQ), uint8 activations, int8 weights with a scale for each output channel.

CPUs without VNNI multiply uint8 by int8 with `vpmaddubsw`, which adds two products in 16 bits and
saturates. Weights of the usual 7 bits cannot reach that, but waste a bit everywhere. Here a
channel's scale is the smallest at which its two largest weights, and so any two, stay within 32767
/ 255 = 128 levels: never saturated on any CPU, and almost 8 bits where one weight stands out, as
it does where an identity branch was folded into the kernel.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from face_attributes_ros.training.int8.ranges import best_range, histograms

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

JOINS = ('Concat', 'Add')
CALM = ('Relu', 'LeakyRelu', 'MaxPool', 'Resize', *JOINS)
"""What may stand between quantised convolutions without leaving int8; JOINS where all that they
join is int8."""
PAIR_LEVELS, MOST_LEVELS = 128, 127


def whole(model: ModelProto) -> ModelProto:
    """The model with weights that were stored as fp16 back in fp32 and their casts gone, and equal
    ones that torch stored once written out for each reader, in place."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for copy in [
            node for node in model.graph.node
            if node.op_type == 'Identity' and node.input[0] in tensors
    ]:
        model.graph.initializer.append(
            numpy_helper.from_array(numpy_helper.to_array(tensors[copy.input[0]]), copy.output[0]))
        model.graph.node.remove(copy)
    for cast in [
            node for node in model.graph.node
            if node.op_type == 'Cast' and node.input[0] in tensors
    ]:
        values = numpy_helper.to_array(tensors[cast.input[0]]).astype(np.float32)
        tensors[cast.input[0]].CopyFrom(numpy_helper.from_array(values, cast.output[0]))
        model.graph.node.remove(cast)
    return model


def convolutions(model: ModelProto) -> list[NodeProto]:
    """The convolutions in order."""
    return [node for node in model.graph.node if node.op_type == 'Conv']


def leads_to_conv(model: ModelProto, node: NodeProto) -> bool:
    """Whether another convolution reads what a convolution gives, at once or through other
    nodes."""
    reached = set(node.output)
    for other in model.graph.node:
        if other.op_type != 'Conv' and reached & set(other.input):
            reached.update(other.output)
    return any(other.input[0] in reached for other in convolutions(model))


def quantisable(model: ModelProto, floats: Sequence[str] = ()) -> list[NodeProto]:
    """Nodes to quantise: convolutions not named in `floats`, and what follows from them alone
    before the next one."""
    chosen, quantised = [], set()
    for node in model.graph.node:
        follows = node.op_type in CALM and any(name in quantised for name in node.input)
        if node.op_type in JOINS:
            follows = all(name in quantised for name in node.input)
        if follows or (node.op_type == 'Conv' and node.name not in floats):
            chosen.append(node)
            quantised.update(node.output)
    return chosen


def pair_safe_scales(weights: np.ndarray) -> np.ndarray:
    """(C,) scale of each output channel of (C, ...) weights: no two of its levels sum to more than
    PAIR_LEVELS."""
    sizes = np.sort(np.abs(weights.reshape(len(weights), -1)), 1)
    second = sizes[:, -2] if sizes.shape[1] > 1 else np.zeros(len(sizes))
    return np.maximum(
        np.maximum(sizes[:, -1] / MOST_LEVELS, (sizes[:, -1] + second) / (PAIR_LEVELS - 1)),
        1e-8).astype(np.float32)


def activation_ranges(model: ModelProto,
                      batches: Sequence[np.ndarray]) -> dict[str, tuple[float, float]]:
    """{tensor: (low, high)} of everything that `quantise` may want to quantise, over uint8
    calibration batches."""
    nodes = quantisable(model)
    inputs = [node.input[0] for node in nodes if node.op_type == 'Conv']
    names = list(dict.fromkeys([*inputs, *(node.output[0] for node in nodes)]))
    shrunk = {
        node.input[0]: _slope(node) ** 2 for node in nodes if node.op_type in ('Relu', 'LeakyRelu')
    }
    found = histograms(model, names, batches)
    ranges = {name: best_range(*found[name], shrunk.get(name, 1.)) for name in names}
    return ranges | {inputs[0]: found[inputs[0]][1:]}     # pixels are kept as they are


def _slope(node: NodeProto) -> float:
    if node.op_type == 'Relu':
        return 0.
    return next((attribute.f for attribute in node.attribute if attribute.name == 'alpha'), .01)


def quantise(model: ModelProto, ranges: Mapping[str, tuple[float, float]], batch: np.ndarray,
             floats: Sequence[str] = ()) -> ModelProto:
    """The int8 model: every convolution but `floats` with the given activation ranges; `batch` is
    any uint8 input."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    logging.getLogger().addFilter(_no_advice)
    nodes = quantisable(model, floats)
    overrides = {
        name: [{'rmin': np.float32(low), 'rmax': np.float32(high)}]
        for name, (low, high) in ranges.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / 'float.onnx', Path(folder) / 'int8.onnx'
        onnx.save(model, given)
        quantize_static(
            given, out, _Once(batch), quant_format=QuantFormat.QDQ, per_channel=True,
            reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_quantize=[node.name for node in nodes],
            extra_options={'TensorQuantOverrides': overrides | _weight_scales(model, nodes)})
        return onnx.load(out)


def _no_advice(record: logging.LogRecord) -> bool:
    # ONNX Runtime advises to run its own preparation first; here batch norms are folded and shapes
    # are known.
    return 'pre-processing before quantization' not in record.getMessage()


class _Once:
    """What ONNX Runtime's calibration reads: one batch, because the ranges are ours."""

    def __init__(self, batch: np.ndarray):
        self.batches = [{'image': batch}]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.batches.pop() if self.batches else None

    def __len__(self) -> int:
        return 1


def _weight_scales(model: ModelProto,
                   nodes: Sequence[NodeProto]) -> dict[str, list[dict[str, Any]]]:
    from onnx import numpy_helper
    from onnxruntime.quantization import QuantType

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in nodes:
        if node.op_type == 'Conv':
            scales = pair_safe_scales(numpy_helper.to_array(tensors[node.input[1]]))
            found[node.input[1]] = [{
                'scale': np.array(scale), 'zero_point': np.array(0, np.int8),
                'quant_type': QuantType.QInt8
            } for scale in scales]
            found[node.input[1]][0]['axis'] = 0
    return found
