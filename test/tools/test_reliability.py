# SPDX-License-Identifier: Apache-2.0
"""What docs/reliability.md says shows something can be run."""

import re

import pytest
from places import ROOT

PAGE = (ROOT / 'docs' / 'reliability.md').read_text()
COMMANDS = sorted(set(re.findall(r'`(test/[\w/]+\.py(?: -k (?:"[^"]+"|\w+))?)`', PAGE)))


@pytest.mark.parametrize('command', COMMANDS)
def test_a_test_that_is_named_is_there(command):
    path, _, words = command.partition(' -k ')
    names = re.findall(r'def (test_\w+)', (ROOT / path).read_text())
    wanted = words.strip('"').split(' or ') if words else ['test']
    assert [word for word in wanted if not any(word in name for name in names)] == []


def test_targets_that_are_named_are_there():
    targets = set(re.findall(r'`make (\w+)', PAGE))
    assert {'fuzz', 'soak', 'stop'} <= targets
    makefile = (ROOT / 'Makefile').read_text()
    assert [name for name in targets if f'\n{name}:' not in makefile] == []


def test_every_row_says_what_shows_it():
    rows = [line for line in PAGE.partition('## SIGINT')[0].splitlines()
            if line.startswith('| ') and 'What was done' not in line]
    assert len(rows) > 50
    shown = re.compile(r'`(test/|python -m |make )|the same|config/')
    assert [row for row in rows if not shown.search(row.rstrip(' |').rpartition('|')[2])] == []
