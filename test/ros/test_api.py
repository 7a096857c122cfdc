# SPDX-License-Identifier: Apache-2.0
"""The README's tables name what the running node has."""

from face_attributes_ros.ros import api


def test_tables_name_what_the_node_has(start):
    node, _ = start(process_without_subscribers=True)
    name = node.get_name()
    outputs = {topic.topic_name.replace(f'/{name}/', '~/') for topic in node.publishers}
    inputs = {topic.topic_name.removeprefix('/') for topic in node.subscriptions}
    services = {service.service_name.replace(f'/{name}/', '~/') for service in node.services}
    for row in api.topics().splitlines()[2:]:
        direction, topic = row.split('`')[0].strip('| '), row.split('`')[1]
        if topic != 'image/compressed':
            assert topic in (inputs if direction == 'in' else outputs)
    assert {f'~/{topic}' for topic in api.TOPICS
            } == {topic for topic in outputs if topic.startswith('~/')} - {'~/transition_event'}
    assert set(api.SERVICES) == {service for service in services if service in api.SERVICES}
