# SPDX-License-Identifier: Apache-2.0
"""Who pays attention to the camera: by how a face is turned, how near it is, and how long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from face_attributes_ros.faces import Attributes, Track
from face_attributes_ros.settings import Settings

UNKNOWN, DISENGAGED, ENGAGING, ENGAGED, DISENGAGING = range(5)
"""Levels, numbered as in hri_msgs/EngagementLevel."""

ENGAGED_FROM, DISENGAGED_TO = .7, .3
"""`facing` from which a face is engaged and to which it is disengaged; between them, a face is on
its way from the one that it was last."""


@dataclass(frozen=True)
class Attention:
    """How much a face was turned to the camera and near it just now, 0 to 1, and its level."""

    facing: float
    level: int


def attention(seen: Attributes, distance_m: float | None, settings: Settings) -> float | None:
    """How much one look at a face is one at the camera: 1 up to half of `engagement.max_angle` and
    half of `engagement.max_distance`, falling to 0 at the whole of either. None without a head
    pose.

    The network sees a crop, so its angles are those against the line to the camera. A face whose
    distance is not known is taken to be near.
    """
    if seen.yaw_rad is None or seen.pitch_rad is None:
        return None
    cosine = math.cos(seen.yaw_rad) * math.cos(seen.pitch_rad)
    turned = _share(math.degrees(math.acos(max(-1., min(1., cosine)))),
                    settings.engagement_max_angle)
    return turned if distance_m is None else turned * _share(
        distance_m, settings.engagement_max_distance)


def _share(value: float, limit: float) -> float:
    return max(0., min(1., 2 * (1 - value / limit)))


def level(facing: float, before: int) -> int:
    """The level that follows from `facing` and the level before."""
    if facing >= ENGAGED_FROM:
        return ENGAGED
    if facing <= DISENGAGED_TO:
        return DISENGAGED
    return DISENGAGING if before in (ENGAGED, DISENGAGING) else ENGAGING


class Engagement:
    """The attention of one camera's tracks over time: an exponential mean of each look, with
    `engagement.time_constant`, that begins at 0."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Attention]] = {}

    def update(self, tracks: Sequence[tuple[Track, float | None]], stamp_s: float,
               settings: Settings) -> list[Attention | None]:
        """The attention of each track, given with its distance in metres; None for one whose pose
        was never seen. A track that this image does not show keeps what it had."""
        known = {}
        for track, distance_m in tracks:
            now = None if track.raw is None else attention(track.raw, distance_m, settings)
            before = self._known.get(track.track_id)
            if now is not None:
                known[track.track_id] = stamp_s, self._mixed(before, now, stamp_s, settings)
            elif before is not None:
                known[track.track_id] = before
        self._known = known
        return [known[track.track_id][1] if track.track_id in known else None
                for track, _ in tracks]

    @staticmethod
    def _mixed(before: tuple[float, Attention] | None, now: float, stamp_s: float,
               settings: Settings) -> Attention:
        if before is None:
            elapsed_s, last = 0., Attention(0., DISENGAGED)
        else:
            elapsed_s, last = max(0., stamp_s - before[0]), before[1]
        constant_s = settings.engagement_time_constant
        share = 1. if constant_s <= 0 else 1 - math.exp(-elapsed_s / constant_s)
        facing = last.facing + share * (now - last.facing)
        return Attention(facing, level(facing, last.level))
