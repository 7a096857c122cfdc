# SPDX-License-Identifier: Apache-2.0
"""What the documentation names is there."""

import importlib.util
import re
import shlex

import pytest
from places import ROOT

from face_attributes_ros.cli import COMMANDS

PAGES = [*sorted((ROOT / 'docs').glob('*.md')), ROOT / 'models' / 'README.md',
         *(ROOT / f'{name}.md' for name in ('README', 'CONTRIBUTING', 'CHANGELOG'))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}


def found(pattern):
    """(page, first group) of each match on any page."""
    return [(page, match) for page, text in TEXTS.items() for match in re.findall(pattern, text)]


def test_links_lead_somewhere():
    links = found(r'\]\((?!https?://)([^)#\s]+)[^)]*\)')
    assert len(links) > 30
    assert [(page, link) for page, link in links
            if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_the_index_lists_every_page():
    index = TEXTS['docs/index.md']
    missing = [page.name for page in (ROOT / 'docs').glob('*.md')
               if page.name != 'index.md' and f']({page.name})' not in index]
    assert missing == []


def test_the_readme_is_short():
    assert len(TEXTS['README.md'].split()) < 1500


def test_modules_that_are_run_exist():
    modules = found(r'python3? -m ((?:bench|tools|face_attributes_ros)[\w.]+)')
    assert len(modules) > 5
    assert [one for one in modules if importlib.util.find_spec(one[1]) is None] == []


def test_commands_exist():
    lines = [(page, shlex.split(line, comments=True)) for page, line
             in found(r'(?m)^face-attributes (.+?)\\?$')]
    assert len(lines) > 10
    assert [(page, words) for page, words in lines
            if not any(tuple(words[:len(known)]) == known for known in COMMANDS)] == []


@pytest.mark.parametrize('page', sorted(set(TEXTS) - {'CHANGELOG.md'}))
def test_files_of_ours_that_a_page_names_exist(page):
    homes = (ROOT, ROOT / 'face_attributes_ros', ROOT / 'models')
    names = re.findall(r'(?<![\w/.~-])((?:\w+/)+[\w.]+\.(?:py|yaml|toml|json|csv|xml))\b',
                       TEXTS[page])
    gone = [name for name in names
            if 'NAME' not in name and not any((home / name).exists() for home in homes)]
    assert [name for name in gone if name.split('/')[0] in (
        'bench', 'config', 'docs', 'engines', 'launch', 'models', 'networks', 'paper', 'ros',
        'device', 'test', 'tools', 'training')] == []


def test_the_architecture_names_every_room_and_module():
    package = ROOT / 'face_attributes_ros'
    flat = {path.stem for path in package.glob('*.py')} - {'__init__'}
    rooms = {path.name for path in package.iterdir() if (path / '__init__.py').is_file()}
    tree = TEXTS['docs/architecture.md'].partition('```\n')[2].partition('```')[0]
    words = set(re.findall(r'\w+', tree))
    assert sorted((flat | rooms) - words - {'msg'}) == []
