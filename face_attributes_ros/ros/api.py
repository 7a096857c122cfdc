# SPDX-License-Identifier: Apache-2.0
"""The README's tables of topics, services and parameters, made from the code; `tools/tables.py`
puts them in place."""

from __future__ import annotations

from face_attributes_ros.options import markdown
from face_attributes_ros.ros.companions import dashboard, image_source, recorder
from face_attributes_ros.ros.outputs.publishers import TOPICS
from face_attributes_ros.settings import Settings

SERVICES = {
    '~/enable': (
        'std_srvs/SetBool',
        'Stops the work, subscriptions and all, or takes it up again; the networks stay loaded.'),
    '~/reset_tracks': ('std_srvs/Trigger', 'Forgets all tracks; ids go on counting.'),
}
INPUTS = {
    'image': ('sensor_msgs/Image', 'The camera, with `image_transport` raw.'),
    'image/compressed': ('sensor_msgs/CompressedImage',
                         'The camera, with `image_transport` compressed: JPEG or PNG.'),
    'camera_info': ('sensor_msgs/CameraInfo',
                    'Beside the image unless remapped; optional, for whatever is in space: '
                    'positions, poses, markers, TF.'),
    'depth/image': ('sensor_msgs/Image', 'Another name with `depth.topic`; with `depth.enable`.'),
}


def topics() -> str:
    """The table of topics, for one camera without a name."""
    rows = ['| Topic | Type | QoS | Meaning |', '|---|---|---|---|']
    rows += [f'| in `{name}` | {kind} | best effort, depth 1 | {text} |'
             for name, (kind, text) in INPUTS.items()]
    for name, topic in TOPICS.items():
        shown = name.replace('{id}', 'ID') if name.startswith('/') else f'~/{name}'
        qos = f'reliable, depth {topic.depth}' + (', latched' if topic.standing else '')
        rows.append(f'| out `{shown}` | {topic.type_name} | {qos} | {topic.meaning} |')
    rows.append(
        '| out `/diagnostics` | diagnostic_msgs/DiagnosticArray | reliable, depth 1 | Once a '
        'second: rates, latency, drops, models, device; and why, when no image comes. |')
    return '\n'.join(rows) + '\n'


def services() -> str:
    """The table of services; those of every lifecycle node come on top."""
    rows = ['| Service | Type | Meaning |', '|---|---|---|']
    rows += [f'| `{name}` | {kind} | {text} |' for name, (kind, text) in SERVICES.items()]
    return '\n'.join(rows) + '\n'


TABLES = {
    'ros-topics': topics,
    'ros-services': services,
    'ros-parameters': lambda: markdown(Settings),
    'ros-image-source': lambda: markdown(image_source.SourceSettings),
    'ros-recorder': lambda: markdown(recorder.RecorderSettings),
    'ros-dashboard': lambda: markdown(dashboard.DashboardSettings),
}
