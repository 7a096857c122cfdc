# SPDX-License-Identifier: Apache-2.0
"""The paper's systems in the pipeline, with random weights that the test writes."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is needed for the paper\'s networks only')
pytest.importorskip('safetensors')

from paper_fixtures import picture, write_paper_weights

from face_attributes_ros import build
from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.request import Measuring, Request
from face_attributes_ros.errors import DeviceError, ModelError
from face_attributes_ros.estimator import AttributeEstimator
from face_attributes_ros.paper import models as paper
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.training.common.checkpoint import load_tensors, save_tensors

HAS = {'all_in_one': {'age_years', 'p_female', 'smile', 'yaw_rad', 'face_prob'},
       'vgg_age+pool5_svm': {'age_years', 'expression'}}


def pipeline_of(model):
    detector = FaceDetector(
        lambda batch: [np.tile(np.float32([[[40, 40, 160, 160, .9]]]), (len(batch), 1, 1))])
    return Pipeline(
        detector,
        AttributeEstimator(model.network, model.outputs, size_px=model.size_px,
                           crop_scale=model.crop_scale))


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return write_paper_weights(tmp_path_factory.mktemp('paper_weights'))


@pytest.mark.parametrize('name', HAS)
def test_each_system_runs_in_the_pipeline(name, weights, monkeypatch):
    monkeypatch.setenv(paper.WEIGHTS_FOLDER, str(weights))
    model = paper.open_paper_model(name, 'cpu')
    track, = pipeline_of(model).process({'': (picture(0, 240), 1.)})['']
    fields = ('age_years', 'p_female', 'expression', 'smile', 'yaw_rad', 'landmarks_xy',
              'face_prob')
    assert {field for field in fields if getattr(track.raw, field) is not None} == HAS[name]
    assert 'torch' in model.network.description
    assert set(model.thresholds) == {'gender', 'expression'} & set(model.outputs)


def test_two_stage_gets_landmarks_too(weights):
    model = paper.open_paper_model('all_in_one', 'cpu', folder=weights, heads=None)
    outputs = dict(zip(model.outputs, model.network(np.zeros((2, 227, 227, 3), np.uint8))))
    assert outputs['landmarks'].shape == (2, 21, 2) and outputs['visibility'].shape == (2, 21)
    assert (model.size_px, model.crop_scale) == (227, 1.2)


def test_compact_m_is_the_shipped_model(monkeypatch):
    asked = []
    shipped = SimpleNamespace(input_px=80, crop_scale=1.4, thresholds={'gender': .7})
    monkeypatch.setattr(build, 'find_model', lambda *names: asked.append(names) or shipped)
    monkeypatch.setattr(build, 'open_model', lambda model, request, sample: SimpleNamespace(
        network=SimpleNamespace(outputs=('age', 'gender'), model=model, request=request)))
    quiet = Measuring(keep=False)
    model = paper.open_paper_model('compact_m', 'cpu', backend='openvino', threads=2,
                                   measuring=quiet)
    assert model.network.request == Request('openvino', 'cpu', 'auto', 2, quiet)
    assert asked == [('attributes_m', 'attributes')]
    assert (model.network.model, model.outputs, model.size_px,
            model.crop_scale) == (shipped, ('age', 'gender'), 80, 1.4)
    assert model.thresholds == {'gender': .7}


@pytest.mark.parametrize('name', HAS)
def test_without_weights_it_says_what_to_do(name, tmp_path, monkeypatch):
    first = name.split('+')[0]
    monkeypatch.delenv(paper.WEIGHTS_FOLDER, raising=False)
    with pytest.raises(ModelError,
                       match=f'{first} needs weights of yours: set {paper.WEIGHTS_FOLDER}'):
        paper.open_paper_model(name)
    monkeypatch.setenv(paper.WEIGHTS_FOLDER, str(tmp_path))
    with pytest.raises(ModelError, match=f'{first}.safetensors is missing'):
        paper.open_paper_model(name)


def test_unknown_system_is_refused():
    with pytest.raises(ModelError, match='deepface.*compact_m, all_in_one'):
        paper.open_paper_model('deepface')


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
def test_a_gpu_that_is_not_there_is_an_error(weights):
    with pytest.raises(DeviceError, match='cuda:0'):
        paper.open_paper_model('all_in_one', 'cuda:0', folder=weights)


def rewritten(weights, tmp_path, name, change):
    tensors, metadata = load_tensors(weights / f'{name}.safetensors')
    change(tensors, metadata)
    save_tensors(tmp_path / f'{name}.safetensors', tensors, metadata)


def test_random_convolutions_never_go_live(weights, tmp_path):
    rewritten(weights, tmp_path, 'vgg_age',
              lambda tensors, metadata: metadata.update(convolutions='random'))
    with pytest.raises(ModelError, match='random convolutions'):
        paper.open_paper_model('vgg_age+pool5_svm', 'cpu', folder=tmp_path)


def test_damaged_or_foreign_weights_are_refused(weights, tmp_path):
    rewritten(weights, tmp_path, 'all_in_one',
              lambda tensors, metadata: tensors.pop('conv1.0.bias'))
    with pytest.raises(ModelError, match='does not fit'):
        paper.open_paper_model('all_in_one', 'cpu', folder=tmp_path)
    rewritten(weights, tmp_path, 'all_in_one',
              lambda tensors, metadata: metadata.update(system='other'))
    with pytest.raises(ModelError, match="system 'other', needs 'all_in_one'"):
        paper.open_paper_model('all_in_one', 'cpu', folder=tmp_path)
    (tmp_path / 'all_in_one.safetensors').write_bytes(b'not a file of tensors')
    with pytest.raises(ModelError, match='not a readable safetensors'):
        paper.open_paper_model('all_in_one', 'cpu', folder=tmp_path)
