# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of machines that are made up, and of this one."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from face_attributes_ros.engines import machine as facts
from face_attributes_ros.engines import models
from face_attributes_ros.engines.cuda import Gpu, TorchBuild
from face_attributes_ros.engines.machine import Machine
from face_attributes_ros.errors import DeviceError, ModelError
from face_attributes_ros.ros import doctor, environment
from face_attributes_ros.ros.doctor import Doctor, text
from face_attributes_ros.settings import Settings

VERSIONS = {'onnxruntime': '1.32.0', 'openvino': '2026.4.1', 'torch': '2.13', 'safetensors': '.8'}
PLAIN = Machine(versions=VERSIONS, providers=('CPUExecutionProvider', ), torch=TorchBuild('2.13'))
CHOICE = 'cpu: there is no NVIDIA GPU here'


@pytest.fixture
def examine(monkeypatch):
    """examine(machine, ...) -> the report of a machine whose networks are not opened."""
    def examine_(machine=PLAIN, choice=CHOICE, error=None, smi=()):
        def build(settings, patience):
            if error is not None:
                raise error
            return SimpleNamespace(description={'device_choice': choice},
                                   warm_up=lambda *given: None)

        monkeypatch.setattr(facts, 'look', lambda sure: machine)
        monkeypatch.setattr(doctor, 'build_pipeline', build)
        monkeypatch.setattr(doctor, '_smi', lambda: list(smi))
        return Doctor(Settings()).report()

    return examine_


SECTIONS = ['machine', 'gpus', 'runtimes', 'ros', 'shared memory', 'weights', 'networks',
            'faster', 'troubles']


def test_a_machine_that_has_all_is_told_so(examine):
    report = examine()
    assert list(report) == SECTIONS and report['troubles'] == []
    assert report['gpus'] == {'none': 'there is no NVIDIA GPU here'}
    assert report['ros']['rmw'].startswith('rmw_') and report['runtimes']['openvino'] == '2026.4.1'
    assert report['networks'] == {'device_choice': CHOICE}
    assert text(report).endswith('the node can run')


def test_each_weight_file_is_checked(examine, monkeypatch):
    whole = models.load_manifest(models.models_directory() / 'manifest.toml')
    changed = {**whole, 'attributes_m': replace(whole['attributes_m'], sha256='0' * 64)}
    monkeypatch.setattr(doctor, 'load_manifest', lambda path: changed)
    weights = examine()['weights']
    assert set(weights) == set(whole)
    assert weights['detector_tiny'].startswith('onnx, safetensors: as the manifest says')
    assert 'the file is damaged or was changed' in weights['attributes_m']


def test_a_manifest_that_cannot_be_read_is_trouble(examine, monkeypatch):
    def broken(path):
        raise ModelError('manifest x: nests too deeply')

    monkeypatch.setattr(doctor, 'load_manifest', broken)
    assert examine()['troubles'] == ['manifest x: nests too deeply']


def test_networks_that_cannot_be_opened_are_trouble(examine):
    report = examine(error=DeviceError('device cuda:0: torch finds no GPU'))
    assert report['troubles'] == ['device cuda:0: torch finds no GPU']
    assert text(report).endswith('the node could not run\n  device cuda:0: torch finds no GPU')


@pytest.mark.parametrize('part, words, cure', [
    ('import rclpy', 'Traceback\nModuleNotFoundError: no rclpy\n', 'source /opt/ros/DISTRIBUTION'),
    ('face_attributes_ros.msg', 'ImportError: no such message', 'colcon build'),
    ('identifier', '', 'the middleware that RMW_IMPLEMENTATION names')])
def test_without_ros_messages_or_middleware_the_node_could_not_run(examine, monkeypatch, part,
                                                                   words, cure):
    def tried(code):
        return SimpleNamespace(returncode=int(part in code), stdout='rmw_some\n', stderr=words)

    monkeypatch.setattr(doctor, 'tried', tried)
    report = examine()
    trouble, = report['troubles']
    assert cure in trouble and (words.splitlines() or ['without a word'])[-1] in trouble
    assert '\n' not in trouble and 'the node could not run' in text(report)
    assert report['ros'].get('rmw') == {'import rclpy': None, 'identifier': 'none'}.get(
        part, 'rmw_some')


def test_what_is_tried_is_tried_in_another_process():
    assert doctor.tried('print(3)').stdout == '3\n'
    assert doctor.tried('import os; os._exit(102)').returncode == 102


