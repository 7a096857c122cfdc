# SPDX-License-Identifier: Apache-2.0
import json
from argparse import ArgumentParser

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch')
for needed in ('pycocotools', 'matplotlib'):
    pytest.importorskip(needed)
from detector_rig import write_yolo_folder

from face_attributes_ros.engines.models import load_manifest
from face_attributes_ros.errors import DataError, ParameterError
from face_attributes_ros.training.common.manifest_table import put_table
from face_attributes_ros.training.detector import evaluate as evaluate_detector
from face_attributes_ros.training.detector.conditions import conditions
from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.detector.predict import make_detect, predict
from face_attributes_ros.training.detector.robustness import at_light, degradations, rotated
from face_attributes_ros.training.detector.score import average_precision, judge


def bright_network(batch):
    """Finds the bright drawn disc of the test pictures by its colour: one box and a score a
    picture."""
    rows = []
    for image in batch:
        y, x = np.nonzero((image[..., 2] > 200) & (image[..., 0] < 180))
        rows.append([[x.min(), y.min(), x.max() +
                      1, y.max() + 1, .9] if len(x) else [0, 0, 9, 9, .3]])
    return [np.array(rows, np.float32)]


@pytest.fixture
def data(tmp_path):
    return write_yolo_folder(tmp_path / 'pack')


def evaluate(monkeypatch, data, tmp_path, *more):
    monkeypatch.setattr(evaluate_detector, 'open_detector',
                        lambda name, args: make_detect(bright_network, 96))
    parser = ArgumentParser()
    evaluate_detector.add_arguments(parser)
    args = parser.parse_args([
        '--data',
        str(data), '--model', 'bright', '--json',
        str(tmp_path / 'out' / 'd.json'), '--plot',
        str(tmp_path / 'out' / 'd.png'), *more
    ])
    assert evaluate_detector.run(args) == 0
    return json.loads(args.json.read_text())


def test_a_good_detector_scores_full_marks(monkeypatch, data, tmp_path, capsys):
    report = evaluate(monkeypatch, data, tmp_path, '--robustness', 'bright')
    row = report['parts']['all']['bright']
    assert (row['ap50'], row['best_f1'], row['faces'], row['face_free_images']) == (1.0, 1.0, 4, 1)
    assert row['at_0.5']['false_positives_per_face_free_image'] == 0
    assert row['ap50_small'] is None and row['ap50_large'] == 1.0
    assert report['robustness']['bright'].keys() == degradations().keys()
    rows = report['conditions']['bright']
    assert rows['rotation 0 deg']['ap50'] == report['robustness']['bright']['rotation 0 deg'] == 1
    assert (rows['rotation 0 deg']['recall'], rows['masked']['ap50_crowd']) == (1, None)
    assert '| bright | 1.000 |' in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / 'out' / 'd.png')) is not None


def test_the_threshold_comes_from_val(monkeypatch, data, tmp_path):
    report = evaluate(monkeypatch, data, tmp_path)
    assert report['detectors']['bright']['threshold_val'] == pytest.approx(.9)


def test_the_manifest_gets_figures_and_threshold(monkeypatch, data, tmp_path):
    (tmp_path / 'bright.onnx').write_bytes(b'x')
    manifest = tmp_path / 'manifest.toml'
    put_table(
        manifest, 'bright', {
            'task': 'detector', 'file': 'bright.onnx', 'sha256': '', 'licence': 'x', 'data': 'y',
            'input_px': 96, 'thresholds': {'score': .5}, 'metrics': {'gflops_448': 1.0}
        })
    evaluate(monkeypatch, data, tmp_path, '--write-metrics', str(manifest))
    model = load_manifest(manifest)['bright']
    assert model.thresholds == {'score': pytest.approx(.9)}
    assert model.metrics['test_all_ap50'] == 1.0 and model.metrics['gflops_448'] == 1.0
    assert model.metrics['val_threshold'] == pytest.approx(.9)
    assert .3 < model.metrics['val_quiet_threshold'] <= .301
    assert model.metrics['test_all_false_positives_per_face_free_image'] == 0


def test_parts_are_named_by_prefix(data):
    samples = read_samples(data, 'test')
    assert list(evaluate_detector.parts_of(samples)) == ['all']
    (data / 'test.txt').write_text('images/test_1.png\nimages/kag_1.png')
    cv2.imwrite(str(data / 'images' / 'kag_1.png'), np.zeros((64, 96, 3), np.uint8))
    assert evaluate_detector.parts_of(read_samples(data, 'test')) == {'all': [0, 1], 'multi': [1]}


