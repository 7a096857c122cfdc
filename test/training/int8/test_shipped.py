# SPDX-License-Identifier: Apache-2.0
"""The shipped int8 files see in a photograph what their float files see, on each runtime."""

from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest

from face_attributes_ros.build import build_pipeline
from face_attributes_ros.engines.models import shipped
from face_attributes_ros.errors import ModelError
from face_attributes_ros.settings import Settings

BACKENDS = ('onnxruntime', 'openvino')


@pytest.fixture(scope='module')
def photograph():
    if find_spec('ultralytics') is None:
        pytest.skip('the photograph is that of the ultralytics package')
    return cv2.imread(str(Path(find_spec('ultralytics').origin).parent / 'assets' / 'zidane.jpg'))


def seen(photograph, precision, backend, **settings):
    pytest.importorskip(backend)
    names = {'detector_backend': backend, 'attributes_backend': backend, 'detector_confidence': .2}
    pipeline = build_pipeline(
        Settings(device='cpu', threads=1, precision=precision, **names, **settings))
    return [
        track for track in pipeline.process({'': (photograph, 1.)})[''] if track.face.score > .3
    ]


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('name', [model.name for model in shipped().values()
                                  if model.int8_file and model.task == 'detector'])
def test_an_int8_detector_finds_the_same_faces(photograph, name, backend):
    whole, int8 = (seen(photograph, precision, backend, detector_model=name, attributes_model='')
                   for precision in ('fp32', 'int8'))
    assert len(whole) == len(int8) == 2
    for a, b in zip(whole, int8):
        assert b.face.score == pytest.approx(a.face.score, abs=.06)
        assert b.face.box_xyxy == pytest.approx(a.face.box_xyxy, abs=12)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('name', [model.name for model in shipped().values()
                                  if model.task == 'attributes'])
def test_int8_attributes_are_those_of_float_or_are_refused(photograph, name, backend):
    if not shipped()[name].int8_file:
        with pytest.raises(ModelError, match='has no int8_file'):
            seen(photograph, 'int8', backend, attributes_model=name)
        return
    whole, int8 = (seen(photograph, precision, backend, attributes_model=name)
                   for precision in ('fp32', 'int8'))
    for a, b in zip(whole, int8, strict=True):
        assert b.attributes.age_years == pytest.approx(a.attributes.age_years, abs=4)
        assert b.attributes.p_female == pytest.approx(a.attributes.p_female, abs=.15)
        assert b.attributes.smile == pytest.approx(a.attributes.smile, abs=.15)
