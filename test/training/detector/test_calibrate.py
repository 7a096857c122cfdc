# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

torch = pytest.importorskip('torch')
from detector_rig import MICRO

from face_attributes_ros.errors import DataError
from face_attributes_ros.networks.contract import ContractDetector
from face_attributes_ros.networks.yolov3 import build_yolov3
from face_attributes_ros.training.detector.calibrate import fit, folded


def logit(chance):
    return np.log(chance / (1 - chance))


@pytest.mark.parametrize(('gain', 'offset'), [(1.0, 0.0), (2.0, 1.0), (0.6, -0.5)])
def test_the_map_that_made_the_scores_wrong_is_found(gain, offset):
    rng = np.random.default_rng(0)
    chances = rng.uniform(0.02, 0.98, 40_000)
    scores = 1 / (1 + np.exp(-(logit(chances) - offset) / gain))
    found = fit(scores, rng.random(len(chances)) < chances)
    np.testing.assert_allclose(found, (gain, offset), atol=0.06)


def test_only_right_or_only_wrong_detections_are_an_error():
    for correct in (np.ones(3, bool), np.zeros(3, bool)):
        with pytest.raises(DataError, match='right and wrong'):
            fit(np.array([0.2, 0.5, 0.9]), correct)


def test_folding_moves_the_scores_and_not_the_boxes():
    torch.manual_seed(0)
    network = build_yolov3(MICRO)
    changed = build_yolov3(MICRO)
    changed.load_state_dict(folded(network.state_dict(), 1.5, 0.7))
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    before, after = (ContractDetector(n)(image).numpy()[0] for n in (network, changed))
    np.testing.assert_allclose(after[:, :4], before[:, :4], atol=1e-3)
    np.testing.assert_allclose(logit(after[:, 4]), 1.5 * logit(before[:, 4]) + 0.7, atol=1e-2)


def test_weights_without_a_score_branch_are_an_error():
    with pytest.raises(DataError, match='no score convolution'):
        folded({'model.0.conv.weight': torch.zeros(1)}, 1.0, 0.0)
