# SPDX-License-Identifier: Apache-2.0
"""TensorRT as a provider of ONNX Runtime. An engine fits one GPU and one version only, so each has
a cache folder of its own.

Not run: no GPU at hand. The options are tested against a fake runtime.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
from pathlib import Path
from typing import Any

from face_attributes_ros.engines.kept import cache_root
from face_attributes_ros.engines.onnxruntime import OnnxRuntime, Provider
from face_attributes_ros.errors import DeviceError

PROVIDER = 'TensorrtExecutionProvider'
PRECISIONS = ('fp16', 'fp32')
_PACKAGES = ('tensorrt', 'tensorrt-cu13', 'tensorrt-cu12')


def tensorrt_provider(device: str, precision: str, onnxruntime: Any) -> Provider:
    """(provider, options) for a session on 'cuda:N'; DeviceError where TensorRT, the precision or
    the GPU is not to be had."""
    kind, _, index = device.partition(':')
    if kind != 'cuda':
        raise DeviceError(f'{device!r} is not offered by tensorrt: needs cuda:N')
    available = onnxruntime.get_available_providers()
    if PROVIDER not in available:
        raise DeviceError('backend tensorrt: this ONNX Runtime has no TensorRT (it has '
                          f'{", ".join(available)}); install onnxruntime-gpu and TensorRT, or use '
                          'another backend')
    if precision not in PRECISIONS:
        raise DeviceError(f'{precision!r} is not offered by tensorrt on {device}: needs '
                          f'{", ".join(PRECISIONS)}')
    folder = cache_folder(gpu_name(int(index)), tensorrt_version(), onnxruntime.__version__)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(f'backend tensorrt keeps its engines in {folder}, which cannot be made '
                          f'({error.strerror}): set XDG_CACHE_HOME') from error
    return PROVIDER, {'device_id': int(index), 'trt_fp16_enable': precision == 'fp16',
                      'trt_engine_cache_enable': True, 'trt_engine_cache_path': str(folder),
                      'trt_timing_cache_enable': True, 'trt_timing_cache_path': str(folder)}


def open_file(path: str | Path, device: str, precision: str, threads: int = 0) -> OnnxRuntime:
    """The network in an ONNX file on 'cuda:N'; DeviceError as of `tensorrt_provider`."""
    import onnxruntime

    provider = tensorrt_provider(device, precision, onnxruntime)
    about = f'tensorrt by onnxruntime {onnxruntime.__version__}, {device}, {precision}'
    return OnnxRuntime(path, provider, threads, about)


def offers(device: str) -> tuple[str, ...]:
    """On every GPU the same; int8 is not offered, because these files have zero points."""
    del device
    return PRECISIONS


def cache_folder(gpu: str, tensorrt: str, onnxruntime: str) -> Path:
    """Where engines of this GPU (name and compute capability) and these versions are kept."""
    key = re.sub(r'[^A-Za-z0-9.]+', '_', f'{gpu} tensorrt {tensorrt} onnxruntime {onnxruntime}')
    return cache_root() / 'tensorrt' / key


def gpu_name(index: int) -> str:
    """Name and compute capability of a GPU as the driver tells them, 'NVIDIA H100, 9.0'."""
    command = ['nvidia-smi', f'--id={index}', '--query-gpu=name,compute_cap',
               '--format=csv,noheader']
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True,
                              timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceError(
            f'device cuda:{index}: nvidia-smi does not name this GPU: {error}') from error


def tensorrt_version() -> str:
    """The version of the TensorRT package; 'system' for one that pip did not install."""
    for package in _PACKAGES:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return 'system'
