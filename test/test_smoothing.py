# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from face_attributes_ros.faces import Attributes, Face
from face_attributes_ros.settings import Settings
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
        out = smoother.update(look(age), weight, 0., Settings())
    assert out.age_years == pytest.approx(35) and out.age_low == pytest.approx(30)


def test_gender_follows_the_averaged_probability():
    smoother, settings = AttributeSmoother(), Settings(attributes_gender_threshold=.6)
    assert smoother.update(look(p=.9), 1., 0., settings).gender == 'female'
    assert smoother.update(look(p=.1), 1., .1, settings).gender == 'unknown'
    assert smoother.update(look(p=.1), 9., .2, settings).gender == 'male'


def test_smile_moves_with_the_time_constant():
    smoother, settings = AttributeSmoother(), Settings(smoothing_time_constant=.5)
    smoother.update(look(smile=0.), 1., 10., settings)
    for _ in range(2):  # the second time, no time has passed
        out = smoother.update(look(smile=1.), 1., 10.5, settings)
        assert out.smile == pytest.approx(1 - math.exp(-1))


@pytest.mark.parametrize('hysteresis, expected', [(.1, 'happy'), (0., 'sad')])
def test_expression_changes_only_with_a_lead(hysteresis, expected):
    settings = Settings(smoothing_time_constant=0., smoothing_expression_hysteresis=hysteresis)
    smoother = AttributeSmoother()
    assert smoother.update(look(), 1., 0., settings).expression == 'happy'
    assert smoother.update(look(probs=BARELY_SAD), 1., 1., settings).expression == expected


def test_settings_changed_live_reach_a_face_that_is_already_tracked():
    slow = Settings(smoothing_time_constant=60., smoothing_expression_hysteresis=.5)
    smoother = AttributeSmoother()
    smoother.update(look(smile=0.), 1., 0., slow)
    assert smoother.update(look(smile=1.), 1., 1., slow).smile < .02
    quick = Settings(smoothing_time_constant=0., smoothing_expression_hysteresis=0.,
                     attributes_gender_threshold=.95)
    out = smoother.update(look(smile=1., probs=BARELY_SAD), 1., 2., quick)
    assert (out.smile, out.expression, out.gender) == (1., 'sad', 'unknown')


def test_pose_is_not_smoothed_and_missing_heads_stay_missing():
    smoother = AttributeSmoother()
    smoother.update(look(), 1., 0., Settings())
    out = smoother.update(Attributes(yaw_rad=.9), 1., 1., Settings())
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
