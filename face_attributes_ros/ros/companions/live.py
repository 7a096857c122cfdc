# SPDX-License-Identifier: Apache-2.0
"""What the dashboard's page is told, as JSON: pure conversions of messages and options."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import ParameterValue
from rclpy.parameter import parameter_value_to_python

from face_attributes_ros import captions
from face_attributes_ros.drawing import colour_bgr
from face_attributes_ros.faces import EXPRESSIONS, Attributes, Track
from face_attributes_ros.heads import HEADS
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.options import Option, options
from face_attributes_ros.ros.messages import seconds, to_dict, to_track
from face_attributes_ros.settings import Settings

_LARGE = ('landmarks_xy',)
"""What the page does not show, and would be most of the bytes."""
_LEVELS = {DiagnosticStatus.OK: 'ok', DiagnosticStatus.WARN: 'warn',
           DiagnosticStatus.ERROR: 'error', DiagnosticStatus.STALE: 'stale'}

LIVE = tuple(option for option in options(Settings) if option.live)
"""The parameters that the page can move."""


class Rate:
    """How often something came in the last seconds, as Hz."""

    def __init__(self, window_s: float = 3.) -> None:
        self._window_s, self._times_s = window_s, deque[float]()

    def tick(self, now_s: float | None = None) -> float:
        """Counts one more; the rate with it, 0 for the first."""
        now = time.monotonic() if now_s is None else now_s
        times = self._times_s
        times.append(now)
        while times[0] < now - self._window_s:
            times.popleft()
        return (len(times) - 1) / (now - times[0]) if now > times[0] else 0.


def faces(msg: FaceAttributesArray, rate_hz: float) -> dict[str, Any]:
    """One image's faces, and how the node keeps up."""
    plain = to_dict(msg)
    names = ('image_width', 'image_height', 'latency_ms', 'inference_ms', 'dropped_frames',
             'model_id')
    return {'kind': 'faces', 'stamp_s': seconds(msg.header.stamp), 'rate_hz': round(rate_hz, 2),
            **{name: plain[name] for name in names}, 'expressions': EXPRESSIONS,
            'tracks': [_track(to_track(face)) for face in plain['faces']]}


def _track(track: Track) -> dict[str, Any]:
    blue, green, red = colour_bgr(track)
    seen = track.attributes or Attributes()
    values = {key: value(seen) for head in HEADS.values() for key, value in head.json.items()
              if key not in _LARGE}
    label = [[{'text': words.text, 'sure': words.sure, 'bar': words.bar} for words in row]
             for row in captions.rows(track)]
    unsure = [name for name, head in HEADS.items()
              if head.caption and head.said(seen) and not head.caption.sure(seen)]
    return {'id': track.track_id, 'state': track.state, 'seen_for_s': round(track.age_s, 1),
            'colour': f'#{red:02x}{green:02x}{blue:02x}', 'score': round(track.face.score, 3),
            'label': label, 'unsure': unsure, **values}


def diagnostics(msg: DiagnosticArray, node: str) -> dict[str, Any] | None:
    """What a node, by its full name, says of itself and its cameras; None where it says
    nothing."""
    rows = [{'name': status.name, 'level': _LEVELS.get(status.level, 'error'),
             'message': status.message, 'values': {one.key: one.value for one in status.values}}
            for status in msg.status
            if status.name == node or status.name.startswith(f'{node}: ')]
    return {'kind': 'diagnostics', 'statuses': rows} if rows else None


def described() -> list[dict[str, Any]]:
    """The parameters that can be moved: what a control has to know of each."""
    return [{'name': option.name, 'meaning': option.meaning, 'unit': option.unit,
             'type': option.type_name, 'default': option.default, 'low': option.low,
             'high': option.high, 'choices': option.choices} for option in LIVE]


def values(pairs: Iterable[tuple[str, ParameterValue]]) -> dict[str, Any]:
    """Those of `LIVE` among parameters, by name."""
    known = {option.name for option in LIVE}
    found: dict[str, Any] = {name: parameter_value_to_python(value) for name, value in pairs
                             if name in known}
    return {'kind': 'parameters', 'values': {
        name: list(value) if hasattr(value, 'tolist') else value for name, value in found.items()
        if value is not None}}


def checked(order: Mapping[str, Any]) -> tuple[Option, Any]:
    """The option and the value that the page asks for, {'name': ..., 'value': ...}; ParameterError
    says what is wrong with the value, KeyError that there is no such parameter to move."""
    option = {option.name: option for option in LIVE}[order['name']]
    return option, option.check(order['value'])
