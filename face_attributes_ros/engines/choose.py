# SPDX-License-Identifier: Apache-2.0
"""Which runtime, device and precision a network gets.

WAYS is the whole decision for `auto`: the first row that this machine, the model and the request
allow. On a GPU that settles it; on a CPU the runtimes that are installed and the precisions that
the manifest allows are timed (`fastest`). A wrong request is an error, never a silent fallback;
only `auto` chooses, and says what it passed over and why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from face_attributes_ros.engines import cpu
from face_attributes_ros.engines import machine as facts
from face_attributes_ros.engines.fastest import fastest, key_of, with_threads_that_pay
from face_attributes_ros.engines.faults import out_of_memory
from face_attributes_ros.engines.half import difference
from face_attributes_ros.engines.machine import Machine
from face_attributes_ros.engines.models import Model
from face_attributes_ros.engines.request import Candidate, Files, Opened, Plan, Request
from face_attributes_ros.engines.seam import (
    OpenNetwork,
    device_index,
    first_words,
    tried,
)
from face_attributes_ros.errors import DeviceError
from face_attributes_ros.runtimes import BY_NAME

Offers = Callable[[str, str], Sequence[str]]
"""A runtime's precisions on a device, by name of both."""

EXACT_FIRST = ('fp32', 'bf16', 'int8')
HALVES = ('fp16', 'bf16')
THREADS_OF_ITS_OWN = ('onnxruntime', 'openvino')
"""Runtimes in which each network has threads of its own; torch's are the process's."""
SOON_S = .5
"""Where it took longer to choose runtime and precision, threads wait for the next start."""


@dataclass(frozen=True)
class Way:
    """One row: a runtime on a kind of device, 'cuda' or 'cpu'. `lacks(machine, index)` says why
    this machine cannot, '' where it can; `needs` and `gives` tell people. `unasked` is why `auto`
    leaves it where there is another way."""

    backend: str
    kind: str
    lacks: Callable[[Machine, int], str]
    needs: str
    gives: str
    unasked: str = ''

    @property
    def name(self) -> str:
        """As in 'torch on cuda'."""
        return f'{self.backend} on {self.kind}'

    @property
    def place(self) -> tuple[str, str]:
        """Neighbours of one place are candidates together: those of a CPU, that are timed."""
        return self.kind, self.backend if self.kind == 'cuda' or self.unasked else ''


WAYS = (
    Way('torch', 'cuda', facts.torch_on_cuda,
        'torch built with CUDA for this GPU, and safetensors',
        'everything between pixels and records on the GPU, in fp16'),
    Way('onnxruntime', 'cuda', facts.onnxruntime_with('CUDAExecutionProvider'),
        'onnxruntime-gpu', 'the networks on the GPU, in fp32; the rest on the CPU'),
    Way('tensorrt', 'cuda', facts.onnxruntime_with('TensorrtExecutionProvider'),
        'onnxruntime-gpu and TensorRT', 'the networks on the GPU, in fp16; the rest on the CPU',
        unasked='it compiles for minutes at each new shape: only if asked for'),
    Way('openvino', 'cpu', facts.openvino, 'openvino',
        'all on the CPU; the faster one of the two'),
    Way('onnxruntime', 'cpu', facts.onnxruntime, 'onnxruntime',
        'all on the CPU; the faster one of the two'),
    Way('torch', 'cpu', facts.torch_on_cpu, 'torch and safetensors', 'all on the CPU',
        unasked='the slowest there: only if asked for, or alone'),
)
"""In the order in which `auto` wants them."""


def decide(request: Request, files: Files, machine: Machine, offers: Offers,
           barred: Mapping[str, str] | None = None) -> Plan:
    """What WAYS say to a request; DeviceError with every reason where nothing is left. `barred`
    are ways by name that failed already, and why."""
    passed: dict[str, str] = {}
    for ways in _places(request):
        found: list[Candidate] = []
        for way in ways:
            reason, device = _reason(way, request, files, machine, barred or {})
            found += [] if reason else _candidates(request, files, way.backend, device, offers)
            passed[way.name] = reason or (f'{request.precision!r} is not offered by {way.backend} '
                                          f'on {device}')
        if found:
            better = [why for name, why in passed.items()
                      if name not in {way.name for way in ways} and name.endswith('cuda')]
            found.sort(key=lambda one: EXACT_FIRST.index(one.precision)
                       if one.precision in EXACT_FIRST else 0)
            return Plan(tuple(found), tuple(better))
    reasons = '; '.join(dict.fromkeys(passed.values()))
    raise DeviceError(f'{request.words}: {reasons or "no runtime does that"}')


