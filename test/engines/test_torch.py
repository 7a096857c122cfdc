# SPDX-License-Identifier: Apache-2.0
import pickle
from importlib.util import find_spec

import numpy as np
import pytest

torch = pytest.importorskip('torch',
                            reason='torch is needed for training and the ultralytics backend only')
if find_spec('ultralytics') is None:
    pytest.skip('ultralytics is needed for training and the ultralytics backend only',
                allow_module_level=True)

from face_attributes_ros.build import build_pipeline
from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.engines.torch import TorchNetwork, open_ultralytics
from face_attributes_ros.errors import DeviceError, ModelError, ParameterError
from face_attributes_ros.networks.yolov3 import build_yolov3, load_ultralytics
from face_attributes_ros.settings import Settings

TINY = {
    'nc': 1, 'depth_multiple': 1., 'width_multiple': 1., 'backbone': [[-1, 1, 'Conv', [8, 3, 2]],
                                                                      [-1, 1, 'Conv', [16, 3, 2]],
                                                                      [-1, 1, 'Conv', [16, 3, 2]]],
    'head': [[[2], 1, 'Detect', ['nc']]]
}
PICTURES = np.random.default_rng(0).integers(0, 255, (2, 64, 96, 3), np.uint8)


def users_detector(path, names):
    """A .pt as ultralytics' trainer leaves it, with classes `names`."""
    detection_model = load_ultralytics().DetectionModel
    model = detection_model(dict(TINY, nc=len(names)), ch=3, nc=len(names), verbose=False)
    model.names, model.args, model.task = dict(enumerate(names)), {}, 'detect'
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=.1)
    torch.save({'model': model.eval(), 'train_args': {}, 'ema': None}, path)
    return path


@pytest.mark.filterwarnings(
    'ignore')  # whatever torch and ultralytics say of pickles is not ours to fix
def test_a_users_detector_is_a_parameter_away(tmp_path):
    one = open_ultralytics(str(users_detector(tmp_path / 'one.pt', ['face'])), device='cpu')
    rows, = one(PICTURES)
    assert rows.shape == (2, 8 * 12,
                          5) and rows.dtype == np.float32 and 'cpu, fp32' in one.description
    assert (rows[..., 4] > 0).all() and (rows[..., 4] < 1).all()
    pipeline = build_pipeline(
        Settings(detector_model=str(tmp_path / 'one.pt'), detector_backend='ultralytics',
                 attributes_model='', device='cpu', detector_confidence=.999))
    assert pipeline.process({'': (PICTURES[0], 0.)}) == {'': []}


@pytest.mark.parametrize('backend', ['auto', 'openvino', 'onnxruntime', 'torch'])
def test_a_pickle_is_not_opened_unless_it_is_asked_for(tmp_path, backend):
    class RunsCode:
        def __reduce__(self):
            return (open, (str(tmp_path / 'ran'), 'w'))

    path = tmp_path / 'evil.pt'
    path.write_bytes(pickle.dumps(RunsCode()))
    with pytest.raises(ModelError, match='needs the backend ultralytics'):
        build_pipeline(Settings(detector_model=str(path), detector_backend=backend))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.filterwarnings('ignore')
def test_the_class_named_face_is_taken(tmp_path):
    rows, = open_ultralytics(str(users_detector(tmp_path / 'm.pt', ['cat', 'face', 'dog'])),
                             device='cpu')(PICTURES)
    assert rows.shape[2] == 5
    with pytest.raises(ModelError,
                       match='classes are cat, dog..., needs one class, or one named face'):
        open_ultralytics(str(users_detector(tmp_path / 'n.pt', ['cat', 'dog'])), device='cpu')


@pytest.mark.parametrize('name, content, message',
                         [('none.pt', None, 'no such file'), ('bad.pt', b'zz', 'cannot load it'),
                          ('bad.safetensors', b'zz', 'not a readable safetensors')])
@pytest.mark.filterwarnings('ignore')
def test_a_file_that_is_no_detector_is_a_model_error(tmp_path, name, content, message):
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        open_ultralytics(str(tmp_path / name), device='cpu')


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


def test_modules_are_numpy_in_and_numpy_out():
    assert build_yolov3(TINY).training
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