def test_false_positives_are_counted_on_pictures_without_faces(data):
    samples = read_samples(data, 'test')
    results = predict(make_detect(bright_network, 96), samples)
    row = evaluate_detector.measure(results, .2, .6)
    assert row['at_val_threshold']['false_positives_per_face_free_image'] == 1
    assert row['at_quiet_threshold']['false_positives_per_face_free_image'] == 0
    assert row['at_0.5']['false_positives_per_face_free_image'] == 0


def test_peers_are_read_from_a_folder(monkeypatch, data, tmp_path):
    peers = tmp_path / 'peers'
    peers.mkdir()
    (peers / 'detectors.py').write_text(
        'import numpy as np\n'
        'def nothing(*_):\n    return lambda image: np.zeros((0, 5))\n'
        'yunet = scrfd = retina = nothing\n'
        'def ultra(path, width, height):\n'
        '    return lambda image: np.array([[0, 0, width, height, .5]])\n')
    report = evaluate(monkeypatch, data, tmp_path, '--peers', str(peers))
    assert set(report['parts']['all']) == {
        'bright', 'YuNet-n', 'SCRFD-500M', 'RetinaFace-mnet0.25', 'RFB-320'
    }
    assert report['parts']['all']['YuNet-n']['ap50'] == 0
    with pytest.raises(DataError, match='detectors.py'):
        evaluate(monkeypatch, data, tmp_path, '--peers', str(tmp_path))


def test_robustness_without_names_is_that_of_all(monkeypatch, data, tmp_path):
    report = evaluate(monkeypatch, data, tmp_path, '--robustness')
    assert list(report['conditions']) == list(report['robustness']) == ['bright']


def test_a_quiet_threshold_rests_on_further_face_free_pictures_too(monkeypatch, data, tmp_path):
    more = write_yolo_folder(tmp_path / 'more', count=1)
    (more / 'val.txt').write_text('images/val_0.png\nimages/val_0.png')
    report = evaluate(monkeypatch, data, tmp_path, '--face-free', str(more))
    own = report['detectors']['bright']
    assert own['quiet_on'] == {'pictures': 3, 'alarms': 0, 'bound': pytest.approx(1, abs=.02)}
    assert .3 < own['quiet_threshold_val'] <= .301     # the network's alarm in every one of them


def test_robustness_of_an_unknown_detector_is_refused(monkeypatch, data, tmp_path):
    with pytest.raises(ParameterError, match='nobody'):
        evaluate(monkeypatch, data, tmp_path, '--robustness', 'nobody')


def test_rotation_keeps_every_pixel_of_a_face_in_its_box():
    image = np.zeros((60, 100, 3), np.uint8)
    cv2.ellipse(image, (70, 20), (8, 14), 0, 0, 360, (255,) * 3, -1)
    turned, boxes = rotated(image, np.array([[62, 6, 79, 35]], np.float32), 30)
    rows, columns = np.nonzero(turned[..., 0] > 180)
    np.testing.assert_allclose(
        boxes[0], [columns.min(), rows.min(),
                   columns.max() + 1, rows.max() + 1], atol=2)


def test_light_falls_as_the_model_says():
    image = np.full((64, 64, 3), 186, np.uint8)      # about half of white in linear light
    bright, dim, dark = (at_light(image, lux, np.random.default_rng(0)).astype(float)
                         for lux in (1000, 200, 40))
    assert abs(bright.mean() -
               186) < 1 and abs(dim.mean() - 186) < 2  # up to a gain of 8 only noise changes
    assert dark.mean() == pytest.approx(186 * (8 / 25) ** (1 / 2.2),
                                        rel=.03)  # then the picture darkens
    assert bright.std() < dim.std() < dark.std()


def test_robustness_falls_where_the_detector_is_weak(data):
    detect = make_detect(lambda batch: [np.tile(np.float32([0, 0, 9, 9, .9]), (len(batch), 1, 1))],
                         96)
    rows = conditions(detect, read_samples(data, 'test'), .5)
    assert {row['ap50'] for row in rows.values()} == {0.0}
    assert rows['light 40 lux']['false_positives_per_face_free_image'] == 1
    assert average_precision(
        judge(predict(make_detect(bright_network, 96), read_samples(data, 'test')))) == 1.0
