# SPDX-License-Identifier: Apache-2.0
"""The backend ultralytics, and that nothing but it imports that package."""
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
from detector_rig import MICRO, ultralytics_engine
from safetensors.torch import save_file

from face_attributes_ros.build import build_pipeline
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.contract import ContractDetector
from face_attributes_ros.networks.yolov3 import build_yolov3, load_yolov3
from face_attributes_ros.settings import Settings

PICTURES = np.random.default_rng(0).integers(0, 255, (2, 64, 96, 3), np.uint8)
TINY = {
    'nc': 1, 'depth_multiple': 1., 'width_multiple': 1.,
    'backbone': [[-1, 1, 'Conv', [8, 3, 2]], [-1, 1, 'Conv', [16, 3, 2]],
                 [-1, 1, 'Conv', [16, 3, 2]]],
    'head': [[[2], 1, 'Detect', ['nc']]]
}


@pytest.fixture
def engine():
    return ultralytics_engine()


def users_detector(engine, path, names, **change):
    """A .pt as ultralytics' trainer leaves it, with classes `names`."""
    model = engine.detection_model(TINY | {'nc': len(names)} | change)
    model.names, model.args, model.task = dict(enumerate(names)), {}, 'detect'
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=.1)
    torch.save({'model': model.eval(), 'train_args': {}, 'ema': None}, path)
    return str(path)


def asked(path, backend='ultralytics', allow=True):
    return Settings(detector_model=str(path), detector_backend=backend, attributes_model='',
                    device='cpu', detector_confidence=.999, detector_allow_pickle=allow)


@pytest.mark.filterwarnings('ignore')  # what torch and ultralytics say of pickles is theirs
def test_a_users_detector_is_two_parameters_away(engine, tmp_path):
    path = users_detector(engine, tmp_path / 'one.pt', ['anything'])
    one = engine.open_ultralytics(path, device='cpu')
    rows, = one(PICTURES)
    assert rows.shape == (2, 8 * 12, 5) and rows.dtype == np.float32
    assert 'cpu, fp32' in one.description
    assert (rows[..., 4] > 0).all() and (rows[..., 4] < 1).all()
    assert build_pipeline(asked(path)).process({'': (PICTURES[0], 0.)}) == {'': []}


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


@pytest.mark.parametrize('backend', ['auto', 'openvino', 'onnxruntime', 'torch', 'ultralytics'])
@pytest.mark.parametrize('allow', [False, True])
def test_a_pickle_is_opened_only_if_it_was_asked_for_twice(tmp_path, backend, allow):
    if allow and backend == 'ultralytics':
        pytest.skip('this opens it')
    path = tmp_path / 'evil.pt'
    path.write_bytes(pickle.dumps(RunsCode(tmp_path / 'ran')))
    with pytest.raises(ModelError, match='runs whatever code its author put in; needs '
                       'detector.allow_pickle true, in the launch or YAML, and detector.backend '
                       'ultralytics'):
        build_pipeline(asked(path, backend, allow))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.filterwarnings('ignore')
def test_the_classes_that_are_faces_are_taken(engine, tmp_path):
    several = users_detector(engine, tmp_path / 'm.pt', ['cat', 'face', 'dog'])
    face, dog, best = (engine.open_ultralytics(several, device='cpu', face_classes=names)(
        PICTURES)[0] for names in (['face'], ['dog'], ['dog', 'face']))
    np.testing.assert_array_equal(best[..., 4], np.maximum(face[..., 4], dog[..., 4]))
    assert (face != dog).any()
    strangers = users_detector(engine, tmp_path / 'n.pt', ['cat', 'dog'])
    with pytest.raises(ModelError, match='its 2 classes are cat, dog, and .face. is none'):
        engine.open_ultralytics(strangers, device='cpu')


@pytest.mark.parametrize('name, content, message', [
    ('none.pt', None, 'no such file'), ('bad.pt', b'zz', 'cannot load it'),
    ('bad.safetensors', b'zz', 'not a readable safetensors')])
@pytest.mark.filterwarnings('ignore')
def test_a_file_that_is_no_detector_is_a_model_error(engine, tmp_path, name, content, message):
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        engine.open_ultralytics(str(tmp_path / name), device='cpu')


def test_a_file_of_ours_is_the_same_network_there(engine, tmp_path):
    for name in ('detector_tiny', str(save(tmp_path))):
        path = name if name.endswith('s') else find_model(name, 'detector').torch_weights()
        theirs, = engine.open_ultralytics(name, device='cpu')(PICTURES)
        unrounded = ContractDetector(load_yolov3(path))     # once folded, as theirs is
        with torch.no_grad():
            ours = unrounded(torch.from_numpy(PICTURES)).numpy()
        np.testing.assert_allclose(theirs, ours, atol=1e-3)


def save(folder):
    path = folder / 'micro.safetensors'
    save_file({key: value.contiguous() for key, value in build_yolov3(MICRO).state_dict().items()},
              path, {'model': json.dumps(MICRO)})
    return path


def test_an_end_to_end_head_is_refused(engine):
    theirs = engine.load_ultralytics().DetectionModel(MICRO | {'end2end': True}, ch=3, nc=1,
                                                      verbose=False)
    with pytest.raises(ModelError, match='end-to-end'):
        engine.Theirs(theirs)


def test_an_activation_does_not_leak_into_the_next_network(engine):
    before = engine.load_ultralytics().Conv.default_act
    leaky = engine.detection_model(MICRO | {'activation': 'torch.nn.LeakyReLU(0.1)'})
    assert isinstance(leaky.model[0].act, torch.nn.LeakyReLU)
    assert engine.load_ultralytics().Conv.default_act is before


def test_ultralytics_starts_silent_and_offline(engine, tmp_path):
    """In a fresh process: no settings in the home, no telemetry, no installs, no network, threads
    untouched."""
    program = '''
import socket
def refuse(*a, **k):
    raise AssertionError('network used')
socket.socket.connect = socket.create_connection = refuse
import torch
torch.set_num_threads(1)
from face_attributes_ros.engines.ultralytics import load_ultralytics
load_ultralytics()
from ultralytics.utils import AUTOINSTALL, ONLINE, SETTINGS
print(SETTINGS['sync'], AUTOINSTALL, ONLINE, torch.get_num_threads())
'''
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          timeout=240, env=os.environ
                          | {'HOME': str(tmp_path), 'XDG_CONFIG_HOME': str(tmp_path)})
    assert done.stdout.split() == ['False', 'False', 'False', '1'], done.stderr
    assert list(tmp_path.rglob('*ltralytics*')) == []


def test_where_it_is_not_installed_the_backend_says_so(monkeypatch):
    from face_attributes_ros.engines.ultralytics import load_ultralytics
    monkeypatch.setitem(sys.modules, 'ultralytics.nn.tasks', None)
    monkeypatch.delitem(sys.modules, 'ultralytics', raising=False)
    monkeypatch.setitem(sys.modules, 'ultralytics', None)
    with pytest.raises(ModelError, match='pip install "face_attributes_ros.ultralytics."'):
        load_ultralytics()