def _places(request: Request) -> Iterator[list[Way]]:
    kind = request.device.partition(':')[0]
    ways = [way for way in WAYS
            if request.backend in ('auto', way.backend) and kind in ('auto', way.kind)]
    for _, together in groupby(ways, key=lambda way: way.place):
        yield list(together)


def _reason(way: Way, request: Request, files: Files, machine: Machine,
            barred: Mapping[str, str]) -> tuple[str, str]:
    # Why not, and the device: of several GPUs the first that will do.
    if way.kind == 'cuda' and request.device == 'auto' and not machine.gpu:
        return facts.NO_GPU, ''
    if reason := files.lack(way.backend) or barred.get(way.name, ''):
        return reason, ''
    several = len(machine.torch.gpus) if way.backend == 'torch' and machine.torch else 1
    indices = range(max(1, several)) if request.device == 'auto' and way.kind == 'cuda' else [
        device_index(request.device) if request.device.startswith('cuda') else 0]
    reasons = {index: way.lacks(machine, index) for index in indices}
    index = next((index for index, reason in reasons.items() if not reason), indices[0])
    reason = reasons[index]
    if not reason and way.unasked and way.kind == 'cuda' and request.backend == 'auto':
        reason = f'{way.backend} is here, but {way.unasked}'
    return reason, 'cpu' if way.kind == 'cpu' else f'cuda:{index}'


def _candidates(request: Request, files: Files, backend: str, device: str,
                offers: Offers) -> list[Candidate]:
    offered = list(offers(backend, device))
    if request.precision != 'auto':
        chosen = [request.precision] if request.precision in offered else []
    elif device != 'cpu':
        chosen = offered[:1]
    else:
        chosen = [one for one in EXACT_FIRST if one in offered and files.lets(one)]
    return [Candidate(backend, device, one) for one in chosen]


def open_network(path: str | Path, *, int8_path: str | Path | None = None,
                 **asked: Any) -> OpenNetwork:
    """The network in an ONNX file, or in a safetensors file for the backend torch, of which no
    manifest says anything: `auto` measures nothing, and on a CPU takes fp32.

    `asked` are the fields of Request; `int8_path` is the same network in int8, for precision int8.
    """
    request = Request(**asked)
    is_torch = request.backend == 'torch'
    files = Files(str(path), lambda _: Path(path), onnx=not is_torch, torch=is_torch,
                  int8=Path(int8_path) if int8_path else None)
    return open_files(files, request).network


def open_model(model: Model, request: Request, sample: np.ndarray | None = None) -> Opened:
    """The network of a manifest's entry. `sample` (B, H, W, 3) uint8 is a batch of the usual
    shape, to time candidates and to compare half precision with fp32."""
    return open_files(Files.of(model), request, sample)


def open_files(files: Files, request: Request, sample: np.ndarray | None = None,
               machine: Machine | None = None) -> Opened:
    """The same of any files. Where what `auto` chose on a GPU cannot be opened, it takes the next
    way and says so."""
    if 'auto' not in (request.backend, request.device):
        return _open_plan(files, request, _as_asked(files, request), sample)
    machine = machine or facts.look(sure=request.device.startswith('cuda'))
    barred: dict[str, str] = {}
    while True:
        plan = decide(request, files, machine, _offers, barred)
        first = plan.candidates[0]
        try:
            found = _open_plan(files, request, plan, sample)
        except Exception as error:  # the runtimes' own exception types have no common base
            if request.device != 'auto' or plan.device == 'cpu':
                raise
            barred[f'{first.backend} on cuda'] = (f'{first.backend} on {plan.device} failed: '
                                                  f'{first_words(error)}')
            continue
        return replace(found, device_words=plan.words if request.device == 'auto' else '')


