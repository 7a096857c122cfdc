# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from face_attributes_ros import engagement
from face_attributes_ros.engagement import (
    DISENGAGED,
    DISENGAGING,
    ENGAGED,
    ENGAGING,
    Engagement,
)
from face_attributes_ros.faces import COASTING, CONFIRMED, Attributes, Face, Track
from face_attributes_ros.settings import Settings

SETTINGS = Settings(engagement_max_angle=40., engagement_max_distance=4.)


def turned(yaw_deg=0., pitch_deg=0.):
    return Attributes(yaw_rad=math.radians(yaw_deg), pitch_rad=math.radians(pitch_deg),
                      roll_rad=.3)


def track(seen, track_id='f1', state=CONFIRMED):
    return Track(track_id, state, 1., 5, Face((0., 0., 9., 9.), .9), seen, seen)


@pytest.mark.parametrize('seen, distance_m, expected', [
    (turned(), 1., 1), (turned(), None, 1),
    (turned(20.), 1., 1),  # half of either limit is as good as nothing
    (turned(), 2., 1),
    (turned(30.), 1., .5), (turned(-30.), 1., .5), (turned(0., 30.), 1., .5),
    (turned(), 3., .5), (turned(30.), 3., .25),
    (turned(40.), 1., 0), (turned(150.), 1., 0), (turned(), 4., 0), (turned(), 400., 0),
])
def test_one_look_counts_by_angle_and_distance(seen, distance_m, expected):
    assert engagement.attention(seen, distance_m, SETTINGS) == pytest.approx(expected)


def test_without_a_pose_nothing_is_said():
    assert engagement.attention(Attributes(age_years=30.), 1., SETTINGS) is None
    assert Engagement().update([(track(Attributes()), 1.), (track(None, 'f2'), 1.)], 0.,
                               SETTINGS) == [None, None]


def test_nobody_is_no_one():
    assert Engagement().update([], 0., SETTINGS) == []


@pytest.mark.parametrize('facing, before, expected', [
    (.9, DISENGAGED, ENGAGED), (.1, ENGAGED, DISENGAGED),
    (.5, DISENGAGED, ENGAGING), (.5, ENGAGING, ENGAGING),
    (.5, ENGAGED, DISENGAGING), (.5, DISENGAGING, DISENGAGING),
    (.7, ENGAGING, ENGAGED), (.3, DISENGAGING, DISENGAGED),
])
def test_levels_go_up_and_down_by_different_names(facing, before, expected):
    assert engagement.level(facing, before) == expected


def follow(looks, interval_s=.1, settings=SETTINGS):
    people = Engagement()
    return [people.update([(track(seen), 1.)], number * interval_s, settings)[0]
            for number, seen in enumerate(looks)]


def test_attention_needs_time_and_passes_through_all_levels():
    found = follow([turned()] * 30 + [turned(90.)] * 30)
    levels = [each.level for each in found]
    assert found[0].facing == 0 and found[29].facing == pytest.approx(1 - math.exp(-2.9))
    assert [level for level, before in zip(levels, [None, *levels]) if level != before] == [
        DISENGAGED, ENGAGING, ENGAGED, DISENGAGING, DISENGAGED]
    # One glance aside costs a tenth of a second of looking away, no more.
    glance = follow([turned()] * 30 + [turned(90.)] + [turned()])
    assert {each.level for each in glance[-2:]} == {ENGAGED}


def test_the_mean_does_not_depend_on_the_rate():
    slow, fast = follow([turned()] * 11, .1), follow([turned()] * 101, .01)
    assert slow[-1].facing == pytest.approx(fast[-1].facing)


def test_without_a_time_constant_each_look_is_believed():
    settings = Settings(engagement_time_constant=0.)
    assert [each.facing for each in follow([turned(), turned(90.), turned()],
                                           settings=settings)] == [1, 0, 1]


def test_a_face_that_is_not_seen_keeps_what_it_had_and_a_lost_one_nothing():
    people = Engagement()
    people.update([(track(turned()), 1.)], 0., SETTINGS)
    before, = people.update([(track(turned()), 1.)], 1., SETTINGS)
    coasting = Track('f1', COASTING, 2., 5, Face((0., 0., 9., 9.), .9), turned(), None)
    assert people.update([(coasting, 1.)], 2., SETTINGS) == [before]
    people.update([], 3., SETTINGS)
    again, = people.update([(track(turned()), 1.)], 4., SETTINGS)
    assert again.facing == 0


def test_a_clock_that_goes_back_does_no_harm():
    people = Engagement()
    people.update([(track(turned()), 1.)], 100., SETTINGS)
    found, = people.update([(track(turned()), 1.)], 3., SETTINGS)
    assert found.facing == 0
