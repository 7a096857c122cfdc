# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch

from face_attributes_ros.training.attributes.join import folded_reader
from face_attributes_ros.training.attributes.probe import fitted


def test_the_folded_reader_answers_as_the_fitted_one():
    rng = np.random.default_rng(0)
    found = (rng.normal(3, 2, (64, 12)) * rng.uniform(0.1, 4, 12)).astype(np.float16)
    ages = rng.integers(5, 80, 64).astype(np.float32)
    labels = {'age_low': ages, 'age_high': ages,
              'p_female': rng.integers(0, 2, 64).astype(np.float32)}
    reader = fitted(found, labels, passes=4)
    plain = torch.nn.Sequential(torch.nn.Linear(12, 512), torch.nn.ReLU(),
                                torch.nn.Linear(512, 102))
    plain.load_state_dict(folded_reader(reader))
    with torch.no_grad():
        raw = plain(torch.from_numpy(found).float())
    answers, women = reader(found)
    np.testing.assert_allclose(raw[:, :101].softmax(1), answers, atol=1e-5)
    np.testing.assert_allclose(raw[:, 101].sigmoid(), women, atol=1e-5)
