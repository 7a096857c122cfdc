# SPDX-License-Identifier: Apache-2.0
"""Runtimes behind one seam: a network is a callable from a uint8 batch (B, H, W, 3) BGR to float
arrays.

`Network = Callable[[np.ndarray], Sequence[np.ndarray]]`; those opened here also say `outputs`
(names, in order) and `description` (runtime, device, precision as really used). A wrong request is
a DeviceError, never a silent fallback.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from face_attributes_ros.engines.tensorrt import tensorrt_provider
from face_attributes_ros.errors import DeviceError, ModelError, ParameterError

Network = Callable[[np.ndarray], Sequence[np.ndarray]]
BACKENDS = ('auto', 'onnxruntime', 'openvino', 'tensorrt', 'torch', 'ultralytics')
PRECISIONS = ('auto', 'fp32', 'fp16', 'bf16', 'int8')
CPU_INFO = Path('/proc/cpuinfo')


class OnnxRuntime:
    """An ONNX file on ONNX Runtime: the portable default; CUDA where its GPU build is installed,
    TensorRT where asked for.

    `precision` int8 is a property of the file: its nodes quantise. Half precision is TensorRT's
    only.
    """

    def __init__(self, path, device='cpu', precision='fp32', threads=0, tensorrt=False):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # A robot has other work for its cores than waiting in a loop for ours.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        if tensorrt:
            wanted = tensorrt_provider(device, precision, onnxruntime)
        else:
            _require(precision, ('fp32', 'int8') if device == 'cpu' else ('fp32', ), 'onnxruntime',
                     device)
            wanted = _onnxruntime_provider(device, onnxruntime.get_available_providers())
        self._session = _opened(
            lambda: onnxruntime.InferenceSession(str(path), options, providers=[wanted]), path)
        if self._session.get_providers()[0] != wanted[0]:
            raise DeviceError(f'device {device}: ONNX Runtime could not start {wanted[0]}')
        self._input = self._session.get_inputs()[0].name
        self.outputs = tuple(output.name for output in self._session.get_outputs())
        runtime = 'tensorrt by onnxruntime' if tensorrt else 'onnxruntime'
        self.description = f'{runtime} {onnxruntime.__version__}, {device}, {precision}'

    def __call__(self, batch):
        return self._session.run(None, {self._input: batch})


class OpenVino:
    """An ONNX file on OpenVINO: the fastest on x86 CPUs. It would choose bf16 by itself; here
    precision is always explicit."""

    def __init__(self, path, device='cpu', precision='fp32', threads=0):
        openvino = _openvino()
        hints = openvino.properties.hint

        _require(device, ('cpu',), 'openvino')
        core = openvino.Core()
        # What an int8 file leaves in float stays fp32.
        kinds = {'fp32': openvino.Type.f32, 'bf16': openvino.Type.bf16, 'int8': openvino.Type.f32}
        _require(precision, kinds, 'openvino', device)
        config = {
            hints.inference_precision(): kinds[precision],
            hints.performance_mode(): hints.PerformanceMode.LATENCY
        }
        if threads:
            config[openvino.properties.inference_num_threads()] = threads
        model = _opened(lambda: core.read_model(str(path)), path)
        _round_once(model)
        compiled = _opened(lambda: core.compile_model(model, 'CPU', config), path)
        self._request = compiled.create_infer_request()
        # A tensor may have several names (a no-op was fused into it); the graph's output is named
        # after its result node.
        self.outputs = tuple(output.get_node().get_friendly_name().partition('/sink_port')[0]
                             for output in compiled.outputs)
        self.description = f'openvino {openvino.__version__.split("-")[0]}, cpu, {precision}'

    def __call__(self, batch):
        results = self._request.infer([batch], share_inputs=True)
        return [results[index] for index in range(len(self.outputs))]


def _openvino():
    # Importing openvino reports the import to its makers' statistics server; without this module
    # it does not.
    sys.modules.setdefault('openvino_telemetry', None)
    import openvino
    import openvino.properties.hint

    return openvino


def _has_bf16():
    return 'BF16' in _openvino().Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')


def _round_once(model):
    # ONNX Runtime's int8 convolution rounds before a leaky activation and after it. OpenVINO needs
    # only the second, and with the first its int8 path gives wrong numbers (2026.4: the zero point
    # is lost on the way through the activation).
    for node in model.get_ordered_ops():
        if node.get_type_name() == 'PRelu':
            rounding = _rounding_before(node.input_value(0))
            if rounding is not None:
                node.input(0).replace_source_output(rounding.input_value(0))


def _rounding_before(source):
    # The FakeQuantize whose levels a dequantization (Multiply, Subtract if there is a zero point,
    # Convert) brings back.
    steps = []
    while source.get_node().get_type_name() in ('Multiply', 'Subtract', 'Convert'):
        steps.append(source.get_node().get_type_name())
        source = source.get_node().input_value(0)
    arithmetic = [step for step in steps if step != 'Convert']
    found = arithmetic in (['Multiply'], [
        'Multiply', 'Subtract'
    ]) and source.get_node().get_type_name() == 'FakeQuantize'
    return source.get_node() if found else None


def _onnxruntime_provider(device, available):
    if device == 'cpu':
        return 'CPUExecutionProvider', {}
    if 'CUDAExecutionProvider' not in available:
        raise DeviceError(
            f'device {device}: this ONNX Runtime has no CUDA (it has {", ".join(available)}); '
            'install onnxruntime-gpu, or use device cpu or auto')
    return 'CUDAExecutionProvider', {'device_id': device_index(device)}


def _opened(make, path):
    try:
        return make()
    except DeviceError:
        raise
    except Exception as error:  # the runtimes have exception types of their own, without a common base
        raise ModelError(f'model file {path}: {str(error).strip().splitlines()[0]}') from error


def _require(value, allowed, backend, device=None):
    if value not in allowed:
        where = f'{backend} on {device}' if device else backend
        raise DeviceError(f'{value!r} is not offered by {where}: needs {", ".join(allowed)}')


def device_index(device):
    """0 for 'cuda:0'; ParameterError for anything that is neither 'cpu' nor 'cuda:N'."""
    kind, _, index = device.partition(':')
    if kind != 'cuda' or not index.isdigit():
        raise ParameterError(f'device is {device!r}, needs auto, cpu or cuda:N')
    return int(index)


def _installed(module):
    return importlib.util.find_spec(module) is not None


def choose_device(device):
    """'cpu' or 'cuda:N' for a requested device; 'auto' takes the first GPU that ONNX Runtime was
    built for, else the CPU."""
    if device == 'cpu':
        return device
    if device != 'auto':
        device_index(device)
        return device
    if not _installed('onnxruntime'):
        return 'cpu'
    import onnxruntime

    has_gpu = 'CUDAExecutionProvider' in onnxruntime.get_available_providers() and Path(
        '/dev/nvidia0').exists()
    return 'cuda:0' if has_gpu else 'cpu'


def choose_backend(backend, device):
    """A runtime that is installed: 'auto' takes OpenVINO on a CPU where there is one, else ONNX
    Runtime."""
    if backend not in BACKENDS:
        raise ParameterError(f'backend is {backend!r}, needs one of {", ".join(BACKENDS)}')
    if backend == 'auto':
        backend = 'openvino' if device == 'cpu' and _installed('openvino') else 'onnxruntime'
    module = 'onnxruntime' if backend == 'tensorrt' else backend
    if not _installed(module):
        raise DeviceError(f'backend {backend} is not installed: pip install {module}')
    return backend


def choose_precision(backend, device, has_int8=False):
    """What `auto` is: bf16 on OpenVINO where the CPU has it, int8 where the model has an int8 file
    and the CPU is x86 with AVX2 (there it was measured to be faster), fp16 on TensorRT, else
    fp32."""
    if backend == 'tensorrt':
        return 'fp16'
    if device != 'cpu':
        return 'fp32'
    if backend == 'openvino' and _has_bf16():
        return 'bf16'
    return 'int8' if has_int8 and cpu_has('avx2') else 'fp32'


def cpu_has(*flags):
    """Whether Linux names any of these x86 features of the CPU."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    found = next((line.partition(':')[2].split() for line in lines if line.startswith('flags')),
                 [])
    return not set(flags).isdisjoint(found)


