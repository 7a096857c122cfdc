# SPDX-License-Identifier: Apache-2.0
"""docs/migration.md says everything that a program written for 0.1.0 would stumble over."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from places import ROOT

PAGE = ROOT / 'docs' / 'migration.md'
BEFORE = json.loads((ROOT / 'test' / 'tools' / 'interface_0_1_0.json').read_text())
"""Names of fields and constants by message, and defaults by parameter, as 0.1.0 had them."""


def names(message):
    """Fields and constants of a message definition."""
    lines = (line.partition('#')[0].split() for line in
             (ROOT / 'msg' / f'{message}.msg').read_text().splitlines())
    return {words[1].partition('=')[0] for words in lines if words}


def flat(tree, prefix=''):
    found = {}
    for key, value in tree.items():
        found.update(flat(value, f'{prefix}{key}.') if isinstance(value, dict)
                     else {f'{prefix}{key}': value})
    return found


def defaults():
    made = subprocess.run([sys.executable, '-m', 'face_attributes_ros.settings', '--yaml'],
                          check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return flat(yaml.safe_load(made)['/**']['ros__parameters'])


def said(text=None):
    """The words in backticks."""
    parts = re.findall('`([^`]+)`', PAGE.read_text() if text is None else text)
    return {word for part in parts for word in re.findall(r'[\w.]+', part)}


@pytest.mark.parametrize('message', BEFORE['messages'])
def test_every_field_and_constant_that_came_or_went_is_named(message):
    changed = set(BEFORE['messages'][message]) ^ names(message)
    assert changed - said() == set()


def test_every_parameter_that_came_went_or_has_another_default_is_named():
    now, before = defaults(), BEFORE['parameters']
    assert len(before) > 40
    changed = (now.keys() ^ before.keys()) | {name for name in now.keys() & before.keys()
                                              if now[name] != before[name]}
    assert changed - said() == set()


def test_what_is_said_to_be_gone_is_gone():
    rows = [row for row in PAGE.read_text().splitlines() if ' gone' in row and '| ' in row]
    gone = {word for row in rows for word in said(row) if word in BEFORE['messages'][
        'FaceAttributes']} - names('FaceAttributes')
    assert gone == set(BEFORE['messages']['FaceAttributes']) - names('FaceAttributes') - {
        'POSITION_NONE'}


def test_the_release_has_a_section():
    """As the changelog has one."""
    version = re.search('<version>(.+)</version>', (ROOT / 'package.xml').read_text())[1]
    changelog = (ROOT / 'CHANGELOG.md').read_text()
    assert re.search(rf'^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$', changelog, re.MULTILINE)
    assert f' to {version}\n' in PAGE.read_text()
