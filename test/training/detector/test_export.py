# SPDX-License-Identifier: Apache-2.0
import json
from argparse import Namespace

import numpy as np
import pytest

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from detector_rig import MICRO
from safetensors.torch import save_file

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import file_sha256, load_manifest
from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.yolov3 import build_yolov3, load_detector
from face_attributes_ros.training.detector import export as export_detector


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp('run') / 'detector.safetensors'
    state = build_yolov3(MICRO | {'width_multiple': 2.0}).state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, path,
              {'model': json.dumps(MICRO | {'width_multiple': 2.0})})
    return path


@pytest.mark.parametrize('fp32, limit', [(True, 1e-3), (False, .5)])
@pytest.mark.parametrize('shape', [(1, 32, 64), (3, 96, 160)])
def test_the_file_equals_torch_at_other_shapes(weights, tmp_path, fp32, limit, shape):
    out = tmp_path / 'detector.onnx'
    assert export_detector.run(
        Namespace(weights=weights, out=out, fp32=fp32, torch=False, manifest=None)) == 0
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found, = open_network(out, backend='onnxruntime', device='cpu')(image)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found,
                               load_detector(weights)(torch.from_numpy(image)).numpy(), atol=limit)


def test_the_torch_copy_is_half_as_large_and_equal(weights, tmp_path, capsys):
    out = tmp_path / 'detector.onnx'
    export_detector.run(Namespace(weights=weights, out=out, fp32=False, torch=True, manifest=None))
    report = json.loads(capsys.readouterr().out)
    copy = tmp_path / 'detector.safetensors'
    assert report['torch_sha256'] == file_sha256(copy)
    assert copy.stat().st_size < .75 * weights.stat().st_size
    image = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    ours = load_detector(copy)(image)
    torch.testing.assert_close(ours, load_detector(weights)(image), atol=.5, rtol=0)
    exported, = open_network(out, backend='onnxruntime', device='cpu')(image.numpy())
    np.testing.assert_allclose(exported, ours.numpy(), atol=1e-3)


def test_the_manifest_gets_a_table_that_loads(weights, tmp_path):
    out = tmp_path / 'face.onnx'
    export_detector.run(
        Namespace(weights=weights, out=out, fp32=False, torch=True,
                  manifest=tmp_path / 'manifest.toml', input_px=512, trained_on='drawings'))
    model = load_manifest(tmp_path / 'manifest.toml')['face'].checked()
    assert model.licence == export_detector.LICENCE + export_detector.AFTER_ULTRALYTICS
    assert (model.task, model.path, model.input_px) == ('detector', out, 512)
    assert model.torch_weights() == tmp_path / 'face.safetensors'
    network = load_detector(weights).network
    # its first layer alone, by hand: 3x3 from 3 to 16 channels onto 224 x 224
    assert export_detector.gflops(network.model[0],
                                  448) == pytest.approx(2 * 224 ** 2 * 27 * 16 / 1e9, abs=.005)
    assert model.metrics['gflops_448'] > .04


def test_half_weights_halve_the_file(weights, tmp_path):
    whole, half = (export_detector.export(weights, tmp_path / name, half)['bytes']
                   for name, half in (('whole.onnx', False), ('half.onnx', True)))
    assert half < .75 * whole


def test_a_file_that_differs_is_not_written(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(export_detector, 'LARGEST_DIFFERENCE', (-1.0, 1.0))
    with pytest.raises(ModelError, match='not written: onnxruntime'):
        export_detector.export(weights, tmp_path / 'detector.onnx')
    assert list(tmp_path.iterdir()) == []
