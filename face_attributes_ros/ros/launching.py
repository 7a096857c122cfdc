# SPDX-License-Identifier: Apache-2.0
"""What the launch arguments mean: parameters and remappings of the node; ParameterError where one
is wrong, or would do nothing.

Knows nothing of `launch`, so that it can be tried without it; launch/*.launch.py call it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.paths import expanded
from face_attributes_ros.share import share_file

SWITCH = ('true', 'false', 'True', 'False')
"""Of a switch: Python launch files that include ours say True."""


class Argument(NamedTuple):
    """A launch argument: name, default, what it means, and the values there are if not all."""

    name: str
    default: str
    text: str
    choices: tuple[str, ...] | None = None


ARGUMENTS = (
    Argument('image_topic', '', 'Topic of the images, without /compressed; empty is image.'),
    Argument('camera_info_topic', '',
             "Topic of the camera's calibration; empty is camera_info beside the images."),
    Argument('cameras', '', 'Several cameras with their topics: '
             'front=/front_cam/color/image_raw,rear=/rear_cam/color/image_raw.'),
    Argument('remap', '', 'Other topics renamed: ~/image_annotated=/view,~/faces=/faces.'),
    Argument('namespace', '', 'Namespace of the node.'),
    Argument('node_name', 'face_attributes', 'Name of the node.'),
    Argument('params_file', '', 'Parameters, config/face_attributes.yaml if empty; the arguments '
             'below win over it where they are given.'),
    Argument('image_transport', '', 'Empty is what params_file says.', ('', 'raw', 'compressed')),
    Argument('device', '', 'auto, cpu or cuda:N; empty is what params_file says.'),
    Argument('detector_model', '',
             'A detector of models/manifest.toml; empty is what params_file says.'),
    Argument('attributes_model', '',
             'An attribute network of models/manifest.toml; empty is what params_file says.'),
    Argument('use_sim_time', '', 'Take the time from /clock; empty is what params_file says.',
             ('', *SWITCH)),
    Argument('autostart', '', 'Configure and activate at the start; empty is what params_file '
             'says.', ('', *SWITCH)),
    Argument('use_rviz', 'false', 'Start RViz with the annotated image and the markers.', SWITCH),
    Argument('rviz_frame', '', "RViz's fixed frame, the images' frame_id; empty is camera."),
    Argument('log_level', 'info', 'Of the node.', ('debug', 'info', 'warn', 'error', 'fatal')),
    Argument('respawn', 'false', 'Start the node again when it ends.', SWITCH),
)
PARAMETERS = {
    'image_transport': 'image_transport', 'device': 'device', 'detector_model': 'detector.model',
    'attributes_model': 'attributes.model', 'use_sim_time': 'use_sim_time',
    'autostart': 'autostart'
}
"""By launch argument: the node's parameter that it sets."""


def refuse_undeclared(typed: Iterable[str], declared: Iterable[str]) -> None:
    """ParameterError where a NAME:=VALUE of the command line is no argument: `launch` itself takes
    it and does nothing with it."""
    names = list(declared)
    for word in typed:
        name = word.partition(':=')[0]
        if ':=' in word and name not in names:
            near = difflib.get_close_matches(name, names, 1)
            raise ParameterError(f'there is no argument {name!r}' +
                                 (f', did you mean {near[0]!r}?' if near else ''))


def is_on(value: str) -> bool:
    """Whether a switch is on; `launch` has checked it against its choices."""
    return value.lower() == 'true'


def full_name(given: Mapping[str, str], base: str = '') -> str:
    """The node's name with its namespace, which is below `base` (of PushROSNamespace) unless it
    begins with a slash."""
    namespace = given['namespace']
    if not namespace.startswith('/'):
        namespace = f'{base}/{namespace}'
    return re.sub('/+', '/', f'/{namespace}/{given["node_name"]}')


def parameters_file(given: Mapping[str, str]) -> Path:
    """The file of parameters; ParameterError where it is not there, since ROS would go on with the
    defaults."""
    if not given['params_file']:
        return share_file('config/face_attributes.yaml')
    path = expanded(given['params_file'])
    if not path.is_file():
        raise ParameterError(f'params_file is {str(path)!r}, needs a file that there is')
    return path


