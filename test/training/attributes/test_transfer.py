# SPDX-License-Identifier: Apache-2.0
import numpy as np

from face_attributes_ros.training.attributes.calibration import shifted, with_temperature
from face_attributes_ros.training.attributes.data.tables import Sample, table_of
from face_attributes_ros.training.attributes.transfer import transfer, uncalibrated

YEARS = np.arange(101)


def made_up(count=300):
    """(outputs, table): good answers on UTKFace, four years too old on FairFace."""
    rng = np.random.default_rng(0)
    ages = rng.integers(12, 70, count)
    female = rng.integers(0, 2, count).astype(float)
    samples = [Sample(str(row), 'utkface' if row % 2 else 'fairface', float(age), float(age), sex)
               for row, (age, sex) in enumerate(zip(ages, female))]
    table = table_of(samples)
    centre = ages + rng.normal(0, 4, count) + 4 * (table.sources == 'fairface')
    probs = np.exp(-((YEARS - centre[:, None])**2) / 200)
    gender = np.where(rng.random(count) < 0.9, female * 0.8 + 0.1, 0.5)
    return {'age': probs / probs.sum(1, keepdims=True), 'gender': gender}, table


def test_what_was_fitted_elsewhere_leans_and_what_was_fitted_here_does_not():
    found = transfer(*made_up())
    assert found['age']['utkface -> fairface']['lean_years'] > 3
    assert abs(found['age']['fairface -> fairface']['lean_years']) < 1.5
    assert set(found['gender']) == set(found['age'])
    assert 0 <= found['gender']['both -> utkface']['ece'] <= 1


def test_the_calibration_is_taken_out():
    outputs, _ = made_up(20)
    offset = 0.02 * YEARS
    spoiled = {'age': with_temperature(shifted(outputs['age'], offset), 1.5),
               'gender': with_temperature(outputs['gender'], 0.7)}
    found = uncalibrated(spoiled, {'age': 1.5, 'gender': 0.7}, {'age': offset.tolist()})
    np.testing.assert_allclose(found['age'], outputs['age'], atol=1e-6)
    np.testing.assert_allclose(found['gender'], outputs['gender'], atol=1e-6)
