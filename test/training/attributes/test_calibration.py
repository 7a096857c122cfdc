# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros import ages
from face_attributes_ros.training.attributes.calibration import (
    age_offset,
    balanced_offset,
    calibration_error,
    coverage,
    fit_age_temperature,
    fit_temperature,
    interval,
    missed_years,
    selective_threshold,
    shifted,
    with_temperature,
)
from face_attributes_ros.training.attributes.fit import calibrate, fit_offsets


def gaussian_ages(means, sigma):
    years = np.arange(101)
    probs = np.exp(-((years - np.asarray(means)[:, None]) ** 2) / (2 * sigma**2))
    return probs / probs.sum(1, keepdims=True)


@pytest.mark.parametrize('true_temperature', [0.5, 1.0, 2.5])
def test_the_temperature_that_spoiled_the_logits_is_found(true_temperature):
    rng = np.random.default_rng(0)
    honest = rng.dirichlet(np.ones(7) * 0.5, 6000)
    labels = np.array([rng.choice(7, p=row) for row in honest])
    spoiled = with_temperature(honest, 1 / true_temperature)
    assert fit_temperature(spoiled, np.eye(7)[labels]) == pytest.approx(true_temperature, rel=0.1)


def test_temperature_one_changes_nothing_and_its_inverse_undoes_it():
    probs = np.random.default_rng(0).dirichlet(np.ones(7), 20)
    np.testing.assert_allclose(with_temperature(probs, 1), probs)
    np.testing.assert_allclose(with_temperature(with_temperature(probs, 2), 0.5), probs, atol=1e-9)
    np.testing.assert_allclose(with_temperature(np.array([0.2, 0.9]), 2.0), [1 / 3, 0.75])


@pytest.mark.parametrize('confidence, hit, error', [([0.8] * 10, [1] * 8 + [0] * 2, 0),
                                                    ([0.99] * 10, [1] * 5 + [0] * 5, 0.49),
                                                    ([1.0], [True], 0)])
def test_calibration_error_is_the_gap_to_accuracy(confidence, hit, error):
    assert calibration_error(np.array(confidence), np.array(hit)) == pytest.approx(error)


def test_the_interval_is_the_estimators():
    probs = np.random.default_rng(0).dirichlet(np.ones(101), 5).astype(np.float32)
    ours = interval(probs)
    _, _, low, high = ages.columns(probs)
    np.testing.assert_allclose(ours, np.stack([low, high], 1), atol=1e-3)


def test_age_temperature_makes_the_interval_honest():
    rng = np.random.default_rng(0)
    ages = rng.uniform(20, 80, 3000)
    sure = gaussian_ages(ages + rng.normal(0, 6, 3000), sigma=2)  # six years off, claims two
    temperature = fit_age_temperature(sure, ages)
    assert temperature == pytest.approx(4.4, abs=0.1)  # the end of the list: nine would be needed
    assert coverage(sure, ages) < coverage(with_temperature(sure, temperature), ages) < 0.8
    fair = gaussian_ages(ages + rng.normal(0, 6, 3000), sigma=4)
    assert coverage(with_temperature(fair, fit_age_temperature(fair, ages)),
                    ages) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize('confidence, hit, threshold', [([.9, .8, .7, .6], [1, 1, 1, 0], .7),
                                                        ([.9, .8], [0, 0], 1.0),
                                                        ([.9, .8], [1, 1], .8)])
def test_the_threshold_is_the_lowest_that_keeps_the_accuracy(confidence, hit, threshold):
    assert selective_threshold(np.array(confidence), np.array(hit)) == threshold


def test_the_offset_helps_rare_classes_more_than_it_costs():
    rng = np.random.default_rng(0)
    truth = np.array([0] * 900 + [1] * 60 + [2] * 40)
    logits = rng.normal(0, 1, (1000, 3)) + 1.5 * np.eye(3)[truth] + np.log([.9, .06, .04])
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    def accuracies(answers):
        hits = answers.argmax(1) == truth
        return hits.mean(), np.mean([hits[truth == label].mean() for label in range(3)])

    offset = balanced_offset(probs, np.eye(3)[truth])
    (before, balanced), (after,
                         balanced_after) = accuracies(probs), accuracies(shifted(probs, offset))
    assert balanced_after > balanced + 0.2 and offset[2] > offset[1] > offset[0]
    assert after + balanced_after > before + balanced


