# SPDX-License-Identifier: Apache-2.0
"""Candidates are timed in turn, by their least times, within a limit; all on a clock that is made
up."""

import numpy as np
import pytest

from face_attributes_ros.engines import race as races
from face_attributes_ros.engines.race import race
from face_attributes_ros.errors import ModelError

SAMPLE = np.zeros((1, 2, 2, 3), np.uint8)


class World:
    """A clock, and networks that take the times they are told, the last one for ever."""

    def __init__(self):
        self.now, self.calls, self.waits = 100., [], 0.

    def clock(self):
        return self.now

    def opener(self, name, *seconds, opening=0., waits=0.):
        def network(batch):
            assert batch is SAMPLE
            self.waits += waits
            self.now += times.pop(0) if len(times) > 1 else times[0]
            self.calls.append(name)
            return []

        def make():
            self.now += opening
            return network

        times = list(seconds)
        return make

    def race(self, patience=1., **openers):
        return race(openers, SAMPLE, patience, self.clock, lambda: self.waits)


@pytest.fixture
def world():
    return World()


def test_each_runs_once_before_and_then_in_turn(world):
    result = world.race(a=world.opener('a', .5, .008), b=world.opener('b', .005))
    assert world.calls[:2] == ['a', 'b']
    assert world.calls[2:10] == ['a', 'b', 'b', 'a', 'a', 'b', 'b', 'a']
    assert result.ms == {'a': pytest.approx(8), 'b': pytest.approx(5)}
    assert result.sure == {'a', 'b'} and list(result.networks) == ['a', 'b']
    assert len(world.calls) == 2 + 2 * races.ROUNDS


def test_the_first_run_does_not_count(world):
    result = world.race(a=world.opener('a', .3, .01), b=world.opener('b', .001, .02))
    assert result.ms == {'a': pytest.approx(10), 'b': pytest.approx(20)}


def test_interruptions_do_not_count(world):
    busy = [.1, .01, .09, .2, .01, .05, .3, .07, .01]
    result = world.race(a=world.opener('a', 0., *busy), b=world.opener('b', .012))
    assert result.ms['a'] == pytest.approx(10) and result.sure == {'a', 'b'}


def test_where_no_two_runs_agree_the_time_is_not_sure(world):
    result = world.race(a=world.opener('a', 0., .08, .02, .03, .05, .04, .06, .07, .09, .1),
                        b=world.opener('b', .012))
    assert result.ms['a'] == pytest.approx(20) and result.sure == {'b'}


def test_who_had_to_wait_for_a_cpu_in_the_least_run_is_not_sure(world):
    result = world.race(a=world.opener('a', .02, waits=.003), b=world.opener('b', .02, waits=.001))
    assert result.sure == {'b'} and result.ms['a'] == pytest.approx(20)


@pytest.mark.parametrize('text, seconds', [('100 2000000000 7\n', 4.), ('', 0.), ('1 x', 0.)])
def test_waiting_is_read_off_every_thread(monkeypatch, tmp_path, text, seconds):
    for number in '12':
        (tmp_path / number).mkdir()
        (tmp_path / number / 'schedstat').write_text(text)
    (tmp_path / '3').mkdir()  # one that has just ended
    monkeypatch.setattr(races, 'THREADS', tmp_path)
    assert races.waited_s() == seconds


def test_it_ends_when_time_is_up_and_too_few_runs_are_not_sure(world):
    result = world.race(a=world.opener('a', .2), b=world.opener('b', .3))
    assert world.calls == ['a', 'b', 'a', 'b'] and result.sure == set()
    assert result.ms == {'a': pytest.approx(200), 'b': pytest.approx(300)}
    assert world.now - 100 < races.RUN_WITHIN_S + 2 * .3


def test_two_networks_are_measured_in_less_than_two_seconds(world):
    for _ in range(2):
        world.race(**{name: world.opener(name, .02, opening=.12) for name in 'abcde'})
    assert world.now - 100 < 2


def test_what_is_not_opened_in_time_waits_for_the_next(world):
    result = world.race(a=world.opener('a', .01, opening=40.), b=world.opener('b', .01))
    assert result.late == ['b'] and list(result.networks) == ['a'] and result.ms == {}


def test_patience_stretches_the_time(world):
    result = world.race(100., a=world.opener('a', .2, opening=40.), b=world.opener('b', .3))
    assert result.late == [] and result.sure == {'a', 'b'} and len(result.ms) == 2


def fails(error):
    def make():
        raise error

    return make


def breaks(batch):
    raise RuntimeError('Exception from src/core.cpp:52:\nno kernel for this')


def test_one_that_fails_is_told_and_the_others_run(world):
    result = world.race(a=fails(ModelError('damaged')), b=world.opener('b', .01),
                        c=lambda: breaks, d=world.opener('d', .02))
    assert result.failed == {'a': 'damaged', 'c': 'no kernel for this'}
    assert result.sure == {'b', 'd'}


def test_where_all_fail_the_first_error_is_raised(world):
    with pytest.raises(ModelError, match='the first'):
        world.race(a=fails(ModelError('the first')), b=fails(RuntimeError('the second')))


def test_one_alone_is_opened_and_not_timed(world):
    result = world.race(a=world.opener('a', .01))
    assert world.calls == ['a'] and result.ms == {} and list(result.networks) == ['a']
