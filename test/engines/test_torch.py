# SPDX-License-Identifier: Apache-2.0
import json
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
from darknet_rig import tiny, write
from detector_rig import MICRO
from safetensors.torch import save_file

from face_attributes_ros.build import build_pipeline
from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.engines.torch import TorchNetwork, open_darknet
from face_attributes_ros.errors import DeviceError, ModelError, ParameterError
from face_attributes_ros.networks.yolov3 import build_yolov3
from face_attributes_ros.settings import Settings

PICTURES = np.random.default_rng(0).integers(0, 255, (2, 64, 96, 3), np.uint8)


@pytest.fixture
def without_ultralytics(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ultralytics', None)


def users(path, backend='auto', **settings):
    return Settings(detector_model=str(path), detector_backend=backend, attributes_model='',
                    device='cpu', threads=1, **settings)


def test_a_file_of_our_training_is_a_parameter_away(without_ultralytics, tmp_path):
    torch.manual_seed(0)
    state = {key: value.contiguous() for key, value in build_yolov3(MICRO).state_dict().items()}
    path = tmp_path / 'mine.safetensors'
    save_file(state, path, {'model': json.dumps(MICRO)})
    for backend in ('auto', 'torch'):
        pipeline = build_pipeline(users(path, backend, detector_confidence=.999))
        assert pipeline.description['detector_engine'].startswith('torch ')
        assert pipeline.process({'': (PICTURES[0], 0.)}) == {'': []}


@pytest.mark.parametrize('end', ['.cfg', '.weights'])
@pytest.mark.parametrize('backend', ['auto', 'torch'])
def test_so_is_a_darknet_network(without_ultralytics, tmp_path, end, backend):
    write(tmp_path / 'mine', tiny(3), width=96, height=64, names=['car', 'mask', 'face'])
    path = (tmp_path / 'mine').with_suffix(end)
    pipeline = build_pipeline(users(path, backend, detector_confidence=.001))
    assert pipeline.detector.imgsz_px == 96
    pipeline.process({'': (PICTURES[0], 0.)})
    one, other, best = (open_darknet(path, face_classes=names, device='cpu')[0](PICTURES)[0]
                        for names in (['face'], ['1'], ['mask', 'face']))
    assert one.shape == (2, 3 * (8 * 12 + 4 * 6), 5) and (one != other).any()
    np.testing.assert_array_equal(best[..., 4], np.maximum(one[..., 4], other[..., 4]))
    with pytest.raises(ModelError, match='its 3 classes are car, mask, face, and .nose. is none'):
        build_pipeline(users(path, detector_face_classes=('nose', )))


@pytest.mark.parametrize('name, backend, message', [
    ('a.cfg', 'onnxruntime', 'a .cfg needs auto or torch'),
    ('a.weights', 'ultralytics', 'a .weights needs auto or torch'),
    ('a.safetensors', 'openvino', 'a .safetensors needs auto or torch or ultralytics'),
    ('a.cfg', 'torch', 'a.cfg is missing'),
    ('a.safetensors', 'torch', 'not a readable safetensors'),
])
def test_a_file_that_a_backend_cannot_open_is_an_error(tmp_path, name, backend, message):
    with pytest.raises(ModelError, match=message):
        build_pipeline(users(tmp_path / name, backend))


@pytest.mark.parametrize(
    'request_, message',
    [({'precision': 'fp16', 'device': 'cpu'}, "'fp16' is not offered by torch on cpu"),
     ({'precision': 'int3', 'device': 'cpu'}, 'int3')])
def test_a_wrong_request_is_an_error(request_, message):
    with pytest.raises(DeviceError, match=message):
        TorchNetwork(torch.nn.Identity(), ('x',), **request_)


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
def test_a_gpu_that_is_not_there_is_an_error():
    with pytest.raises(DeviceError, match='device cuda:0: torch finds 0 CUDA devices'):
        TorchNetwork(torch.nn.Identity(), ('x',), device='cuda:0')


@pytest.mark.parametrize('device, count, message', [
    ('cuda:3', 2, 'device cuda:3: torch finds 2 CUDA devices'),
    ('cuda:2', 2, 'device cuda:2: torch finds 2'), ('cuda:0', 0, 'torch finds 0')])
def test_a_gpu_beyond_the_last_is_an_error(monkeypatch, device, count, message):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: count)
    with pytest.raises(DeviceError, match=message):
        TorchNetwork(torch.nn.Identity(), ('x',), device=device)


def test_modules_are_numpy_in_and_numpy_out():
    network = TorchNetwork(torch.nn.Identity(), ('x',), device='cpu')
    np.testing.assert_array_equal(network(PICTURES)[0], PICTURES)


@pytest.mark.parametrize('name, task', [('detector_tiny', 'detector'),
                                        ('attributes_m', 'attributes')])
def test_the_backend_torch_gives_what_the_onnx_file_gives(name, task):
    model = find_model(name, task)
    ours = open_network(model.weights('torch'), backend='torch', device='cpu', threads=1)
    theirs = open_network(model.weights('onnxruntime'), backend='onnxruntime', device='cpu',
                          threads=1)
    assert ours.outputs == theirs.outputs and ours.description.endswith(
        'cpu, fp32') and 'torch' in ours.description
    batch = PICTURES if task == 'detector' else np.random.default_rng(0).integers(
        90, 160, (3, 80, 80, 3), np.uint8)
    for mine, other, output in zip(ours(batch), theirs(batch), ours.outputs):
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine[..., 4] if task == 'detector' else mine,
                                   other[..., 4] if task == 'detector' else other, atol=.02,
                                   err_msg=output)


def test_bf16_is_a_parameter_away():
    network = open_network(
        find_model('attributes_m', 'attributes').weights('torch'), backend='torch', device='cpu',
        precision='bf16')
    assert 'bf16' in network.description and network(np.full(
        (1, 80, 80, 3), 99, np.uint8))[0].dtype == np.float32


@pytest.mark.parametrize('request_, error, message', [
    ({'device': 'cuda'}, ParameterError, 'needs auto, cpu or cuda:N'),
    ({'device': 'cuda:99'}, DeviceError, 'device cuda:99: torch finds'),
    ({'device': 'cpu', 'precision': 'fp16'}, DeviceError, "'fp16' is not offered by torch on cpu")
])
def test_a_wrong_request_of_the_backend_torch_is_an_error(request_, error, message):
    with pytest.raises(error, match=message):
        open_network(
            find_model('attributes_m', 'attributes').weights('torch'), backend='torch', **request_)


def test_an_onnx_file_is_nothing_for_torch():
    with pytest.raises(ModelError, match='attributes_m.onnx is not a readable safetensors file'):
        open_network(find_model('attributes_m', 'attributes').path, backend='torch', device='cpu')
