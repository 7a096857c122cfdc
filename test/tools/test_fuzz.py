# SPDX-License-Identifier: Apache-2.0
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
