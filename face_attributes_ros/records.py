# SPDX-License-Identifier: Apache-2.0
"""A track as plain numbers and strings, for JSON and tables."""

from __future__ import annotations

from typing import Any

from face_attributes_ros.faces import Attributes, Track
from face_attributes_ros.head import rounded
from face_attributes_ros.heads import HEADS


def to_json(track: Track) -> dict[str, Any]:
    """One face as plain numbers and strings; what the model does not have is None. Angles are
    radians, boxes pixels."""
    seen = track.attributes or Attributes()
    out = {'box_xyxy': rounded(track.face.box_xyxy, 2), 'score': rounded(track.face.score)}
    for head in HEADS.values():
        out.update({key: value(seen) for key, value in head.json.items()})
    return out


def over_time(track: Track) -> dict[str, Any]:
    """The same with what a track has besides: id, state, seconds since it was first seen, frames
    it was seen in."""
    return {'track_id': track.track_id, 'state': track.state, 'track_age_s': rounded(track.age_s),
            'observations': track.observations, **to_json(track)}


def to_row(track: Track) -> dict[str, Any]:
    """The same flat, for a table: corners x0 to y1, one column an expression (p_happy), no
    landmarks; what there is not is None."""
    row = over_time(track)
    corners = dict(zip(('x0', 'y0', 'x1', 'y1'), row.pop('box_xyxy')))
    row.pop('landmarks_xy')
    probs = row.pop('expression_probs') or {}
    return {**row, **corners, **{f'p_{name}': prob for name, prob in probs.items()}}
