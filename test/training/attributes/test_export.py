# SPDX-License-Identifier: Apache-2.0
import argparse
import json

import numpy as np
import pytest
import torch
from attributes_rig import face, make_pack

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.errors import DataError, ModelError
from face_attributes_ros.heads import HEADS
from face_attributes_ros.networks.compact import CompactConfig, CompactNet
from face_attributes_ros.training.attributes import (
    evaluate as evaluate_attributes,
)
from face_attributes_ros.training.attributes import (
    export as export_attributes,
)
from face_attributes_ros.training.attributes.network import load_network
from face_attributes_ros.training.attributes.predict import predict, predict_aligned, whole_crops
from face_attributes_ros.training.common.checkpoint import save_tensors

TINY = CompactConfig(8, ((8, 1), (16, 1), (16, 2)), 8, 8, 16, 8, 16, 2)


def parsed(module, *words):
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """(folder, what export said) of a tiny random network, with its manifest and data beside
    it."""
    folder = tmp_path_factory.mktemp('export')
    make_pack(folder / 'pack')
    torch.manual_seed(0)
    network = CompactNet(TINY)
    for _ in range(3):
        network(torch.randn(8, 3, 32, 32))
    save_tensors(
        folder / 'tiny.safetensors', network.state_dict(),
        {'network': TINY.to_dict(), 'step': 7, 'seed': 1, 'size': 32, 'data': {'faces': 3}})
    args = parsed(export_attributes, '--weights', folder / 'tiny.safetensors', '--data',
                  folder / 'pack', '--out', folder / 'tiny.onnx', '--manifest',
                  folder / 'manifest.toml')
    return folder, export_attributes.export(args)


def test_the_file_has_the_estimators_outputs_for_any_batch(exported):
    folder, _ = exported
    network = open_network(folder / 'tiny.onnx', backend='onnxruntime', device='cpu', threads=1)
    assert set(network.outputs) == set(HEADS)
    for count in (1, 3):
        arrays = dict(
            zip(network.outputs, network(np.zeros((count, 32, 32, 3), np.uint8)), strict=True))
        assert {name: array.shape for name, array in arrays.items()
                } == {name: (count, *head.shape) for name, head in HEADS.items()}
        assert all(array.dtype == np.float32 for array in arrays.values())
        np.testing.assert_allclose(arrays['age'].sum(1), 1, rtol=1e-5)


def test_the_file_agrees_with_the_trained_network(exported):
    folder, said = exported
    assert 0 < max(said['difference'].values()) < 0.02  # weights rest as fp16
    trained, _ = load_network(folder / 'tiny.safetensors')
    pictures = [face(number) for number in range(5)]
    ours = predict(
        open_network(folder / 'tiny.onnx', backend='onnxruntime', device='cpu', threads=1),
        pictures, 32)
    pixels = torch.from_numpy(whole_crops(pictures, 32)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        raw = trained(pixels)
    np.testing.assert_allclose(ours['gender'],
                               torch.sigmoid(raw['gender'][:, 0] / said['temperatures']['gender']),
                               atol=5e-3)
    for head in ('age', 'expression'):
        logits = (raw[head] + torch.tensor(said['offsets'][head])) / said['temperatures'][head]
        np.testing.assert_allclose(ours[head], torch.softmax(logits, 1), atol=5e-3)


def test_the_manifest_entry_loads_and_the_metadata_says_where_it_came_from(exported):
    folder, said = exported
    model = find_model(f'{folder / "manifest.toml"}:tiny', 'attributes')
    assert (model.input_px, model.sha256) == (32, said['sha256'])
    assert set(model.thresholds) == {'gender', 'expression'}
    assert evaluate_attributes.temperatures_of(model.path) == said['temperatures']


def test_a_file_that_differs_too_much_is_not_written(exported, tmp_path, monkeypatch):
    folder, _ = exported
    monkeypatch.setitem(export_attributes.LARGEST_DIFFERENCE, 'fp16', 1e-9)
    args = parsed(export_attributes, '--weights', folder / 'tiny.safetensors', '--data',
                  folder / 'pack', '--out', tmp_path / 'bad.onnx')
    with pytest.raises(ModelError, match='not written'):
        export_attributes.export(args)
    assert list(tmp_path.iterdir()) == []


def test_other_weights_are_refused(tmp_path):
    save_tensors(tmp_path / 'x.safetensors', {'a': torch.zeros(1)}, {})
    with pytest.raises(DataError, match='no attribute network'):
        load_network(tmp_path / 'x.safetensors')


def test_the_second_pass_gives_the_same_kinds_of_answers(exported):
    folder, _ = exported
    network = open_network(folder / 'tiny.onnx', backend='onnxruntime', device='cpu', threads=1)
    pictures = [face(number) for number in range(3)]
    once, (twice, seconds) = predict(network, pictures, 32), predict_aligned(network, pictures, 32)
    assert seconds > 0
    for name in ('gender', 'expression', 'smile', 'pose', 'landmarks'):
        assert twice[name].shape == once[name].shape, name
    assert not np.allclose(twice['gender'], once['gender'])


def test_evaluation_writes_figures_pictures_and_the_manifest(exported, tmp_path, capsys):
    folder, _ = exported
    manifest = folder / 'manifest.toml'
    args = parsed(evaluate_attributes, '--data', folder / 'pack', '--model', f'{manifest}:tiny',
                  '--out', tmp_path / 'a.json', '--plots', tmp_path / 'plots', '--aligned',
                  '--write-metrics', manifest)
    assert evaluate_attributes.run(args) == 0
    results = json.loads((tmp_path / 'a.json').read_text())
    assert results['figures']['utkface']['count'] == 6 and results['split'] == 'test'
    assert [row['face_px'] for row in results['face_size']] == [24, 32, 48, 64, 96]
    assert results['aligned']['cost_ratio'] > 1
    assert {path.name for path in (tmp_path / 'plots').iterdir()} == {
        'attributes_confusion_ferplus.png', 'attributes_face_size.png',
        'attributes_calibration.png'
    }
    metrics = find_model(f'{manifest}:tiny', 'attributes').metrics
    assert metrics['utkface_age_mae_years'] == results['figures']['utkface']['age_mae_years']
    assert 'gender_accuracy' in capsys.readouterr().out


def test_peers_without_a_folder_are_an_error(exported, tmp_path):
    folder, _ = exported
    args = parsed(evaluate_attributes, '--data', folder / 'pack', '--model',
                  f'{folder / "manifest.toml"}:tiny', '--out',
                  tmp_path / 'a.json', '--plots', tmp_path, '--peers', tmp_path)
    with pytest.raises(DataError, match='attributes.py'):
        evaluate_attributes.run(args)
