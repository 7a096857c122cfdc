# SPDX-License-Identifier: Apache-2.0
"""From settings to a pipeline: what is chosen is said, and networks on a GPU are watched over; on
runtimes that are made up."""

from types import SimpleNamespace

import numpy as np
import pytest

from face_attributes_ros import build
from face_attributes_ros.build import build_pipeline
from face_attributes_ros.engines import choose
from face_attributes_ros.engines.cuda import TorchBuild
from face_attributes_ros.engines.machine import Machine
from face_attributes_ros.errors import DeviceLostError
from face_attributes_ros.settings import Settings

VERSIONS = {'onnxruntime': '1.32.0', 'openvino': '2026.4.1'}
CPU = Machine(versions=VERSIONS, providers=('CPUExecutionProvider', ))
GPU = Machine(gpu=True, versions=VERSIONS, providers=('CUDAExecutionProvider', ),
              torch=TorchBuild('2.13.0+cpu'))
IMAGE = np.zeros((448, 448, 3), np.uint8)


class Runtimes:
    """Engine files that find three faces, aged 40; `room` is how many crops have room."""

    def __init__(self, monkeypatch, machine, room=99, error='CUDA out of memory'):
        self.room, self.error, self.asked, self.batches = room, error, [], []
        monkeypatch.setattr(choose, '_runtime', lambda name: SimpleNamespace(
            offers=lambda device: ('fp32', 'int8') if device == 'cpu' else ('fp32', ),
            open_file=lambda *asked: self.open_file(name, *asked)))
        monkeypatch.setattr(choose.facts, 'look', lambda sure=False: machine)

    def open_file(self, name, path, device, precision, threads):
        self.asked.append((name, device, precision))
        network = self.detector if 'detector' in str(path) else self.attributes

        def run(batch):
            return network(batch)

        run.outputs = ('detections', ) if 'detector' in str(path) else ('age', 'quality')
        run.description = f'{name} 1.0, {device}, {precision}'
        return run

    def detector(self, batch):
        boxes = [[100. * i, 100., 100. * i + 80, 180., .9] for i in range(3)]
        return [np.tile(np.float32(boxes), (len(batch), 1, 1))]

    def attributes(self, batch):
        self.batches.append(len(batch))
        if len(batch) > self.room:
            raise RuntimeError(self.error)
        age = np.zeros((len(batch), 101), np.float32)
        age[:, 40] = 1
        return [age, np.ones(len(batch), np.float32)]


def test_on_a_cpu_the_choice_of_both_networks_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    Runtimes(monkeypatch, CPU)
    pipeline = build_pipeline(Settings(), 100.)
    assert pipeline.description['device_choice'] == 'cpu: there is no NVIDIA GPU here'
    for part in ('detector', 'attributes'):
        assert 'openvino fp32' in pipeline.description[f'{part}_choice']
        assert f'{part}_check' not in pipeline.description
    assert 'memory' not in pipeline.description


def test_the_canvas_and_four_crops_are_what_is_measured(monkeypatch):
    shapes = []
    monkeypatch.setattr(build, 'open_model', lambda model, request, sample: shapes.append(
        sample.shape) or choose.Opened(SimpleNamespace(outputs=('age', ), description=''), 'cpu'))
    build_pipeline()
    build_pipeline(Settings(detector_imgsz=320, detector_square=True, attributes_model=''))
    assert shapes == [(1, 352, 576, 3), (4, 80, 80, 3), (1, 320, 320, 3)]


def test_what_was_asked_for_by_name_needs_no_words(monkeypatch):
    Runtimes(monkeypatch, CPU)
    pipeline = build_pipeline(Settings(device='cpu', precision='fp32', detector_backend='openvino',
                                       attributes_backend='onnxruntime', threads=2))
    assert not [key for key in pipeline.description if key.endswith(('_choice', '_check'))]
    assert pipeline.description['attributes_engine'] == 'onnxruntime 1.0, cpu, fp32'


def test_the_settings_reach_the_request(monkeypatch):
    asked = []
    monkeypatch.setattr(build, 'open_model', lambda model, request, sample: asked.append(
        request) or choose.Opened(SimpleNamespace(outputs=('age', ), description=''), 'cpu'))
    build_pipeline(Settings(device='cuda:1', precision='fp16', threads=3, auto_cache=False,
                            detector_backend='tensorrt'), 7.)
    assert [one.backend for one in asked] == ['tensorrt', 'auto']
    assert {(one.device, one.precision, one.threads, one.measuring.keep, one.measuring.patience)
            for one in asked} == {('cuda:1', 'fp16', 3, False, 7.)}


def test_on_a_gpu_that_torch_cannot_have_the_reason_is_said(monkeypatch):
    runtimes = Runtimes(monkeypatch, GPU)
    pipeline = build_pipeline()
    assert pipeline.description['device_choice'] == (
        'cuda:0 with onnxruntime: torch 2.13.0+cpu here was built without CUDA')
    assert set(runtimes.asked) == {('onnxruntime', 'cuda:0', 'fp32')}
    assert 'attributes_device_choice' not in pipeline.description


def test_networks_that_go_to_different_devices_are_both_told(monkeypatch):
    runtimes = Runtimes(monkeypatch, GPU)
    real = runtimes.open_file

    def no_room_for_attributes(name, path, device, precision, threads):
        if device == 'cuda:0' and 'attributes' in str(path):
            raise RuntimeError('CUDA out of memory')
        return real(name, path, device, precision, threads)

    monkeypatch.setattr(runtimes, 'open_file', no_room_for_attributes)
    description = build_pipeline().description
    assert description['device_choice'].startswith('cuda:0 with onnxruntime')
    assert description['attributes_device_choice'].startswith('cpu: torch')
    assert 'CUDA out of memory' in description['attributes_device_choice']


def test_out_of_memory_halves_the_batch_and_stands_in_the_description(monkeypatch):
    runtimes = Runtimes(monkeypatch, GPU)
    pipeline = build_pipeline(Settings(attributes_batch_max=16))
    runtimes.room = 2
    before = pipeline.description
    tracks = pipeline.process({'': (IMAGE, 0.)})['']
    assert [round(track.raw.age_years) for track in tracks] == [40] * 3
    assert pipeline.description['memory'] == (
        'out of memory on cuda:0 with a batch of 3: goes on with 1 at a time')
    assert 'memory' not in before  # whoever reads it meanwhile has a whole one
    assert runtimes.batches[-4:] == [3, 1, 1, 1]


def test_a_device_that_is_gone_is_an_error_of_its_own(monkeypatch):
    runtimes = Runtimes(monkeypatch, GPU, error='CUDA failure 719: unspecified launch failure')
    pipeline = build_pipeline()
    runtimes.room = 0
    with pytest.raises(DeviceLostError, match='the GPU cuda:0 is gone'):
        pipeline.process({'': (IMAGE, 0.)})


def test_on_a_cpu_errors_stay_what_they_are(monkeypatch):
    runtimes = Runtimes(monkeypatch, CPU)
    pipeline = build_pipeline(Settings(precision='fp32', auto_cache=False))
    runtimes.room = 0
    with pytest.raises(RuntimeError, match='CUDA out of memory'):
        pipeline.process({'': (IMAGE, 0.)})