def require_backend(backend: str) -> None:
    """DeviceError where a runtime is not installed."""
    package = BY_NAME[backend].package
    if find_spec(package) is None:
        raise DeviceError(f'backend {backend} is not installed: pip install {package}')


def torch_device(device: str) -> str:
    """The device for a file that torch alone can run; 'auto' is what WAYS say of torch."""
    if device != 'auto':
        return device
    files = Files('', Path, onnx=False, torch=True)
    return decide(Request('torch'), files, facts.look(), _offers).device


def _as_asked(files: Files, request: Request) -> Plan:
    # Runtime and device are given; what they do not offer, the runtime's file says.
    require_backend(request.backend)
    if request.precision != 'auto':
        return Plan((Candidate(request.backend, request.device, request.precision), ))
    return Plan(tuple(_candidates(request, files, request.backend, request.device, _offers)))


def _runtime(backend: str) -> ModuleType:
    return import_module(f'face_attributes_ros.engines.{BY_NAME[backend].module}')


def _offers(backend: str, device: str) -> Sequence[str]:
    offered: Sequence[str] = _runtime(backend).offers(device)
    return offered


def _open_plan(files: Files, request: Request, plan: Plan, sample: np.ndarray | None) -> Opened:
    first = plan.candidates[0]
    if sample is None:
        return Opened(_open(files, first, request.threads), plan.device)
    if plan.device == 'cpu':
        return _open_on_cpu(files, request, plan, sample)
    network = _open(files, first, request.threads)
    # A runtime that was built for other GPUs opens a file, and cannot run it.
    tried(lambda: network(sample), first.name)
    if first.precision not in HALVES:
        return Opened(network, plan.device)
    return _compared(files, request, first, network, sample)


def _open_on_cpu(files: Files, request: Request, plan: Plan, sample: np.ndarray) -> Opened:
    begun, chosen, words = time.perf_counter(), plan.candidates[0], ''
    key = key_of(sample, request.threads, files.checksums)
    if len(plan.candidates) > 1:
        openers = {one.name: partial(_open, files, one, request.threads)
                   for one in plan.candidates}
        network, name, words, _ = fastest(openers, sample, key, request.measuring)
        chosen = next(one for one in plan.candidates if one.name == name)
    else:
        network = _open(files, chosen, request.threads)
    took_s = time.perf_counter() - begun
    if (request.threads or cpu.usable() == 1 or chosen.backend not in THREADS_OF_ITS_OWN
            or took_s > request.measuring.patience * SOON_S):
        return Opened(network, plan.device, words=words)
    rest = replace(request.measuring, patience=request.measuring.patience - took_s)
    found = with_threads_that_pay(network, partial(_open, files, chosen, 1), sample,
                                  {**key, 'of': chosen.name}, rest)
    return Opened(found.network, plan.device, words=', '.join(filter(None, (words, found.words))))


def _open(files: Files, one: Candidate, threads: int) -> OpenNetwork:
    path = files.to_open(one.backend, one.device, one.precision)
    open_file = _runtime(one.backend).open_file
    network: OpenNetwork = tried(lambda: open_file(path, one.device, one.precision, threads),
                                  path)
    return network


def _compared(files: Files, request: Request, one: Candidate, network: OpenNetwork,
              sample: np.ndarray) -> Opened:
    # Half precision beside fp32; where they are too far apart, `auto` takes fp32.
    try:
        exact = _open(files, replace(one, precision='fp32'), request.threads)
        found = difference(network, exact, sample)
    except Exception as error:
        if not out_of_memory(error):
            raise
        return Opened(network, one.device, check='not compared with fp32: no memory for both')
    words = f'{one.precision} beside fp32: {found.words}'
    if found.small:
        return Opened(network, one.device, check=words)
    if request.precision != 'auto':
        return Opened(network, one.device, check=f'{words}, which is much: fp32 would be safer')
    return Opened(exact, one.device, check=f'{words}, which is too much: fp32 is taken')
