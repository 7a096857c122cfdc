# SPDX-License-Identifier: Apache-2.0
import importlib
import re

import pytest
from places import ROOT

pytest.importorskip('torch', reason='torch is needed for the paper\'s networks only')

PAGE = ROOT / 'docs' / 'paper.md'


@pytest.fixture(scope='module')
def script():
    return importlib.import_module('tools.paper_tables')


def test_pages_are_as_generated(script, capsys):
    assert script.main(['--check']) == 0, capsys.readouterr().out


def test_places_are_filled_or_say_so(script):
    values = {'a b': {'x': .256, 'n': 3}}
    for text, expected in (('{a b/x|.1%} of {a b/n|d}', '25.6% of 3'), ('{a b/y|.1f} ms',
                                                                        'not measured'),
                           ('{a b/n|d} and {other/x|d}', '3 and not measured'), ('none', 'none')):
        assert script.filled_text(text, values) == expected


def test_a_table_that_nobody_measured_says_so(script):
    for table in (script.folds, script.speed):
        assert script.NOT_MEASURED in table({})
    assert 'No machine yet' in script.speed({})


@pytest.mark.parametrize('busy, expected', [(None, 'other work unknown'), (0., 'meanwhile.'),
                                            (1.5, 'longer than on an idle machine.')])
def test_load_during_a_measurement_is_said(script, busy, expected):
    entry = {'cpu': 'Xeon', 'flags': ['avx2', 'amx_bf16'], 'cores': 2, 'busy_others': busy}
    words = script.conditions({name: value for name, value in entry.items() if value is not None})
    assert words.startswith('Xeon (amx_bf16), ') and words.endswith(expected) or busy is None
    assert expected in words


def test_no_table_takes_the_name_of_another(script):
    from face_attributes_ros.paper.describe import NETWORKS
    own = {'systems', 'folds', 'speed', 'detection', 'looks'}
    assert script.tables().keys() == own | NETWORKS.keys() and not own & NETWORKS.keys()


def test_every_trunk_has_its_row(script):
    row = {'accuracy': .5}
    values = {'pool5 lite0': {'ten_fold linear': row, 'ten_fold rbf': {'accuracy': .25},
                              'ferplus linear': {'val': row, 'jaffe': row},
                              'nearest': {'same_person': .875}}}
    line, = (line for line in script.folds(values).splitlines() if 'Lite0' in line)
    assert '50.0% / 25.0%' in line and line.endswith('| 87.5% |')


def test_every_file_that_a_row_names_exists(script):
    homes = ('', 'face_attributes_ros')
    for row in script.SYSTEMS:
        names = re.findall(r'`([\w/]+\.(?:py|yaml))`', row[1]) + re.findall(
            r'(\S+\.(?:yaml|py))\b', row[2].replace('`', ''))
        for name in names:
            assert any((ROOT / home / name).is_file() for home in homes), name


def test_every_command_that_a_page_names_is_one(script):
    from face_attributes_ros.cli import COMMANDS
    words = [
        tuple(line.split()[1:])
        for line in re.findall(r'^face-attributes .*$', PAGE.read_text(), re.MULTILINE)
    ]
    words += [
        tuple(row[2].strip('`').split())
        for row in script.SYSTEMS
        if not re.match('`(python|pytest)', row[2]) and row[2].startswith('`')
    ]
    assert len(words) > 10
    assert [
        command for command in words
        if not any(command[:len(known)] == known for known in COMMANDS)
    ] == []
