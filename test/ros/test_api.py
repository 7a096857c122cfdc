# SPDX-License-Identifier: Apache-2.0
"""The tables of topics and services name what the running node has."""

import pytest

from face_attributes_ros.ros import api, packages
from face_attributes_ros.ros.outputs.publishers import KINDS

PACKAGES = {'detections_enable': 'vision_msgs', 'tf_enable': 'tf2_msgs',
            'rep155_enable': 'hri_msgs'}


def names(node):
    own = f'/{node.get_name()}/'
    return ({topic.topic_name.replace(own, '~/') for topic in node.publishers},
            {topic.topic_name.removeprefix('/') for topic in node.subscriptions},
            {service.service_name.replace(own, '~/') for service in node.services})


def rows():
    for row in api.topics().splitlines()[2:]:
        direction, topic = row.split('`')[0].strip('| '), row.split('`')[1]
        if '/ID/' not in topic:  # those of single faces come and go
            yield direction, topic


def test_tables_name_what_the_node_has(start):
    node, _ = start(process_without_subscribers=True, depth__enable=True)
    outputs, inputs, services = names(node)
    asked = {name if name.startswith('/') else f'~/{name}' for kind in KINDS if kind.SWITCH
             for name in kind.TOPICS}
    shown_in = {topic for direction, topic in rows() if direction == 'in'}
    shown_out = {topic for direction, topic in rows() if direction == 'out'}
    assert shown_in - {'image/compressed'} <= inputs
    assert shown_out - asked <= outputs
    assert {topic for topic in outputs if topic.startswith('~/')} - {'~/transition_event'} \
        == {topic for topic in shown_out - asked if topic.startswith('~/')}
    assert set(api.SERVICES) <= services


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind.SWITCH],
                         ids=lambda kind: kind.SWITCH)
def test_what_is_asked_for_is_there(start, kind):
    package = PACKAGES[kind.SWITCH]
    if not packages.installed(package):
        pytest.skip(f'the ROS package {package} is not installed')
    node, _ = start(**{kind.SWITCH.replace('_', '.', 1): True})
    outputs, _, _ = names(node)
    assert {name if name.startswith('/') else f'~/{name}' for name in kind.TOPICS
            if '{id}' not in name} <= outputs
