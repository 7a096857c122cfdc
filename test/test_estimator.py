# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros import alignment
from face_attributes_ros.errors import ModelError
from face_attributes_ros.estimator import AttributeEstimator
from face_attributes_ros.faces import Face
from face_attributes_ros.heads import HEADS

IMAGE = np.zeros((100, 200, 3), np.uint8)


def rows(count, **given):
    """What a network would say of `count` faces: all zeros, but for what is given."""
    heads = {name: np.zeros((count, *head.shape), np.float32) for name, head in HEADS.items()}
    heads['age'][:, 30] = 1
    heads['expression'][:, 1] = 1
    for name, value in given.items():
        heads[name][:] = value
    return [heads[name] for name in HEADS]


def estimator(network=None, outputs=tuple(HEADS), **options):
    return AttributeEstimator(network or (lambda batch: rows(len(batch))), outputs, size_px=64,
                              crop_scale=1.5, **options)


def faces(count):
    return [Face((10. * i, 10., 10. * i + 20, 30.), .9) for i in range(count)]


@pytest.mark.parametrize('count', [0, 1, 16, 17, 100])
def test_every_face_gets_its_own_answer(count):
    def network(batch):
        network.sizes.append(len(batch))
        return rows(len(batch), smile=batch[:, 32, 32, 0] / 255)
    network.sizes = []
    image = np.zeros((100, 1100, 3), np.uint8)
    image[:, :, 0] = np.arange(1100) // 5
    found = estimator(network)(image, faces(count))
    expected = [image[20, min(1099, 10 * i + 10), 0] / 255 for i in range(count)]
    np.testing.assert_allclose([one.smile for one in found], expected, atol=1 / 200)
    assert network.sizes == [min(16, count - start) for start in range(0, count, 16)]


def test_faces_of_all_images_share_one_batch():
    sizes = []

    def network(batch):
        sizes.append(len(batch))
        return rows(len(batch))

    found = estimator(network).estimate([IMAGE, IMAGE, IMAGE], [faces(2), [], faces(3)])
    assert [len(some) for some in found] == [2, 0, 3] and sizes == [5]


def test_fields_carry_what_the_heads_say():
    one, = estimator(lambda batch: rows(1, gender=.8, pose=[.1, .2, .3], landmarks=.5))(IMAGE,
                                                                                        faces(1))
    assert one.age_years == pytest.approx(
        30) and one.gender == 'female' and one.expression == 'happy'
    assert (one.yaw_rad, one.pitch_rad, one.roll_rad) == pytest.approx((.1, .2, .3))
    np.testing.assert_allclose(one.landmarks_xy, [(10., 20.)] * 68)


def test_missing_heads_are_none():
    one, = estimator(lambda batch: [np.full(len(batch), .2, np.float32)], ('gender', ))(IMAGE,
                                                                                        faces(1))
    assert one.gender == 'male' and one.age_years is None
    assert one.expression is None and one.landmarks_xy is None


def test_below_the_threshold_the_answer_is_unknown():
    one, = estimator(lambda batch: rows(1, gender=.4), gender_threshold=.7)(IMAGE, faces(1))
    assert one.gender == 'unknown' and one.p_female == pytest.approx(.4)


def test_whole_pictures_as_crops_keep_their_aspect():
    seen = []
    estimator(lambda batch: seen.append(batch.copy()) or rows(len(batch))).crops(
        [np.full((50, 100, 3), 8, np.uint8), IMAGE])
    assert seen[0].shape == (2, 64, 64, 3) and (seen[0][0] == 8).all()
    assert estimator().crops([]) == []


def test_second_look_turns_landmarks_and_roll_back():
    upright = np.zeros((68, 2))
    for points, xy in zip(alignment.FIVE_POINTS, alignment.CANONICAL_FIVE):
        upright[list(points)] = xy
    mirror = upright[alignment.FLIP_68] * [-1, 1] + [1, 0]
    angle, centre = .4, np.array([100., 50.])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    truth = (upright - .5) * 40 @ turn.T + centre  # a face of 40 px, tilted clockwise in the image
    passes = []

    def network(batch):
        passes.append(batch)
        points = (truth - centre) / 60 + .5  # box of 40 px, crop scale 1.5
        answers = [points, upright, mirror]
        return rows(1, landmarks=answers[len(passes) - 1],
                    pose=[0, 0, angle if len(passes) == 1 else 0])
    one, = estimator(network, aligned=True)(IMAGE, [Face((80., 30., 120., 70.), .9)])
    np.testing.assert_allclose(one.landmarks_xy, truth, atol=.5)
    assert one.roll_rad == pytest.approx(angle, abs=.02) and len(passes) == 3


@pytest.mark.parametrize('outputs, options, message',
                         [(('age', 'race'), {}, 'race, known are'),
                          (('age', ), {'aligned': True}, 'needs a network with landmarks')])
def test_a_network_it_cannot_use_is_refused(outputs, options, message):
    with pytest.raises(ModelError, match=message):
        estimator(outputs=outputs, **options)


def test_a_head_of_another_size_is_a_model_error():
    with pytest.raises(ModelError, match='age has shape'):
        estimator(lambda batch: [np.zeros((len(batch), 100))], ('age',))(IMAGE, faces(1))


def test_numbers_that_are_not_finite_are_a_model_error():
    with pytest.raises(ModelError, match='smile that are not finite'):
        estimator(lambda batch: [np.full(len(batch), np.nan)], ('smile',))(IMAGE, faces(1))
