# SPDX-License-Identifier: Apache-2.0
"""The attribute network on torch is the one in the ONNX file."""
import json

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch',
                            reason='torch is needed for training and the torch backend only')
pytest.importorskip('safetensors')

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model, load_manifest
from face_attributes_ros.errors import DataError, ModelError
from face_attributes_ros.networks.attributes import OUTPUTS, Shipped, load_shipped, with_fixed_pool
from face_attributes_ros.networks.compact import CompactConfig, CompactNet
from face_attributes_ros.training.attributes.torch_file import main, save_torch
from face_attributes_ros.training.common.checkpoint import save_tensors

TINY = CompactConfig(8, ((8, 1), (16, 1), (16, 2)), 8, 8, 16, 8, 16, 2)
TOLERANCE = {'age': 2e-3, 'landmarks': 2e-3}
"""Kernels rest as fp16, folded in one file and not in the other."""


def crops(count, size):
    """Smooth pictures: the like of faces in contrast."""
    noise = np.random.default_rng(0).integers(0, 255, (count, 6, 6, 3), np.uint8)
    return np.stack(
        [cv2.resize(some, (size, size), interpolation=cv2.INTER_CUBIC) for some in noise])


@pytest.fixture
def trained(tmp_path):
    """A checkpoint as training leaves it: no calibration in it."""
    torch.manual_seed(0)
    save_tensors(tmp_path / 'run.safetensors',
                 CompactNet(TINY).state_dict(), {'network': TINY.to_dict(), 'step': 1})
    return tmp_path / 'run.safetensors'


@pytest.mark.parametrize('count', [1, 5])
def test_the_shipped_weights_give_what_the_onnx_file_gives(count):
    pytest.importorskip('onnxruntime')
    model = find_model('attributes_m', 'attributes')
    ours = with_fixed_pool(load_shipped(model.torch_weights()),
                           model.input_px)(torch.from_numpy(crops(count, model.input_px)))
    network = open_network(model.path, backend='onnxruntime', device='cpu', threads=1)
    theirs = dict(zip(network.outputs, network(crops(count, model.input_px))))
    for name, found in zip(OUTPUTS, ours, strict=True):
        np.testing.assert_allclose(found.numpy(), theirs[name], atol=TOLERANCE.get(name, .01),
                                   err_msg=name)


def test_calibration_travels_in_the_file(trained):
    entries = save_torch(trained, trained.with_name('shipped.safetensors'),
                         {'age': .5, 'gender': 2.}, {'expression': [.5, 0, 0, 0, 0, 0, -.5]})
    assert entries['torch_file'] == 'shipped.safetensors' and len(entries['torch_sha256']) == 64
    loaded = load_shipped(trained.with_name('shipped.safetensors'))
    assert loaded.temperatures == {'age': .5, 'gender': 2.}
    image = torch.from_numpy(crops(2, 32))
    plain = dict(zip(OUTPUTS, Shipped(loaded_network(trained)).eval()(image)))
    ours = dict(zip(OUTPUTS, loaded(image)))
    torch.testing.assert_close(ours['gender'].logit() * 2, plain['gender'].logit(), atol=2e-3,
                               rtol=1e-2)
    ratio = ours['expression'][:, 0] / ours['expression'][:, 6] / (plain['expression'][:, 0] /
                                                                   plain['expression'][:, 6])
    torch.testing.assert_close(ratio.log(), torch.ones(2), atol=1e-2, rtol=0)


def loaded_network(path):
    from face_attributes_ros.training.attributes.network import load_network
    return load_network(path)[0]


@pytest.mark.parametrize('size', [32, 48, 80])
def test_a_fixed_pool_changes_nothing(trained, size):
    image = torch.from_numpy(crops(2, size))
    plain = Shipped(loaded_network(trained)).eval()
    before = plain(image)
    for ours, theirs in zip(with_fixed_pool(plain, size)(image), before):
        torch.testing.assert_close(ours, theirs)


def test_weights_without_calibration_or_with_an_old_one_are_no_shipped_file(trained, tmp_path):
    with pytest.raises(ModelError, match='no calibration, or an old one'):
        load_shipped(trained)
    save_tensors(tmp_path / 'old.safetensors', CompactNet(TINY).state_dict(), {
        'network': TINY.to_dict(), 'calibration': {'temperatures': {}, 'expression_offset': None}})
    with pytest.raises(ModelError, match='no calibration, or an old one'):
        load_shipped(tmp_path / 'old.safetensors')
    save_tensors(tmp_path / 'x.safetensors', {'a': torch.zeros(1)}, {})
    with pytest.raises(DataError, match='holds no attribute network'):
        save_torch(tmp_path / 'x.safetensors', tmp_path / 'y.safetensors', {}, {})
    save_tensors(tmp_path / 'z.safetensors', {'a': torch.zeros(1)}, {
        'network': TINY.to_dict(), 'calibration': {'temperatures': {}, 'offsets': {}}})
    with pytest.raises(ModelError, match='does not fit the network'):
        load_shipped(tmp_path / 'z.safetensors')


def test_the_command_takes_the_calibration_from_the_onnx_file(trained, tmp_path, capsys):
    onnx = pytest.importorskip('onnx')
    graph = onnx.helper.make_graph([], 'empty', [], [])
    model = onnx.helper.make_model(graph)
    for key, value in {
            'temperatures': {'age': .7}, 'offsets': {'expression': [.5, 0, 0, 0, 0, 0, -.5]}
    }.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    onnx.save(model, tmp_path / 'a.onnx')
    manifest = tmp_path / 'manifest.toml'
    manifest.write_text(
        '[models.a]\ntask = "attributes"\nfile = "a.onnx"\nsha256 = "x"\nlicence = "y"\n'
        'data = "z"\ninput_px = 32\n')
    words = [
        '--weights',
        str(trained), '--onnx',
        str(tmp_path / 'a.onnx'), '--manifest',
        str(manifest)
    ]
    assert main(words) == 0 and 'a.safetensors' in capsys.readouterr().out
    shipped = load_shipped(load_manifest(manifest)['a'].torch_weights())
    assert shipped.temperatures == {'age': .7} and shipped.shifted == ('expression',)
    assert shipped.expression_offset.tolist() == [.5, 0, 0, 0, 0, 0, -.5]
    manifest.write_text('')
    with pytest.raises(ModelError, match='has no model whose file is a.onnx'):
        main(words)
