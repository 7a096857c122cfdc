# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest
from places import ROOT

from face_attributes_ros import share
from face_attributes_ros.errors import FaceAttributesError

NAME = 'config/face_attributes.yaml'


def installed(prefix: Path, site: str = 'lib/python3.12/site-packages') -> Path:
    """Lays out an ament prefix; where its copy of the module would lie."""
    file = prefix / 'share' / 'face_attributes_ros' / NAME
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    for folder in (file.parent, index):
        folder.mkdir(parents=True)
    file.touch()
    (index / 'face_attributes_ros').touch()
    return prefix / site / 'face_attributes_ros' / 'share.py'


def checkout(folder: Path) -> Path:
    """Lays out a checkout; where its copy of the module would lie."""
    (folder / 'config').mkdir(parents=True)
    (folder / NAME).touch()
    (folder / 'package.xml').touch()
    return folder / 'face_attributes_ros' / 'share.py'


def test_a_sourced_prefix_is_found_by_the_index(tmp_path, monkeypatch):
    pytest.importorskip('ament_index_python')
    module = installed(tmp_path / 'prefix')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'prefix'))
    assert next(share._folders(module)) == share._indexed()
    assert share.share_file(NAME, module) == tmp_path / 'prefix/share/face_attributes_ros' / NAME


def test_a_checkout_wins_over_the_copies_of_its_editable_install(tmp_path, monkeypatch):
    pytest.importorskip('ament_index_python')
    installed(tmp_path / 'venv')
    module = checkout(tmp_path / 'checkout')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'venv'))
    assert share.share_file(NAME, module) == tmp_path / 'checkout' / NAME


@pytest.mark.parametrize('site', ['lib/python3.12/site-packages',
                                  'local/lib/python3.12/dist-packages'])
@pytest.mark.parametrize('ament_index', ['no prefix path', 'not installed'])
def test_an_environment_that_nobody_sourced_is_found(tmp_path, monkeypatch, ament_index, site):
    module = installed(tmp_path / 'venv', site)
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    if ament_index == 'not installed':
        monkeypatch.setitem(sys.modules, 'ament_index_python', None)
        monkeypatch.setitem(sys.modules, 'ament_index_python.packages', None)
    assert share.share_file(NAME, module) == tmp_path / 'venv/share/face_attributes_ros' / NAME


def test_what_is_nowhere_is_named_with_the_folders_searched(tmp_path):
    module = checkout(tmp_path)
    with pytest.raises(FaceAttributesError, match=f'config/no.yaml is in none of {tmp_path}'):
        share.share_file('config/no.yaml', module)


def test_these_tests_run_with_the_files_of_the_checkout():
    assert share.share_file('models/manifest.toml') == ROOT / 'models' / 'manifest.toml'
