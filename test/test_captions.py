# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace

import pytest

from face_attributes_ros import captions
from face_attributes_ros.faces import CONFIRMED, Attributes, Face, Track

SEEN = Attributes(age_years=31.4, age_std_years=5., age_low=25., age_high=38., gender='female',
                  p_female=.9, expression='happy', expression_probs=(.1, .9, 0., 0., 0., 0., 0.),
                  smile=.7, yaw_rad=.3, pitch_rad=-.1, roll_rad=0.)
UNSURE = Attributes(gender='unknown', p_female=.45, expression='unknown',
                    expression_probs=(.1, .2, .1, .3, .1, .1, .1))


def track(seen=SEEN, score=.93):
    return Track('f3', CONFIRMED, 1., 5, Face((50.4, 60., 150., 160.6), score), seen, seen)


@pytest.mark.parametrize('seen, expected', [
    (None, ['f3']),
    (Attributes(), ['f3']),
    (SEEN, ['f3', 'female 25-38', 'happy 90%']),
    (UNSURE, ['f3', 'gender?', 'surprise? 30%']),
    # Held over a track, the label may not be the likeliest: the percentage is its own.
    (replace(SEEN, expression='neutral'), ['f3', 'female 25-38', 'neutral 10%']),
])
def test_lines_say_what_is_known(seen, expected):
    assert captions.lines(track(seen)) == expected


def test_words_say_whether_they_are_sure_and_how_far_a_bar_goes():
    def words(seen):
        return [[(one.sure, one.bar) for one in row] for row in captions.rows(track(seen))]

    assert words(SEEN) == [[(True, None)], [(True, None), (True, None)], [(True, .9)]]
    assert words(UNSURE) == [[(True, None)], [(False, None)], [(False, .3)]]


@pytest.mark.parametrize('seen, expected', [
    (None, 'no attributes'),
    (SEEN, 'female 0.90, 31 years (25-38), happy 0.90, smile 0.70, '
           'yaw +17 pitch -6 roll +0 deg'),
    (UNSURE, 'unknown gender 0.55, surprise? 0.30'),
])
def test_a_sentence_says_all(seen, expected):
    assert captions.sentence(track(seen)) == f'f3 at (50, 60) 100x101 px, 0.93: {expected}'


def test_a_crop_has_no_score():
    assert captions.sentence(track(None, math.nan)) == 'f3 at (50, 60) 100x101 px: no attributes'
