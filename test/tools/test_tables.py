# SPDX-License-Identifier: Apache-2.0
import importlib

import pytest

from face_attributes_ros import markdown
from face_attributes_ros.errors import DataError


@pytest.fixture(scope='module')
def script():
    pytest.importorskip('rclpy', reason='the tables of topics are made from the node')
    pytest.importorskip('torch', reason='the tables of training are made from its modules')
    return importlib.import_module('tools.tables')


def test_the_readme_is_as_generated(script, capsys):
    assert script.main(['--check']) == 0, 'run: make docs'


def test_every_table_stands_on_a_page(script):
    text = ''.join(page.read_text() for page in script.PAGES)
    assert [name for name in script.tables() if f'<!-- {name} -->' not in text] == []


def test_blocks_are_filled_and_unknown_ones_named():
    tables = {'a': lambda: 'new\n'}
    text = 'x\n<!-- a -->\nold\n<!-- /a -->\ny'
    once = markdown.filled(text, tables)
    assert once == 'x\n<!-- a -->\n\nnew\n\n<!-- /a -->\ny' == markdown.filled(once, tables)
    with pytest.raises(DataError, match='unknown table b; known are a'):
        markdown.filled('<!-- b -->\n<!-- /b -->', tables)


def test_grid():
    assert markdown.grid(['a', 'b'], [[1, 'x']]) == '| a | b |\n| --- | --- |\n| 1 | x |\n'
