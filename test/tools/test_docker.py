# SPDX-License-Identifier: Apache-2.0
"""What docker/Dockerfile names is there. It is not built here, which needs a Docker daemon."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from places import ROOT

DOCKERFILE = (ROOT / 'docker' / 'Dockerfile').read_text()
IGNORED = (ROOT / 'docker' / 'Dockerfile.dockerignore').read_text().splitlines()
COPIED = [word for line in re.findall(r'^COPY (.*)$', DOCKERFILE, re.MULTILINE)
          for word in line.split()[:-1]]


@pytest.mark.parametrize('name', COPIED)
def test_what_is_copied_is_there_and_not_ignored(name):
    assert (ROOT / name).exists() and f'!{name}' in IGNORED


def test_all_that_the_package_is_built_from_is_copied():
    installed = re.search(r'install\(DIRECTORY ((?:\w+ )+\w+)\n',
                          (ROOT / 'CMakeLists.txt').read_text())
    assert {*installed.group(1).split(), 'msg', 'package.xml', 'CMakeLists.txt',
            'face_attributes_ros'} <= set(COPIED)


def test_the_keys_that_are_skipped_are_keys_of_ours():
    skipped = re.search(r'--skip-keys "([^"]+)"', DOCKERFILE).group(1).split()
    package = ElementTree.parse(ROOT / 'package.xml').getroot()
    assert set(skipped) <= {node.text for node in package}


def test_it_starts_what_there_is():
    package, launch = re.search(r'^CMD \["ros2", "launch", "(\w+)", "([\w.]+)"\]$', DOCKERFILE,
                                re.MULTILINE).groups()
    assert package == 'face_attributes_ros' and (ROOT / 'launch' / launch).is_file()
    entry = re.search(r'^ENTRYPOINT \["/([\w.]+)"\]$', DOCKERFILE, re.MULTILINE).group(1)
    assert f'COPY docker/{entry} /{entry}' in DOCKERFILE
    assert (ROOT / 'docker' / entry).stat().st_mode & 0o111


def test_commands_in_its_comments_and_the_how_to_are_the_same_files():
    page = (ROOT / 'docs' / 'gpu.md').read_text()
    for text in (DOCKERFILE, page):
        assert 'docker build -f docker/Dockerfile ' in text
    assert 'ARG RUNTIMES' in DOCKERFILE and 'ARG BASE' in DOCKERFILE
