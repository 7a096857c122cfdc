# SPDX-License-Identifier: Apache-2.0
"""bf16 as OpenVINO computes in it, imitated; and what of it the manifest lets `auto` take."""

import json
from argparse import ArgumentParser

import numpy as np
import pytest

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
torch = pytest.importorskip('torch')
from places import ROOT

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import load_manifest, shipped
from face_attributes_ros.training.common.manifest_table import allow_precision
from face_attributes_ros.training.int8 import bf16
from face_attributes_ros.training.int8.export import floats_of
from face_attributes_ros.training.int8.scores import failures


def test_rounding_is_that_of_bf16():
    values = np.random.default_rng(0).normal(0, 100, 10_000).astype(np.float32)
    values = np.concatenate([values, np.float32([0, -0., 1, 256, 257, 258, 1e-30, 3.38e38])])
    np.testing.assert_array_equal(
        bf16.rounded(values), torch.from_numpy(values).bfloat16().float().numpy())
    assert bf16.rounded(np.zeros((2, 0), np.float32)).shape == (2, 0)


@pytest.fixture
def layered(tmp_path):
    """A picture times 1.003, a 1x1 convolution, then times 1.003: the last product in fp32."""
    helper, kind, numpy_helper = onnx.helper, onnx.TensorProto, onnx.numpy_helper
    constants = {'weights': np.full((1, 3, 1, 1), 1.003, np.float32), 'gain': np.float32(1.003)}
    nodes = [helper.make_node('Cast', ['image'], ['x'], to=kind.FLOAT),
             helper.make_node('Transpose', ['x'], ['nchw'], perm=[0, 3, 1, 2]),
             helper.make_node('Mul', ['nchw', 'gain'], ['scaled']),
             helper.make_node('Conv', ['scaled', 'weights'], ['c']),
             helper.make_node('Mul', ['c', 'gain'], ['y'])]
    graph = helper.make_graph(
        nodes, 'layered', [helper.make_tensor_value_info('image', kind.UINT8, ['b', 'h', 'w', 3])],
        [helper.make_tensor_value_info('y', kind.FLOAT, ['b', 1, 'h', 'w'])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])
    path = tmp_path / 'layered.onnx'
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8),
              path)
    return path


def test_all_up_to_the_last_product_is_rounded_and_nothing_behind_it(layered):
    image = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    scaled = bf16.rounded(image.astype(np.float32) * np.float32(1.003))
    weight = bf16.rounded(np.full(1, 1.003, np.float32))
    expected = bf16.rounded((scaled * weight).sum(3)) * np.float32(1.003)
    found, = bf16.Imitated(layered)(image)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)
    exact, = open_network(layered, backend='onnxruntime', device='cpu', threads=1)(image)
    assert np.abs(found - exact).max() > .1


@pytest.mark.parametrize('name, shape', [('detector_tiny', (1, 64, 96, 3)),
                                         ('attributes_m', (2, 80, 80, 3))])
def test_a_shipped_network_changes_a_little(name, shape):
    batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    network = bf16.Imitated(shipped()[name].path)
    exact = open_network(shipped()[name].path, backend='onnxruntime', device='cpu', threads=1)
    assert network.outputs == exact.outputs
    changes = [np.abs(a - b).max() for a, b in zip(network(batch), exact(batch))]
    assert 0 < max(changes) < 2


class Room:
    """Figures that are made up: of fp32, then of bf16."""

    def __init__(self, *figures):
        self.left = list(figures)

    def figures(self, network, split):
        assert split == 'test' and network.outputs
        return self.left.pop(0)


@pytest.mark.parametrize('bf16_ap, status, listed', [(.899, 0, ('bf16', )), (.88, 1, ())])
def test_the_manifest_allows_what_keeps_the_bars(tmp_path, monkeypatch, layered, bf16_ap, status,
                                                 listed):
    from face_attributes_ros.engines.models import file_sha256
    manifest = tmp_path / 'manifest.toml'
    manifest.write_text(
        f'[models.one]\ntask = "detector"\nfile = "layered.onnx"\nlicence = "x"\ndata = "y"\n'
        f'sha256 = "{file_sha256(layered)}"\ninput_px = 448\n\n[models.one.metrics]\nap = 0.9\n')
    parser = ArgumentParser()
    bf16.add_arguments(parser)
    for _ in range(2):
        monkeypatch.setattr(bf16, 'room_of',
                            lambda *_: Room({'all_ap50': .9}, {'all_ap50': bf16_ap}))
        assert bf16.run(parser.parse_args([
            '--model', 'one', '--data', str(tmp_path), '--manifest', str(manifest), '--json',
            str(tmp_path / 'bf16.json')])) == status
        assert load_manifest(manifest)['one'].auto_precisions == listed
    result = json.loads((tmp_path / 'bf16.json').read_text())['one']
    assert (result['bf16'], bool(result['failures'])) == ({'all_ap50': bf16_ap}, bool(status))


def test_a_precision_is_listed_once_and_taken_out(tmp_path):
    manifest = tmp_path / 'manifest.toml'
    manifest.write_text('[models.one]\ntask = "detector"\n\n[models.one.metrics]\nap = 0.9\n')
    before = manifest.read_text()

    def listed(*asked):
        allow_precision(manifest, 'one', *asked)
        return manifest.read_text().partition('auto_precisions = ')[2].partition('\n')[0]

    assert listed('int8', True) == '["int8"]'
    assert listed('bf16', True) == listed('bf16', True) == '["bf16", "int8"]'
    assert listed('int8', False) == '["bf16"]'
    assert listed('bf16', False) == '' and manifest.read_text() == before


def test_without_its_int8_file_a_model_does_not_list_int8():
    values = {'file': 'a.onnx', 'int8_file': 'b.onnx', 'auto_precisions': ['bf16', 'int8']}
    assert floats_of(values) == {'file': 'a.onnx', 'auto_precisions': ['bf16']}
    assert floats_of({'file': 'a.onnx', 'auto_precisions': ['int8']}) == {'file': 'a.onnx'}


def test_what_the_shipped_manifest_allows_was_measured_on_these_weights():
    measured = {name: json.loads((ROOT / 'bench' / 'results' / f'{name}.json').read_text())
                for name in ('bf16', 'int8')}
    for name, model in shipped().items():
        for precision in model.auto_precisions:
            result = measured[precision][name]
            assert result['made_from'] == model.sha256
            if precision == 'bf16':
                assert failures(result['fp32'], result['bf16']) == result['failures'] == []
            else:
                assert model.int8_file and not any(
                    row['failures'] for row in result['runtimes'].values())
    assert any(model.auto_precisions for model in shipped().values())
