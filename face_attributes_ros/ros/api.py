# SPDX-License-Identifier: Apache-2.0
"""The tables of the README, made from the code: topics, services, parameters, message fields.

    python -m face_attributes_ros.ros.api README.md      # rewrites what stands between the markers of each table
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from face_attributes_ros import params
from face_attributes_ros.errors import DataError
from face_attributes_ros.ros import image_source, recorder
from face_attributes_ros.ros.outputs import TOPICS

SERVICES = {
    '~/enable': ('std_srvs/SetBool', 'Stops the work, subscriptions and all, or takes it up again; the networks stay loaded.'),
    '~/reset_tracks': ('std_srvs/Trigger', 'Forgets all tracks; ids go on counting.'),
}
INPUTS = {
    'image': ('sensor_msgs/Image', 'The camera, with `image_transport` raw.'),
    'image/compressed': ('sensor_msgs/CompressedImage', 'The camera, with `image_transport` compressed: JPEG or PNG.'),
    'camera_info': ('sensor_msgs/CameraInfo', 'Beside the image unless remapped; optional, for positions and markers.'),
}


def topics():
    """The table of topics, for one camera without a name."""
    rows = ['| Topic | Type | QoS | Meaning |', '|---|---|---|---|']
    rows += [f'| in `{name}` | {kind} | best effort, depth 1 | {text} |' for name, (kind, text) in INPUTS.items()]
    for name, (kind, depth, text) in TOPICS.items():
        package = kind.__module__.split('.')[0]
        rows.append(f'| out `~/{name}` | {package}/{kind.__name__} | reliable, depth {depth} | {text} |')
    rows.append('| out `/diagnostics` | diagnostic_msgs/DiagnosticArray | reliable, depth 1 | Once a second: rates, latency, '
                'drops, models, device; and why, when no image comes. |')
    return '\n'.join(rows) + '\n'


def services():
    """The table of services; those of every lifecycle node come on top."""
    rows = ['| Service | Type | Meaning |', '|---|---|---|']
    return '\n'.join(rows + [f'| `{name}` | {kind} | {text} |' for name, (kind, text) in SERVICES.items()]) + '\n'


TABLES = {
    'ros-topics': topics,
    'ros-services': services,
    'ros-parameters': params.markdown,
    'ros-image-source': lambda: params.markdown(image_source.PARAMETERS),
    'ros-recorder': lambda: params.markdown(recorder.PARAMETERS),
}


def rewritten(text):
    """The text with each table of TABLES between its markers `<!-- NAME -->` and `<!-- /NAME -->`; DataError if one is not
    there exactly once."""
    for name, table in TABLES.items():
        start, end = f'<!-- {name} -->\n', f'<!-- /{name} -->'
        if text.count(start) != 1 or text.count(end) != 1:
            raise DataError(f'the markers {start.strip()} and {end} must stand in the text once each')
        before, _, rest = text.partition(start)
        text = before + start + '\n' + table() + '\n' + end + rest.partition(end)[2]
    return text


def main(arguments=None):
    """Rewrites the tables of a Markdown file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('path', type=Path)
    path = parser.parse_args(arguments).path
    path.write_text(rewritten(path.read_text(encoding='utf-8')), encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
