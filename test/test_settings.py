# SPDX-License-Identifier: Apache-2.0
"""Parameters are declared once; what is made from them agrees with them."""

import math
from dataclasses import FrozenInstanceError, replace

import pytest
import yaml
from places import ROOT

from face_attributes_ros import settings as tables
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.options import from_values, markdown, options, to_values
from face_attributes_ros.settings import DEFAULTS, Settings

OPTIONS = options(Settings)


def value_of(name, value):
    return to_values(from_values(Settings, {name: value}))[name]


def test_yaml_file_is_the_generated_one():
    assert (ROOT / 'config' / 'face_attributes.yaml').read_text() == tables.yaml()


def test_yaml_says_the_defaults():
    def flat(tree, prefix=''):
        for key, value in tree.items():
            inner = isinstance(value, dict)
            yield from flat(value, f'{prefix}{key}.') if inner else [(prefix + key, value)]

    found = dict(flat(yaml.safe_load(tables.yaml())['/**']['ros__parameters']))
    assert from_values(Settings, found) == DEFAULTS and set(found) == {o.name for o in OPTIONS}
    assert {name: type(value) for name, value in found.items()
            } == {o.name: list if type(o.default) is tuple else type(o.default) for o in OPTIONS}


def test_names_are_unique_and_are_the_fields_with_a_dot_behind_the_group():
    assert len({option.name for option in OPTIONS}) == len(OPTIONS)
    assert [option.name.replace('.', '_') for option in OPTIONS] == [o.field for o in OPTIONS]


def test_a_snapshot_cannot_be_changed_and_is_checked_when_made_and_when_replaced():
    with pytest.raises(FrozenInstanceError):
        DEFAULTS.device = 'cpu'
    for wrong in ({'attributes_every_n_frames': 0}, {'detector_iou': 7.}):
        with pytest.raises(ParameterError):
            Settings(**wrong)
        with pytest.raises(ParameterError):
            replace(DEFAULTS, **wrong)


def test_what_is_0_takes_the_models_own_value():
    own = {'detector_confidence': .3, 'attributes_gender_threshold': .8}
    filled = Settings(detector_confidence=.5).filled(own)
    assert filled.detector_confidence == .5 and filled.attributes_gender_threshold == .8


@pytest.mark.parametrize('name, value, expected', [
    ('max_rate_hz', 10, 10.),
    ('detector.iou', 1, 1.),
    ('detector.max_faces', 1, 1),
    ('cameras', ['a', 'b_2'], ('a', 'b_2')),
    ('device', 'cuda:1', 'cuda:1'),
    ('detector.imgsz', 640, 640),
    ('smoothing.enable', False, False),
])
def test_good_values_are_taken(name, value, expected):
    found = value_of(name, value)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize('name, value, text', [
    ('max_rate_hz', -1., 'parameter max_rate_hz is -1.0, needs 0 to 1000'),
    ('max_rate_hz', math.nan, 'needs 0 to 1000'),
    ('max_rate_hz', True, 'is True, needs a number'),
    ('detector.max_faces', 5., 'is 5.0, needs a whole number'),
    ('detector.max_faces', True, 'needs a whole number'),
    ('smoothing.enable', 1, 'is 1, needs a boolean'),
    ('device', 'cuda', "is 'cuda', needs auto, cpu or cuda:N"),
    ('precision', 'int4', 'needs one of auto, fp32, fp16, bf16, int8'),
    ('detector.imgsz', 100, 'is 100, needs a multiple of 32'),
    ('cameras', [], 'parameter cameras'),
    ('cameras', ['', 'front'], 'parameter cameras'),
    ('cameras', ['2nd'], 'parameter cameras'),
    ('cameras', ['front/left'], 'parameter cameras'),
    ('cameras', ['a' * 101], 'at most 100 letters'),
    ('cameras', 'front', "is 'front', needs a string array"),
    ('cameras', [1], 'needs a string array'),
    ('detector.size', 448, 'unknown parameter detector.size'),
])
def test_wrong_values_are_refused_by_name(name, value, text):
    with pytest.raises(ParameterError) as caught:
        value_of(name, value)
    assert text in str(caught.value)


def test_table_has_a_row_for_each_parameter():
    rows = markdown(Settings).splitlines()[2:]
    assert [row.split('`')[1] for row in rows] == [option.name for option in OPTIONS]
