# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros import ages


@pytest.mark.parametrize('years, spread', [(30, 5), (2, 1), (95, 4)])
def test_columns_of_a_normal_distribution(years, spread):
    axis = np.arange(101)
    probs = np.exp(-(axis - years) ** 2 / (2 * spread ** 2))
    (mean, ), _, (low, ), (high, ) = ages.columns((probs / probs.sum()).astype(np.float32)[None])
    assert mean == pytest.approx(years, abs=1.2)
    assert low == pytest.approx(years - 1.2816 * spread, abs=1)
    assert high == pytest.approx(years + 1.2816 * spread, abs=1.5)


def test_no_faces_have_no_ages():
    assert ages.columns(np.zeros((0, 101), np.float32)) == [[], [], [], []]


def test_a_distribution_that_does_not_add_up_has_its_spread_all_the_same():
    probs = np.zeros((1, 101), np.float32)
    probs[0, [20, 40]] = .495
    _, (spread, ), _, _ = ages.columns(probs)
    assert spread == pytest.approx(10, abs=.5)
