# SPDX-License-Identifier: Apache-2.0
"""The file of times in the user's cache: what it holds, and that nothing wrong with it matters."""

import json
import os
import stat
from pathlib import Path

import pytest

from face_attributes_ros.engines import kept

KEY = {'cpu': 'AMD EPYC 1234', 'cpus': 2, 'threads': 0, 'sha256': ['a', '']}
TIMES = {'openvino fp32': 8.125, 'onnxruntime fp32': 9.5}


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    return tmp_path


def test_nothing_is_known_at_first_and_nothing_is_written_by_reading(home):
    assert kept.read(KEY) is None and list(home.iterdir()) == []


def test_times_come_back_under_their_key_only():
    assert kept.write(KEY, TIMES) == '' and kept.read(KEY) == TIMES
    for change in ({'cpus': 4}, {'cpu': 'Xeon'}, {'sha256': ['b', '']}, {'threads': 1}):
        assert kept.read(KEY | change) is None


def test_the_newest_times_of_a_key_replace_older_ones_and_leave_others():
    kept.write(KEY, TIMES)
    kept.write(KEY | {'threads': 1}, {'a fp32': 1.})
    kept.write(KEY, {'openvino fp32': 7.})
    assert kept.read(KEY) == {'openvino fp32': 7.}
    assert kept.read(KEY | {'threads': 1}) == {'a fp32': 1.}
    assert len(json.loads(kept.cache_file().read_text())['entries']) == 2


def test_the_oldest_go_first():
    for number in range(kept.MOST_ENTRIES + 3):
        kept.write(KEY | {'threads': number}, TIMES)
    assert kept.read(KEY | {'threads': 2}) is None and kept.read(KEY | {'threads': 3}) == TIMES


def test_only_the_owner_can_read_it_and_nothing_else_is_left(home):
    kept.write(KEY, TIMES)
    path = kept.cache_file()
    assert path == home / 'face_attributes_ros' / 'auto.json'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ['auto.json']


def test_it_holds_times_and_what_they_are_of_and_no_more():
    kept.write(KEY, TIMES)
    assert json.loads(kept.cache_file().read_text()) == {'entries': [{'key': KEY, 'ms': TIMES}]}


def entry(**change):
    return json.dumps({'entries': [{'key': KEY, 'ms': TIMES, **change}]})


@pytest.mark.parametrize('text', [
    '', 'nonsense', '[]', '{}', '3', '{"entries": 5}', '{"entries": [7, null, []]}', '\0' * 100,
    '[' * 100_000, entry(ms={}), entry(ms=[1]), entry(ms={'openvino fp32': 'fast'}),
    entry(ms={'openvino fp32': 0}), entry(ms={'openvino fp32': -1.}), entry(key='x'),
    entry(ms={'openvino fp32': True}), entry().replace('8.125', 'NaN'),
    entry().replace('8.125', '1e999'), entry().replace('8.125', '1' * 5000),
    entry() + ' ' * kept.LARGEST_BYTES,
], ids=range(20))
def test_a_file_that_is_not_ours_is_no_file(text):
    path = kept.cache_file()
    path.parent.mkdir()
    path.write_text(text)
    assert kept.read(KEY) is None
    assert kept.write(KEY, TIMES) == '' and kept.read(KEY) == TIMES


def test_neither_is_a_folder_or_a_pipe():
    path = kept.cache_file()
    path.mkdir(parents=True)
    assert kept.read(KEY) is None and kept.write(KEY, TIMES) == 'Is a directory'
    assert [one.name for one in path.parent.iterdir()] == ['auto.json']
    path.rmdir()
    os.mkfifo(path)
    assert kept.read(KEY) is None and kept.write(KEY, TIMES) == ''


def test_a_place_that_cannot_be_written_is_said(home, monkeypatch):
    (home / 'face_attributes_ros').write_text('a file')
    assert kept.write(KEY, TIMES) == 'File exists' and kept.read(KEY) is None
    monkeypatch.setenv('XDG_CACHE_HOME', '/proc/nowhere')
    assert kept.write(KEY, TIMES) and kept.read(KEY) is None


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_a_read_only_folder_is_said(home):
    home.chmod(0o500)
    assert kept.write(KEY, TIMES) == 'Permission denied'


def test_a_full_disk_leaves_the_old_file(monkeypatch):
    kept.write(KEY, TIMES)

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', full)
    assert kept.write(KEY, {'a fp32': 1.}) == 'No space left on device'
    assert kept.read(KEY) == TIMES
    assert [one.name for one in kept.cache_file().parent.iterdir()] == ['auto.json']


@pytest.mark.parametrize('value', ['', 'relative/folder'])
def test_without_an_absolute_cache_folder_it_is_the_homes(monkeypatch, tmp_path, value):
    monkeypatch.setenv('XDG_CACHE_HOME', value)
    monkeypatch.setenv('HOME', str(tmp_path))
    assert kept.cache_file() == tmp_path / '.cache' / 'face_attributes_ros' / 'auto.json'


def test_a_user_without_a_home_keeps_nothing(monkeypatch):
    def homeless():
        raise RuntimeError('Could not determine home directory.')

    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setattr(Path, 'home', homeless)
    assert kept.read(KEY) is None and 'home directory' in kept.write(KEY, TIMES)
