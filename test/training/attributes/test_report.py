# SPDX-License-Identifier: Apache-2.0
import importlib.util

import numpy as np
import pytest

from face_attributes_ros.engines.models import load_manifest
from face_attributes_ros.errors import DataError
from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.training.attributes.data.tables import Sample, one_hot, table_of
from face_attributes_ros.training.attributes.groups import (
    bootstrap_interval,
    group_report,
    size_report,
    yaw_report,
)
from face_attributes_ros.training.attributes.peers import (
    FACEAPI_ORDER,
    FER2013_ORDER,
    in_our_order,
    open_peers,
)
from face_attributes_ros.training.attributes.report import (
    calibration_report,
    report,
    selective_report,
)
from face_attributes_ros.training.common.manifest_table import put_metrics, put_table


def spike(year):
    return np.eye(101)[year]


def people():
    """Two people of each kind that the figures tell apart."""
    points = np.random.default_rng(0).uniform(0.3, 0.7, (68, 2))
    return table_of([
        Sample('a', 'utkface', 30, 30, 1.0),
        Sample('b', 'utkface', 62, 62, 0.0),
        Sample('c', 'fairface', 20, 29, 1.0),
        Sample('d', 'fairface', 70, 110, 0.0),
        Sample('e', 'ferplus', expression=one_hot('happy'), smile=1.0),
        Sample('f', 'ferplus', expression=one_hot('fear')),
        Sample('g', 'genki4k', smile=0.0, pose=(0.1, 0.0, 0.0)),
        Sample('h', 'ytf68', landmarks=points)
    ])


def answers(table):
    """Age 2 years high for a and a group late for b; gender wrong for b; fear taken for
    surprise."""
    count = len(table)
    outputs = {'age': np.stack([spike(year) for year in (32, 49, 25, 75, 1, 1, 1, 1)]),
               'gender': np.array([.9, .6, .8, .1, .5, .5, .5, .5]),
               'expression': np.tile(one_hot('happy'), (count, 1)),
               'smile': np.full(count, .4), 'pose': np.zeros((count, 3)),
               'landmarks': np.nan_to_num(table.labels['landmarks']) + 0.0, 'face': np.ones(count),
               'quality': np.ones(count)}
    outputs['expression'][5] = one_hot('surprise')
    apart = np.linalg.norm(table.labels['landmarks'][7, 36] - table.labels['landmarks'][7, 45])
    outputs['landmarks'][7, :, 0] += 0.1 * apart
    return outputs


def test_figures_by_source():
    table = people()
    found = report(answers(table), table)
    assert found['utkface'] == {
        'count': 2, 'age_mae_years': 7.5, 'age_bias_years': -5.5, 'groups_count': 2,
        'groups_exact': .5, 'groups_one_off': 1, 'interval_coverage': 0, 'gender_accuracy': .5
    }
    assert found['fairface'] == {'count': 2, 'age_bin_accuracy': 1, 'gender_accuracy': 1}
    fer = found['ferplus']
    assert (fer['expression_accuracy'], fer['expression_balanced'],
            fer['recall']) == (.5, .5, {'happy': 1, 'fear': 0})
    assert fer['confusion'][EXPRESSIONS.index('fear'), EXPRESSIONS.index('surprise')] == 1
    assert 'smile_accuracy' not in fer  # derived from the same votes
    assert found['genki4k']['smile_accuracy'] == 1
    assert found['genki4k']['pose_mae_deg'] == pytest.approx(np.degrees(0.1) / 3, rel=1e-5)
    assert found['ytf68']['landmark_nme'] == pytest.approx(0.1, rel=1e-5)


def test_a_network_with_fewer_heads_is_judged_on_those():
    table = people()
    found = report({'age_years': np.array([33., 44, 29.9, 69.9, 0, 0, 0, 0]),
                    'gender': answers(table)['gender']}, table)
    assert set(found) == {'utkface', 'fairface'}
    assert found['utkface']['age_mae_years'] == 10.5
    assert 'interval_coverage' not in found['utkface']
    assert found['fairface']['age_bin_accuracy'] == .5
    assert found['utkface']['groups_one_off'] == .5


def test_groups_carry_counts_intervals_and_the_worst():
    table = people()
    found = group_report(answers(table), table)
    first, second = found['utkface']['groups']
    assert (first['age'], first['gender'], first['count'],
            first['gender_accuracy']) == ('30-39', 'female', 1, 1)
    assert (second['age'], second['gender'], second['age_mae_years'],
            second['age_bias_years']) == ('60-69', 'male', 13, -13)
    assert found['utkface']['worst']['gender_accuracy'] == ['60-69', 'male', 0]
    assert found['fairface']['groups'][1]['age'] == '70+'


