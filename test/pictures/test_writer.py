# SPDX-License-Identifier: Apache-2.0
import errno
import os

import cv2
import numpy as np
import pytest

from face_attributes_ros.errors import ImageError, OutputError, ParameterError
from face_attributes_ros.pictures.writer import NewPictures

GREY = np.full((4, 6, 3), 90, np.uint8)


def test_pictures_never_take_a_name_that_is_taken(tmp_path):
    (tmp_path / 'x.png').write_text('mine')
    (tmp_path / 'x_3.png').symlink_to('/nowhere/else')
    out = NewPictures(tmp_path)
    names = [out.write('x', GREY).name for _ in range(3)]
    assert names == ['x_2.png', 'x_4.png', 'x_5.png']
    assert (tmp_path / 'x.png').read_text() == 'mine'
    assert np.array_equal(cv2.imread(str(tmp_path / 'x_4.png')), GREY)


def test_pictures_and_new_folders_are_their_owners(tmp_path):
    path = NewPictures(tmp_path / 'a' / 'b').write('x', GREY)
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize('stem', ['y' * 252, os.fsdecode(b'caf\xe9'), '\u00e9' * 120, 'a b', '-x'])
def test_any_stem_that_a_file_can_have_makes_a_file(tmp_path, stem):
    out = NewPictures(tmp_path)
    assert {out.write(stem, GREY).exists() for _ in range(2)} == {True}
    assert len(os.listdir(os.fsencode(tmp_path))) == 2


@pytest.mark.parametrize('where, text', [('file', 'File exists'), ('file/x', 'Not a directory'),
                                         ('x' * 300, 'File name too long'), ('a\0b', 'null')])
def test_folders_that_cannot_be_made_are_named(tmp_path, where, text):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OutputError, match='cannot make the folder') as caught:
        NewPictures(tmp_path / where)
    assert text in str(caught.value)


def test_a_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert NewPictures('~/out').folder == tmp_path / 'out'
    with pytest.raises(ParameterError, match='no home folder ~nobody-here'):
        NewPictures('~nobody-here/out')


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(handle, data):
        raise OSError(errno.ENOSPC, 'No space left on device')

    out = NewPictures(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, 'write', full)
        with pytest.raises(OutputError, match='x.png: No space left on device'):
            out.write('x', GREY)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ImageError, match='cannot be encoded'):
        out.write('x', np.zeros((0, 0, 3), np.uint8))
