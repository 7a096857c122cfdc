# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the direction in which the house is built. Imports inside functions count
too."""

import ast
from itertools import chain
from pathlib import Path

import pytest

import face_attributes_ros

PACKAGE = Path(face_attributes_ros.__file__).parent
NAME = PACKAGE.name

LAYERS = (
    ('errors', 'faces', 'boxes', 'alignment', 'stopwatch', 'options', 'runtimes', 'ages', 'head',
     'heads', 'settings', 'share', 'tiles', 'weights', 'markdown', 'paths', 'console', 'pictures'),
    ('detector', 'estimator', 'tracker', 'smoothing', 'pipeline', 'turning', 'captions',
     'drawing', 'labels', 'records', 'headpose', 'engagement'),
    ('networks',),
    ('engines',),
    ('device',),
    ('build',),
    ('analyze', 'cli', 'films'),
    ('training.common',),
    ('training.attributes', 'training.detector', 'training.int8'),
    ('paper',),
    ('ros',),
)
"""Rooms, lowest first. A room imports from itself, from its own layer and from those below it."""

TORCH_ROOMS = ('engines.torch', 'engines.cuda', 'engines.ultralytics', 'networks', 'device',
               'training', 'paper')


def modules():
    """Every module of the package by dotted name, without the package's own; generated messages
    are not ours."""
    for path in sorted(PACKAGE.rglob('*.py')):
        parts = path.relative_to(PACKAGE).with_suffix('').parts
        if parts[0] != 'msg' and '__pycache__' not in parts:
            yield '.'.join(part for part in parts if part != '__init__'), path


MODULES = dict(modules())


def imported(path, module):
    """Full dotted names that a file imports, relative ones resolved."""
    package = module if path.name == '__init__.py' else module.rpartition('.')[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = [NAME, *package.split('.')] if package else [NAME]
            base = '.'.join(parts[:len(parts) - node.level + 1]) if node.level else ''
            home = '.'.join(filter(None, (base, node.module)))
            yield from (f'{home}.{alias.name}' for alias in node.names)


def own(name):
    """The module of ours that a full dotted name lies in, or None."""
    if not name.startswith(f'{NAME}.') or name.startswith(f'{NAME}.msg'):
        return None
    found = name.removeprefix(f'{NAME}.')
    while found and found not in MODULES:
        found = found.rpartition('.')[0]
    return found or None


GRAPH = {module: {own(name) for name in imported(path, module)} - {None, module}
         for module, path in MODULES.items()}


def layer(module):
    """Index of the layer of a module; a LookupError names one that has no room."""
    for index, rooms in enumerate(LAYERS):
        if any(module == room or module.startswith(f'{room}.') for room in rooms):
            return index
    raise LookupError(f'{module} has no room in LAYERS')


def inside(module, rooms):
    return any(module == room or module.startswith(f'{room}.') for room in rooms)


def circle(graph):
    """The modules of one circle of imports, in order; empty where there is none."""
    state, path = {}, []

    def visit(module):
        if state.get(module) == 'done':
            return []
        if module in path:
            return path[path.index(module):]
        path.append(module)
        found = next(filter(None, map(visit, sorted(graph.get(module, ())))), [])
        path.pop()
        state[module] = 'done'
        return found

    return next(filter(None, map(visit, sorted(graph))), [])


def test_every_module_has_a_room():
    assert [layer(module) for module in MODULES if module and module not in ('training', 'ros')]


def test_imports_go_down():
    up = [(module, other) for module, others in GRAPH.items()
          if module and module not in ('training',)
          for other in others if other != 'training' and layer(other) > layer(module)]
    assert up == []


def test_no_circles():
    assert circle(GRAPH) == []


@pytest.mark.parametrize('graph, found', [
    ({}, []),
    ({'a': {'b'}, 'b': {'c'}, 'c': set()}, []),
    ({'a': {'b'}, 'b': {'c'}, 'c': {'b'}}, ['b', 'c']),
    ({'a': {'a'}}, ['a']),
], ids=['empty', 'a line', 'two that need each other', 'itself'])
def test_circles_are_found(graph, found):
    assert circle(graph) == found


def test_rooms_form_no_circle():
    rooms = {}
    for module, others in GRAPH.items():
        for other in others:
            one, two = (name.split('.')[0] for name in (module, other))
            if one and one != two:
                rooms.setdefault(one, set()).add(two)
    assert circle(rooms) == []


@pytest.mark.parametrize('source, expected', [
    ('from ..errors import ImageError', 'face_attributes_ros.errors.ImageError'),
    ('from . import images', 'face_attributes_ros.ros.images'),
    ('from face_attributes_ros.boxes import iou', 'face_attributes_ros.boxes.iou'),
    ('import torch.nn', 'torch.nn'),
    ('def f():\n    from ...training import common', None),
])
def test_relative_imports_are_resolved(tmp_path, source, expected):
    path = tmp_path / 'x.py'
    path.write_text(source)
    found = list(imported(path, 'ros.x'))
    assert found == [expected] if expected else found[0].endswith('training.common')


def test_imports_are_absolute():
    relative = [module for module, path in MODULES.items()
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.ImportFrom) and node.level]
    assert relative == []


def is_ros(name):
    top = name.split('.')[0]
    return top in ('rclpy', 'cv_bridge') or top.endswith('_msgs')


@pytest.mark.parametrize('forbidden, allowed_rooms', [
    (is_ros, ('ros',)),
    (lambda name: name.split('.')[0] == 'torch', TORCH_ROOMS),
    (lambda name: name.split('.')[0] == 'ultralytics', ('engines.ultralytics',)),
], ids=['ros', 'torch', 'ultralytics'])
def test_heavy_imports_stay_in_their_rooms(forbidden, allowed_rooms):
    assert [(module, name) for module, path in MODULES.items() if not inside(module, allowed_rooms)
            for name in imported(path, module) if forbidden(name)] == []


def test_ultralytics_is_reached_when_its_backend_asks_for_it_only():
    """Inside one function, which nothing else calls: the package is AGPL-3.0."""
    door = 'face_attributes_ros.engines.ultralytics'
    assert [module for module, others in GRAPH.items() if 'engines.ultralytics' in others] == [
        'build']
    tree = ast.parse(MODULES['build'].read_text())
    assert [node.name for node in tree.body for inner in ast.walk(node)
            if isinstance(inner, ast.ImportFrom) and inner.module == door] == ['_open_ultralytics']


def test_every_source_file_names_its_licence():
    head = '# SPDX-License-Identifier: Apache-2.0'
    assert [module for module, path in MODULES.items()
            if not path.read_text().startswith(head)] == []


def test_public_names_exist():
    for name in face_attributes_ros.__all__:
        assert getattr(face_attributes_ros, name) is not None


def test_layers_name_rooms_that_exist():
    assert [room for room in chain(*LAYERS)
            if not any(inside(module, (room,)) for module in MODULES)] == []
