# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of what the added outputs cost."""

import json

import pytest
from places import ROOT

from bench.measure import speed
from bench.report import goals, tables

pytest.importorskip('torch', reason='the peers of the benchmarks are not installed')
pytest.importorskip('rclpy', reason='the nodes that are measured need it')

from bench.measure import outputs
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.ros.outputs import publishers


def rounds(*each):
    """(whole, outside) of the plain node and of the asked one, by round."""
    return [{outputs.PLAIN: plain, outputs.ASKED: asked} for plain, asked in each]


def test_more_is_what_is_outside_of_the_pipeline():
    found = outputs.figures(rounds(((20., 2.), (30., 2.2)), ((40., 2.), (22., 2.2)),
                                   ((20., 2.), (20., 2.2))))
    assert (found['more_us'], found['ratio']) == (200, 1.01)
    assert (found['plain']['least'], found['asked']['least'], found['least_ratio']) == (20, 20, 1)
    assert found['asked']['outside']['median'] == 2.2 and found['plain']['median'] == 20


def test_a_slow_frame_on_either_side_changes_nothing():
    """A machine that has other work stalls the networks, now of one node, now of the other."""
    calm = [((20., 2.), (20., 2.))] * 9
    assert outputs.figures(rounds(*calm, ((90., 2.), (20., 2.))))['ratio'] == 1
    assert outputs.figures(rounds(*calm, ((20., 2.), (90., 70.))))['ratio'] == 1


def test_who_begins_changes_and_who_is_cold_is_not_counted():
    said, calls = [], []

    def take(name):
        def taken():
            said.append(name)
            calls.append(name)
            return len(calls), 0.

        return taken

    rows = outputs.in_turn({name: take(name) for name in 'ab'}, 2)
    assert said[-4:] == ['a', 'b', 'b', 'a'] and len(said) == 2 * (outputs.WARM_UP + 2)
    warm = 2 * outputs.WARM_UP
    assert rows == [{'a': (warm + 1, 0.), 'b': (warm + 2, 0.)},
                    {'b': (warm + 3, 0.), 'a': (warm + 4, 0.)}]


@pytest.mark.parametrize('missing, expected', [
    ((), ['detections.enable', 'privacy.publish_crops', 'rep155.enable', 'tf.enable']),
    (('rep155_enable',), ['detections.enable', 'tf.enable']),
    (('rep155_enable', 'detections_enable', 'tf_enable'), [])])
def test_what_is_installed_is_asked_for(monkeypatch, missing, expected):
    def check(settings):
        if any(getattr(settings, name) for name in missing):
            raise ParameterError('not installed')

    monkeypatch.setattr(publishers, 'check', check)
    assert sorted(outputs.asked_for()) == expected
    if not expected:
        assert 'hri_msgs' in outputs.measure(1)['not_here']


def test_where_it_cannot_be_measured_the_figures_of_before_stay():
    report = {'outputs': {'took_s': 1, 'unheard': {}}}
    assert speed.merged(report, {'outputs': {'not_here': 'x'}})['outputs'] == report['outputs']
    assert speed.merged({}, {'outputs': {'not_here': 'x'}})['outputs'] == {'not_here': 'x'}
    new = {'outputs': {'took_s': 2}}
    assert speed.merged(report, new)['outputs'] == new['outputs']


def test_the_stored_figures_are_of_all_outputs_and_reach_the_goal():
    """That nobody pays for what nobody hears; and that a payer would be seen."""
    report = json.loads((ROOT / 'bench' / 'results' / 'speed.json').read_text())
    found = report['outputs']
    assert found['asked_for'] == ['detections.enable', 'privacy.publish_crops', 'rep155.enable',
                                  'tf.enable']
    assert found['heard']['more_us'] > 10 * abs(found['unheard']['more_us'])
    goal, = (goal for goal in goals.goals(report) if 'nobody hears' in goal.name)
    assert goal.reached and goal.needed == 1.01
    assert 'nobody' in tables.outputs(report)