def test_too_little_shared_memory_is_trouble(examine, monkeypatch):
    monkeypatch.setattr(environment, 'free_shared_memory', lambda: 1 << 20)
    trouble, = examine()['troubles']
    assert '1 MiB free' in trouble and 'docker run --shm-size=1g' in trouble


def test_a_small_container_gets_the_small_profile_and_a_hint(examine, monkeypatch):
    monkeypatch.setattr(environment, 'free_shared_memory', lambda: 64 << 20)
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    report = examine()
    assert report['troubles'] == []
    assert report['ros']['DDS profile'] == 'config/fastdds_small_memory.xml, set by the node'
    assert any('--shm-size=1g' in line for line in report['faster'])


def test_a_profile_of_the_users_stays(examine, monkeypatch):
    monkeypatch.setenv('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    report = examine()
    assert report['ros']['DDS profile'] == 'FASTDDS_BUILTIN_TRANSPORTS=UDPv4'
    assert report['shared memory']['needed (MiB)'] == 0


def test_a_gpu_that_is_not_used_is_said_with_the_reason(examine):
    torch = TorchBuild('2.13.0', '13.0', ('sm_90', ), (Gpu('RTX 2080', (7, 5)), ))
    report = examine(replace(PLAIN, gpu=True, torch=torch),
                     'cpu: torch 2.13.0 here was built for 9.0',
                     smi=['RTX 2080, 570.1, 7.5, 8192 MiB'])
    assert report['gpus'] == {'nvidia-smi 0': 'RTX 2080, 570.1, 7.5, 8192 MiB',
                              'cuda:0': 'RTX 2080, compute capability 7.5'}
    assert report['faster'] == ['a GPU is here, cpu is taken: torch 2.13.0 here was built for 9.0 '
                                '(docs/gpu.md)']
    used = examine(replace(PLAIN, gpu=True, torch=torch), 'cuda:0 with torch')
    assert used['faster'] == []


def test_a_jetson_is_known_by_its_release(examine, monkeypatch, tmp_path):
    (tmp_path / 'release').write_text('# R36 (release), REVISION: 4.3\nmore\n')
    monkeypatch.setattr(facts, 'TEGRA_RELEASE', tmp_path / 'release')
    found = examine(replace(PLAIN, gpu=True, jetson=True))
    assert found['gpus'] == {'jetson': ['# R36 (release), REVISION: 4.3']}


def test_without_openvino_on_x86_it_is_advised(examine, monkeypatch):
    monkeypatch.setattr(doctor.platform, 'machine', lambda: 'x86_64')
    without = replace(PLAIN, versions={'onnxruntime': '1.32.0'}, gpu=True,
                      broken={'onnxruntime': 'libfoo.so'}, torch=None)
    report = examine(without)
    assert report['faster'][0].startswith('pip install openvino')
    assert report['runtimes']['onnxruntime'] == '1.32.0, cannot be imported: libfoo.so'
    assert examine(Machine())['runtimes'] == {'none': 'pip install onnxruntime'}


def test_the_distribution_is_the_shells_or_guessed(examine, monkeypatch):
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    assert examine()['ros']['distribution'] == 'jazzy'
    monkeypatch.delenv('ROS_DISTRO')
    monkeypatch.setattr(facts, 'version', lambda package: '3.3.15')
    assert examine()['ros']['distribution'] == 'humble (ROS_DISTRO is not set)'


def run(*words, **changes):
    return subprocess.run([sys.executable, '-m', 'face_attributes_ros.cli', 'doctor', *words],
                          capture_output=True, text=True, timeout=600,
                          env={**os.environ, **changes})


@pytest.mark.slow
def test_on_this_machine_it_opens_what_the_node_would():
    done = run('--json', '--set', 'attributes.model=')
    report = json.loads(done.stdout)
    assert (done.returncode, report['troubles']) == (0, []), done.stderr
    assert report['networks']['detector'] == 'detector_tiny'
    assert report['networks']['device_choice'] and report['machine']['cpus'] >= 1


@pytest.mark.slow
@pytest.mark.parametrize('words, changes, trouble', [
    (['--set', 'detector.model=none', '--set', 'attributes.model='], {},
     "detector model 'none' is not in the manifest"),
    (['--set', 'attributes.model='], {'RMW_IMPLEMENTATION': 'rmw_nothing'},
     'RMW_IMPLEMENTATION has to name an installed one'),
])
def test_where_the_node_could_not_run_the_exit_status_says_so(words, changes, trouble):
    done = run(*words, **changes)
    assert done.returncode == 1, done.stdout
    assert trouble in done.stdout.partition('the node could not run')[2]
