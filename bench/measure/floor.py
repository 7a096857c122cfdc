# SPDX-License-Identifier: Apache-2.0
"""How far each network is from what one core can compute at best: its operations over the measured
rate of a matrix product.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m bench.measure.floor --out FILE
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.report.figures import Report, cpu_ms, summary
from bench.rig import machine
from face_attributes_ros.engines.models import Model

IMAGE, FACES, SIDE = (1280, 720), 4, 1024


def gemm_rates(repeats: int = 10) -> dict[str, float]:
    """Giga-operations a second (2 for a multiplication and an addition) of one thread, by
    precision: the best of `repeats`."""
    import torch

    torch.set_num_threads(1)
    numbers = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    tensor = torch.from_numpy(numbers)
    products = {'fp32': [lambda: numbers @ numbers, lambda: tensor @ tensor],
                'int8': [int8_product()]}
    if machine.not_offered('bf16') is None:
        half = tensor.bfloat16()
        products['bf16'] = [lambda: half @ half]
    return {name: round(max(_rate(call, repeats) for call in calls), 1)
            for name, calls in products.items()}


def _rate(call: Callable[[], object], repeats: int) -> float:
    call()
    return 2e-6 * SIDE ** 3 / min(cpu_ms(call) for _ in range(repeats))


def int8_product() -> Callable[[], object]:
    """A call that multiplies uint8 by int8 matrices on ONNX Runtime."""
    import onnxruntime
    from onnx import TensorProto, helper

    given, out = (helper.make_tensor_value_info(name, kind, [SIDE, SIDE])
                  for name, kind in (('a', TensorProto.UINT8), ('c', TensorProto.INT32)))
    b = np.random.default_rng(1).integers(-127, 127, (SIDE, SIDE), np.int8)
    weights = helper.make_tensor('b', TensorProto.INT8, b.shape, b.tobytes(), raw=True)
    graph = helper.make_graph([helper.make_node('MatMulInteger', ['a', 'b'], ['c'])], 'product',
                              [given], [out], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=['CPUExecutionProvider'])
    a = np.random.default_rng(2).integers(0, 255, (SIDE, SIDE), np.uint8)
    return lambda: session.run(None, {'a': a})


def gflop(path: Path, shape: tuple[int, ...]) -> float:
    """2e-9 times the multiply-adds of an ONNX file's convolutions and matrix products, for one
    input shape: it is run once, and the shapes are read off its tensors, since they are not all in
    the file."""
    import onnx
    import onnxruntime

    model = onnx.load(str(path))
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in ('Conv', 'MatMul', 'Gemm')]
    own = {value.name for value in model.graph.output}
    wanted = {name for node in products for name in (*node.input[:2], node.output[0])
              } - own - {model.graph.input[0].name, *shapes}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=['CPUExecutionProvider'])
    values = session.run(None, {model.graph.input[0].name: np.zeros(shape, np.uint8)})
    shapes |= {output.name: value.shape for output, value in zip(session.get_outputs(), values)}
    return 2e-9 * sum(_multiply_adds(node, shapes) for node in products)


def _multiply_adds(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> float:
    out = np.prod(shapes[node.output[0]], dtype=float)
    if node.op_type == 'Conv':
        return out * np.prod(shapes[node.input[1]][1:], dtype=float)
    transposed = any(attribute.name == 'transA' and attribute.i for attribute in node.attribute)
    return out * shapes[node.input[0]][0 if transposed else -1]


def networks() -> Iterator[tuple[str, Model, tuple[int, ...]]]:
    """The shipped networks as (name, manifest entry, input shape)."""
    from face_attributes_ros.boxes import canvas_size
    from face_attributes_ros.engines.models import shipped

    for name, model in shipped().items():
        if model.task == 'detector':
            width, height = canvas_size(*IMAGE, model.input_px)
            yield name, model, (1, height, width, 3)
        else:
            yield name, model, (FACES, model.input_px, model.input_px, 3)


def measure(rounds: int) -> Report:
    """Rates, and for each network in each runtime and precision its CPU ms and how many times that
    is of the floor."""
    from bench.rig.contenders import ours

    rates = gemm_rates()
    calls: dict[tuple[str, str], Any] = {}
    found: Report = {}
    for detector in [name for name, model, _ in networks() if model.task == 'detector']:
        able, _ = ours(1, detector)
        for contender, one in able.items():
            calls |= {(name, contender): network for name, network in one.networks.items()}
    for name, model, shape in networks():
        batch = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
        some = {contender: call for (network, contender), call in calls.items() if network == name}
        operations = gflop(model.path, shape)
        runtimes = _against_floor(some, batch, operations, rates, rounds)
        found[name] = {'gflop': round(operations, 3), 'input': shape, 'runtimes': runtimes}
    return {'gemm_gops_1t': rates, 'networks': found}


def _against_floor(calls: Mapping[str, Any], batch: np.ndarray, operations: float,
                   rates: Mapping[str, float], rounds: int) -> Report:
    for call in calls.values():
        call(batch), call(batch)
    rows = [{name: cpu_ms(partial(call, batch)) for name, call in calls.items()}
            for _ in range(rounds)]
    out = {}
    for name in calls:
        precision = calls[name].description.rpartition(', ')[2].split()[0]  # as really used
        about, floor_ms = summary([row[name] for row in rows]), 1e3 * operations / rates[precision]
        out[name] = {**about, 'precision': precision, 'floor_ms': round(floor_ms, 2),
                     'times_floor': round(about['median'] / floor_ms, 2)}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=30)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    machine.require_thread_limits(1)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    about, start = machine.about(), time.monotonic()
    report = {'machine': about, **measure(args.rounds), 'took_s': round(time.monotonic() - start)}
    args.out.write_text(json.dumps(report))


if __name__ == '__main__':
    main()
