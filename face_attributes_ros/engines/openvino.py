# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: the fastest on x86 CPUs. It would choose bf16 by itself; here precision is always
explicit."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_attributes_ros.engines import cpu
from face_attributes_ros.engines.seam import check_ends, require, tried

MAY_BF16 = {'avx512f', 'avx_ne_convert'}


class OpenVino:
    """An ONNX file on OpenVINO's CPU device."""

    def __init__(self, path: str | Path, precision: str, threads: int):
        openvino = _openvino()
        hints, core = openvino.properties.hint, openvino.Core()
        # What an int8 file leaves in float stays fp32.
        kinds = {'fp32': openvino.Type.f32, 'bf16': openvino.Type.bf16, 'int8': openvino.Type.f32}
        config = {hints.inference_precision(): kinds[precision],
                  hints.performance_mode(): hints.PerformanceMode.LATENCY,
                  # It would pin its caller to the first core while it computes: two nodes then
                  # share that core beside an idle one.
                  hints.enable_cpu_pinning(): False}
        if threads:
            config[openvino.properties.inference_num_threads()] = threads
        model = tried(lambda: core.read_model(str(path)), path)
        _round_once(model)
        compiled = tried(lambda: core.compile_model(model, 'CPU', config), path)
        check_ends(len(compiled.inputs), len(compiled.outputs), path)
        self._path, self._request = path, compiled.create_infer_request()
        # A tensor may have several names (a no-op was fused into it); the graph's output is named
        # after its result node.
        self.outputs = tuple(output.get_node().get_friendly_name().partition('/sink_port')[0]
                             for output in compiled.outputs)
        self.description = f'openvino {openvino.__version__.split("-")[0]}, cpu, {precision}'

    def __call__(self, batch: np.ndarray) -> Sequence[np.ndarray]:
        results = tried(lambda: self._request.infer([batch], share_inputs=True), self._path)
        return [results[index] for index in range(len(self.outputs))]


def open_file(path: str | Path, device: str, precision: str, threads: int = 0) -> OpenVino:
    """The network in an ONNX file on the CPU; DeviceError for what is not offered."""
    require(device, ('cpu', ), 'openvino')
    require(precision, offers(device), 'openvino', 'this CPU')
    return OpenVino(path, precision, threads)


def offers(device: str) -> tuple[str, ...]:
    """bf16 only where the CPU has it: elsewhere OpenVINO would compute in fp32 without a word."""
    require(device, ('cpu', ), 'openvino')
    return ('fp32', 'bf16', 'int8') if has_bf16() else ('fp32', 'int8')


def has_bf16() -> bool:
    """Whether the CPU computes in bf16, as OpenVINO sees it; where it surely does not, OpenVINO is
    not imported for that."""
    if not cpu.flags() & MAY_BF16:
        return False
    return 'BF16' in _openvino().Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')


def _openvino() -> Any:
    # Importing openvino reports the import to its makers' statistics server; without this module
    # it does not.
    sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]
    import openvino
    import openvino.properties.hint

    return openvino


def _round_once(model: Any) -> None:
    # ONNX Runtime's int8 convolution rounds before a leaky activation and after it. OpenVINO needs
    # only the second, and with the first its int8 path gives wrong numbers (2026.4: the zero point
    # is lost on the way through the activation).
    for node in model.get_ordered_ops():
        if node.get_type_name() == 'PRelu':
            rounding = _rounding_before(node.input_value(0))
            if rounding is not None:
                node.input(0).replace_source_output(rounding.input_value(0))


def _rounding_before(source: Any) -> Any:
    # The FakeQuantize whose levels a dequantization (Multiply, Subtract if there is a zero point,
    # Convert) brings back.
    steps = []
    while source.get_node().get_type_name() in ('Multiply', 'Subtract', 'Convert'):
        steps.append(source.get_node().get_type_name())
        source = source.get_node().input_value(0)
    arithmetic = [step for step in steps if step != 'Convert']
    dequantizes = arithmetic in (['Multiply'], ['Multiply', 'Subtract'])
    found = dequantizes and source.get_node().get_type_name() == 'FakeQuantize'
    return source.get_node() if found else None
