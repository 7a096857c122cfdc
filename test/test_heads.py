# SPDX-License-Identifier: Apache-2.0
"""The table of heads: what every row has to keep, and what single rows say."""

from dataclasses import fields

import numpy as np
import pytest

from face_attributes_ros.faces import EXPRESSIONS, Attributes, Face, Track
from face_attributes_ros.head import Head, Mean, rounded
from face_attributes_ros.heads import HEADS, in_picture, unmirrored
from face_attributes_ros.settings import FIXED_FIELDS, Settings

ROWS = pytest.mark.parametrize('head', HEADS.values(), ids=HEADS.keys())


def test_every_field_of_the_record_belongs_to_one_head():
    filled = [name for head in HEADS.values() for name in head.fields]
    assert sorted(filled) == sorted(field.name for field in fields(Attributes))


@ROWS
@pytest.mark.parametrize('count', [0, 1, 3])
def test_columns_have_a_value_a_face_for_every_field(head: Head, count):
    rows = np.full((count, *head.shape), .5, np.float32)
    columns = head.columns(rows)
    assert len(columns) == len(head.reads) and {len(column) for column in columns} == {count}


@ROWS
def test_switches_are_live_settings(head: Head):
    assert head.switch is None or getattr(Settings(), head.switch) is True
    assert head.switch not in FIXED_FIELDS


def test_json_keys_are_used_once():
    keys = [key for head in HEADS.values() for key in head.json]
    assert len(keys) == len(set(keys))


@ROWS
def test_a_head_that_said_nothing_is_null_in_json(head: Head):
    assert all(value(Attributes()) is None for value in head.json.values())
    assert not head.said(Attributes()) and not head.said(None)


def test_what_is_not_averaged_is_shown_of_this_image_only():
    life, now = Attributes(smile=.5, quality=.5), Attributes(smile=.9, quality=.9)
    track = Track('f1', 'confirmed', 0., 1, Face((0., 0., 1., 1.), 1.), life, now)
    assert HEADS['smile'].mean is Mean.MOMENT and HEADS['smile'].of(track) is life
    assert HEADS['quality'].mean is Mean.NONE and HEADS['quality'].of(track) is now
    assert HEADS['age'].of(track) is None


@pytest.mark.parametrize('p, threshold, label', [(.5, 0, 'female'), (.49, 0, 'male'),
                                                 (.69, .7, 'unknown'), (.31, .7, 'unknown'),
                                                 (.3, .7, 'male'), (.7, .7, 'female')])
def test_gender_coding(p, threshold, label):
    settings = Settings(attributes_gender_threshold=float(threshold))
    assert HEADS['gender'].label.choose(p, None, settings)[0] == label


@pytest.mark.parametrize('index', range(7))
def test_expression_order(index):
    probs = np.full(7, .05)
    probs[index] = .7
    choose = HEADS['expression'].label.choose
    assert choose(probs, None, Settings()) == (EXPRESSIONS[index], index)
    sure = Settings(attributes_expression_threshold=.71)
    assert choose(probs, None, sure) == ('unknown', index)


@pytest.mark.parametrize('held, hysteresis, label', [
    (None, .1, 'sad'), (1, .1, 'happy'), (1, 0., 'sad'), (2, .1, 'sad'), (0, .1, 'sad')])
def test_an_expression_that_is_held_gives_way_to_a_lead(held, hysteresis, label):
    probs = (.1, .4, .45, .01, .01, .01, .02)
    settings = Settings(smoothing_expression_hysteresis=hysteresis)
    assert HEADS['expression'].label.choose(probs, held, settings)[0] == label


def test_unmirroring_twice_changes_nothing():
    heads = {
        'landmarks': np.random.default_rng(0).uniform(size=(2, 68, 2)),
        'pose': np.float32([[.1, .2, .3]] * 2), 'visibility': np.ones((2, 21))
    }
    once = unmirrored(heads)
    assert once['pose'][0] == pytest.approx([-.1, .2, -.3])
    for name, value in unmirrored(once).items():
        np.testing.assert_allclose(value, heads[name])


def test_a_turned_crop_is_turned_back():
    quarter = np.array([[[0., -2., 10.], [2., 0., 20.]]])  # twice as large, turned clockwise
    heads = {'landmarks': np.full((1, 68, 2), .5), 'pose': np.float32([[.1, .2, .3]]),
             'age': np.ones((1, 101))}
    found = in_picture(heads, quarter, 40)
    np.testing.assert_allclose(found['landmarks'][0, 0], (0., -5.), atol=1e-9)
    assert found['pose'][0] == pytest.approx([.1, .2, .3 - np.pi / 2])
    assert found['age'] is heads['age'] and heads['pose'][0, 2] == np.float32(.3)


@pytest.mark.parametrize('value, expected', [
    (None, None), ((), []), (float('nan'), None), (.12345, .1235), ('female', 'female'),
    (((1.23456, 2.), (3., 4.)), [[1.2346, 2.], [3., 4.]])])
def test_rounding(value, expected):
    assert rounded(value) == expected
