# SPDX-License-Identifier: Apache-2.0
"""Messages that the node published and `recorder` wrote, made messages again."""

import json
import math
from pathlib import Path

import face_attributes_ros.msg
import geometry_msgs.msg
from face_attributes_ros.msg import FaceAttributesArray

FILE = Path(__file__).parent / 'examples' / 'messages.jsonl'


def fill(message, values):
    """The message with the values of a dictionary of `messages.to_dict` in its fields."""
    kinds = message.get_fields_and_field_types()
    for name, value in values.items():
        if name in kinds:
            setattr(message, name, _value(getattr(message, name), kinds[name], value))
    return message


def _value(old, kind, value):
    if isinstance(value, dict):
        return fill(old, value)
    if isinstance(value, list) and '/' in kind:
        package, _, name = kind.removeprefix('sequence<').removesuffix('>').partition('/')
        home = {'face_attributes_ros': face_attributes_ros.msg,
                'geometry_msgs': geometry_msgs.msg}[package]
        return [fill(getattr(home, name)(), each) for each in value]
    return math.nan if value is None else value


def messages():
    """The recorded messages, in order."""
    return [fill(FaceAttributesArray(), json.loads(line))
            for line in FILE.read_text().splitlines()]
