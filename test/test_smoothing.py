# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from face_attributes_ros.faces import Attributes, Face
from face_attributes_ros.smoothing import AttributeSmoother, quality_weight

SURE_HAPPY = (.05, .7, .05, .05, .05, .05, .05)
BARELY_SAD = (.1, .4, .45, .01, .01, .01, .02)


def look(age=30., p=.9, probs=SURE_HAPPY, smile=.5):
    return Attributes(age_years=age, age_std_years=4., age_low=age - 5, age_high=age + 5,
                      p_female=p, gender='female', expression_probs=probs, expression='happy',
                      smile=smile, yaw_rad=.1)


def test_age_is_the_weighted_mean_of_the_whole_life():
    smoother = AttributeSmoother()
    for age, weight in ((20., 1.), (40., 3.)):
        out = smoother.update(look(age), weight, 0.)
    assert out.age_years == pytest.approx(35) and out.age_low == pytest.approx(30)


def test_gender_follows_the_averaged_probability():
    smoother = AttributeSmoother(gender_threshold=.6)
    assert smoother.update(look(p=.9), 1., 0.).gender == 'female'
    assert smoother.update(look(p=.1), 1., .1).gender == 'unknown'
    assert smoother.update(look(p=.1), 9., .2).gender == 'male'


def test_smile_moves_with_the_time_constant():
    smoother = AttributeSmoother(time_constant_s=.5)
    smoother.update(look(smile=0.), 1., 10.)
    assert smoother.update(look(smile=1.), 1., 10.5).smile == pytest.approx(1 - math.exp(-1))
    assert smoother.update(look(smile=1.), 1.,
                           10.5).smile == pytest.approx(1 - math.exp(-1))  # no time has passed


def test_expression_changes_only_with_a_lead():
    smoother = AttributeSmoother(time_constant_s=0., hysteresis=.1)
    assert smoother.update(look(), 1., 0.).expression == 'happy'
    assert smoother.update(look(probs=BARELY_SAD), 1., 1.).expression == 'happy'
    assert AttributeSmoother(time_constant_s=0.,
                             hysteresis=0.).update(look(probs=BARELY_SAD), 1.,
                                                   1.).expression == 'sad'


def test_pose_is_not_smoothed_and_missing_heads_stay_missing():
    smoother = AttributeSmoother()
    smoother.update(look(), 1., 0.)
    out = smoother.update(Attributes(yaw_rad=.9), 1., 1.)
    assert out.yaw_rad == .9 and out.age_years is None and out.expression is None


@pytest.mark.parametrize('side, yaw, quality, expected', [(48, 0., 1., .9), (480, 0., 1., .9),
                                                          (24, 0., 1., .45),
                                                          (48, math.pi / 3, 1., .45),
                                                          (48, 0., .5, .45), (48, None, None, .9),
                                                          (48, 3., 0., 1e-3)])
def test_weight(side, yaw, quality, expected):
    face = Face((0., 0., side, side / 2), .9)
    assert quality_weight(face, Attributes(yaw_rad=yaw,
                                           quality=quality)) == pytest.approx(expected)
