# SPDX-License-Identifier: Apache-2.0
"""A video to tracks over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from face_attributes_ros.build import build_pipeline
from face_attributes_ros.faces import Track
from face_attributes_ros.pictures.video import VideoFrame
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.settings import Settings


class Seen(NamedTuple):
    """A frame and the tracks in it."""

    frame: VideoFrame
    tracks: list[Track]


@dataclass(frozen=True)
class Watcher:
    """Watches videos, one after the other, with one pipeline. Every frame is looked at, tracked
    and smoothed over as the node does it with images of that rate; ids start at f1 in each
    video."""

    pipeline: Pipeline

    @classmethod
    def of(cls, settings: Settings) -> Watcher:
        """One with the networks that the settings name."""
        return cls(build_pipeline(settings))

    def watch(self, frames: Iterable[VideoFrame]) -> Iterator[Seen]:
        """Each frame with its tracks, as soon as it has been looked at."""
        self.pipeline.reset()
        ids: dict[str, str] = {}
        for frame in frames:
            found = self.pipeline.process({'': (frame.bgr, frame.time_s)})['']
            yield Seen(frame, [_renamed(track, ids) for track in found])


def _renamed(track: Track, ids: dict[str, str]) -> Track:
    # A tracker goes on counting for as long as it lives, so that no id comes twice on a robot.
    return replace(track, track_id=ids.setdefault(track.track_id, f'f{len(ids) + 1}'))
