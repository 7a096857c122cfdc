# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch

from face_attributes_ros.networks.mobilenet import MobileConfig, MobileNet
from face_attributes_ros.training.attributes import probe
from face_attributes_ros.training.attributes.data.tables import Sample, table_of


def people(count=400):
    """(features, table): 32 numbers that tell age and gender; every fourth has no label."""
    rng = np.random.default_rng(0)
    ages, female = rng.integers(5, 80, count), rng.integers(0, 2, count)
    samples = [Sample(str(row), 'utkface', float(age), float(age), float(sex)) if row % 4 else
               Sample(str(row), 'ferplus') for row, (age, sex) in enumerate(zip(ages, female))]
    told = np.stack([ages / 20, 2. * female], 1) @ rng.normal(0, 1, (2, 32))
    found = (told + rng.normal(0, 0.1, told.shape)).astype(np.float16)
    return found, table_of(samples), ages, female


def test_ages_and_genders_are_read_off_and_rows_without_a_label_are_answered_too():
    found, table, ages, female = people()
    answers, women = probe.out_of_fold(found, table, folds=2, passes=150)
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-4)
    expected = answers @ np.arange(101)
    assert np.abs(expected - ages).mean() < 12
    assert ((women > 0.5) == (female == 1)).mean() > 0.9


def test_a_face_is_answered_by_readers_that_did_not_learn_from_it():
    found, table, _, _ = people()
    row = 1
    wrong = table.labels['p_female'][row] = 1 - table.labels['p_female'][row]
    _, women = probe.out_of_fold(found, table, folds=2, passes=150)
    assert (women[row] > 0.5) != (wrong > 0.5)


def test_answers_are_made_once(tmp_path, monkeypatch):
    found, table, _, _ = people(40)
    calls = []
    monkeypatch.setattr(probe, 'features', lambda *given: calls.append(given) or found)
    crops = np.zeros((40, 8, 8, 3), np.uint8)
    first = probe.taught_people(tmp_path, table, crops, tmp_path)
    second = probe.taught_people(tmp_path, table, crops, tmp_path)
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one, other)
    assert len(calls) == 1


def test_crops_are_enlarged_for_the_body():
    network = MobileNet(MobileConfig(width=0.25, local=8, shared=16, grid=2)).eval()
    crops = torch.randint(0, 256, (2, 24, 24, 3), dtype=torch.uint8)
    assert probe.Enlarged(network, 48)(crops).shape == (2, 256)
