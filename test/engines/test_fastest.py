# SPDX-License-Identifier: Apache-2.0
"""What `auto` takes on a CPU, by times that are made up: kept ones, new ones, missing ones."""

import numpy as np
import pytest

from face_attributes_ros.engines import cpu, fastest, kept
from face_attributes_ros.engines.race import Result
from face_attributes_ros.engines.request import Measuring

SAMPLE = np.zeros((4, 8, 8, 3), np.uint8)
KEY = {'cpu': 'made up'}
KEEP, QUIET = Measuring(), Measuring(keep=False)


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    return tmp_path


class Races:
    """Stands for `race`: gives times by name, of which `unsure` are not sure; keeps who ran."""

    def __init__(self, monkeypatch, unsure=(), late=(), failed=(), **ms):
        self.ms, self.unsure, self.late, self.failed, self.ran = ms, unsure, late, failed, []
        monkeypatch.setattr(fastest, 'race', self)

    def __call__(self, openers, sample, patience):
        assert sample is SAMPLE
        names = [name for name in openers if name not in (*self.late, *self.failed)]
        self.ran.append(list(openers))
        self.patience = patience
        ms = {name: self.ms[name.replace(' ', '_')] for name in names} if len(names) > 1 else {}
        return Result({name: openers[name]() for name in names}, ms, set(ms) - set(self.unsure),
                      dict.fromkeys(self.failed, 'broken'), list(self.late))


def run(*names, measuring=KEEP, key=KEY):
    """The name of the network that was taken, and what is said."""
    found = fastest.fastest({name: lambda name=name: name for name in names}, SAMPLE, key,
                            measuring)
    return found.network, found.words


def test_the_fastest_is_taken_told_and_kept(monkeypatch):
    races = Races(monkeypatch, a_fp32=9., b_int8=6.)
    assert run('a fp32', 'b int8') == (
        'b int8', 'b int8 (measured now: b int8 6.0 ms, a fp32 9.0 ms)')
    assert run('a fp32', 'b int8') == (
        'b int8', 'b int8 (as measured before: b int8 6.0 ms, a fp32 9.0 ms)')
    assert len(races.ran) == 1


@pytest.mark.parametrize('exact, other, taken', [(10., 9.6, 'a fp32'), (10., 9.4, 'b int8'),
                                                 (10., 10., 'a fp32'), (10., 11., 'a fp32')])
def test_a_less_exact_one_has_to_be_clearly_faster(monkeypatch, exact, other, taken):
    Races(monkeypatch, a_fp32=exact, b_int8=other)
    assert run('a fp32', 'b int8')[0] == taken


@pytest.mark.parametrize('alone, together, taken', [
    (6.8, 5.7, 'alone'), (10., 8., 'alone'), (10., 7.9, 'together'), (5., 6., 'alone')])
def test_all_threads_have_to_be_worth_it(monkeypatch, alone, together, taken):
    races = Races(monkeypatch, one_thread=alone, all_threads=together)
    for how in ('measured now', 'as measured before'):
        found = fastest.with_threads_that_pay('together', lambda: 'alone', SAMPLE, KEY, KEEP)
        assert found.network == taken and how in found.words
    assert races.ran == [['all threads', 'one thread']]
    assert kept.read(KEY) is None  # other times than those of runtimes and precisions


@pytest.mark.parametrize('trouble', [{'late': ['one thread']}, {'unsure': ['one thread']},
                                     {'unsure': ['all threads']}])
def test_where_one_thread_could_not_be_measured_all_stay(monkeypatch, trouble):
    Races(monkeypatch, **trouble, one_thread=5., all_threads=5.)
    found = fastest.with_threads_that_pay('together', lambda: 'alone', SAMPLE, KEY, KEEP)
    assert found.network == 'together'


def test_another_key_is_measured_anew(monkeypatch):
    races = Races(monkeypatch, a_fp32=9., b_fp32=6.)
    run('a fp32', 'b fp32')
    run('a fp32', 'b fp32', key={'cpu': 'another'})
    assert len(races.ran) == 2


