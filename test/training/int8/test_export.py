# SPDX-License-Identifier: Apache-2.0
import json
import warnings
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from detector_rig import MICRO, write_yolo_folder
from safetensors.torch import save_file
from torch import nn

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.errors import DataError, ModelError
from face_attributes_ros.networks.yolov3 import build_yolov3, load_detector
from face_attributes_ros.training.common.onnx_file import installed
from face_attributes_ros.training.detector import export as export_detector
from face_attributes_ros.training.int8 import choose as choose_int8
from face_attributes_ros.training.int8 import export as export_int8
from face_attributes_ros.training.int8 import measure as measure_int8
from face_attributes_ros.training.int8 import scores as int8_scores
from face_attributes_ros.training.int8.centre import centre, means, trunk_readers
from face_attributes_ros.training.int8.graph import (
    PAIR_LEVELS,
    activation_ranges,
    pair_safe_scales,
    quantisable,
    quantise,
    whole,
)
from face_attributes_ros.training.int8.ranges import BINS, best_range, session


def parsed(module, *words):
    parser = ArgumentParser()
    module.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


class Leaky(nn.Module):
    """Three convolutions with leaky activations over a uint8 picture."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convs = nn.ModuleList(
            nn.Conv2d(*sizes, 3, padding=1) for sizes in ((3, 16), (16, 16), (16, 4)))
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight)
        self.read = nn.Linear(4 * 16 * 16, 5)

    def forward(self, image):
        x = image.permute(0, 3, 1, 2).float() / 255
        for conv in self.convs:
            x = nn.functional.leaky_relu(conv(x), .1)
        return self.read(nn.functional.leaky_relu(
            3 * x - .5, .1).flatten(1))  # arithmetic that is no dequantizing


@pytest.fixture(scope='module')
def leaky(tmp_path_factory):
    """(float model, batches, path of its int8 file)."""
    folder = tmp_path_factory.mktemp('leaky')
    batches = [
        np.random.default_rng(seed).integers(0, 256, (2, 16, 16, 3), np.uint8) for seed in range(4)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')     # torch prefers its other exporter
        export_leaky(folder / 'float.onnx', batches[0])
    model = onnx.load(folder / 'float.onnx')
    onnx.save(quantise(model, activation_ranges(model, batches), batches[0]), folder / 'int8.onnx')
    return model, batches, folder / 'int8.onnx'


def export_leaky(path, batch):
    torch.onnx.export(Leaky().eval(), (torch.from_numpy(batch), ), str(path),
                      input_names=['image'], output_names=['y'],
                      dynamic_axes={'image': {0: 'b'},
                                    'y': {0: 'b'}}, dynamo=False, opset_version=17)


@pytest.mark.parametrize('backend', installed())
def test_an_int8_network_gives_nearly_what_the_float_one_gives_on_every_runtime(leaky, backend):
    model, batches, path = leaky
    expected = session(model).run(None, {'image': batches[0]})[0]
    found = measure_int8.opened(path, 'int8', backend)(batches[0])[0]
    assert 0 < np.abs(found - expected).mean() < .05 * expected.std()


def test_the_layers_behind_the_trunk_give_the_float_means_once_centred(leaky):
    model, batches, path = leaky
    name = trunk_readers(model)[0].output[0]
    wanted = means(model, [name], batches)[name]
    before, after = (means(changed, [name], batches)[name] for changed in (
        onnx.load(path), centre(onnx.load(path), model, batches)))
    assert np.abs(after - wanted).max() < .1 * np.abs(before - wanted).max()


def test_int8_weights_never_saturate_a_pair(leaky):
    tensors = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(leaky[2]).graph.initializer
    }
    weights = [
        values for values in tensors.values() if values.dtype == np.int8 and values.ndim == 4
    ]
    assert len(weights) == 3
    for values in weights:
        levels = np.sort(np.abs(values.reshape(len(values), -1).astype(int)), 1)
        assert (levels[:, -1] + levels[:, -2]).max() <= PAIR_LEVELS and (levels[:, -1] > 40).all()


@pytest.mark.parametrize('channel, levels', [([0, 0, 0], 0), ([1, 0, 0], 127), ([1, 1, .5], 64),
                                             ([-1, .1, .1], 115), ([.5], 127)])
def test_a_weight_that_stands_out_gets_almost_eight_bits(channel, levels):
    weights = np.array(channel, np.float32).reshape(1, -1, 1, 1)
    assert np.abs(np.round(weights /
                           pair_safe_scales(weights)[:, None, None, None])).max() == pytest.approx(
                               levels, abs=1)


@pytest.mark.parametrize('values, negative_weight, low, high',
                         [(np.zeros(10), 1., 0, 0), (np.linspace(0, 4, 1000), 1., 0, 4),
                          (np.r_[np.linspace(-1, 1, 400000), 2], 1., -1, 1.2),
                          (np.linspace(-8, 1, 4000), 0., -.8, 1)])
def test_a_range_leaves_out_what_is_rare_or_unimportant(values, negative_weight, low, high):
    ends = min(values.min(), 0), max(values.max(), 1e-6)
    found = best_range(np.histogram(values, BINS, ends)[0], *ends, negative_weight)
    np.testing.assert_allclose(found, (low, high), atol=.25)


def test_what_follows_the_last_convolution_stays_float(detector):
    model = whole(onnx.load(detector[0] / 'micro.onnx'))
    chosen = {node.op_type for node in quantisable(model)}
    assert {'Conv'} <= chosen <= {'Conv', 'Relu', 'LeakyRelu', 'MaxPool', 'Concat', 'Resize'}
    assert not any(node.op_type == 'Concat' for node in quantisable(model))
    names = {
        node.name
        for node in quantisable(model, floats=choose_int8.candidates(model)['first float'])
    }
    assert next(node.name for node in model.graph.node if node.op_type == 'Conv') not in names


def test_a_shortcut_between_int8_layers_is_added_in_int8(tmp_path):
    shortcut = MICRO | {
        'backbone': [*MICRO['backbone'], [-1, 1, 'Bottleneck', [16]]],
        'head': [[[2, 4], 1, 'Detect', ['nc']]], 'activation': 'torch.nn.LeakyReLU(0.1)'
    }
    state = build_yolov3(shortcut).state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / 'd.safetensors',
              {'model': json.dumps(shortcut)})
    model = whole(export_detector.to_onnx(load_detector(tmp_path / 'd.safetensors'), half=True))
    added = [node for node in quantisable(model) if node.op_type == 'Add']
    assert len(added) == 1
    feeders = [node.name
               for node in model.graph.node
               if node.op_type == 'Conv'][:4]  # of the shortcut's side alone
    assert not [node for node in quantisable(model, floats=feeders) if node.op_type == 'Add']


def test_on_val_a_figure_may_use_up_half_of_its_bar():
    assert int8_scores.failures({'x_ap50': .8}, {'x_ap50': .7974}, share=.5) == ['x_ap50']
    assert int8_scores.failures({'x_ap50': .8}, {'x_ap50': .7976}, share=.5) == []


@pytest.mark.parametrize('name, floats, int8, fails', [('x_ap50', .8, .7951, False),
                                                       ('x_ap50', .8, .795, True),
                                                       ('x_ap50_95', .3, .9, False),
                                                       ('a_gender_accuracy', .9, .894, True),
                                                       ('a_age_mae_years', 6, 6.04, False),
                                                       ('a_age_mae_years', 6, 6.06, True),
                                                       ('a_pose_mae_deg', 3, 2, False),
                                                       ('a_interval_coverage', .8, .81, True),
                                                       ('smile_ece', .01, .016, False),
                                                       ('smile_brier', .05, .056, True),
                                                       ('b_landmark_nme', .06, .0606, True)])
def test_a_figure_fails_at_its_bar_in_its_own_direction(name, floats, int8, fails):
    assert int8_scores.failures({name: floats}, {name: int8}) == [name] * fails


@pytest.fixture
def detector(tmp_path):
    """(folder of the models, data, arguments) of a tiny random detector with its manifest."""
    torch.manual_seed(1)
    state = build_yolov3(MICRO).state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / 'd.safetensors',
              {'model': json.dumps(MICRO)})
    models = tmp_path / 'models'
    models.mkdir()
    export_detector.run(
        parsed(export_detector, '--weights', tmp_path / 'd.safetensors', '--out',
               models / 'micro.onnx', '--manifest', models / 'manifest.toml', '--input-px', 96))
    data = write_yolo_folder(tmp_path / 'data')
    words = ('--model', 'micro', '--data', data, '--manifest', models / 'manifest.toml',
             '--images', 4, '--json', tmp_path / 'int8.json')
    return models, data, words


def test_the_command_writes_file_manifest_and_figures(detector, capsys):
    models, _, words = detector
    assert export_int8.run(parsed(export_int8, *words)) == 0
    model = find_model(f'{models / "manifest.toml"}:micro', 'detector')
    assert model.int8_path == models / 'micro_int8.onnx' and model.int8_made_from == model.sha256
    result = json.loads(Path(words[-1]).read_text())['micro']
    assert result['chosen'] == 'all' and set(result['runtimes']) == set(installed())
    assert model.int8_metrics == result['runtimes']['onnxruntime'][
        'figures'] and 'all_ap50' in model.int8_metrics
    assert '| onnxruntime int8 |' in capsys.readouterr().out
    network = open_network(model.path, int8_path=model.int8_path, backend='onnxruntime',
                           device='cpu', precision='int8')
    assert network(np.zeros((1, 64, 96, 3), np.uint8))[0].shape[2] == 5


@pytest.mark.parametrize('changes, chosen', [
    ([-.004, -.003, -.006, -.007, -.008, -.0045, -.009], 'first float'),
    ([-.005, -.006, -.007, -.008, -.009, -.01, -.011], None),
    ([-.004, -.003, 0., -.007, -.008, -.0045, -.009], 'last float'),
])
def test_the_nearest_candidate_is_measured_where_all_use_up_half_of_their_bars(
        detector, monkeypatch, changes, chosen):
    left = [change for change in changes for _ in installed()]
    monkeypatch.setattr(choose_int8, 'drops', lambda *_: {
        'all_ap50': change} if (change := left.pop(0)) else {})
    _, _, words = detector
    export_int8.run(parsed(export_int8, *words))
    assert json.loads(Path(words[-1]).read_text())['micro']['chosen'] == chosen


def lose_everything(monkeypatch):
    for module in (choose_int8, measure_int8):
        monkeypatch.setattr(module, 'failures', lambda floats, int8s, share=1.: ['all_ap50'])
    monkeypatch.setattr(choose_int8, 'worst', lambda tried: 1.)


def test_a_network_that_loses_too_much_is_not_put_into_the_manifest(detector, monkeypatch, capsys):
    models, _, words = detector
    before = (models / 'manifest.toml').read_text()
    lose_everything(monkeypatch)
    assert export_int8.run(parsed(export_int8, *words)) == 1
    assert (models /
            'manifest.toml').read_text() == before and not (models / 'micro_int8.onnx').exists()
    result = json.loads(Path(words[-1]).read_text())['micro']
    assert result['chosen'] is None and set(
        result['tried_on_val']) >= {'all', 'last float', 'first half float'}
    assert 'it loses too much' in capsys.readouterr().out


def test_force_puts_it_there_all_the_same(detector, monkeypatch):
    models, _, words = detector
    lose_everything(monkeypatch)
    assert export_int8.run(parsed(export_int8, *words, '--force')) == 1
    assert find_model(f'{models / "manifest.toml"}:micro', 'detector').int8_path.is_file()


def test_a_new_float_file_can_be_quantised_although_the_old_int8_is_still_named(detector):
    models, _, words = detector
    export_int8.run(parsed(export_int8, *words))
    text = (models / 'manifest.toml').read_text()
    made_from = next(line for line in text.splitlines() if line.startswith('int8_made_from'))
    (models / 'manifest.toml').write_text(text.replace(made_from,
                                                       f'int8_made_from = "{"0" * 64}"'))
    with pytest.raises(ModelError, match='other weights'):
        find_model(f'{models / "manifest.toml"}:micro', 'detector')
    assert export_int8.run(parsed(export_int8, *words)) == 0
    find_model(f'{models / "manifest.toml"}:micro', 'detector')


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize('spoilt', ['train', 'val', 'test'])
def test_what_fails_on_the_way_loses_nothing(detector, spoilt):
    """A wrong --data used to take the entry out of the manifest before anything was measured."""
    models, data, words = detector
    export_int8.run(parsed(export_int8, *words))
    before = files_of(models)
    (data / f'{spoilt}.txt').write_text('images/nobody.png')
    with pytest.raises(DataError, match='nobody'):
        export_int8.run(parsed(export_int8, *words))
    assert files_of(models) == before


def test_an_int8_file_that_keeps_the_bars_outlives_a_worse_one(detector, monkeypatch):
    models, _, words = detector
    export_int8.run(parsed(export_int8, *words))
    before = files_of(models)
    lose_everything(monkeypatch)
    assert export_int8.run(parsed(export_int8, *words)) == 1
    assert files_of(models) == before


def test_an_unknown_model_and_empty_data_are_errors(detector):
    _, data, words = detector
    with pytest.raises(ModelError, match="'nobody' is not in"):
        export_int8.run(parsed(export_int8, *words, '--model', 'nobody'))
    (data / 'train.txt').write_text('')
    with pytest.raises(DataError, match='training split is empty'):
        export_int8.run(parsed(export_int8, *words))