def test_bootstrap_interval_holds_the_mean_and_narrows_with_more_faces():
    rng = np.random.default_rng(0)
    few, many = (bootstrap_interval(rng.random(count) < 0.8) for count in (40, 4000))
    assert few[0] < 0.8 < few[1] and many[0] < 0.8 < many[1]
    assert np.ptp(many) < np.ptp(few) / 5


def test_calibration_is_told_before_and_after():
    table = people()
    outputs = answers(table)
    found = calibration_report(outputs, table, {'gender': 2.0})
    assert set(found) == {'gender', 'expression', 'smile'
                          } and found['gender']['temperature'] == 2.0
    assert found['gender']['ece_before'] != found['gender']['ece']
    assert found['smile']['ece_before'] == pytest.approx(
        found['smile']['ece'])  # no temperature: nothing to undo


def test_selective_answers_are_counted():
    table = people()
    found = selective_report(answers(table), table, {'gender': 0.7, 'expression': 0.9})
    assert found['gender'] == {'threshold': 0.7, 'answered': .75, 'accuracy': 1}
    assert found['expression']['answered'] == 1


def test_yaw_uses_labels_where_there_are_some():
    table = people()
    outputs = answers(table)
    outputs['pose'][0] = [0.5, 0, 0]
    rows = yaw_report(outputs, table)
    assert [row['yaw_deg'] for row in rows] == [[0, 10], [10, 20], [20, 90]]
    assert rows[0]['count']['genki4k'] == 1 and rows[2]['count']['utkface'] == 1
    assert 'gender_accuracy' in rows[2]['utkface'] and 'utkface' not in rows[1]


def test_sizes_shrink_only_larger_faces():
    table = people()
    seen = []

    def run(pictures):
        seen.append([picture.shape[0] for picture in pictures])
        return answers(table)

    rows = size_report(
        run, table,
        [np.zeros((side, side, 3), np.uint8)
         for side in (112, 20, 48, 48, 48, 48, 48, 48)], (24, 48))
    assert [row['face_px'] for row in rows] == [24, 48] and rows[0]['mean_quality'] == 1
    assert seen == [[24, 20, 24, 24, 24, 24, 24, 24], [48, 20, 48, 48, 48, 48, 48, 48]]


@pytest.mark.parametrize('order', [FACEAPI_ORDER, FER2013_ORDER])
def test_peers_classes_come_in_our_order(order):
    assert sorted(order) == sorted(EXPRESSIONS)
    probs = np.array([[float(name == 'fear') for name in order]])
    assert in_our_order(probs, order).argmax() == EXPRESSIONS.index('fear')


def test_a_manifest_keeps_its_other_tables(tmp_path):
    path = tmp_path / 'manifest.toml'
    path.write_text(
        '# The models.\n\n[models.detector]\ntask = "detector"\nfile = "d.onnx"\nsha256 = "00"\n'
        'licence = "x"\ndata = "y"\ninput_px = 448\n\n[models.detector.thresholds]\nscore = 0.5\n')
    entry = {
        'task': 'attributes', 'file': 'm.onnx', 'sha256': 'ab', 'licence': 'l "q"', 'data': 'd',
        'input_px': 80, 'crop_scale': 1.0, 'thresholds': {'gender': 1.0}, 'metrics': {'a': 1}
    }
    put_table(path, 'm', entry)
    once = path.read_text()
    put_table(path, 'm', entry)
    assert path.read_text() == once and once.startswith('# The models.')
    put_metrics(path, 'm', {'b': 0.25})
    models = load_manifest(path)
    assert models['detector'].thresholds == {'score': 0.5}
    assert (models['m'].metrics, models['m'].licence,
            models['m'].crop_scale) == ({'a': 1, 'b': 0.25}, 'l "q"', 1.0)
    put_table(path, 'detector', {'task': 'detector', 'file': 'e.onnx'})
    assert path.read_text().count(
        '[models.detector') == 1 and '[models.m.metrics]' in path.read_text()


def test_peers_that_cannot_run_are_refused_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: object())
    with pytest.raises(DataError, match='attributes.py does not exist'):
        open_peers(tmp_path)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(DataError, match='needs h5py'):
        open_peers(tmp_path)
