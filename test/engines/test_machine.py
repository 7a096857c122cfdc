# SPDX-License-Identifier: Apache-2.0
"""What a machine has, and what each runtime lacks there."""

import sys
from types import SimpleNamespace

import pytest

from face_attributes_ros.engines import cpu, cuda
from face_attributes_ros.engines import machine as facts
from face_attributes_ros.engines.cuda import Gpu, TorchBuild
from face_attributes_ros.engines.machine import Machine

PC = ('sm_75', 'sm_80', 'sm_86', 'sm_90', 'sm_120', 'compute_120')


@pytest.mark.parametrize('archs, capability, tegra, runs', [
    ((), (8, 6), False, False),
    (PC, (7, 5), False, True),
    (PC, (8, 9), False, True),  # code for 8.6 runs on later ones of its major number
    (PC, (3, 5), False, False),
    (PC, (7, 0), False, False),
    (PC, (10, 0), False, False),
    (PC, (12, 1), False, True),
    (PC, (13, 0), False, True),  # the driver compiles compute_120
    (PC, (8, 7), True, False),  # a Jetson's code is its own
    (('sm_80', 'sm_87'), (8, 7), True, True),
    (('sm_80', 'compute_80'), (8, 7), True, True),
    (('sm_90a', ), (9, 0), False, True),
    (('sm_90a', ), (9, 1), False, False),  # 'a' is for that GPU alone
    (('gfx90a', 'nonsense'), (9, 0), False, False),
])
def test_code_runs_where_cuda_says_so(archs, capability, tegra, runs):
    assert TorchBuild('2.13.0', '13.0', archs).runs_on(Gpu('a GPU', capability, tegra)) == runs


@pytest.mark.parametrize('text, version, built', [
    ("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n", '2.13.0+cpu', ''),
    ("__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\nhip = None\n", '2.13.0+cu130',
     '13.0'),
    ("cuda = '12.6'\n", '2', '12.6'),
    ('', '2', ''),
])
def test_a_build_is_read_off_its_version_file(tmp_path, text, version, built):
    (tmp_path / 'version.py').write_text(text)
    found = cuda.build_on_disk(tmp_path, '2')
    assert (found.version, found.cuda) == (version, built)


def test_a_build_without_a_version_file_may_have_cuda(tmp_path):
    assert cuda.build_on_disk(tmp_path, '2').cuda == 'unknown'


class FakeTorch(SimpleNamespace):
    """torch with CUDA and two GPUs, or with what `init` raises."""

    def __init__(self, error=None):
        def init():
            if error:
                raise error

        gpus = [('GT 710', (3, 5)), ('RTX 4090', (8, 9))]
        super().__init__(
            __version__='2.13.0+cu130', version=SimpleNamespace(cuda='13.0'),
            cuda=SimpleNamespace(
                init=init, device_count=lambda: 2, get_arch_list=lambda: ['sm_86'],
                get_device_name=lambda index: gpus[index][0],
                get_device_capability=lambda index: gpus[index][1]))