def open_network(path, *, int8_path=None, backend='auto', device='auto', precision='auto',
                 threads=0):
    """The network in an ONNX file, or in a safetensors file for the backend torch; `threads` 0
    lets the runtime choose.

    `int8_path` is the same network in int8, where there is one: precision int8, and auto where
    that is int8, open it.
    """
    if precision not in PRECISIONS:
        raise ParameterError(f'precision is {precision!r}, needs one of {", ".join(PRECISIONS)}')
    if backend == 'torch':
        choose_backend(backend, device)      # an error where torch is not installed
        from face_attributes_ros.engines.torch import open_weights

        return open_weights(path, device=device, precision=precision, threads=threads)
    device = choose_device(device)
    backend = choose_backend(backend, device)
    if backend == 'ultralytics':
        raise ParameterError(f'backend ultralytics runs detectors only, not {path}')
    if precision == 'auto':
        precision = choose_precision(backend, device, int8_path is not None)
    if precision == 'int8':
        path = _int8_file(path, int8_path, backend, device)
    if backend == 'openvino':
        return OpenVino(path, device, precision, threads)
    return OnnxRuntime(path, device, precision, threads, tensorrt=backend == 'tensorrt')


def _int8_file(path, int8_path, backend, device):
    if device != 'cpu' or backend == 'tensorrt':
        raise DeviceError(
            f"'int8' is not offered by {backend} on {device}: needs a CPU and onnxruntime or openvino"
        )
    if int8_path is None:
        raise ModelError(
            f'precision int8: model {path} has no int8_file in the manifest (face-attributes export int8 makes one)'
        )
    return int8_path
