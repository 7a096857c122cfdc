# SPDX-License-Identifier: Apache-2.0
"""The SROS2 policy allows what the node has, and nothing that it has not."""

import contextlib
import xml.etree.ElementTree as ElementTree

import pytest
from places import CONFIG

OPTIONAL = {'/clock', '/image/compressed', '/depth/image', '/face_attributes/detections',
            '/face_attributes/label_info', '/tf', '/humans/faces/tracked', '/humans/faces/*'}
"""Only with use_sim_time, image_transport compressed, depth.enable, detections.enable, tf.enable
and rep155.enable."""


def allowed(kind, right):
    profile = ElementTree.parse(CONFIG / 'sros2_policy.xml').find('.//profile')
    node = f'{profile.get("ns").rstrip("/")}/{profile.get("node")}'
    return {
        item.text.replace('~', node) if item.text.startswith('~') else f'/{item.text}'
        for group in profile.findall(f'{kind}s') if group.get(right) == 'ALLOW'
        for item in group.findall(kind)
    }


@pytest.mark.parametrize('kind, right, ask', [
    ('topic', 'publish', 'get_publisher_names_and_types_by_node'),
    ('topic', 'subscribe', 'get_subscriber_names_and_types_by_node'),
    ('service', 'reply', 'get_service_names_and_types_by_node'),
])
def test_the_policy_is_what_the_node_does(bench, start, kind, right, ask):
    node, _ = start(process_without_subscribers=True)
    wanted = allowed(kind, right) - OPTIONAL
    found = set()

    def seen():  # the graph comes by and by
        found.update(name for name, _ in getattr(node, ask)(node.get_name(),
                                                            node.get_namespace()))
        return found >= wanted

    with contextlib.suppress(AssertionError):
        bench.spin_until(seen, 10)
    assert found - OPTIONAL == wanted
