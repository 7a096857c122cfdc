# SPDX-License-Identifier: Apache-2.0
"""The README's tables are those of the code, and the code's are those of the running node."""

from pathlib import Path

import pytest

from face_attributes_ros.errors import DataError
from face_attributes_ros.ros import api

README = Path(__file__).parent.parent.parent / 'README.md'


def test_readme_is_up_to_date():
    text = README.read_text(encoding='utf-8')
    assert text == api.rewritten(text), 'run: make docs'


def test_missing_markers_are_named():
    with pytest.raises(DataError, match='ros-topics'):
        api.rewritten('no markers')


def test_tables_name_what_the_node_has(start):
    node, _ = start()
    name = node.get_name()
    outputs = {topic.topic_name.replace(f'/{name}/', '~/') for topic in node.publishers}
    inputs = {topic.topic_name.removeprefix('/') for topic in node.subscriptions}
    services = {service.service_name.replace(f'/{name}/', '~/') for service in node.services}
    for row in api.topics().splitlines()[2:]:
        direction, topic = row.split('`')[0].strip('| '), row.split('`')[1]
        if topic != 'image/compressed':
            assert topic in (inputs if direction == 'in' else outputs)
    assert {f'~/{topic}' for topic in api.TOPICS} == {topic for topic in outputs if topic.startswith('~/')} - {'~/transition_event'}
    assert set(api.SERVICES) == {service for service in services if service in api.SERVICES}
