# SPDX-License-Identifier: Apache-2.0
"""The documentation site: every page in its order, and built without a warning."""

import os
import subprocess
import sys

import pytest
import yaml
from places import ROOT

from tools import site


def entries(nav):
    for entry in nav:
        for value in entry.values():
            yield from entries(value) if isinstance(value, list) else [value]


def test_every_page_has_one_place():
    order = list(entries(yaml.safe_load((ROOT / 'mkdocs.yml').read_text())['nav']))
    assert sorted(order) == sorted(page.relative_to(ROOT).as_posix() for page in site.pages())


def test_what_pages_link_to_is_copied_under_its_path(tmp_path):
    assert site.main(tmp_path) == 0
    for name in ('README.md', 'docs/images/demo.png', 'msg/FaceAttributes.msg',
                 'examples/greet_person.py', 'models/README.md'):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


def test_links_are_those_to_files_of_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(site, 'ROOT', tmp_path)
    (tmp_path / 'there.md').touch()
    page = tmp_path / 'page.md'
    page.write_text('[a](there.md#part) [b](gone.md) [c](https://x.org/d) [d](#here) '
                    '[e](/etc/passwd)')
    assert site.linked(page) == [tmp_path / 'there.md']


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip('material', reason='mkdocs-material is not installed')
    site.main()
    made = subprocess.run([sys.executable, '-m', 'mkdocs', 'build', '--strict',
                           '--site-dir', str(tmp_path / 'site')], cwd=ROOT, check=False,
                          env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'}, capture_output=True,
                          text=True)
    assert made.returncode == 0 and 'WARNING' not in made.stderr, made.stderr
    assert (tmp_path / 'site' / 'docs' / 'tutorial.html').is_file()
