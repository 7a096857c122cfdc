# SPDX-License-Identifier: Apache-2.0
"""Measure what bf16 costs a shipped network, and let `precision: auto` take it if that is little
enough.

    face-attributes evaluate bf16 --model detector_tiny --data DETECTION_DIR \\
        --manifest models/manifest.toml
    face-attributes evaluate bf16 --model attributes_m --data ATTRIBUTES_DIR \\
        --manifest models/manifest.toml

DIR is what the network was trained and evaluated on. OpenVINO computes in bf16 only on CPUs that
have it, so its arithmetic is imitated on any CPU: what flows into and out of convolutions and
matrix products, their weights and all between is rounded to bf16, sums are fp32, and what follows
the last of them, which decodes boxes and heads, is fp32 there, too. Test is measured once; where
it keeps the bars of `scores.py`, the manifest's entry lists bf16 in `auto_precisions`. Figures go
to bench/results/bf16.json in any case.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from face_attributes_ros.engines.models import Model
from face_attributes_ros.markdown import grid
from face_attributes_ros.training.common.manifest_table import allow_precision
from face_attributes_ros.training.common.results import put_result
from face_attributes_ros.training.int8.export import find
from face_attributes_ros.training.int8.graph import whole
from face_attributes_ros.training.int8.measure import opened
from face_attributes_ros.training.int8.rooms import Room, room_of
from face_attributes_ros.training.int8.scores import failures

if TYPE_CHECKING:
    from onnx import ModelProto

PRODUCTS = ('Conv', 'Gemm', 'MatMul', 'Resize')
"""Up to the last of these OpenVINO computes in bf16 (`Graph::EnforceInferencePrecision` of its CPU
plugin)."""
FLOATS = (1, 10, 11, 16)
"""ONNX's float, float16, double and bfloat16."""


def rounded(values: np.ndarray) -> np.ndarray:
    """float32 values rounded to the nearest bf16, ties to even, as float32."""
    bits: np.ndarray = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.int64)
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000
    found: np.ndarray = bits.astype(np.uint32).view(np.float32).reshape(values.shape)
    return found


def in_bf16(model: ModelProto) -> ModelProto:
    """A float model, in place, as bf16 arithmetic would run it: a rounding behind each float
    result up to the last product, and products with rounded weights."""
    from onnx import TensorProto, helper, numpy_helper

    whole(model)
    graph = model.graph
    before = _up_to_products(model)
    kinds = _kinds(model)
    weights = {node.input[1] for node in graph.node
               if node.op_type in PRODUCTS and len(node.input) > 1}
    for tensor in graph.initializer:
        if tensor.name in weights and tensor.data_type == TensorProto.FLOAT:
            values = rounded(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    nodes = []
    for node in graph.node:
        nodes.append(node)
        for index, name in enumerate(node.output):
            if node.op_type in ('Constant', 'Shape') or kinds.get(name) not in FLOATS or \
                    not before & set(node.output):
                continue
            node.output[index] = f'{name}_exact'
            nodes += [
                helper.make_node('Cast', [f'{name}_exact'], [f'{name}_bf16'],
                                 to=TensorProto.BFLOAT16),
                helper.make_node('Cast', [f'{name}_bf16'], [name], to=TensorProto.FLOAT)]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _up_to_products(model: ModelProto) -> set[str]:
    # Tensors that a product makes, or that lead to one.
    wanted: set[str] = set()
    for node in reversed(model.graph.node):
        if node.op_type in PRODUCTS or wanted & set(node.output):
            wanted.update(node.output)
            wanted.update(node.input)
    return wanted


def _kinds(model: ModelProto) -> dict[str, int]:
    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model).graph
    return {value.name: value.type.tensor_type.elem_type
            for value in (*inferred.value_info, *inferred.output)}


class Imitated:
    """An ONNX file as it would compute in bf16; a `Network`. `outputs` and `description` as of
    every engine."""

    def __init__(self, path: Path):
        import onnx
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        # Else pairs of casts are taken out again.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / 'bf16.onnx'
            onnx.save(in_bf16(onnx.load(str(path))), file)
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=['CPUExecutionProvider'])
        self.outputs = tuple(output.name for output in self._session.get_outputs())
        self.description = 'bf16 imitated on onnxruntime'

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        return list(self._session.run(None, {'image': batch}))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `evaluate bf16`."""
    parser.add_argument('--model', required=True,
                        help='a detector or attribute network of the manifest')
    parser.add_argument('--data', type=Path, required=True,
                        help='YOLO-format folder, or folder of labels.csv and its zips')
    parser.add_argument('--manifest', type=Path, default=Path('models/manifest.toml'))
    parser.add_argument('--json', type=Path, default=Path('bench/results/bf16.json'))


def run(args: argparse.Namespace) -> int:
    """Measures on test, prints the table, and lists bf16 in the manifest or takes it out; exit
    status 1 where it does not keep the bars."""
    model = find(args.manifest, args.model)
    result = measured(model, room_of(model, args.data))
    print(table(result))
    put_result(args.json, model.name, result)
    passed = not result['failures']
    allow_precision(args.manifest, model.name, 'bf16', passed)
    return 0 if passed else 1


def measured(model: Model, room: Room) -> dict[str, Any]:
    """Figures of fp32 and of imitated bf16 on test, and which drop too much."""
    floats = room.figures(opened(model.path, 'fp32', 'onnxruntime'), 'test')
    found = room.figures(Imitated(model.path), 'test')
    return {'made_from': model.sha256, 'failures': failures(floats, found),
            'fp32': {name: round(value, 5) for name, value in floats.items()},
            'bf16': {name: round(value, 5) for name, value in found.items()}}


def table(result: Mapping[str, Any]) -> str:
    """fp32 and bf16 on test as Markdown."""
    rows = [[name, f'{value:.4f}', f'{result["bf16"][name]:.4f}',
             f'{result["bf16"][name] - value:+.4f}'
             + (' too much' if name in result['failures'] else '')]
            for name, value in result['fp32'].items()]
    return grid(['test', 'fp32', 'bf16', 'difference'], rows)
