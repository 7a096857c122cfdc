# SPDX-License-Identifier: Apache-2.0
import json

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from tools import fuzz
from tools.evidence import fuzz_rows
from tools.fuzz_kinds import KINDS, Kind


def test_shares_make_a_whole():
    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1.)


@pytest.mark.parametrize('name', KINDS)
def test_only_our_own_errors_come_out(name):
    tally = fuzz.fuzz(KINDS[name], 40)
    assert tally.finds == {}
    assert sum(tally.counts.values()) >= 40


def test_what_breaks_is_counted_and_shown():
    odd = Kind(KINDS['option_text'].inputs, lambda value: 1 / 0, 'a bug', 1.)
    tally = fuzz.fuzz(odd, 10)
    assert tally.counts['broken'] == 10
    (where, find), = tally.finds.items()
    assert where.startswith('ZeroDivisionError in test_fuzz.py') and find['input']


def test_rounds_add_up():
    one = {'about': 'x', 'inputs': 3, 'taken': 1, 'refused': 1, 'broken': 1, 'seconds': 2,
           'peak_mb': 5, 'finds': {'here': {}}}
    both = fuzz.added(one, {**one, 'finds': {}, 'peak_mb': 9})
    assert (both['inputs'], both['peak_mb'], both['finds']) == (6, 9, {'here': {}})
    assert '| all |' in fuzz_rows({'image': both})


def test_a_report_is_added_to_with_further_seeds(tmp_path, monkeypatch):
    asked = []

    def in_a_process(name, count, first_seed):
        asked.append((count, first_seed))
        return {'about': name, 'inputs': count, 'taken': count, 'refused': 0, 'broken': 0,
                'seconds': 1, 'peak_mb': 1, 'finds': {}}

    monkeypatch.setattr(fuzz, 'in_a_process', in_a_process)
    kinds = {'image': Kind(None, None, 'x', 1.)}
    monkeypatch.setattr(fuzz, 'KINDS', kinds)
    words = ['--out', str(tmp_path / 'fuzz.json')]
    assert fuzz.main(['--n', '100000', *words]) == 0
    assert fuzz.main(['--n', '250000', *words, '--resume']) == 0
    assert asked == [(100_000, 0), (100_000, 1000), (50_000, 2000)]
    assert json.loads((tmp_path / 'fuzz.json').read_text())['image']['inputs'] == 250_000
    kinds['new'] = Kind(None, None, 'y', 1.)
    assert fuzz.main(['--n', '260000', *words, '--resume']) == 0
    report = json.loads((tmp_path / 'fuzz.json').read_text())
    assert {name: one['inputs'] for name, one in report.items()} == {
        'image': 260_000, 'new': 10_000}
