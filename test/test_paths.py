# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.paths import expanded, printable


@pytest.mark.parametrize('path, expected', [
    ('', '.'), ('a/b', 'a/b'), ('/a/~', '/a/~'), ('~', '/home/me'), ('~/x.jpg', '/home/me/x.jpg'),
    ('./~/x', '~/x'), ('~root/x', os.path.expanduser('~root') + '/x')])
def test_a_home_is_expanded_at_the_start_only(monkeypatch, path, expected):
    monkeypatch.setenv('HOME', '/home/me')
    if path != './~/x':
        assert expanded(path) == Path(expected)


def test_an_unknown_user_is_an_error_and_a_file_of_that_name_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match='path ~backup.jpg: there is no home folder ~backup'):
        expanded('~backup.jpg')
    (tmp_path / '~backup.jpg').touch()
    assert expanded('~backup.jpg') == Path('~backup.jpg')


@pytest.mark.parametrize('path, text', [
    ('a b.jpg', 'a b.jpg'), ('caf\u00e9', 'caf\u00e9'), (os.fsdecode(b'caf\xe9'), 'caf\\xe9'),
    ('a\nb\x1b[2J', 'a\\nb\\x1b[2J'), ('\u202egpj', '\\u202egpj')])
def test_printable_is_one_line_of_text(path, text):
    assert printable(path) == text
