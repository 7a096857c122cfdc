# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from face_attributes_ros.build import build_pipeline
from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.models import shipped
from face_attributes_ros.errors import ModelError, ParameterError
from face_attributes_ros.estimator import AttributeEstimator
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.settings import Settings

IMAGE = np.zeros((448, 448, 3), np.uint8)
BOX = [100, 100, 200, 200, .9]


class Fake:
    """A detector network that finds `boxes`, an attribute network that says age 40 and p_female
    .9, and counts of both."""

    def __init__(self):
        self.boxes, self.batches = [BOX], []

    def detect(self, batch):
        return [np.tile(np.float32(self.boxes).reshape(1, -1, 5), (len(batch), 1, 1))]

    def estimate(self, batch):
        self.batches.append(len(batch))
        age = np.zeros((len(batch), 101), np.float32)
        age[:, 40] = 1
        return [age, np.full(len(batch), .9, np.float32), np.full(len(batch), .3, np.float32)]


@pytest.fixture
def fake():
    return Fake()


@pytest.fixture
def pipeline(fake):
    estimator = AttributeEstimator(fake.estimate, ('age', 'gender', 'quality'), size_px=32,
                                   crop_scale=1.2)
    return Pipeline(FaceDetector(fake.detect), estimator)


def test_frames_to_tracks(pipeline):
    track, = pipeline.process({'': (IMAGE, 1.)})['']
    assert track.track_id == 'f1' and track.attributes.age_years == pytest.approx(
        40) and track.attributes.gender == 'female'
    assert set(pipeline.stage_ms) == {
        'letterbox', 'detect', 'nms', 'track', 'crop', 'attributes', 'records'
    }


def test_stages_are_of_the_last_frame_alone(pipeline, fake):
    pipeline.process({'': (IMAGE, 1.)})
    before, values = pipeline.stage_ms, dict(pipeline.stage_ms)
    fake.boxes = []
    pipeline.process({'': (IMAGE, 1.1)})
    assert before == values and 'crop' not in pipeline.stage_ms


def test_cameras_share_a_batch_and_have_their_own_ids(pipeline, fake):
    out = pipeline.process({'front': (IMAGE, 1.), 'rear': (IMAGE, 5.)})
    assert [track.track_id
            for tracks in out.values()
            for track in tracks] == ['front_f1', 'rear_f1'] and fake.batches == [2]
    assert pipeline.process({'rear': (IMAGE, 5.1)})['rear'][0].track_id == 'rear_f1'


def test_no_face_is_an_empty_list_and_no_network_call(pipeline, fake):
    fake.boxes = []
    assert pipeline.process({'': (IMAGE, 1.)}) == {'': []} and fake.batches == []


def test_every_nth_frame_is_looked_at(pipeline, fake):
    pipeline.update(replace(pipeline.settings, attributes_every_n_frames=3))
    raws = [pipeline.process({'': (IMAGE, i / 30)})[''][0] for i in range(7)]
    assert [track.raw is not None
            for track in raws] == [True, False, True, False, False, True, False]
    assert all(track.attributes.age_years for track in raws)


def test_a_poor_look_is_not_taken(pipeline):
    pipeline.update(replace(pipeline.settings, attributes_min_quality=.5))
    assert pipeline.process({'': (IMAGE, 1.)})[''][0].attributes is None


def test_switched_off_attributes_are_none(pipeline):
    pipeline.update(replace(pipeline.settings, attributes_enable_age=False))
    seen = pipeline.process({'': (IMAGE, 1.)})[''][0]
    assert seen.attributes.age_years is None and seen.raw.age_low is None
    assert seen.attributes.gender == 'female'


def test_settings_change_live_or_say_that_they_cannot(pipeline):
    pipeline.update(replace(pipeline.settings, detector_confidence=.95))
    assert pipeline.process({'': (IMAGE, 1.)}) == {'': []}
    with pytest.raises(ParameterError,
                       match='device, detector_model can only be set before the start'):
        pipeline.update(replace(pipeline.settings, device='cpu', detector_model='x'))


def test_reset_forgets_one_camera_or_all(pipeline):
    frames = {'a': (IMAGE, 1.), 'b': (IMAGE, 1.)}
    pipeline.process(frames)
    pipeline.reset('a')
    assert [tracks[0].track_id for tracks in pipeline.process(frames).values()] == ['a_f2', 'b_f1']
    pipeline.reset()
    assert [tracks[0].track_id for tracks in pipeline.process(frames).values()] == ['a_f3', 'b_f2']


def test_unknown_models_are_named():
    with pytest.raises(ModelError, match="detector model 'nothing' is not in the manifest"):
        build_pipeline(Settings(detector_model='nothing'))


def test_a_pipeline_made_by_hand_takes_the_detectors_settings(fake):
    settings = Settings(detector_confidence=.95)
    pipeline = Pipeline(FaceDetector(fake.detect), None, settings)
    assert pipeline.process({'': (IMAGE, 1.)}) == {'': []}


def test_the_manifests_threshold_holds_on_every_runtime(monkeypatch):
    pytest.importorskip('torch', reason='the backend ultralytics is torch')
    from face_attributes_ros.engines import ultralytics as engine
    monkeypatch.setattr(engine, 'open_ultralytics',
                        lambda name, **_: SimpleNamespace(description='fake'))
    score = shipped()['detector_tiny'].thresholds['score']
    for backend in ('onnxruntime', 'ultralytics'):
        pipeline = build_pipeline(
            Settings(device='cpu', detector_backend=backend, attributes_model=''))
        assert pipeline.settings.detector_confidence == score


@pytest.mark.parametrize('imgsz, side', [(0, 576), (320, 320)])
def test_the_canvas_is_the_manifests_unless_told(imgsz, side):
    assert shipped()['detector_tiny'].input_px == 576
    pipeline = build_pipeline(
        Settings(device='cpu', threads=1, detector_imgsz=imgsz, attributes_model=''))
    assert pipeline.detector.imgsz_px == side


def test_shipped_models_run_on_any_picture():
    pipeline = build_pipeline(Settings(device='cpu', threads=1))
    pipeline.warm_up()
    rng = np.random.default_rng(0)
    for i, shape in enumerate([(480, 640), (1, 1), (3, 900), (1200, 30)]):
        tracks = pipeline.process({'': (rng.integers(0, 255, (*shape, 3),
                                                     np.uint8), float(i))})['']
        assert all(0 <= track.face.score <= 1 for track in tracks)
    square = np.full((224, 224, 3), 127, np.uint8)
    one, = pipeline.estimator.crops([square])
    assert 0 <= one.age_years <= 100 and sum(one.expression_probs) == pytest.approx(
        1, abs=1e-3) and len(one.landmarks_xy) == 68
