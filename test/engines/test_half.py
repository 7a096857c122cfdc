# SPDX-License-Identifier: Apache-2.0
"""How far half precision is from fp32, and when that is too far."""

import numpy as np
import pytest

from face_attributes_ros.engines.half import ROWS, Difference, difference

SAMPLE = np.zeros((2, 8, 8, 3), np.uint8)


def network(outputs, *arrays):
    def run(batch):
        assert batch is SAMPLE
        return arrays

    run.outputs = outputs
    return run


def rows(shift=0., score=0., count=30):
    found = np.tile(np.arange(5, dtype=np.float32), (2, count, 1))
    found[..., 4] = np.linspace(.9, .1, count)
    found[..., 0] += shift
    found[..., 4] += score
    return found


def test_boxes_are_compared_where_fp32_is_surest_scores_everywhere():
    far = rows()
    far[:, ROWS:, :4] += 100.  # two pictures share the ten rows
    far[1, -1, 4] += .03
    found = difference(network(('detections', ), far), network(('detections', ), rows()), SAMPLE)
    assert found.box_px == 0. and found.probability == pytest.approx(.03) and found.small
    found = difference(network(('detections', ), rows(.25)), network(('detections', ), rows()),
                       SAMPLE)
    assert found.words == 'largest box difference 0.25 px, largest probability difference 0.0000'


def test_of_heads_the_probabilities_are_compared():
    outputs = ('age', 'gender', 'expression', 'pose')
    exact = [np.zeros((2, 101)), np.full(2, .5), np.full((2, 7), .1), np.zeros((2, 3))]
    half = [np.ones((2, 101)), np.full(2, .51), np.full((2, 7), .1), np.ones((2, 3))]
    found = difference(network(outputs, *half), network(outputs, *exact), SAMPLE)
    assert found.box_px is None and found.probability == pytest.approx(.01)
    assert found.words == 'largest probability difference 0.0100'


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_never_near(value):
    found = difference(network(('detections', ), rows(value)), network(('detections', ), rows()),
                       SAMPLE)
    assert not found.small and found.words == 'some of its numbers are not finite'


@pytest.mark.parametrize('box_px, probability, small', [
    (None, None, True), (4., .05, True), (4.1, 0., False), (0., .051, False)])
def test_the_bounds(box_px, probability, small):
    assert Difference(box_px, probability).small == small


def test_no_row_at_all_is_no_difference():
    none = rows()[:, :0]
    assert difference(network(('detections', ), none), network(('detections', ), none),
                      SAMPLE).small


def test_bf16_of_the_shipped_networks_in_torchs_own_arithmetic():
    """On a CPU, where torch has no fp16; bf16 rounds eight times more coarsely."""
    pytest.importorskip('torch')
    pytest.importorskip('safetensors')
    from face_attributes_ros.engines.choose import open_network
    from face_attributes_ros.engines.models import find_model

    path = find_model('attributes_m', 'attributes').weights('torch')
    sample = np.random.default_rng(0).integers(0, 256, (2, 80, 80, 3), np.uint8)
    half, exact = (open_network(path, backend='torch', device='cpu', precision=precision,
                                threads=1) for precision in ('bf16', 'fp32'))
    found = difference(half, exact, sample)
    assert 0 < found.probability < .05 and found.small
    assert difference(exact, exact, sample) == Difference(None, 0.)
