# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from face_attributes_ros.pictures.folders import pictures_in
from face_attributes_ros.pictures.formats import SUFFIXES


def test_every_suffix_is_found_in_any_case(tmp_path):
    for suffix in SUFFIXES:
        (tmp_path / f'small{suffix}').touch()
        (tmp_path / f'LARGE{suffix.upper()}').touch()
    (tmp_path / 'notes.txt').touch()
    (tmp_path / 'folder.png').mkdir()
    said = []
    assert len(pictures_in(tmp_path, said.append)) == 2 * len(SUFFIXES) and not said


def test_folders_below_are_looked_into_if_wanted(tmp_path):
    (tmp_path / 'b').mkdir()
    for name in ('a.png', 'b/c.png', 'd.png'):
        (tmp_path / name).touch()
    (tmp_path / 'b' / 'round').symlink_to(tmp_path)
    said = []
    assert [p.name for p in pictures_in(tmp_path, said.append)] == ['a.png', 'c.png', 'd.png']
    assert [p.name for p in pictures_in(tmp_path, said.append, deep=False)] == ['a.png', 'd.png']
    assert not said


def test_a_folder_without_pictures_says_so(tmp_path):
    (tmp_path / 'notes.txt').touch()
    said = []
    assert pictures_in(tmp_path, said.append) == []
    assert len(said) == 1 and 'no pictures in this folder (.jpg .jpeg' in str(said[0])


def test_a_folder_that_cannot_be_listed_is_said(tmp_path, monkeypatch):
    scandir = os.scandir

    def denied(path):
        if str(path).endswith('secret'):
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    (tmp_path / 'secret').mkdir()
    (tmp_path / 'a.png').touch()
    monkeypatch.setattr(os, 'scandir', denied)
    said = []
    assert [p.name for p in pictures_in(tmp_path, said.append)] == ['a.png']
    assert len(said) == 1 and 'secret: folder cannot be read, Permission denied' in str(said[0])


@pytest.mark.parametrize('name', [b'\xff.png', b'caf\xe9.JPG'])
def test_names_that_are_no_text_are_found(tmp_path, name):
    with open(os.path.join(os.fsencode(tmp_path), name), 'wb'):
        pass
    assert [os.fsencode(p.name) for p in pictures_in(tmp_path, pytest.fail)] == [name]
