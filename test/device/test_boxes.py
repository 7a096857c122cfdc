# SPDX-License-Identifier: Apache-2.0
"""Suppression on the device keeps what `boxes.nms` keeps, or says that it may not."""
import numpy as np
import pytest

torch = pytest.importorskip('torch',
                            reason='torch is needed for training and the torch backend only')

from face_attributes_ros import boxes
from face_attributes_ros.device.boxes import front, suppress, to_source


def random_rows(seed, count, decimals):
    """Boxes with scores of few decimals, so that some are equal."""
    rng = np.random.default_rng(seed)
    centre, size = rng.uniform(0, 300, (count, 2)), rng.uniform(5, 120, (count, 2))
    score = rng.uniform(0, 1, (count, 1)).round(decimals)
    return np.concatenate([centre - size / 2, centre + size / 2, score], 1).astype(np.float32)


def expected(rows, confidence, iou):
    rows = rows[rows[:, 4] >= np.float32(confidence)]
    return rows[boxes.nms(rows[:, :4], rows[:, 4], iou)]


def kept(rows, confidence=.3, iou=.45, **limits):
    found = suppress(
        torch.from_numpy(rows)[None], torch.tensor(confidence), torch.tensor(iou), **limits)
    return found.rows[0][found.keep[0]].numpy(), bool(found.exact[0])


@pytest.mark.parametrize('count', [0, 1, 2, 30, 200])
@pytest.mark.parametrize('decimals', [1, 6])
@pytest.mark.parametrize('iou', [0., .2, .45, .8])
def test_random_boxes_and_ties(count, decimals, iou):
    for seed in range(5):
        rows = random_rows(seed, count, decimals)
        found, exact = kept(rows, iou=iou)
        assert exact or iou == 0        # where a touch suffices, chains are long
        found, exact = (found, exact) if exact else kept(rows, iou=iou, rounds=count)
        assert exact
        np.testing.assert_array_equal(found, expected(rows, .3, iou))


def test_equal_boxes_with_equal_scores_leave_one():
    rows = np.tile(np.float32([[10, 10, 20, 20, .9]]), (7, 1))
    found, exact = kept(rows)
    assert exact and found.tolist() == rows[:1].tolist()


def test_flat_and_inverted_boxes_overlap_nothing():
    rows = np.float32([[10, 10, 10, 20, .9], [10, 10, 10, 20, .8], [30, 30, 20, 20, .7]])
    np.testing.assert_array_equal(kept(rows)[0], expected(rows, .3, .45))


def chain(length):
    """Each box overlaps the next: greedy keeps every other one, and only one after the other is
    this known."""
    return np.float32([[10 * i, 0, 10 * i + 15, 10, .99 - .01 * i] for i in range(length)])


@pytest.mark.parametrize('length, sure', [(3, True), (7, True), (20, False)])
def test_a_chain_longer_than_the_rounds_is_said_to_be_unsure(length, sure):
    found, exact = kept(chain(length), iou=.1)
    assert exact == sure
    if sure:
        np.testing.assert_array_equal(found, expected(chain(length), .3, .1))
    found, exact = kept(chain(length), iou=.1, rounds=length + 1)
    assert exact and len(found) == -(-length // 2)


@pytest.mark.parametrize('candidates, sure', [(29, False), (30, True), (1000, True)])
def test_too_few_candidates_are_said_to_be_unsure(candidates, sure):
    rows = random_rows(0, 30, 6)
    rows[:, 4] = .5 + rows[:, 4] / 2
    assert kept(rows, candidates=candidates)[1] == sure


def test_not_a_number_is_no_face():
    rows = random_rows(1, 10, 6)
    rows[3] = np.nan
    found, exact = kept(rows)
    assert exact and np.isfinite(found).all()
    source = to_source(
        torch.from_numpy(rows)[None], torch.zeros(4), torch.ones(4), torch.full((4, ), 9.))
    assert torch.isfinite(source[..., :4]).all()


def test_pictures_of_a_batch_do_not_mix():
    batch = np.stack([random_rows(seed, 50, 2) for seed in (1, 2)])
    found = suppress(torch.from_numpy(batch), torch.tensor(.3), torch.tensor(.45))
    for rows, row, keep in zip(batch, found.rows, found.keep):
        np.testing.assert_array_equal(row[keep].numpy(), expected(rows, .3, .45))


def test_boxes_go_back_to_the_source_as_the_letterbox_says():
    letterbox, rows = boxes.Letterbox(1283, 721, 448, 256), random_rows(3, 40, 6)
    (left, top), (inner_width, inner_height) = letterbox.offset, letterbox.inner
    geometry = [torch.tensor(pair * 2, dtype=torch.float32)
                for pair in ((left, top), (1283 / inner_width, 721 / inner_height), (1283, 721))]
    found = to_source(torch.from_numpy(rows)[None], *geometry)[0].numpy()
    np.testing.assert_allclose(found[:, :4], boxes.clip(letterbox.to_source(rows[:, :4]), 1283,
                                                        721), rtol=1e-6)
    np.testing.assert_array_equal(found[:, 4], rows[:, 4])


def test_faces_come_to_the_front_and_small_flat_or_late_ones_do_not_count():
    rows = torch.tensor([[[0., 0, 50, 50, .9], [0, 0, 0, 50, .8], [0, 0, 5, 5, .7],
                          [0, 0, 30, 8, .6], [0, 0, 40, 40, .5]]])
    keep = torch.ones(1, 5, dtype=torch.bool)
    faces, number = front(rows, keep, torch.tensor(12.), torch.tensor(100.))
    assert faces[0, :int(number), 4].tolist() == pytest.approx([.9, .6, .5])
    assert front(rows, keep, torch.tensor(12.), torch.tensor(2.))[1].tolist() == [2]
    assert front(rows, ~keep, torch.tensor(12.), torch.tensor(2.))[1].tolist() == [0]
