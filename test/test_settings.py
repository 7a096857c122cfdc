# SPDX-License-Identifier: Apache-2.0
"""Parameters are declared once; what is made from them agrees with them."""

import math
from dataclasses import fields

import pytest
import yaml
from places import ROOT

from face_attributes_ros import settings as params
from face_attributes_ros.engines import choose as engines
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.pipeline import FIXED, Settings


def test_settings_of_the_pipeline_are_the_same_with_the_same_defaults():
    assert params.to_settings_fields(
        params.defaults()) == {field.name: field.default for field in fields(Settings)}


def test_live_is_what_the_pipeline_can_change_while_running():
    settings = {name.replace('.', '_'): params.BY_NAME[name] for name in params.BY_NAME}
    assert {
        name for name, p in settings.items()
        if name in Settings.__dataclass_fields__ and not p.live
    } == set(FIXED)


def test_choices_are_what_the_engines_offer():
    assert params.BY_NAME['detector.backend'].choices == engines.BACKENDS
    assert set(params.BY_NAME['attributes.backend'].choices) <= set(engines.BACKENDS)
    assert params.BY_NAME['precision'].choices == engines.PRECISIONS


def test_yaml_file_is_the_generated_one():
    assert (ROOT / 'config' / 'face_attributes.yaml').read_text() == params.yaml()


def test_yaml_says_the_defaults():
    def flat(tree, prefix=''):
        for key, value in tree.items():
            yield from flat(value, f'{prefix}{key}.') if isinstance(value, dict) else [(prefix +
                                                                                        key,
                                                                                        value)]

    found = dict(flat(yaml.safe_load(params.yaml())['/**']['ros__parameters']))
    assert found == params.defaults()
    assert {name: type(value) for name, value in found.items()
            } == {p.name: type(p.default) for p in params.PARAMETERS}


def test_names_are_unique_and_defaults_are_allowed():
    assert len(params.BY_NAME) == len(params.PARAMETERS)
    assert params.check({}) == params.defaults()


@pytest.mark.parametrize('name, value, expected', [
    ('max_rate_hz', 10, 10.),
    ('detector.iou', 1, 1.),
    ('detector.max_faces', 1, 1),
    ('cameras', ('a', 'b_2'), ['a', 'b_2']),
    ('device', 'cuda:1', 'cuda:1'),
    ('detector.imgsz', 640, 640),
    ('smoothing.enable', False, False),
])
def test_good_values_are_taken(name, value, expected):
    found = params.check({name: value})[name]
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
    ('cameras', 'front', "is 'front', needs a string array"),
    ('cameras', [1], 'needs a string array'),
    ('detector.size', 448, 'unknown parameter detector.size'),
])
def test_wrong_values_are_refused_by_name(name, value, text):
    with pytest.raises(ParameterError) as caught:
        params.check({name: value})
    assert text in str(caught.value)


def test_table_has_a_row_for_each_parameter():
    rows = params.markdown().splitlines()[2:]
    assert [row.split('`')[1] for row in rows] == [p.name for p in params.PARAMETERS]
