# SPDX-License-Identifier: Apache-2.0
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

import pytest

pytest.importorskip('packaging')
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import ROOT

from tools import licences
from tools.licences import COLUMNS, brought, declared, everything, is_agpl, licence, page, table


@pytest.mark.parametrize('licenses, expected', [
    ([], 'none declared'), ([{'license': {'id': 'MIT'}}], 'MIT'),
    ([{'expression': 'MIT OR Apache-2.0'}], 'MIT OR Apache-2.0'),
    ([{'license': {'name': 'License :: OSI Approved :: BSD License'}},
      {'license': {'id': 'BSD-3-Clause'}}], 'BSD License, BSD-3-Clause'),
])
def test_a_licence_is_what_is_declared(licenses, expected):
    assert licence({'licenses': licenses}) == expected


def test_every_component_has_a_row():
    bill = {'components': [{'name': 'B', 'version': '1'}, {'name': 'a'},
                           {'name': 'face_attributes_ros', 'version': '3'}]}
    assert page([('x', '2', 'MIT')], table(everything(bill))).splitlines()[-2:] == [
        '| a |  | none declared |', '| b | 1 | none declared |']


@pytest.mark.parametrize('words, expected', [
    ('AGPL-3.0-or-later', True), ('GNU Affero General Public License v3', True),
    ('LGPL-2.1', False), ('', False)])
def test_the_agpl_is_known_by_its_names(words, expected):
    assert is_agpl(words) is expected


def test_what_a_requirement_brings_is_followed_to_the_end():
    found = brought(['pytest', 'no-such-package>=1', "pytest-cov; python_version < '3'"])
    assert {'pytest', 'pluggy'} <= found.keys()
    assert not {'no-such-package', 'pytest-cov'} & found.keys()
    assert declared(found['pluggy']).startswith('MIT') and brought([]) == {}


def test_the_node_needs_nothing_under_the_agpl():
    """The default install and every runtime, as installed here."""
    needed = licences.needed()
    names = {name for name, _, _ in needed}
    assert {'numpy', 'opencv-python-headless', 'pyyaml'} <= names
    assert not {name for name in names if 'ultralytics' in name}
    assert [name for name, _, words in needed if is_agpl(words)] == []
    assert [name for name, _, words in needed if words == 'none declared'] == []


def test_the_page_lists_every_extra_that_is_installed():
    """`make sbom` is to be run where an extra is new."""
    project = licences.tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    texts = [text for some in project['optional-dependencies'].values() for text in some]
    named = {Requirement(text).name for text in texts} - {'face_attributes_ros'}
    installed = {canonicalize_name(name) for name in named if has(name)}
    rows = (ROOT / licences.PAGE).read_text().rpartition(COLUMNS)[2].splitlines()
    listed = {canonicalize_name(row.split(' | ')[0].strip('| ')) for row in rows}
    assert installed and installed - listed == set()


def has(package):
    try:
        return bool(distribution(package))
    except PackageNotFoundError:
        return False


def test_ultralytics_would_be_noticed():
    if find_spec('ultralytics') is None:
        pytest.skip('ultralytics is not installed')
    assert is_agpl(declared(distribution('ultralytics')))


def test_the_page_lists_what_the_node_needs():
    page_text = (ROOT / 'docs' / 'licences.md').read_text()
    listed = {line.split(' | ')[0].strip('| ') for line in
              page_text.split(COLUMNS)[1].splitlines() if line.startswith('| ')}
    direct = {Requirement(text).name for text in licences.requirements()} - {'tomli'}
    assert direct <= listed
