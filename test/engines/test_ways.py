# SPDX-License-Identifier: Apache-2.0
"""Each row of the table by which `auto` decides, on machines that are made up."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from face_attributes_ros.engines import choose
from face_attributes_ros.engines.choose import WAYS, decide, open_files
from face_attributes_ros.engines.cuda import Gpu, TorchBuild
from face_attributes_ros.engines.fastest import Found
from face_attributes_ros.engines.machine import Machine
from face_attributes_ros.engines.request import Files, Measuring, Plan, Request
from face_attributes_ros.errors import DeviceError, ModelError, ParameterError

ARCHS = ('sm_75', 'sm_80', 'sm_86', 'sm_90')
RTX, OLD, T4, ORIN = (Gpu('RTX 4090', (8, 9)), Gpu('GT 710', (3, 5)), Gpu('T4', (7, 5)),
                      Gpu('Orin', (8, 7), tegra=True))
VERSIONS = {'onnxruntime': '1.32.0', 'openvino': '2026.4.1', 'torch': '2.13', 'safetensors': '.8'}
CPU_ONLY, CUDA, TRT = ('CPUExecutionProvider', ), ('CUDAExecutionProvider', ), (
    'TensorrtExecutionProvider', 'CUDAExecutionProvider')
OFFERS = {('torch', 'cuda'): ('fp16', 'bf16', 'fp32'), ('torch', 'cpu'): ('fp32', 'bf16'),
          ('onnxruntime', 'cuda'): ('fp32', ), ('onnxruntime', 'cpu'): ('fp32', 'int8'),
          ('tensorrt', 'cuda'): ('fp16', 'fp32'), ('openvino', 'cpu'): ('fp32', 'bf16', 'int8')}
FILES = Files('tiny', lambda backend: Path('tiny.onnx'), torch=True, int8=Path('tiny_int8.onnx'),
              allowed=('bf16', 'int8'))
ON_CPU = ['openvino fp32', 'onnxruntime fp32', 'openvino bf16', 'openvino int8',
          'onnxruntime int8']


def offers(backend, device):
    return OFFERS[backend, device.partition(':')[0]]


def machine(*gpus, torch='13.0', providers=CPU_ONLY, gpu=True, without=(), archs=ARCHS, **more):
    build = TorchBuild('2.13.0', torch, archs, gpus) if 'torch' not in without else None
    versions = {name: one for name, one in VERSIONS.items() if name not in without}
    return Machine(gpu=gpu, versions=versions, torch=build, providers=providers, **more)


NOTHING = machine(gpu=False, torch='')
ROWS = [
    # torch with CUDA: frames stay on the device
    ('torch with CUDA', machine(RTX), {}, 'cuda:0', ['torch fp16'], []),
    ('torch before ONNX Runtime', machine(RTX, providers=TRT), {}, 'cuda:0', ['torch fp16'], []),
    ('several GPUs', machine(RTX, T4), {}, 'cuda:0', ['torch fp16'], []),
    ('several GPUs, the first too old', machine(OLD, T4), {}, 'cuda:1', ['torch fp16'], []),
    ('a GPU by number', machine(RTX, T4), {'device': 'cuda:1'}, 'cuda:1', ['torch fp16'], []),
    ('a Jetson', machine(ORIN, archs=('sm_87', ), jetson=True), {}, 'cuda:0', ['torch fp16'], []),
    ('fp32 asked for', machine(RTX), {'precision': 'fp32'}, 'cuda:0', ['torch fp32'], []),
    # ONNX Runtime's CUDA
    ('torch without CUDA', machine(torch='', providers=CUDA), {}, 'cuda:0', ['onnxruntime fp32'],
     ['torch 2.13.0 here was built without CUDA']),
    ('no torch', machine(without=['torch'], providers=CUDA), {}, 'cuda:0', ['onnxruntime fp32'],
     ['torch is not installed']),
    ('the GPU too old for torch', machine(OLD, providers=CUDA), {}, 'cuda:0',
     ['onnxruntime fp32'], ['GT 710, has compute capability 3.5, torch 2.13.0 here was built']),
    ('TensorRT is there, too', machine(torch='', providers=TRT), {}, 'cuda:0',
     ['onnxruntime fp32'], ['torch']),
    ('no torch weights', machine(RTX, providers=CUDA), {'torch': False}, 'cuda:0',
     ['onnxruntime fp32'], ['model tiny has no torch_file']),
    ('a backend by name', machine(RTX, providers=CUDA), {'backend': 'onnxruntime'}, 'cuda:0',
     ['onnxruntime fp32'], []),
    ('fp32 on the second way', machine(torch='', providers=CUDA), {'precision': 'fp32'}, 'cuda:0',
     ['onnxruntime fp32'], ['torch']),
    # TensorRT, if asked for
    ('TensorRT by name', machine(RTX, providers=TRT), {'backend': 'tensorrt'}, 'cuda:0',
     ['tensorrt fp16'], []),
    ('TensorRT alone', machine(torch='', providers=TRT[:1]), {}, 'cpu', ON_CPU,
     ['torch 2.13.0 here', 'built without CUDA', 'tensorrt is here, but it compiles for minutes']),
    # the CPU
    ('no GPU', NOTHING, {}, 'cpu', ON_CPU, ['there is no NVIDIA GPU here']),
    ('no GPU, torch with CUDA', machine(gpu=False), {}, 'cpu', ON_CPU, ['no NVIDIA GPU']),
    ('a GPU that nobody can use', machine(torch=''), {}, 'cpu', ON_CPU,
     ['torch 2.13.0 here was built without CUDA',
      'ONNX Runtime 1.32.0 here was built without CUDA', 'without TensorRT']),
    ('a Jetson with wheels from PyPI', machine(torch='', jetson=True), {}, 'cpu', ON_CPU,
     ['torch 2.13.0 here was built without CUDA (a Jetson needs the one for its JetPack']),
    ('a driver too old', machine(), {}, 'cpu', ON_CPU, ['torch 2.13.0 finds no GPU']),
    ('the CPU asked for', machine(RTX, providers=TRT), {'device': 'cpu'}, 'cpu', ON_CPU, []),
    ('no OpenVINO', machine(gpu=False, without=['openvino']), {}, 'cpu',
     ['onnxruntime fp32', 'onnxruntime int8'], ['no NVIDIA GPU']),
    ('nothing but fp32 allowed', NOTHING, {'allowed': ()}, 'cpu',
     ['openvino fp32', 'onnxruntime fp32'], ['no NVIDIA GPU']),
    ('no int8 file', NOTHING, {'int8': None}, 'cpu',
     ['openvino fp32', 'onnxruntime fp32', 'openvino bf16'], ['no NVIDIA GPU']),
    ('int8 asked for though not allowed', NOTHING, {'precision': 'int8', 'allowed': ()}, 'cpu',
     ['openvino int8', 'onnxruntime int8'], ['no NVIDIA GPU']),
    ('int8 asked for beside a GPU', machine(RTX), {'precision': 'int8'}, 'cpu',
     ['openvino int8', 'onnxruntime int8'], ["'int8' is not offered by torch on cuda:0"]),
    ('OpenVINO by name', machine(RTX), {'backend': 'openvino'}, 'cpu',
     ['openvino fp32', 'openvino bf16', 'openvino int8'], []),
    ('torch by name, no GPU', NOTHING, {'backend': 'torch'}, 'cpu', ['torch fp32', 'torch bf16'],
     ['no NVIDIA GPU']),
    ('torch alone', machine(gpu=False, without=['onnxruntime', 'openvino']), {}, 'cpu',
     ['torch fp32', 'torch bf16'], ['no NVIDIA GPU']),
]
OF_FILES = ('torch', 'int8', 'allowed')


def split(asked):
    """The request, and the files."""
    changes = {name: value for name, value in asked.items() if name in OF_FILES}
    return (Request(**{name: value for name, value in asked.items() if name not in OF_FILES}),
            replace(FILES, **changes))


@pytest.mark.parametrize('here, asked, device, names, reasons', [row[1:] for row in ROWS],
                         ids=[row[0] for row in ROWS])
def test_auto_takes_the_first_way_that_can_be_had(here, asked, device, names, reasons):
    plan = decide(*split(asked), here, offers)
    assert plan.device == device and [one.name for one in plan.candidates] == names
    assert plan.words.startswith(device)
    for reason in reasons:
        assert reason in plan.words
    if not reasons:
        assert plan.passed_over == ()


def test_every_way_is_taken_by_somebody():
    taken = {(name.split()[0], device.partition(':')[0]) for _, _, _, device, names, _ in ROWS
             for name in names}
    assert taken == {(way.backend, way.kind) for way in WAYS}


@pytest.mark.parametrize('here, asked, reasons', [
    (Machine(), {}, ['auto: there is no NVIDIA GPU here; openvino is not installed; '
                     'onnxruntime is not installed; torch is not installed']),
    (machine(torch=''), {'device': 'cuda:0'},
     ['device cuda:0: torch 2.13.0 here was built without CUDA', 'ONNX Runtime 1.32.0 here']),
    (machine(RTX), {'device': 'cuda:3'}, ['torch finds 1 CUDA devices, cuda:3 is not']),
    (machine(OLD), {'device': 'cuda:0'}, ['GT 710, has compute capability 3.5']),
    (NOTHING, {'backend': 'tensorrt'}, ['backend tensorrt: there is no NVIDIA GPU here']),
    (NOTHING, {'precision': 'fp16'}, ["'fp16' is not offered by openvino on cpu",
                                      "'fp16' is not offered by onnxruntime on cpu"]),
    (machine(without=['openvino']), {'backend': 'openvino'}, ['openvino is not installed']),
])
def test_where_nothing_is_left_every_reason_is_given(here, asked, reasons):
    with pytest.raises(DeviceError) as error:
        decide(*split(asked), here, offers)
    for reason in reasons:
        assert reason in str(error.value)


@pytest.mark.parametrize('asked, words', [
    ({'device': 'gpu'}, "'gpu', needs auto, cpu or cuda:N"),
    ({'backend': 'x'}, "'x', needs one of auto"),
    ({'precision': 'fp8'}, "'fp8', needs one of auto, fp32")])
def test_a_request_is_checked_when_it_is_made(asked, words):
    with pytest.raises(ParameterError, match=words):
        Request(**asked)


# --- opening what was decided --------------------------------------------------------------------


class FakeRuntimes:
    """Engine files whose networks say what they are; `broken` raise instead."""

    def __init__(self, monkeypatch, **broken):
        self.opened, self.broken, self.error, self.no_kernel = [], broken, 0., ()
        monkeypatch.setattr(choose, '_runtime', lambda name: SimpleNamespace(
            offers=lambda device: offers(name, device),
            open_file=lambda *asked: self.open_file(name, *asked)))

    def open_file(self, name, path, device, precision, threads):
        self.opened.append((name, str(path), device, precision, threads))
        if name in self.broken:
            raise self.broken[name]
        error = self.error if precision == 'fp16' else 0.

        def network(batch):
            if name in self.no_kernel:
                raise RuntimeError('no kernel image is available for execution on the device')
            return [np.full((len(batch), 3, 5), 1. + error, np.float32)]

        network.outputs, network.description = ('detections', ), f'{name}, {device}, {precision}'
        return network


SAMPLE = np.zeros((1, 8, 8, 3), np.uint8)
QUIET = Measuring(keep=False)


def test_half_precision_on_a_gpu_is_compared_with_fp32(monkeypatch):
    runtimes = FakeRuntimes(monkeypatch)
    runtimes.error = .01
    found = open_files(FILES, Request(), SAMPLE, machine(RTX))
    assert found.network.description == 'torch, cuda:0, fp16' and found.device == 'cuda:0'
    assert found.check == ('fp16 beside fp32: largest box difference 0.01 px, largest probability '
                           'difference 0.0100')
    assert [one[3] for one in runtimes.opened] == ['fp16', 'fp32']


@pytest.mark.parametrize('precision, taken, words', [
    ('auto', 'fp32', 'which is too much: fp32 is taken'),
    ('fp16', 'fp16', 'which is much: fp32 would be safer')])
def test_half_precision_that_is_far_off_is_taken_only_if_asked_for(monkeypatch, precision, taken,
                                                                   words):
    FakeRuntimes(monkeypatch).error = 9.
    found = open_files(FILES, Request(precision=precision), SAMPLE, machine(RTX))
    assert found.network.description.endswith(taken) and found.check.endswith(words)


def test_without_memory_for_both_half_precision_is_not_compared(monkeypatch):
    runtimes = FakeRuntimes(monkeypatch)
    first = runtimes.open_file

    def second_is_too_much(name, path, device, precision, threads):
        if precision == 'fp32':
            raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')
        return first(name, path, device, precision, threads)

    monkeypatch.setattr(runtimes, 'open_file', second_is_too_much)
    found = open_files(FILES, Request(), SAMPLE, machine(RTX))
    assert found.network.description.endswith('fp16') and 'not compared' in found.check


def test_what_fails_to_open_on_a_gpu_gives_way_to_the_next_and_is_told(monkeypatch):
    FakeRuntimes(monkeypatch, torch=RuntimeError('CUDA out of memory'))
    found = open_files(FILES, Request(), SAMPLE, machine(RTX, providers=CUDA))
    assert found.network.description == 'onnxruntime, cuda:0, fp32'
    assert 'torch on cuda:0 failed: model file tiny.onnx: CUDA out of memory' in found.device_words
    with pytest.raises(ModelError, match='CUDA out of memory'):
        open_files(FILES, Request(device='cuda:0'), SAMPLE, machine(RTX, providers=CUDA))


def test_so_does_what_opens_and_cannot_run(monkeypatch):
    FakeRuntimes(monkeypatch).no_kernel = ('torch', 'onnxruntime')
    found = open_files(FILES, Request(measuring=QUIET), SAMPLE, machine(RTX, providers=CUDA))
    assert found.device == 'cpu'
    assert found.device_words.count('no kernel image is available') == 2


def test_two_gpu_ways_that_fail_leave_the_cpu(monkeypatch):
    FakeRuntimes(monkeypatch, torch=RuntimeError('no memory'),
                 onnxruntime=RuntimeError('no cuDNN'))
    found = open_files(FILES, Request(measuring=QUIET), SAMPLE, machine(RTX, providers=CUDA))
    assert found.device == 'cpu' and 'openvino' in found.network.description
    assert 'no memory' in found.device_words and 'no cuDNN' in found.device_words


def test_runtime_and_device_by_name_are_not_second_guessed(monkeypatch):
    runtimes = FakeRuntimes(monkeypatch)
    monkeypatch.setattr(choose, 'find_spec', lambda name: True)
    found = open_files(FILES, Request('torch', 'cuda:5', 'bf16', threads=3))
    assert runtimes.opened == [('torch', 'tiny.onnx', 'cuda:5', 'bf16', 3)]
    assert (found.device_words, found.words, found.check) == ('', '', '')
    monkeypatch.setattr(choose, 'find_spec', lambda name: None)
    with pytest.raises(DeviceError, match='backend tensorrt is not installed: pip install onnxr'):
        open_files(FILES, Request('tensorrt', 'cuda:0'))


def test_on_a_cpu_the_candidates_are_measured_if_there_is_a_sample(monkeypatch):
    runtimes, asked = FakeRuntimes(monkeypatch), []

    def fastest(openers, sample, key, measuring):
        asked.append((list(openers), key['threads'], measuring))
        return Found(openers['openvino int8'](), 'openvino int8', 'openvino int8 (measured)')

    monkeypatch.setattr(choose, 'fastest', fastest)
    found = open_files(FILES, Request(threads=2, measuring=QUIET), SAMPLE, NOTHING)
    assert found.words == 'openvino int8 (measured)' and asked == [(ON_CPU, 2, QUIET)]
    assert runtimes.opened == [('openvino', 'tiny_int8.onnx', 'cpu', 'int8', 2)]
    found = open_files(FILES, Request(), None, NOTHING)
    assert found.network.description == 'openvino, cpu, fp32' and found.words == ''


def test_one_candidate_is_not_measured(monkeypatch):
    FakeRuntimes(monkeypatch)
    monkeypatch.setattr(choose, 'fastest', None)
    found = open_files(replace(FILES, allowed=()), Request('openvino', threads=2), SAMPLE, NOTHING)
    assert found.network.description == 'openvino, cpu, fp32' and found.words == ''


@pytest.mark.parametrize('request_, cpus, took_s, patience, asked', [
    (Request('openvino', precision='int8'), 2, .4, 1., True),
    (Request('openvino', precision='int8', threads=2), 2, 0., 1., False),
    (Request('openvino', precision='int8', threads=1), 2, 0., 1., False),
    (Request('openvino', precision='int8'), 1, 0., 1., False),
    (Request('torch', precision='fp32'), 2, 0., 1., False),
    (Request('openvino', precision='int8'), 2, .7, 1., False),
    (Request('openvino', precision='int8'), 2, .7, 20., True)])
def test_whether_threads_pay_is_measured_where_they_are_left_to_us_and_there_is_time(
        monkeypatch, request_, cpus, took_s, patience, asked):
    runtimes, calls, ticks = FakeRuntimes(monkeypatch), [], iter([0., took_s])
    monkeypatch.setattr(choose.cpu, 'usable', lambda: cpus)
    monkeypatch.setattr(choose, 'time', SimpleNamespace(perf_counter=lambda: next(ticks)))

    def with_threads_that_pay(network, alone, sample, key, measuring):
        calls.append((network.description, key['of'], measuring.patience))
        return Found(alone(), 'one thread', 'one thread (measured)')

    monkeypatch.setattr(choose, 'with_threads_that_pay', with_threads_that_pay)
    request_ = replace(request_, measuring=Measuring(False, patience))
    found = open_files(FILES, request_, SAMPLE, NOTHING)
    assert calls == [('openvino, cpu, int8', 'openvino int8', patience - took_s)] * asked
    assert found.words == ('one thread (measured)' if asked else '')
    assert [opened[-1] for opened in runtimes.opened] == [request_.threads] + [1] * asked


def test_a_plan_says_each_reason_once():
    plan = Plan(decide(Request(), FILES, NOTHING, offers).candidates, ('a', 'b', 'a'))
    assert plan.words == 'cpu: a; b'