def test_the_age_offset_undoes_a_lean_towards_the_young_and_leaves_fair_ages_alone():
    rng = np.random.default_rng(0)
    ages = rng.integers(10, 80, 800)
    fair = gaussian_ages(ages + rng.normal(0, 5, 800), sigma=9)
    leaning = shifted(fair, -0.03 * np.arange(101))
    years = np.arange(101)
    mended = shifted(leaning, age_offset(leaning, ages))
    assert (leaning @ years - ages).mean() < -2 and abs((mended @ years - ages).mean()) < 1
    assert np.ptp(age_offset(fair, ages)) <= 0.5


def test_the_age_offset_listens_to_every_source_alike():
    many, few = np.full(900, 40.), np.full(100, 30.)
    low = np.concatenate([many, few])
    sources = np.array(['large'] * 900 + ['small'] * 100)
    probs = gaussian_ages(np.concatenate([many, few + 10]), 6)
    years = np.arange(101)
    alone = shifted(probs, age_offset(probs, low)) @ years
    fair = shifted(probs, age_offset(probs, low, low, sources)) @ years
    assert abs(alone[:900] - 40).mean() < 0.3
    assert abs(fair[900:] - 30).mean() <= abs(alone[900:] - 30).mean()


def test_a_range_is_covered_by_the_part_of_it_inside():
    probs = gaussian_ages([35.], 5)
    first, last = interval(probs)[0]
    assert coverage(probs, np.array([30.]), np.array([39.])) == 1
    assert coverage(probs, np.array([35.]), np.array([55.])) == pytest.approx(
        (last - 34.5) / 21, abs=1e-6)
    assert coverage(probs, np.array([60.]), np.array([69.])) == 0
    assert first < 35 < last


def test_years_inside_of_the_range_miss_nothing():
    missed = missed_years(np.array([5., 34., 45.]), np.full(3, 30.), np.full(3, 39.))
    np.testing.assert_array_equal(missed, [-25, 0, 6])


def test_offsets_are_fitted_for_what_is_labelled():
    labels = {
        'age_low': np.full(50, np.nan), 'age_high': np.full(50, np.nan),
        'expression': np.eye(7)[np.arange(50) % 7]
    }
    outputs = {'age': gaussian_ages(np.full(50, 30.), 5), 'expression': np.full((50, 7), 1 / 7)}
    assert set(fit_offsets(outputs, labels, np.full(50, 'utkface'))) == {'expression'}
    labels |= {
        'age_low': np.full(50, 34.), 'age_high': np.full(50, 34.), 'expression': np.full((50, 7),
                                                                                         np.nan)
    }
    offsets = fit_offsets(outputs, labels, np.full(50, 'utkface'))
    assert set(offsets) == {'age'} and len(offsets['age']) == 101 and offsets['age'][100] > 0


def test_calibrate_judges_smiles_only_where_people_were_asked():
    count = 400
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, count).astype(float)
    asked = np.arange(count) < count // 2
    outputs = {'smile': np.where(asked, np.where(truth == 1, 0.7, 0.3),
                                 0.999)}  # useless where nobody was asked
    labels = {name: np.full(count, np.nan) for name in ('age_low', 'age_high', 'p_female')}
    labels |= {'smile': truth, 'expression': np.full((count, 7), np.nan),
               'pose': np.where(asked[:, None], 0.0, np.nan) * np.ones((count, 3))}
    temperatures, thresholds = calibrate(outputs, labels, np.full(count, 'genki4k'))
    assert set(temperatures) == {'smile'
                                 } and temperatures['smile'] < 0.3  # always right: it may be surer
    assert thresholds['smile'] > 0.9
