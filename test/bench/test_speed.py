# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the benchmark; how fast anything is, no test asserts."""

import importlib.util
import json

import numpy as np
import pytest
from places import ROOT

from bench.measure import speed
from bench.report import figures
from bench.report import goals as speed_goals
from bench.report import tables as speed_tables
from bench.rig import (
    frames,
    machine,
)
from face_attributes_ros.boxes import iou


def test_a_stream_of_nothing():
    assert figures.stream([], {}) == {
        'NUM_FRAMES_SENT': 0, 'NUM_MISSED_FRAMES': 0, 'MEAN_FRAME_RATE': 0, 'SENT_FRAME_RATE': 0
    }
    assert figures.stream([1., 2.], {})['NUM_MISSED_FRAMES'] == 2


def test_latency_rate_and_what_was_missed():
    sent = [0., .1, .2, .3, .4]
    found = figures.stream(
        sent,
        {0.: .02, .1: .14, .3: .33, .4: .45, 9.: 9.1})  # .2 was dropped, 9. is of another stream
    assert (found['NUM_FRAMES_SENT'], found['NUM_MISSED_FRAMES']) == (5, 1)
    assert (found['FIRST_LATENCY'], found['LAST_LATENCY'], found['MAX_LATENCY']) == (20, 50, 50)
    assert found['MEAN_LATENCY'] == pytest.approx(35) and found['P50_LATENCY'] == pytest.approx(35)
    assert found['MEAN_FRAME_RATE'] == pytest.approx(
        3 / .43, abs=.01) and found['SENT_FRAME_RATE'] == pytest.approx(10)


@pytest.mark.parametrize('arrivals, mean, greatest', [
    ([0, 100, 200, 300], 0, 0),           # regular: no jitter, however late
    ([0, 100, 210, 310], 10, 10),         # intervals 100, 110, 100
    ([0, 100, 250, 300, 400], 66.67, 100)])  # intervals 100, 150, 50, 100
def test_jitter_is_how_much_intervals_differ_from_one_to_the_next(arrivals, mean, greatest):
    sent = [.1 * i for i in range(len(arrivals))]
    found = figures.stream(sent, {stamp: 5 + ms / 1e3 for stamp, ms in zip(sent, arrivals)})
    assert found['MEAN_JITTER'] == pytest.approx(
        mean, abs=.01) and found['MAX_JITTER'] == pytest.approx(greatest, abs=.01)


def test_windows_leave_no_frame_out():
    sent = [i / 30 for i in range(900)]
    rows = figures.windows(sent, {stamp: stamp + .01 + (stamp > 20) for stamp in sent}, 10.)
    assert [row['NUM_FRAMES_SENT'] for row in rows] == [300, 300, 300]
    assert [round(row['P50_LATENCY'])
            for row in rows] == [10, 10, 1010] and figures.windows([], {}, 10.) == []


def test_ratio_keys():
    assert figures.ratio_keys('naive', 'openvino_int8', 'int8', 720, 4, 1, True) == [
        'naive_openvino_int8_720p_4faces_1t', 'naive_int8_720p_4faces_1t']
    assert figures.ratio_keys('strong', 'onnxruntime_fp32', 'fp32', 720, 16, 2,
                              False) == ['strong_onnxruntime_fp32_720p_16faces_2t']


def test_summary_is_the_median_and_the_middle_half():
    assert figures.summary(np.arange(101)) == {'median': 50, 'low': 25, 'high': 75}


@pytest.mark.parametrize('flags, offered', [(['avx2'], False),
                                            (['avx2', 'avx512f', 'avx512_bf16'], True),
                                            (['amx_bf16'], True)])
def test_bf16_is_offered_where_the_cpu_has_it(monkeypatch, flags, offered):
    monkeypatch.setattr(machine, 'flags', lambda: flags)
    assert (machine.not_offered('bf16') is None) == offered and machine.not_offered('fp32') is None
    assert offered or 'not offered by this CPU' in machine.not_offered('bf16')


@pytest.mark.parametrize('height', frames.SIZES)
@pytest.mark.parametrize('count', frames.COUNTS)
def test_frames_hold_as_many_faces_as_they_say(height, count):
    if importlib.util.find_spec('ultralytics') is None:
        pytest.skip('ultralytics, whose photograph is used, is not installed')
    width, height = frames.SIZES[height]
    image, boxes = frames.frame(width, height, count)
    assert image.shape == (height, width, 3) and len(boxes) == count
    found = np.array(boxes, np.float32)
    assert (found >= 0).all() and (found[:, 2] <= width).all() and (found[:, 3] <= height).all()
    assert count == 1 or iou(found, found)[~np.eye(count, dtype=bool)].max() == 0


