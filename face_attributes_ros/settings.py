# SPDX-License-Identifier: Apache-2.0
"""Every parameter of the node once: type, default, range, unit, meaning, and whether it can change
while the node runs.

The ROS declarations, config/face_attributes.yaml and the table in the README all come from here:

    python -m face_attributes_ros.settings --yaml > config/face_attributes.yaml
    python -m face_attributes_ros.settings --markdown
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from face_attributes_ros.errors import ParameterError


@dataclass(frozen=True)
class Parameter:
    """One parameter; its type is that of `default`. `low` and `high` bound numbers, `choices`
    strings; `live` ones may be set while the node runs, the others are read once at the start."""

    name: str
    default: Any
    meaning: str
    unit: str = ''
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    def check(self, value):
        """The value, an int made a float where a float is needed; ParameterError unless its type
        and range are right."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if kind is list:
            value = list(value) if isinstance(value, (list, tuple)) else value
        if type(value) is not kind or (kind is list
                                       and not all(isinstance(item, str) for item in value)):
            raise ParameterError(f'parameter {self.name} is {value!r}, needs a {self.type_name}')
        if self.low is not None and not (self.low <= value <= self.high):
            raise ParameterError(f'parameter {self.name} is {value}, needs {self.range_text}')
        if self.choices and value not in self.choices:
            raise ParameterError(
                f'parameter {self.name} is {value!r}, needs one of {", ".join(self.choices)}')
        return value

    @property
    def type_name(self):
        """The type in words."""
        return {
            bool: 'boolean', int: 'whole number', float: 'number', str: 'string',
            list: 'string array'
        }[type(self.default)]

    @property
    def range_text(self):
        """What is allowed, in words; empty when anything of the type is."""
        if self.choices:
            return ', '.join(self.choices)
        return '' if self.low is None else f'{self.low:g} to {self.high:g}'


def _fixed(name, default, meaning, unit='', **limits):
    return Parameter(name, default, meaning, unit, **limits)


def _live(name, default, meaning, unit='', **limits):
    return Parameter(name, default, meaning, unit, live=True, **limits)


_UNIT = {'low': 0., 'high': 1.}
_BACKENDS = ('auto', 'onnxruntime', 'openvino', 'tensorrt', 'torch')

