# SPDX-License-Identifier: Apache-2.0
"""What this machine has to run networks on, and what it lacks: the facts that `choose` decides
by."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from face_attributes_ros.engines.cuda import TorchBuild, build_on_disk, seen
from face_attributes_ros.engines.seam import first_words

DEVICES = Path('/dev')
GPU_DEVICES = ('nvidia[0-9]*', 'nvhost-gpu', 'nvgpu', 'dxg')
"""Made by NVIDIA's driver on a PC, on a Jetson (up to JetPack 5, from 6 on), and by WSL."""
TEGRA_RELEASE = Path('/etc/nv_tegra_release')
PACKAGES = ('onnxruntime', 'openvino', 'torch', 'safetensors')


@dataclass(frozen=True)
class Machine:
    """`gpu`: a driver for NVIDIA GPUs is loaded. `versions` by package, of those installed;
    `broken` says of some why they cannot be imported all the same. `providers` are ONNX Runtime's.
    `torch` is None where it is not installed. Both are imported and asked only where `gpu`: a
    robot without one saves the time and memory."""

    gpu: bool = False
    jetson: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    providers: tuple[str, ...] = ()
    torch: TorchBuild | None = None


NO_GPU = 'there is no NVIDIA GPU here'
_JETSON = ' (a Jetson needs the one for its JetPack: docs/gpu.md)'


def torch_on_cuda(machine: Machine, index: int) -> str:
    """Why torch cannot have GPU `index`; '' where it can."""
    torch = machine.torch
    if torch is None:
        return 'torch is not installed'
    if 'torch' in machine.broken:
        return f'torch cannot be imported: {machine.broken["torch"]}'
    if not torch.cuda:
        return f'torch {torch.version} here was built without CUDA{_hint(machine)}'
    if not torch.gpus:
        return f'torch {torch.version} finds no GPU: {torch.trouble or "none is visible to it"}'
    if index >= len(torch.gpus):
        return f'torch finds {len(torch.gpus)} CUDA devices, cuda:{index} is not one of them'
    gpu = torch.gpus[index]
    if not torch.runs_on(gpu):
        return (f'cuda:{index}, {gpu.name}, has compute capability '
                f'{".".join(map(str, gpu.capability))}, torch {torch.version} here was built for '
                f'{torch.built_for}{_hint(machine)}')
    return '' if 'safetensors' in machine.versions else 'safetensors is not installed'


def onnxruntime_with(provider: str) -> Callable[[Machine, int], str]:
    """A function that says why ONNX Runtime cannot use a provider; '' where it can. How many GPUs
    there are it does not say."""
    def lacks(machine: Machine, index: int) -> str:
        if reason := onnxruntime(machine, index):
            return reason
        short = provider.removesuffix('ExecutionProvider').replace('Tensorrt', 'TensorRT')
        return '' if provider in machine.providers else (
            f'ONNX Runtime {machine.versions["onnxruntime"]} here was built without {short}'
            f'{_hint(machine)}')

    return lacks


def onnxruntime(machine: Machine, index: int) -> str:
    """Why there is no ONNX Runtime; '' where there is."""
    del index
    if 'onnxruntime' not in machine.versions:
        return 'onnxruntime is not installed'
    broken = machine.broken.get('onnxruntime')
    return f'onnxruntime cannot be imported: {broken}' if broken else ''


def openvino(machine: Machine, index: int) -> str:
    """Why there is no OpenVINO; '' where there is."""
    del index
    return '' if 'openvino' in machine.versions else 'openvino is not installed'


def torch_on_cpu(machine: Machine, index: int) -> str:
    """Why torch cannot run on the CPU; '' where it can."""
    del index
    missing = [name for name in ('torch', 'safetensors') if name not in machine.versions]
    return f'{missing[0]} is not installed' if missing else ''


def _hint(machine: Machine) -> str:
    return _JETSON if machine.jetson else ''


def look(sure: bool = False) -> Machine:
    """The facts of this machine; `sure` asks the runtimes for GPUs also where no driver is to be
    seen."""
    jetson = TEGRA_RELEASE.exists()
    gpu = sure or any(any(DEVICES.glob(pattern)) for pattern in GPU_DEVICES)
    versions = {package: version(package) for package in PACKAGES if find_spec(package)}
    broken: dict[str, str] = {}
    providers = onnxruntime_providers(broken) if gpu and 'onnxruntime' in versions else ()
    torch = _torch(versions['torch'], gpu, jetson, broken) if 'torch' in versions else None
    return Machine(gpu, jetson, versions, broken, providers, torch)


def version(package: str) -> str:
    """Of an installed package; 'unknown' for one that pip did not install."""
    names = {'onnxruntime': ('onnxruntime', 'onnxruntime-gpu')}.get(package, (package, ))
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return 'unknown'


def onnxruntime_providers(broken: dict[str, str]) -> tuple[str, ...]:
    """ONNX Runtime's providers; where it cannot be imported, `broken` gets the reason."""
    try:
        import onnxruntime

        return tuple(onnxruntime.get_available_providers())
    except Exception as error:  # a library that it links to is missing, or of another version
        broken['onnxruntime'] = first_words(error)
        return ()


def _torch(installed: str, gpu: bool, jetson: bool, broken: dict[str, str]) -> TorchBuild:
    spec = find_spec('torch')
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    build = build_on_disk(folder, installed)
    if not (gpu and build.cuda):
        return build
    try:
        return seen(tegra=jetson)
    except Exception as error:  # the same
        broken['torch'] = first_words(error)
        return build