def test_parts_replace_what_they_measured_and_leave_the_rest():
    old = {
        'machine': {}, 'ratios': {'a_1t': 1},
        'pipeline': {'machine': {'cpu': 'old'}, 'ratios': {'a_1t': 1}}, 'dds': {'x': 1},
        'pipeline_2t': {'ratios': {'a_2t': 3}}
    }
    new = speed.merged(old, {'pipeline': {'machine': {'cpu': 'new'}, 'ratios': {'b_1t': 2}}})
    loaded = speed.merged(
        old, {'pipeline_2t': {'machine': {'busy_others': 1., 'cores': 2}, 'ratios': {'a_2t': 9}}})
    assert loaded['ratios'] == {'a_1t': 1}  # by the clock only where nobody else was at work
    assert new['ratios'] == {'a_2t': 3, 'b_1t': 2
                             } and new['machine'] == {'cpu': 'new'} and new['dds'] == {'x': 1}


@pytest.mark.parametrize('goal, reached, shown',
                         [(speed_goals.Goal('a', 4., None, reason='why'), None, 'why'),
                          (speed_goals.Goal('a', 4., 4.), True, ''),
                          (speed_goals.Goal('a', 4., 3.9, reason='why'), False, 'why'),
                          (speed_goals.Goal('a', 60., 59., ' ms', True, 'why'), True, ''),
                          (speed_goals.Goal('a', 60., 61., ' ms', True, 'why'), False, 'why')])
def test_goals(goal, reached, shown):
    assert goal.reached is reached and goal.cells()[-1] == shown


def test_the_node_is_held_against_the_pipeline_of_the_same_run_at_one_thread():
    def run(p50, pipeline, cpu):
        return {'streams': {'720p_4faces_30Hz': {
            'P50_LATENCY': p50, 'P95_LATENCY': p50, 'pipeline_ms': pipeline,
            'latency_over_pipeline': p50 / pipeline, 'node_cpu_ms_a_frame': cpu}}}

    report = {'node': {'auto': 'openvino', 'runtimes': {'openvino': run(10., 7., 18.)},
                       'one_thread': run(15., 10., 13.)}}
    found = {(goal.name, goal.unit): (goal.value, goal.reached)
             for goal in speed_goals.goals(report)}
    assert found['node at 30 Hz, all threads: p50 latency above the pipeline', ' ms'] == (3., True)
    assert found['node at 30 Hz, threads: 1: p50 latency above the pipeline', ' ms'] == (5., False)
    cpu = [goal.value for goal in speed_goals.goals(report) if 'CPU time / that' in goal.name]
    assert cpu == pytest.approx([1.8, 1.3])


def test_tables_can_be_made_of_a_report_without_any_part():
    for table in speed_tables.TABLES.values():
        assert isinstance(table({}), str)
    assert 'make bench' in speed_tables.overview({})


def test_the_stored_report_has_the_ratios_that_are_promised():
    report = json.loads((ROOT / 'bench' / 'results' / 'speed.json').read_text())
    for peer in ('naive', 'strong'):
        assert report['ratios'][f'{peer}_fp32_720p_4faces_1t'] > 0
    assert all(row['faces_found'] > 0
               for row in report['pipeline']['frames']['720p_4faces_1t'].values())


def test_operations_are_those_of_the_manifest():
    pytest.importorskip('onnx', reason='training is not installed')
    from bench.measure import floor
    from face_attributes_ros.engines.models import shipped

    detector, attributes = shipped()['detector_tiny'], shipped()['attributes_m']
    assert floor.gflop(detector.path,
                       (1, 448, 448, 3)) == pytest.approx(detector.metrics['gflops_448'], rel=.02)
    side = attributes.input_px
    assert floor.gflop(attributes.path, (4, side, side, 3)) == pytest.approx(
        8e-9 * attributes.metrics['multiply_adds'], rel=.02)


def test_errors_are_told_without_where_the_checkout_lies():
    pytest.importorskip('torch', reason='training is not installed')
    from bench.rig import contenders

    assert contenders.without_paths(
        ValueError(f'no file {ROOT}/models/x.onnx\nmore')) == 'no file models/x.onnx'
    assert contenders.without_paths(ValueError()) == 'without a word'
