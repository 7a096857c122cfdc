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