PARAMETERS = (
    _fixed('autostart', True,
           'Configure and activate at the start; without it, lifecycle transitions do.'),
    _fixed(
        'cameras', [''],
        "Names of the inputs. '' is the one topic `image`; 'front' is `front/image` with outputs "
        '`~/front/...`. All cameras share one model and one batch.'),
    _fixed('image_transport', 'raw', 'What to subscribe to: `image`, or `image/compressed`.',
           choices=('raw', 'compressed')),
    _live(
        'max_frame_age', .5,
        "Images older than this by the node's clock are dropped; 0 takes all. Images without a stamp "
        'are always taken.', 's', low=0., high=3600.),
    _live('max_rate_hz', 0.,
          'Process at most this many images a second, by the wall clock; 0 is no limit.', 'Hz',
          low=0., high=1000.),
    _live('process_without_subscribers', False,
          'Process images also when nobody listens to any output.'),
    _fixed(
        'device', 'auto',
        'Where the networks run: auto, cpu or cuda:N. auto says in the log what it took; a device that '
        'is not there is an error.'),
    _fixed(
        'precision', 'auto',
        'Arithmetic of the networks. auto is bf16 on OpenVINO where the CPU has it, int8 on other x86 '
        'CPUs for models with an int8 file, fp16 on a GPU with torch or tensorrt, else fp32; the log and the diagnostics '
        'say which.', choices=('auto', 'fp32', 'fp16', 'bf16', 'int8')),
    _fixed('threads', 0, 'CPU threads of each network; 0 lets the runtime choose.', low=0,
           high=256),
    _fixed(
        'detector.model', 'detector_tiny',
        'A detector in models/manifest.toml, PATH/manifest.toml:NAME, or a YOLO file '
        '(.pt, .safetensors) for the backend ultralytics.'),
    _fixed('detector.backend', 'auto',
           'Runtime of the detector; torch and ultralytics need PyTorch and ultralytics.',
           choices=(*_BACKENDS, 'ultralytics')),
    _fixed('detector.imgsz', 0,
           "Longest side of what the detector sees, a multiple of 32; 0 takes the manifest's.",
           'px', low=0, high=2048),
    _fixed('detector.square', False,
           "Pad to a square of imgsz, the paper's 448x448, instead of following the aspect."),
    _live('detector.confidence', 0.,
          'Least score of a face; 0 takes the threshold of the manifest.', **_UNIT),
    _live('detector.iou', .45, 'Overlap above which the weaker of two boxes is dropped.', **_UNIT),
    _live('detector.max_faces', 100, 'Most faces an image.', low=1, high=1000),
    _live('detector.min_face_px', 12, 'Least longer side of a face.', 'px', low=0, high=10000),
    _live('attributes.enable', True, 'Estimate attributes; without it only boxes and tracks.'),
    _fixed(
        'attributes.model', 'attributes_m',
        'An attribute network in models/manifest.toml or PATH/manifest.toml:NAME, or '
        "one of the paper's systems with your weights (docs/paper.md); empty loads none."),
    _fixed('attributes.backend', 'auto',
           'Runtime of the attribute network; with torch for both on a GPU, frames stay there.',
           choices=_BACKENDS),
    _fixed('attributes.batch_max', 16, 'Most faces in one call of the network.', low=1, high=256),
    _live('attributes.every_n_frames', 1, 'Look at each track every n-th image only.', 'images',
          low=1, high=1000),
    _live('attributes.min_quality', 0., 'Looks of lower quality do not count.', **_UNIT),
    _fixed(
        'attributes.aligned', False,
        "The paper's second pass over the upright face and its mirror image: three times the "
        'work.'),
    _live('attributes.enable_age', True, 'Publish age.'),
    _live('attributes.enable_gender', True, 'Publish gender.'),
    _live('attributes.enable_expression', True, 'Publish expression and smile.'),
    _live('attributes.enable_pose', True, 'Publish head pose.'),
    _live('attributes.enable_landmarks', True, 'Publish landmarks.'),
    _live('tracking.max_coast', .5, 'A face unseen for longer is forgotten.', 's', low=0.,
          high=60.),
    _live('tracking.confirm_hits', 3,
          'Images that must show a face before its track is confirmed.', 'images', low=1,
          high=100),
    _live('tracking.iou', .3,
          'Least overlap with the predicted box for a face to continue a track.', **_UNIT),
    _live('smoothing.enable', True,
          'Average attributes over the life of a track (tracks that start from now on).'),
    _live('smoothing.time_constant', .4, 'Time constant of the mean of expression and smile.', 's',
          low=0., high=60.),
    _live('smoothing.expression_hysteresis', .1,
          'Lead in probability that a new expression needs.', **_UNIT),
    _live('position.face_width', .15,
          'Width of a face, for its distance from camera_info; 0 publishes no positions.', 'm',
          low=0., high=1.),
    _live('annotated.max_rate_hz', 15., 'Most annotated images a second; 0 is no limit.', 'Hz',
          low=0., high=1000.),
    _live('annotated.jpeg_quality', 80, 'JPEG quality of the compressed annotated image.', low=1,
          high=100),
    _live('annotated.show_labels', True, 'Draw ids and attributes.'),
    _live('annotated.show_landmarks', True, 'Draw landmarks.'),
    _live('annotated.show_pose', True, 'Draw the facing direction.'),
    _live('privacy.blur_annotated', False, 'Pixelate faces in the annotated image.'),
    _live('diagnostics.no_image_after', 2., 'Warn when no image came for this long.', 's', low=.1,
          high=3600.),
)
"""In the order of the documentation."""

BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
_PIPELINE_GROUPS = ('detector', 'attributes', 'tracking', 'smoothing', 'device', 'precision',
                    'threads')


def defaults():
    """The default of each parameter, by name."""
    return {parameter.name: parameter.default for parameter in PARAMETERS}


def check(values: Mapping[str, Any]):
    """All values by name, defaults filled in; ParameterError names the parameter that is unknown
    or wrong."""
    unknown = [name for name in values if name not in BY_NAME]
    if unknown:
        raise ParameterError(f'unknown parameter {", ".join(unknown)}')
    checked = {
        **defaults(), **{name: BY_NAME[name].check(value) for name, value in values.items()}
    }
    if checked['detector.imgsz'] % 32:
        raise ParameterError(
            f'parameter detector.imgsz is {checked["detector.imgsz"]}, needs a multiple of 32')
    _check_cameras(checked['cameras'])
    _check_device(checked['device'])
    return checked


def _check_cameras(cameras):
    names_ok = all(
        name.replace('_', 'a').isalnum() and name.isascii() and name[0].isalpha()
        for name in cameras
        if name)
    if not cameras or len(set(cameras)) != len(cameras) or not names_ok or ('' in cameras
                                                                            and len(cameras) > 1):
        raise ParameterError(
            f"parameter cameras is {cameras}, needs [''] or different names of letters, digits and _ that "
            'start with a letter')


def _check_device(device):
    kind, colon, index = device.partition(':')
    if device not in ('auto', 'cpu') and not (kind == 'cuda' and colon and index.isdigit()):
        raise ParameterError(f'parameter device is {device!r}, needs auto, cpu or cuda:N')


def to_settings_fields(values: Mapping[str, Any]):
    """The values that the pipeline's Settings take, by field name."""
    return {
        name.replace('.', '_'): value
        for name, value in values.items()
        if name.split('.')[0] in _PIPELINE_GROUPS
    }


def markdown(table=PARAMETERS):
    """The table of the README."""
    rows = ['| Parameter | Type | Default | Range | Live | Meaning |', '|---|---|---|---|---|---|']
    for p in table:
        unit = f' {p.unit}' if p.unit else ''
        rows.append(
            f'| `{p.name}` | {p.type_name} | `{_yaml(p.default)}`{unit} | {p.range_text} | '
            f'{"yes" if p.live else ""} | {p.meaning} |')
    return '\n'.join(rows) + '\n'


def yaml():
    """config/face_attributes.yaml: every parameter with its default and a comment."""
    lines = [
        '# SPDX-License-Identifier: Apache-2.0',
        '# Every parameter of the node face_attributes with its default. Those marked "live" can be set while it runs.',
        '# Made by: python -m face_attributes_ros.settings --yaml', '/**:', '  ros__parameters:'
    ]
    group = ''
    for p in PARAMETERS:
        head, _, tail = p.name.rpartition('.')
        if head != group:
            lines.append(f'    {head}:')
            group = head
        indent = ' ' * (6 if head else 4)
        notes = ', '.join(filter(None, (p.unit, p.range_text, 'live' if p.live else '')))
        lines += [
            f'{indent}# {p.meaning}' + (f' ({notes})' if notes else ''),
            f'{indent}{tail}: {_yaml(p.default)}'
        ]
    return '\n'.join(lines) + '\n'


def _yaml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return '[' + ', '.join(map(_yaml, value)) + ']'
    if isinstance(value, str):
        return f"'{value}'"
    return str(float(value)) if isinstance(value, float) and math.isfinite(value) else str(value)


def main(arguments=None):
    """Prints the YAML file or the README's table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--yaml', action='store_true', help='config/face_attributes.yaml')
    what.add_argument('--markdown', action='store_true', help="the README's table")
    sys.stdout.write(yaml() if parser.parse_args(arguments).yaml else markdown())
    return 0


if __name__ == '__main__':
    sys.exit(main())
