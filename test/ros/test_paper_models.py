# SPDX-License-Identifier: Apache-2.0
"""The paper's systems behind the node, over real topics, with small random weights that the test
writes."""

import pytest

pytest.importorskip('torch', reason='torch is needed for the paper\'s networks only')

from face_attributes_ros.msg import FaceAttributes
from harness import picture
from paper_fixtures import write_paper_weights

from face_attributes_ros.build import PAPER_MODELS, build_pipeline
from face_attributes_ros.faces import Face
from face_attributes_ros.paper.models import WEIGHTS_FOLDER


def told_where_the_face_is(settings, delay_s, faces):
    """The real pipeline, but for a detector that finds one face in every picture."""
    pipeline = build_pipeline(settings)
    pipeline.detector.detect = lambda images, settings, **_: [[Face((100., 100., 300., 300.), .9)]
                                               for _ in images]
    return pipeline


@pytest.mark.parametrize('name', PAPER_MODELS)
def test_each_system_answers_over_topics(name, listener, exchange, tmp_path, monkeypatch):
    monkeypatch.setenv(WEIGHTS_FOLDER, str(write_paper_weights(tmp_path)))
    listener(factory=told_where_the_face_is, attributes__model=name, device='cpu', threads=1)
    message = exchange(picture())
    face, = message.faces
    assert message.model_id == f'detector_tiny+{name}'
    assert face.valid & FaceAttributes.HAS_AGE and 0 <= face.age <= 100
    assert bool(face.emotion_probabilities) == (name != 'all_in_one')