def test_what_is_not_sure_is_used_and_measured_again_beside_the_best(monkeypatch):
    races = Races(monkeypatch, unsure=['a fp32'], a_fp32=5., b_fp32=6., c_fp32=7.)
    names = ('a fp32', 'b fp32', 'c fp32')
    assert run(*names)[0] == 'a fp32' and kept.read(KEY) == {'b fp32': 6., 'c fp32': 7.}
    races.unsure = ()
    assert run(*names)[0] == 'a fp32'
    assert races.ran[1] == ['a fp32', 'b fp32']  # the missing one, and the best of those known
    assert kept.read(KEY) == {'a fp32': 5., 'b fp32': 6., 'c fp32': 7.}
    run(*names)
    assert len(races.ran) == 2


def test_a_best_that_is_known_keeps_its_least_time(monkeypatch):
    kept.write(KEY, {'b fp32': 6.})
    Races(monkeypatch, a_fp32=9., b_fp32=8.)
    assert run('a fp32', 'b fp32')[0] == 'b fp32'
    assert kept.read(KEY) == {'a fp32': 9., 'b fp32': 6.}


def test_on_a_machine_too_busy_to_tell_nothing_is_kept(monkeypatch, home):
    Races(monkeypatch, unsure=['a fp32', 'b fp32'], a_fp32=5., b_fp32=6.)
    taken, words = run('a fp32', 'b fp32')
    assert taken == 'a fp32' and words == ('a fp32 (measured now, not kept: too busy here to be '
                                           'sure: a fp32 5.0 ms, b fp32 6.0 ms)')
    assert list(home.iterdir()) == []


def test_what_was_late_is_told_and_the_first_taken(monkeypatch):
    Races(monkeypatch, late=['b fp32'], a_fp32=5.)
    assert run('a fp32', 'b fp32') == ('a fp32',
                                       'a fp32; b fp32: the next time, too busy here')


def test_what_failed_is_told(monkeypatch):
    Races(monkeypatch, failed=['b fp32'], a_fp32=5., c_fp32=4.)
    taken, words = run('a fp32', 'b fp32', 'c fp32')
    assert taken == 'c fp32' and words.endswith('; b fp32 failed: broken')


def test_a_known_best_that_fails_now_is_not_taken(monkeypatch):
    kept.write(KEY, {'b fp32': 1.})
    Races(monkeypatch, failed=['b fp32'], a_fp32=5., c_fp32=4.)
    assert run('a fp32', 'b fp32', 'c fp32')[0] == 'c fp32'


def test_what_is_kept_of_others_than_the_candidates_is_not_looked_at(monkeypatch):
    kept.write(KEY, {'a fp32': 9., 'evil int8': .001, 'b fp32': 8.})
    races = Races(monkeypatch)
    assert run('a fp32', 'b fp32') == (
        'b fp32', 'b fp32 (as measured before: b fp32 8.0 ms, a fp32 9.0 ms)')
    assert races.ran == []


def test_switched_off_nothing_is_read_or_written(monkeypatch, home):
    races = Races(monkeypatch, a_fp32=9., b_fp32=6.)
    assert 'not kept: auto_cache is off' in run('a fp32', 'b fp32', measuring=QUIET)[1]
    assert list(home.iterdir()) == []
    kept.write(KEY, {'a fp32': 1., 'b fp32': 6.})
    assert run('a fp32', 'b fp32', measuring=QUIET)[0] == 'b fp32' and len(races.ran) == 2


def test_a_place_that_cannot_be_written_only_means_measuring_again(monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', '/proc/nowhere')
    races = Races(monkeypatch, a_fp32=9., b_fp32=6.)
    for _ in range(2):
        taken, words = run('a fp32', 'b fp32')
        assert taken == 'b fp32' and 'measured now, not kept: ' in words
    assert len(races.ran) == 2


def test_patience_is_handed_on(monkeypatch):
    races = Races(monkeypatch, a_fp32=9., b_fp32=6.)
    run('a fp32', 'b fp32', measuring=Measuring(False, 20.))
    assert races.patience == 20.


def test_times_hold_for_one_cpu_threads_shape_files_and_versions(monkeypatch):
    def key(sample=SAMPLE, threads=0, checksums=('a', '')):
        return fastest.key_of(sample, threads, checksums)

    def differs(other):
        assert other != before
        return other

    before = key()
    assert key() == before
    differs(key(threads=1))
    differs(key(sample=SAMPLE[:1]))
    differs(key(checksums=('b', '')))
    differs(key(checksums=('a', 'b')))
    for module, name, value in ((cpu, 'signature', lambda: 'another'), (cpu, 'usable', lambda: 99),
                                (fastest, 'version', lambda package: '0.1')):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            differs(key())
