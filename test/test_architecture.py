# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the direction in which the house is built."""

import ast
from pathlib import Path

import pytest

import face_attributes_ros

PACKAGE = Path(face_attributes_ros.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob('*.py')
               if 'msg' not in path.relative_to(PACKAGE).parts)


def room(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ''


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def offenders(forbidden, allowed_rooms):
    return [(str(path.relative_to(PACKAGE)), name) for path in FILES
            if room(path) not in allowed_rooms for name in imported(path) if forbidden(name)]


def is_ros(name):
    top = name.split('.')[0]
    return top in ('rclpy', 'cv_bridge') or top.endswith('_msgs')


@pytest.mark.parametrize('forbidden, allowed_rooms', [
    (is_ros, ('ros',)),
    (lambda name: name.split('.')[0] == 'torch', ('networks', 'training')),
    (lambda name: name.split('.')[0] == 'ultralytics', ('networks', 'training')),
    (lambda name: name.startswith('face_attributes_ros.ros'), ('ros',)),
    (lambda name: name.startswith('face_attributes_ros.training'), ('training',)),
], ids=['ros', 'torch', 'ultralytics', 'our ros room', 'our training room'])
def test_imports_go_one_way(forbidden, allowed_rooms):
    assert offenders(forbidden, allowed_rooms) == []


def test_every_source_file_names_its_licence():
    assert [
        path.name
        for path in FILES
        if not path.read_text().startswith('# SPDX-License-Identifier: Apache-2.0')
    ] == []


def test_public_names_exist():
    for name in face_attributes_ros.__all__:
        assert getattr(face_attributes_ros, name) is not None
