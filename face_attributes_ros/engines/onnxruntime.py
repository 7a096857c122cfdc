# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: the portable default; CUDA where its GPU build is installed."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_attributes_ros.engines.seam import (
    check_ends,
    device_index,
    require,
    require_gpu,
    tried,
)
from face_attributes_ros.errors import DeviceError

Provider = tuple[str, dict[str, Any]]


class OnnxRuntime:
    """An ONNX file on one execution provider of ONNX Runtime. Int8 is a property of the file: its
    nodes quantise."""

    def __init__(self, path: str | Path, provider: Provider, threads: int, about: str):
        import onnxruntime

        if provider[0] != 'CPUExecutionProvider':
            _load_cuda(onnxruntime)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # A robot has other work for its cores than waiting in a loop for ours.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        self._path = path
        self._session = tried(
            lambda: onnxruntime.InferenceSession(str(path), options, providers=[provider]), path)
        if self._session.get_providers()[0] != provider[0]:
            raise DeviceError(f'{about}: ONNX Runtime could not start {provider[0]}')
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_ends(len(inputs), len(outputs), path)
        self._input = inputs[0].name
        self.outputs = tuple(output.name for output in outputs)
        self.description = about

    def __call__(self, batch: np.ndarray) -> Sequence[np.ndarray]:
        found: Sequence[np.ndarray] = tried(
            lambda: self._session.run(None, {self._input: batch}), self._path)
        return found


def open_file(path: str | Path, device: str, precision: str, threads: int = 0) -> OnnxRuntime:
    """The network in an ONNX file on 'cpu' or 'cuda:N'; DeviceError for what is not offered."""
    import onnxruntime

    require(precision, offers(device), 'onnxruntime', device)
    provider = _provider(device, onnxruntime.get_available_providers())
    about = f'onnxruntime {onnxruntime.__version__}, {device}, {precision}'
    return OnnxRuntime(path, provider, threads, about)


def offers(device: str) -> tuple[str, ...]:
    """What the files are; int8 ones have operators that only a CPU has fast kernels for."""
    return ('fp32', 'int8') if device == 'cpu' else ('fp32', )


def _load_cuda(onnxruntime: Any) -> None:
    # CUDA and cuDNN as pip installs them lie where no loader looks; versions before 1.21 do not
    # offer this. What it prints of libraries that are not there, the session says better.
    preload = getattr(onnxruntime, 'preload_dlls', None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):
            preload(msvc=False)


def _provider(device: str, available: Sequence[str]) -> Provider:
    if device == 'cpu':
        return 'CPUExecutionProvider', {}
    if 'CUDAExecutionProvider' not in available:
        raise DeviceError(
            f'device {device}: this ONNX Runtime has no CUDA (it has {", ".join(available)}); '
            'install onnxruntime-gpu, or use device cpu or auto')
    require_gpu(device)
    return 'CUDAExecutionProvider', {'device_id': device_index(device)}