def parameters(given: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that arguments set, by name."""
    switches = {argument.name for argument in ARGUMENTS
                if argument.choices and 'true' in argument.choices}
    found: dict[str, Any] = {
        parameter: is_on(given[name]) if name in switches else given[name]
        for name, parameter in PARAMETERS.items() if given[name]
    }
    if given['cameras']:
        found['cameras'] = list(pairs('cameras', given['cameras']))
    return found


def remappings(given: Mapping[str, str], file_cameras: Sequence[str]) -> list[tuple[str, str]]:
    """The node's remappings; `file_cameras` are the cameras that the parameters file names."""
    found = _camera_topics(given, file_cameras)
    for name, topic in pairs('remap', given['remap']).items():
        if not topic:
            raise ParameterError(f'remap is {given["remap"]!r}, needs {name}=TOPIC')
        if name in dict(found):
            raise ParameterError(f'remap is {given["remap"]!r}: {name}={topic} would do nothing '
                                 f'beside {name}={dict(found)[name]} of the other arguments')
        found.append((name, topic))
    return found


def _camera_topics(given: Mapping[str, str], file_cameras: Sequence[str]) -> list[tuple[str, str]]:
    single = [(topic, given[argument]) for topic, argument in
              (('image', 'image_topic'), ('camera_info', 'camera_info_topic')) if given[argument]]
    if given['cameras']:
        _refuse_single(given, 'cameras')
        chosen = pairs('cameras', given['cameras'])
        return [(f'{camera}/image', topic) for camera, topic in chosen.items() if topic]
    if len(file_cameras) > 1:
        _refuse_single(given, f'params_file with cameras {", ".join(file_cameras)}')
    prefix = f'{file_cameras[0]}/' if file_cameras and file_cameras[0] else ''
    return [(prefix + name, topic) for name, topic in single]


def _refuse_single(given: Mapping[str, str], beside: str) -> None:
    for name in ('image_topic', 'camera_info_topic'):
        if given[name]:
            raise ParameterError(f'{name} is {given[name]!r} and would do nothing beside '
                                 f'{beside}: needs cameras:=NAME=TOPIC,NAME=TOPIC alone')


def pairs(argument: str, text: str) -> dict[str, str]:
    """'a=/x,b=/y' as a dict; a name alone has an empty topic. ParameterError where a name is
    empty, said twice or, of a camera, no ROS name."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(','))):
        name, equals, topic = (word.strip() for word in part.partition('='))
        pattern = r'[A-Za-z][A-Za-z0-9_]*' if argument == 'cameras' else r'\S+'
        if not re.fullmatch(pattern, name) or name in found or (equals and not topic):
            raise ParameterError(f'{argument} is {text!r}, needs NAME=TOPIC,NAME=TOPIC with each '
                                 f'name once; {part!r} is not that')
        found[name] = topic
    return found


def cameras_in(path: Path, node: str) -> list[str]:
    """The parameter `cameras` that a parameters file gives the node of that full name; one camera
    without a name where it gives none. ParameterError where it gives that node nothing at all,
    since ROS would go on with the defaults."""
    try:
        sections = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ParameterError(f'params_file {path}: {str(error).splitlines()[0]}') from error
    ours = [values for pattern, values in _sections(sections, '') if re.fullmatch(pattern, node)]
    if not ours:
        raise ParameterError(f'params_file is {str(path)!r} and says nothing of {node}: needs '
                             f'ros__parameters below {node} or /**')
    named = [values['cameras'] for values in ours if isinstance(values.get('cameras'), list)]
    return [str(name) for name in named[-1]] if named else ['']


def _sections(tree: Any, prefix: str) -> Iterable[tuple[str, dict[str, Any]]]:
    # (pattern of node names, parameters); names may be nested, with * for one word and ** for any
    # number of them, none included
    for key, value in (tree.items() if isinstance(tree, dict) else ()):
        name = f'{prefix}/{str(key).strip("/")}'
        if key == 'ros__parameters' and isinstance(value, dict):
            pattern = re.escape(prefix).replace(r'/\*\*', r'(/\w+)*').replace(r'\*', r'\w+')
            yield pattern, value
        elif isinstance(value, dict):
            yield from _sections(value, name)
