# SPDX-License-Identifier: Apache-2.0
import pytest

from bench.measure import stop


def one(seconds=.1, **changes):
    return {'signals': 'SIGTERM', 'doing': 'working', 'seconds': seconds, 'code': 0,
            'traceback': False, 'before_us': False} | changes


@pytest.mark.parametrize(('found', 'odd'), [
    (one(), False), (one(2.1), True), (one(code=1), True), (one(traceback=True), True),
    (one(code=-15, before_us=True), False),
    (one(code=1, traceback=True, before_us=True), False), (one(2.1, before_us=True), True)])
def test_what_is_odd(found, odd):
    assert stop.is_odd(found) == odd


def test_the_distribution():
    report = stop.summary([one(value / 100) for value in range(101)] + [one(3., code=-9)])
    assert report['all']['stops'] == 102 and report['all']['over_2s'] == 1
    assert report['all']['median_s'] == pytest.approx(.505) and report['all']['most_s'] == 3.
    assert report['codes'] == {'0': 101, '-9': 1} and report['by_doing']['working']['p95_s'] < 1.
