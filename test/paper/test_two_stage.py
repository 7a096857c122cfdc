# SPDX-License-Identifier: Apache-2.0
"""The fake network reads where it is looking from the picture itself: blue is x, green is y."""

import numpy as np
import pytest

from face_attributes_ros import alignment
from face_attributes_ros.boxes import iou
from face_attributes_ros.errors import ModelError
from face_attributes_ros.paper import aflw
from face_attributes_ros.paper.two_stage import (
    Looks,
    TwoStage,
    clusters,
    merged,
    mirrored_back,
    precise_boxes,
)

SIDE = 240
Y, X = np.mgrid[:SIDE, :SIDE]
IMAGE = np.stack([X, Y, np.zeros_like(X)], -1).astype(np.uint8)
ANGLE = .35
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])
POINTS = np.where(np.isnan(aflw.TEMPLATE), 0, aflw.TEMPLATE) * 30 @ TURN.T + [110, 100]
SQUARE = aflw.face_square(POINTS)
OUTPUTS = ('face', 'landmarks', 'visibility', 'pose', 'gender', 'age')


class Seer:
    """Knows one tilted face; the closer the crop to it, the likelier `face`. `gender` says whether
    it saw it mirrored."""

    def __init__(self):
        self.calls = []

    def __call__(self, crops):
        self.calls.append(len(crops))
        rows = [self.look(crop) for crop in crops]
        return [np.array(column, np.float32) for column in zip(*rows)]

    @staticmethod
    def look(crop):
        size = len(crop)
        far = size // 4
        steps = (0, 0), (size // 2, 0), (0, size // 2)
        corner, right, down = (crop[far + dy, far + dx, :2].astype(float) for dx, dy in steps)
        back = np.column_stack([right - corner, down - corner]) / (
            size // 2)  # crop pixels to source pixels
        if abs(np.linalg.det(back)) < 1e-6:
            return .0, np.zeros((21, 2)), np.ones(21), np.zeros(3), .5, np.full(101, 1 / 101)
        points = (POINTS - corner) @ np.linalg.inv(back).T + far
        mirrored = np.linalg.det(back) < 0
        points = points[aflw.FLIP_21] if mirrored else points
        roll = np.arctan2(*(points[aflw.RIGHT_EYE] - points[aflw.LEFT_EYE])[::-1])
        centre = corner + back @ ([size / 2 - far] * 2)
        score = np.exp(-np.linalg.norm(centre - (SQUARE[:2] + SQUARE[2:]) / 2) / 40)
        pose = [.3 * (-1 if mirrored else 1), .1, roll]
        return score, points / size, np.ones(21), pose, .2 + .6 * mirrored, np.eye(101)[20 + 20 *
                                                                                        mirrored]


@pytest.fixture
def seer():
    return Seer()


@pytest.fixture
def two_stage(seer):
    return TwoStage(seer, OUTPUTS, size_px=120, crop_scale=1., batch_max=4)


NEAR = np.float32([[70, 60, 140, 150], [80, 90, 150, 160], [60, 80, 120, 140]])
FAR = np.float32([[5, 180, 45, 220]])


def test_no_proposals_no_faces(two_stage):
    assert len(two_stage.first(IMAGE, np.zeros((0, 4)))) == 0
    heads = two_stage.second(IMAGE, two_stage.first(IMAGE, np.zeros((0, 4))))
    assert heads['landmarks'].shape == (0, 21, 2) and heads['age'].shape == (0, 101)


def test_rounds_move_proposals_to_the_face(two_stage):
    looks = two_stage.propose(IMAGE, NEAR)
    assert len(looks) == 9  # three boxes, three rounds, all kept
    assert iou(looks.boxes, SQUARE[None])[:, 0].min() > .9
    assert looks.scores[-3:].min() > looks.scores[:3].max()


def test_each_kind_of_box_has_its_own_crop(seer):
    sides = []
    test = TwoStage(lambda crops: sides.append(float(np.ptp(crops[0, :, 10, 1]))) or seer(crops),
                    OUTPUTS, size_px=120, crop_scale=.8)
    test.propose(IMAGE, NEAR[:1])
    assert sides == pytest.approx([90 * .8, *[(SQUARE[2] - SQUARE[0]) * 1.26] * 2], abs=3)
    sides.clear()
    test.second(IMAGE, test.look(IMAGE, NEAR[:1]), upright=False, mirror=False)
    assert sides == pytest.approx([90 * .8] * 2, abs=3)


def test_what_is_not_a_face_goes_no_further(two_stage, seer):
    assert len(two_stage.propose(IMAGE, FAR)) == 0
    assert seer.calls == [1, 1,
                          1]  # one look at the box, then only the blank that keeps shapes known


def test_one_face_comes_out_once(two_stage):
    faces = two_stage.first(IMAGE, np.concatenate([NEAR, FAR]))
    assert len(faces) == 1
    assert faces.boxes[0] == pytest.approx(SQUARE, abs=2)
    assert np.abs(faces.points[0] - POINTS).max() < 2


def test_batches_hold_no_more_than_they_may(two_stage, seer):
    two_stage.look(IMAGE, np.repeat(NEAR, 3, 0))
    assert seer.calls == [4, 4, 1]


def test_second_stage_averages_the_upright_face_and_its_mirror(two_stage):
    faces = two_stage.first(IMAGE, NEAR)
    heads = two_stage.second(IMAGE, faces)
    assert heads['gender'][0] == pytest.approx(.5)  # .2 straight, .8 mirrored
    assert heads['age'][0] @ np.arange(101) == pytest.approx(30)
    assert np.abs(heads['landmarks'][0] - POINTS).max() < 2  # flipped back before the mean
    assert heads['pose'][0] == pytest.approx([.3, .1, ANGLE],
                                             abs=.03)  # yaw's sign undone, the turn added to roll


@pytest.mark.parametrize('upright, mirror, gender', [(False, False, .2), (True, False, .2),
                                                     (False, True, .5)])
def test_halves_of_the_second_stage_can_be_left_out(two_stage, upright, mirror, gender):
    heads = two_stage.second(IMAGE, two_stage.first(IMAGE, NEAR), upright, mirror)
    assert heads['gender'][0] == pytest.approx(gender)
    assert np.abs(heads['landmarks'][0] - POINTS).max() < 2


def test_mirrored_heads_of_68_and_21_points_swap_sides():
    for count, flip in ((21, aflw.FLIP_21), (68, alignment.FLIP_68)):
        points = np.random.default_rng(0).uniform(size=(2, count, 2))
        seen = points[:, flip] * [-1, 1] + [1, 0]
        assert np.allclose(mirrored_back({'landmarks': seen})['landmarks'], points)


def looks_of(shifts, scores, visibility=None):
    points = np.stack([POINTS + [shift, 0] for shift in shifts])
    visible = np.ones((len(shifts), 21), bool)
    heads = {
        'pose': np.array([[shift, 0., 0.] for shift in shifts]), 'gender': np.array(shifts, float)
    }
    if visibility is not None:
        heads['visibility'] = visibility
    return Looks(np.zeros((len(shifts), 4)), np.array(scores), points, visible, heads)


def test_suppression_takes_medians_of_the_best_five():
    faces = merged(looks_of([0, 1, 2, 3, 4, 30], [.9, .8, .7, .95, .6, .5]))
    assert len(faces) == 1
    assert faces.scores[0] == .95
    assert faces.points[0] == pytest.approx(
        POINTS + [2, 0])  # median of 0 1 2 3 4; the sixth does not count
    assert (faces.heads['pose'][0, 0], faces.heads['gender'][0]) == (2, 2)
    assert faces.boxes[0] == pytest.approx(SQUARE + [2, 0, 2, 0])


def test_two_faces_stay_two_best_first():
    faces = merged(looks_of([0, 90, 91], [.6, .7, .8]))
    assert faces.scores.tolist() == [.8, .6]
    assert faces.points[0] == pytest.approx(POINTS + [90.5, 0])


def test_clusters_are_around_the_best_box_not_chained():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]], float)
    assert [rows.tolist() for rows in clusters(boxes, np.array([.9, .8, .7]), .2)] == [[0, 1], [2]]


def test_precise_boxes_hold_visible_points_only():
    looks = looks_of([0], [.5])
    looks.visible[0] = np.isin(np.arange(21), [6, 11])
    assert precise_boxes(looks)[0] == pytest.approx(
        [*np.minimum(*POINTS[[6, 11]]), *np.maximum(*POINTS[[6, 11]])])


def test_a_network_without_landmarks_is_refused():
    with pytest.raises(ModelError, match='landmarks'):
        TwoStage(lambda crops: [], ('face', 'age'), size_px=64, crop_scale=1.)
