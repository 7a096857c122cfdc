# SPDX-License-Identifier: Apache-2.0
"""A track in REP 155's words and units, with and without the package hri_msgs."""

import math
from dataclasses import replace

import numpy as np
import pytest
from portrait import KNOWN, PROBS, portrait

from face_attributes_ros.faces import (
    CONFIRMED,
    EMOTIONS,
    EXPRESSIONS,
    UNKNOWN,
    Attributes,
    Face,
    Track,
)
from face_attributes_ros.ros import rep155

SIZE = 640, 480


def track(seen=KNOWN, box=(64., 48., 192., 240.)):
    return Track('f1', CONFIRMED, 1., 5, Face(box, .9), seen, seen)


@pytest.mark.parametrize('box, expected', [
    ((64., 48., 192., 240.), (.1, .1, .3, .5)),
    ((-20., -10., 64., 48.), (0, 0, .1, .1)),
    ((600., 400., 900., 900.), (.9375, 400 / 480, 1, 1)),
    ((-50., -50., -10., -10.), (0, 0, 0, 0)),
])
def test_the_region_is_in_shares_of_the_image_and_inside_it(box, expected):
    found = rep155.roi(track(box=box), SIZE)
    assert (found['xmin'], found['ymin'], found['xmax'], found['ymax']) == pytest.approx(expected)
    assert found['c'] == .9


def test_landmarks_are_seventy_with_pupils_that_are_not_sure():
    points = tuple((6.4 * index, 4.8 * index) for index in range(68))
    found = rep155.landmarks(track(replace(KNOWN, landmarks_xy=points)), SIZE)
    assert len(found) == 70
    assert found[10] == pytest.approx((.1, .1, .9)) and found[67] == pytest.approx((.67, .67, .9))
    # dlib's 36 to 41 are the subject's right eye, 42 to 47 the left one.
    assert found[68] == pytest.approx((.385, .385, 0)) and found[69] == pytest.approx(
        (.445, .445, 0))


def test_landmarks_outside_of_the_image_lie_on_its_edge():
    found = rep155.landmarks(track(replace(KNOWN, landmarks_xy=((-9., 999.), ) * 68)), SIZE)
    assert {point[:2] for point in found} == {(0, 1)}


def test_what_an_image_does_not_show_is_not_said():
    assert rep155.landmarks(track(), SIZE) is None
    assert rep155.landmarks(replace(portrait(), raw=None), SIZE) is None
    for seen in (None, Attributes()):
        assert rep155.expression(track(seen)) is None
        assert rep155.softbiometrics(track(seen)) is None


@pytest.mark.parametrize('word', EXPRESSIONS)
def test_every_expression_has_a_word(word):
    probs = tuple(.7 if each == word else .05 for each in EXPRESSIONS)
    found = rep155.expression(track(Attributes(expression_probs=probs, expression=word)))
    assert (found['expression'], found['confidence']) == (EMOTIONS[word], .7)


def test_an_unsure_expression_is_the_likeliest_with_its_probability():
    found = rep155.expression(track(Attributes(expression_probs=PROBS, expression=UNKNOWN)))
    assert (found['expression'], found['confidence']) == ('happy', .5)


def test_an_expression_that_the_track_still_holds_has_its_own_probability():
    found = rep155.expression(track(Attributes(expression_probs=PROBS, expression='sad')))
    assert (found['expression'], found['confidence']) == ('sad', PROBS[EXPRESSIONS.index('sad')])


def test_valence_and_arousal_are_not_estimated_and_pass_no_threshold():
    found = rep155.expression(track())
    for name in ('valence', 'arousal'):
        assert math.isnan(found[name]) and not found[name] > 0 and not found[name] < 0


def test_age_and_gender_with_their_confidences():
    found = rep155.softbiometrics(track())
    assert (found['age'], found['gender'], found['gender_confidence']) == (31, 1, .9)
    # 5 years are 1.25 standard deviations.
    assert found['age_confidence'] == pytest.approx(.7887, abs=1e-4)
    male = rep155.softbiometrics(track(replace(KNOWN, p_female=.2, gender='male')))
    assert (male['gender'], male['gender_confidence']) == (2, .8)


def test_an_age_that_is_not_known_is_zero_with_no_confidence():
    found = rep155.softbiometrics(track(Attributes(p_female=.9, gender='female')))
    assert found == {'age': 0, 'age_confidence': 0., 'gender': 1, 'gender_confidence': .9}