def test_torch_tells_its_gpus(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', FakeTorch())
    found = cuda.seen(tegra=True)
    assert found.gpus == (Gpu('GT 710', (3, 5), True), Gpu('RTX 4090', (8, 9), True))
    assert (found.version, found.cuda, found.archs) == ('2.13.0+cu130', '13.0', ('sm_86', ))


@pytest.mark.parametrize('error, words', [
    (RuntimeError('The NVIDIA driver on your system is too old (found version 11040).\nUpdate'),
     'The NVIDIA driver on your system is too old (found version 11040).'),
    (AssertionError('Torch not compiled with CUDA enabled'), 'Torch not compiled'),
    (RuntimeError(), 'RuntimeError'),
])
def test_torch_says_why_it_finds_none(monkeypatch, error, words):
    monkeypatch.setitem(sys.modules, 'torch', FakeTorch(error))
    found = cuda.seen()
    assert found.gpus == () and words in found.trouble


@pytest.mark.parametrize('name, found', [
    ('nvidia0', True), ('nvidia3', True), ('nvhost-gpu', True), ('nvgpu', True), ('dxg', True),
    ('nvidiactl', False), ('null', False)])
def test_a_gpu_is_known_by_its_drivers_file(monkeypatch, tmp_path, name, found):
    (tmp_path / name).touch()
    monkeypatch.setattr(facts, 'DEVICES', tmp_path)
    monkeypatch.setattr(facts, 'seen', lambda tegra: TorchBuild('2', '13.0'))
    assert facts.look().gpu == found


def test_torch_is_asked_only_where_there_may_be_a_gpu_for_it(monkeypatch, tmp_path):
    monkeypatch.setattr(facts, 'DEVICES', tmp_path)
    monkeypatch.setattr(facts, 'find_spec', lambda name: SimpleNamespace(
        origin=str(tmp_path / '__init__.py')) if name == 'torch' else None)
    asked = []
    monkeypatch.setattr(facts, 'seen', lambda tegra: asked.append(tegra) or TorchBuild('2', '13'))
    (tmp_path / 'version.py').write_text('cuda = None')
    facts.look(sure=True)
    (tmp_path / 'version.py').write_text("cuda = '13.0'")
    facts.look()
    assert asked == []
    monkeypatch.setattr(facts, 'TEGRA_RELEASE', tmp_path)
    assert facts.look(sure=True).jetson and asked == [True]


@pytest.mark.parametrize('gpu, asked', [(False, []), (True, ['onnxruntime'])])
def test_neither_is_onnx_runtime(monkeypatch, tmp_path, gpu, asked):
    monkeypatch.setattr(facts, 'DEVICES', tmp_path)
    monkeypatch.setattr(facts, 'find_spec', lambda name: name == 'onnxruntime' or None)
    found = []
    monkeypatch.setattr(facts, 'onnxruntime_providers',
                        lambda broken: found.append('onnxruntime') or ('CUDAExecutionProvider', ))
    assert bool(facts.look(sure=gpu).providers) == gpu and found == asked


def test_a_package_that_cannot_be_imported_is_named(monkeypatch, tmp_path):
    def broken(tegra):
        raise OSError('libcudart.so.13: cannot open shared object file')

    (tmp_path / 'version.py').write_text("cuda = '13.0'")
    monkeypatch.setattr(facts, 'find_spec', lambda name: SimpleNamespace(
        origin=str(tmp_path / '__init__.py')) if name in ('torch', 'onnxruntime') else None)
    monkeypatch.setattr(facts, 'seen', broken)
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    machine = facts.look(sure=True)
    assert 'libcudart' in facts.torch_on_cuda(machine, 0)
    assert 'onnxruntime cannot be imported' in facts.onnxruntime(machine, 0)


def test_a_package_that_pip_does_not_know_has_an_unknown_version():
    assert facts.version('no such package') == 'unknown' and facts.version('numpy')[0].isdigit()


@pytest.mark.parametrize('machine, words', [
    (Machine(), 'torch is not installed'),
    (Machine(torch=TorchBuild('2.13.0+cpu')), 'torch 2.13.0+cpu here was built without CUDA'),
    (Machine(jetson=True, torch=TorchBuild('2.13.0+cpu')), 'a Jetson needs the one for its'),
    (Machine(torch=TorchBuild('2', '13.0', trouble='driver too old')), 'no GPU: driver too old'),
    (Machine(torch=TorchBuild('2', '13.0')), 'finds no GPU: none is visible'),
    (Machine(torch=TorchBuild('2', '13.0', PC, (Gpu('GT 710', (3, 5)), ))),
     'cuda:0, GT 710, has compute capability 3.5, torch 2 here was built for 7.5, 8.0'),
    (Machine(torch=TorchBuild('2', '13.0', PC, (Gpu('T4', (7, 5)), ))),
     'safetensors is not installed'),
    (Machine(versions={'safetensors': '1'},
             torch=TorchBuild('2', '13.0', PC, (Gpu('T4', (7, 5)), ))), ''),
])
def test_what_torch_lacks_is_said(machine, words):
    found = facts.torch_on_cuda(machine, 0)
    assert words in found and bool(words) == bool(found)


@pytest.mark.parametrize('versions, providers, words', [
    ({}, (), 'onnxruntime is not installed'),
    ({'onnxruntime': '1.32.0'}, ('CPUExecutionProvider', ),
     'ONNX Runtime 1.32.0 here was built without CUDA'),
    ({'onnxruntime': '1.32.0'}, ('CUDAExecutionProvider', ), ''),
])
def test_what_onnx_runtime_lacks_is_said(versions, providers, words):
    machine = Machine(versions=versions, providers=providers)
    assert facts.onnxruntime_with('CUDAExecutionProvider')(machine, 0) == words


X86 = 'processor : 0\nvendor_id : AuthenticAMD\nmodel name : AMD EPYC\nflags : fpu avx2 fma\n'
PI = 'processor : 0\nFeatures : fp asimd crc32\nCPU implementer : 0x41\nCPU part : 0xd0b\n'


@pytest.mark.parametrize('text, model, features', [
    ('', None, ()), (X86, 'AMD EPYC', ('avx2', )), (PI, '0x41 0xd0b', ('asimd', )),
    (PI + 'Model : Raspberry Pi 5 Model B\n', 'Raspberry Pi 5 Model B', ('asimd', ))])
def test_a_cpu_by_name_and_features(monkeypatch, tmp_path, text, model, features):
    (tmp_path / 'cpuinfo').write_text(text)
    monkeypatch.setattr(cpu, 'CPU_INFO', tmp_path / 'cpuinfo')
    assert cpu.features() == features and cpu.model()
    assert model is None or cpu.model() == model


@pytest.mark.parametrize('change', [('avx2', 'avx2 amx_bf16'), ('AMD EPYC', 'AMD EPYC 9'),
                                    ('processor', 'stepping : 2\nprocessor')])
def test_another_cpu_has_another_signature(monkeypatch, tmp_path, change):
    path = tmp_path / 'cpuinfo'
    monkeypatch.setattr(cpu, 'CPU_INFO', path)
    path.write_text(X86)
    before = cpu.signature()
    path.write_text(X86 + 'cpu MHz : 2000\n')
    assert cpu.signature() == before
    path.write_text(X86.replace(*change))
    assert cpu.signature() != before


def test_a_machine_without_cpuinfo_has_no_feature(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu, 'CPU_INFO', tmp_path / 'none')
    assert cpu.features() == () and cpu.signature() and cpu.usable() >= 1
