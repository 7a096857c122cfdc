# SPDX-License-Identifier: Apache-2.0
"""The fuzzer shows what it is told to, counts it, and fails on what the package should not do."""

import pytest

pytest.importorskip('hypothesis', reason='hypothesis makes the inputs')

from hypothesis import strategies as st

from tools import fuzz


@pytest.mark.parametrize('kind', fuzz.KINDS)
def test_every_kind_is_shown_and_counted(kind):
    if kind in ('images', 'compressed'):
        pytest.importorskip('sensor_msgs', reason='ROS 2 is not installed')
    assert sum(fuzz.run(kind, 30, 1).values()) >= 30


def test_what_should_not_happen_ends_the_run(monkeypatch, capsys):
    def show(number):
        assert number < 5

    monkeypatch.setitem(fuzz.KINDS, 'tracker', lambda: (show, (st.integers(),)))
    assert fuzz.main(['100', '--only', 'tracker']) == 1
    assert 'tracker     FAILED AssertionError' in capsys.readouterr().out