def test_a_gender_that_is_not_sure_is_undefined_with_no_confidence():
    found = rep155.softbiometrics(track(replace(KNOWN, p_female=.55, gender=UNKNOWN)))
    assert (found['age'], found['gender'], found['gender_confidence']) == (31, 0, 0.)
    assert rep155.softbiometrics(track(Attributes(p_female=.55, gender=UNKNOWN))) is None


@pytest.mark.parametrize('std, expected', [(None, 0), (0., 1), (1e6, 0)])
def test_the_confidence_of_an_age_is_a_probability(std, expected):
    found = rep155.softbiometrics(track(replace(KNOWN, age_std_years=std)))
    assert found['age_confidence'] == pytest.approx(expected, abs=1e-4)


def white(width=640, height=480):
    return np.full((height, width, 3), 255, np.uint8)


def test_a_crop_is_centred_and_black_around_the_box():
    picture = rep155.cropped(white(), track(box=(100., 100., 150., 200.)), 128)
    assert picture.shape == (128, 128, 3)
    assert (picture[:, 32:96] == 255).all()
    assert not picture[:, :32].any() and not picture[:, 96:].any()


@pytest.mark.parametrize('box', [(-90., -90., -10., -10.), (5., 5., 5., 5.), (0., 0., 640., 480.),
                                 (639.5, 479.5, 700., 700.), (10., 10., 11., 400.)])
def test_crops_of_any_box_have_their_size(box):
    assert rep155.cropped(white(), track(box=box), 64).shape == (64, 64, 3)


def test_an_aligned_crop_has_the_eyes_level():
    image = np.zeros((480, 640, 3), np.uint8)
    tilted = portrait(origin=(0., 0., .5), angles=(0., 0., .4))
    points = np.array(tilted.raw.landmarks_xy)
    points[36:42], points[42:48] = points[[36, 39]].mean(0), points[[42, 45]].mean(0)
    for eye in (points[36], points[42]):
        x, y = np.round(eye).astype(int)
        image[y - 3:y + 3, x - 3:x + 3] = 255
    seen = replace(tilted.raw, landmarks_xy=tuple(map(tuple, points.tolist())))
    picture = rep155.aligned(image, replace(tilted, raw=seen), 128)
    rows, columns = np.nonzero(picture[..., 0] > 100)
    left, right = rows[columns < 64].mean(), rows[columns >= 64].mean()
    assert picture.shape == (128, 128, 3) and left == pytest.approx(right, abs=1)
    assert rep155.aligned(image, track(), 128) is None


# --- against the real package


def hri():
    return pytest.importorskip('hri_msgs.msg', reason='the ROS package hri_msgs is not installed')


def test_the_real_messages_take_the_fields():
    msg = hri()
    assert msg.NormalizedRegionOfInterest2D(**rep155.roi(track(), SIZE)).c == pytest.approx(.9)
    assert msg.SoftBiometrics(**rep155.softbiometrics(track())).age == 31
    assert math.isnan(msg.Expression(**rep155.expression(track())).valence)
    assert len(msg.FacialLandmarks().landmarks) == len(rep155.landmarks(portrait(), SIZE))


def test_the_words_and_numbers_are_those_of_the_real_package():
    from face_attributes_ros import engagement

    msg = hri()
    words = {name: getattr(msg.Expression, name) for name in dir(msg.Expression)
             if name.isupper() and isinstance(getattr(msg.Expression, name), str)}
    assert set(EMOTIONS.values()) <= set(words.values()) and len(words) == 25
    levels = msg.EngagementLevel
    assert (levels.UNKNOWN, levels.DISENGAGED, levels.ENGAGING, levels.ENGAGED,
            levels.DISENGAGING) == (engagement.UNKNOWN, engagement.DISENGAGED, engagement.ENGAGING,
                                    engagement.ENGAGED, engagement.DISENGAGING)
    points = msg.FacialLandmarks
    assert (points.RIGHT_EYE_OUTSIDE, points.LEFT_EYE_OUTSIDE, points.SELLION, points.NOSE,
            points.RIGHT_PUPIL, points.LEFT_PUPIL) == (36, 45, 27, 30, 68, 69)
    assert (msg.SoftBiometrics.FEMALE, msg.SoftBiometrics.MALE) == (1, 2)
