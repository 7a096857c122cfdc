# SPDX-License-Identifier: Apache-2.0
"""Which runtime, device and precision a network gets. A wrong request is an error, never a silent
fallback; only `auto` chooses."""

from __future__ import annotations

import importlib.util
from importlib import import_module
from pathlib import Path
from types import ModuleType

from face_attributes_ros.engines.seam import OpenNetwork, device_index
from face_attributes_ros.errors import DeviceError, ModelError, ParameterError
from face_attributes_ros.runtimes import BACKENDS, BY_NAME, PRECISIONS, RUNTIMES


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _runtime(backend: str) -> ModuleType:
    return import_module(f'face_attributes_ros.engines.{BY_NAME[backend].module}')


def choose_device(device: str) -> str:
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

    built_for_gpu = 'CUDAExecutionProvider' in onnxruntime.get_available_providers()
    return 'cuda:0' if built_for_gpu and Path('/dev/nvidia0').exists() else 'cpu'


def choose_backend(backend: str, device: str) -> str:
    """A runtime that is installed: 'auto' takes OpenVINO on a CPU where there is one, else ONNX
    Runtime."""
    if backend not in BACKENDS:
        raise ParameterError(f'backend is {backend!r}, needs one of {", ".join(BACKENDS)}')
    if backend == 'auto':
        backend = 'openvino' if device == 'cpu' and _installed('openvino') else 'onnxruntime'
    if not _installed(package := BY_NAME[backend].package):
        raise DeviceError(f'backend {backend} is not installed: pip install {package}')
    return backend


def choose_precision(backend: str, device: str, has_int8: bool = False) -> str:
    """What `auto` is, by the runtime's own rule."""
    precision: str = _runtime(backend).auto_precision(device, has_int8)
    return precision


def open_network(path: str | Path, *, int8_path: str | Path | None = None, backend: str = 'auto',
                 device: str = 'auto', precision: str = 'auto', threads: int = 0) -> OpenNetwork:
    """The network in an ONNX file, or in a safetensors file for the backend torch; `threads` 0
    lets the runtime choose.

    `int8_path` is the same network in int8, where there is one: precision int8, and auto where
    that is int8, open it.
    """
    if precision not in PRECISIONS:
        raise ParameterError(f'precision is {precision!r}, needs one of {", ".join(PRECISIONS)}')
    if backend not in BY_NAME or not BY_NAME[backend].finds_devices:
        device = choose_device(device)
    backend = choose_backend(backend, device)
    if precision == 'auto':
        precision = choose_precision(backend, device, int8_path is not None)
    if precision == 'int8':
        path = _int8_file(path, int8_path, backend, device)
    network: OpenNetwork = _runtime(backend).open_file(path, device, precision, threads)
    return network


def _int8_file(path: str | Path, int8_path: str | Path | None, backend: str,
               device: str) -> str | Path:
    if device != 'cpu' or not BY_NAME[backend].int8:
        able = ' or '.join(runtime.name for runtime in RUNTIMES if runtime.int8)
        raise DeviceError(f"'int8' is not offered by {backend} on {device}: "
                          f'needs a CPU and {able}')
    if int8_path is None:
        raise ModelError(f'precision int8: model {path} has no int8_file in the manifest '
                         '(face-attributes export int8 makes one)')
    return int8_path
