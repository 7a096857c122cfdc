# SPDX-License-Identifier: Apache-2.0
import argparse
from array import array
from dataclasses import dataclass

import pytest

from face_attributes_ros import options
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.options import fixed, live, once


@dataclass(frozen=True)
class Oven:
    """One option of each type."""

    GROUPS = ('grill', )
    on: bool = live(False, 'Heats.')
    trays: int = fixed(1, 'Trays in it.', low=1, high=4)
    heat: float = live(180., 'How hot.', unit='C', low=0., high=300.)
    mode: str = once('air', 'What moves.', choices=('air', 'none'))
    names: tuple[str, ...] = fixed(('', ), 'Of the trays.')
    grill_turns: tuple[int, ...] = live((0, ), 'Of each spit.')

    def __post_init__(self):
        options.check(self)


FLAGS = {'--on': 'on', '--heat': 'heat', '--turns': 'grill_turns'}


def parsed(*words):
    parser = argparse.ArgumentParser()
    options.add_arguments(parser, Oven, FLAGS)
    return options.from_arguments(Oven, parser.parse_args(words), FLAGS)


@pytest.mark.parametrize('values, text', [
    ({'trays': 5}, 'parameter trays is 5, needs 1 to 4'),
    ({'trays': True}, 'needs a whole number'),
    ({'heat': float('nan')}, 'needs 0 to 300'),
    ({'mode': 'steam'}, "parameter mode is 'steam', needs one of air, none"),
    ({'names': 'a'}, 'needs a string array'),
    ({'grill_turns': (1., )}, 'parameter grill.turns is (1.0,), needs a whole number array'),
])
def test_wrong_values_are_refused_by_their_ros_name(values, text):
    with pytest.raises(ParameterError) as caught:
        Oven(**values)
    assert text in str(caught.value)


def test_whole_numbers_lists_and_arrays_are_taken_where_they_can_be():
    oven = Oven(heat=200, names=['a', 'b'], grill_turns=array('q', [3, 4]))
    assert (oven.heat, oven.names, oven.grill_turns) == (200., ('a', 'b'), (3, 4))
    assert type(oven.heat) is float


def test_values_come_and_go_by_ros_name():
    values = options.to_values(options.from_values(Oven, {'grill.turns': [2], 'on': True}))
    assert values == {'on': True, 'trays': 1, 'heat': 180., 'mode': 'air', 'names': ('', ),
                      'grill.turns': (2, )}
    with pytest.raises(ParameterError, match='unknown parameter grill.turn'):
        options.from_values(Oven, {'grill.turn': 1})


@pytest.mark.parametrize('words, expected', [
    ((), Oven()),
    (('--on', '--heat', '20', '--turns', '1, 2'), Oven(on=True, heat=20., grill_turns=(1, 2))),
    (('--set', 'trays=3', '--set', 'mode=none', '--set', 'names=a,b'),
     Oven(trays=3, mode='none', names=('a', 'b'))),
    (('--set', 'on=true'), Oven(on=True)),
])
def test_the_command_line_is_read_from_the_table(words, expected):
    assert parsed(*words) == expected


@pytest.mark.parametrize('words, text', [
    (('--set', 'trays'), 'needs NAME=VALUE'),
    (('--set', 'tray=3'), 'needs NAME=VALUE with the name of a parameter'),
    (('--set', 'trays=x'), "parameter trays is 'x', needs a whole number"),
])
def test_what_is_set_wrongly_is_named(words, text):
    with pytest.raises(ParameterError) as caught:
        parsed(*words)
    assert text in str(caught.value)


def test_a_flag_out_of_range_is_a_usage_error(capsys):
    with pytest.raises(SystemExit):
        parsed('--heat', '400')
    assert 'parameter heat is 400.0, needs 0 to 300' in capsys.readouterr().err


def test_the_documents_have_a_row_an_option():
    assert '| `grill.turns` | whole number array | `[0]` |  | yes | Of each spit. |' in (
        options.markdown(Oven))
    assert "    grill:\n      # Of each spit. (live)\n      turns: [0]\n" in options.yaml(Oven)
