# SPDX-License-Identifier: Apache-2.0
"""What RViz shows of the node: a picture and markers for each camera, by the names they have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import yaml

from face_attributes_ros.ros.launching import full_name, pairs
from face_attributes_ros.share import share_file


class View(NamedTuple):
    """What RViz shows of a camera: its name, and the topics of its pictures and markers."""

    camera: str
    image_topic: str
    markers_topic: str


def views(given: Mapping[str, str], base: str, file_cameras: Sequence[str],
          rules: Iterable[tuple[str, str]]) -> list[View]:
    """What RViz shows, each topic as the node's namespace and name and `rules` (remappings, of
    `remap` and of SetRemap) make it."""
    node = full_name(given, base)
    expanded = {_expanded(source, node): _expanded(target, node)
                for source, target in reversed(list(rules))}  # ROS takes the first that fits
    cameras = list(pairs('cameras', given['cameras'])) or file_cameras

    def topic(camera: str, output: str) -> str:
        name = f'{node}/{camera}/{output}' if camera else f'{node}/{output}'
        return expanded.get(name, name)

    return [View(camera, topic(camera, 'image_annotated'), topic(camera, 'markers'))
            for camera in cameras]


def _expanded(name: str, node: str) -> str:
    if name.startswith('~'):
        return node + name[1:]
    return name if name.startswith('/') else f'{node.rpartition("/")[0]}/{name}'


def rviz_config(shown: Sequence[View], frame: str) -> str:
    """config/face_attributes.rviz with a picture and markers for each camera, in that frame."""
    tree = yaml.safe_load(share_file('config/face_attributes.rviz').read_text(encoding='utf-8'))
    manager = tree['Visualization Manager']
    manager['Global Options']['Fixed Frame'] = frame
    topics = {'Image': 'image_topic', 'MarkerArray': 'markers_topic'}
    displays = []
    for display in manager['Displays']:
        kind = display['Class'].rpartition('/')[2]
        if kind not in topics:
            displays.append(display)
            continue
        for view in shown:
            name = f'{display["Name"]} {view.camera}'.strip()
            topic = {**display['Topic'], 'Value': getattr(view, topics[kind])}
            displays.append({**display, 'Name': name, 'Topic': topic})
    manager['Displays'] = displays
    return str(yaml.safe_dump(tree, sort_keys=False))
