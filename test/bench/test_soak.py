# SPDX-License-Identifier: Apache-2.0
import pytest

from bench.measure import soak
from bench.measure.soak import ids_changed

VIEW = {'action': 'nothing', 'results': 40, 'ids_changed': 0, 'pauses': 0, 'may_forget': False,
        'latencies_ms': [10., 30.]}
GOOD = dict.fromkeys(soak.BOUNDS, 0) | {'code': 0, 'wrong_answers': []}


def test_memory_that_grows_after_the_warm_up_is_seen():
    samples = [(t, 300. + t / 60 * 5, 20, 25 + t // 60, .1 * t) for t in range(600)]
    report = soak.figures(samples, [VIEW, {**VIEW, 'may_forget': True, 'ids_changed': 3}])
    assert report['memory_slope_mb_a_minute'] == pytest.approx(5.)
    assert report['more_files'] >= 5 and report['more_threads'] == 0
    assert report['ids_changed'] == 0 and report['latency_ms']['median'] == 20.
    assert report['node_cpu_cores'] == pytest.approx(.1)


def test_an_id_may_change_after_a_pause_only():
    rows = [{'stamp_s': stamp_s, 'ids': ids} for stamp_s, ids in (
        (0., ['f1']), (.1, ['f1']), (.2, []), (.3, ['f2']), (1., ['f3']), (1.1, ['f3']))]
    assert ids_changed(rows) == (1, 1)
    assert ids_changed([]) == (0, 0)


def test_what_is_out_of_bounds_is_said():
    assert soak.offences(GOOD) == []
    bad = GOOD | {'memory_slope_mb_a_minute': 9., 'code': 1, 'wrong_answers': ['device:=cuda:0']}
    assert soak.offences(bad) == ['memory_slope_mb_a_minute is 9.0, may be 2.0', 'exit code 1',
                                  'wrong answer to device:=cuda:0']
