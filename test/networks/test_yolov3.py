# SPDX-License-Identifier: Apache-2.0
import copy
import json
import os
import subprocess
import sys

import pytest
import yaml

torch = pytest.importorskip('torch')
from detector_rig import MICRO
from places import RECIPES
from safetensors.torch import save_file

from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.yolov3 import (
    ContractDetector,
    build_yolov3,
    load_detector,
    load_ultralytics,
)
from face_attributes_ros.training.detector.export import gflops


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    torch.manual_seed(0)
    network = build_yolov3(MICRO).eval()
    path = tmp_path_factory.mktemp('weights') / 'detector.safetensors'
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path,
              {'model': json.dumps(MICRO)})
    return network, path


@pytest.mark.parametrize('batch, height, width', [(1, 32, 32), (2, 64, 96), (3, 96, 64)])
def test_detector_keeps_the_contract_at_any_shape(saved, batch, height, width):
    found = load_detector(saved[1])(torch.zeros(batch, height, width, 3, dtype=torch.uint8))
    assert found.shape == (batch, height * width // 64 + height * width // 256, 5)
    assert ((found[..., 4] >= 0) & (found[..., 4] <= 1)).all()


def test_detector_folds_scale_and_channel_order(saved):
    network, path = saved
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    expected = network(image.flip(-1).permute(0, 3, 1, 2).float() / 255)[0]      # RGB, 0..1
    torch.testing.assert_close(
        load_detector(path)(image), expected.permute(0, 2, 1), atol=1e-4, rtol=1e-4)


def test_fused_weights_equal_unfused(saved):
    network = copy.deepcopy(saved[0])
    image = torch.rand(1, 3, 64, 64)
    plain = network(image)[0]
    fused = ContractDetector(copy.deepcopy(network)).network
    first = fused.model[0].conv
    with torch.no_grad():
        first.weight.copy_(first.weight.flip(1) * 255)
    torch.testing.assert_close(fused(image)[0], plain, atol=1e-4, rtol=1e-4)


def test_low_precision_keeps_pixels(saved):
    image = torch.randint(0, 256, (1, 320, 448, 3), dtype=torch.uint8)
    whole, half = (load_detector(saved[1]).to(dtype)(image)
                   for dtype in (torch.float32, torch.bfloat16))
    assert half.dtype == torch.float32
    assert (whole - half)[..., :4].abs().max() < .3


def test_a_head_without_distributions_decodes_too():
    network = build_yolov3(MICRO | {'reg_max': 1}).eval()
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    expected = network(image.flip(-1).permute(0, 3, 1, 2).float() / 255)[0].permute(0, 2, 1)
    torch.testing.assert_close(ContractDetector(network)(image), expected, atol=1e-3, rtol=1e-3)


def test_an_end_to_end_head_is_refused():
    with pytest.raises(ModelError, match='end-to-end'):
        ContractDetector(build_yolov3(MICRO | {'end2end': True}))


def test_an_activation_does_not_leak_into_the_next_network():
    before = load_ultralytics().Conv.default_act
    leaky = build_yolov3(MICRO | {'activation': 'torch.nn.LeakyReLU(0.1)'})
    assert isinstance(leaky.model[0].act, torch.nn.LeakyReLU)
    assert load_ultralytics().Conv.default_act is before


@pytest.mark.parametrize(
    'change', [{'head': [[[2, 9], 1, 'Detect', ['nc']]]}, {'backbone': [[-1, 1, 'Nothing', [8]]]}])
def test_a_wrong_model_table_is_a_model_error(change):
    with pytest.raises(ModelError, match='cannot build'):
        build_yolov3(MICRO | change)


def test_weights_of_another_model_are_refused(saved, tmp_path):
    tensors = {
        k: v.contiguous() for k, v in saved[0].state_dict().items() if not k.startswith('model.0')
    }
    save_file(tensors, tmp_path / 'other.safetensors', {'model': json.dumps(MICRO)})
    with pytest.raises(ModelError, match='missing'):
        load_detector(tmp_path / 'other.safetensors')
    save_file(tensors, tmp_path / 'bare.safetensors')
    with pytest.raises(ModelError, match='model'):
        load_detector(tmp_path / 'bare.safetensors')
    (tmp_path / 'text.safetensors').write_text('no weights')
    with pytest.raises(ModelError, match='readable'):
        load_detector(tmp_path / 'text.safetensors')


def test_ultralytics_starts_silent_and_offline(tmp_path):
    """In a fresh process: no settings in the home, no telemetry, no installs, no network, threads
    untouched."""
    program = '''
import socket
def refuse(*a, **k):
    raise AssertionError('network used')
socket.socket.connect = socket.create_connection = refuse
import torch
torch.set_num_threads(1)
from face_attributes_ros.networks.yolov3 import load_ultralytics
load_ultralytics()
from ultralytics.utils import AUTOINSTALL, ONLINE, SETTINGS
print(SETTINGS['sync'], AUTOINSTALL, ONLINE, torch.get_num_threads())
'''
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          timeout=120, env=os.environ
                          | {'HOME': str(tmp_path), 'XDG_CONFIG_HOME': str(tmp_path)})
    assert done.stdout.split() == ['False', 'False', 'False', '1'], done.stderr
    assert list(tmp_path.rglob('*ltralytics*')) == []


@pytest.mark.parametrize('size, most_gflops, most_megabytes', [('tiny', 2.5, 6), ('small', 6, 10)])
def test_the_recipes_keep_their_budgets(size, most_gflops, most_megabytes):
    """At 448 x 448, from a quarter of the area; two bytes a parameter."""
    config = yaml.safe_load((RECIPES / f'detector_{size}.yaml').read_text())
    network = build_yolov3(config['model']).eval()
    assert most_gflops / 2 < 4 * gflops(network, 224) < most_gflops
    assert 2 * sum(p.numel() for p in network.parameters()) / 1e6 < most_megabytes
    assert len(network.stride) == 3
