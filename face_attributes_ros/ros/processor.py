# SPDX-License-Identifier: Apache-2.0
"""One batch of newest images through the pipeline and out to the topics."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from rclpy.clock import Clock
from std_msgs.msg import Header

from face_attributes_ros.engagement import Engagement
from face_attributes_ros.errors import DeviceLostError, FaceAttributesError
from face_attributes_ros.faces import Track
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros.camera import Camera, Frame
from face_attributes_ros.ros.messages import faces_array, seconds
from face_attributes_ros.ros.outputs.look import Look
from face_attributes_ros.ros.outputs.publishers import Publishers
from face_attributes_ros.ros.sight import Sight
from face_attributes_ros.settings import Settings

MOST_FAILURES = 3
"""So many failures in a row are no accident any more."""


class Frames(Protocol):
    """What a processor needs of a pipeline."""

    description: Mapping[str, Any]
    stage_ms: dict[str, float]

    def update(self, settings: Settings) -> None:
        """Takes new settings."""
        ...

    def process(self, frames: Mapping[str, Any]) -> dict[str, list[Track]]:
        """Tracks by camera."""
        ...


class Processor:
    """Reads its cameras' messages, runs the pipeline once for all, publishes by camera.

    What fails, in the networks or on the way out, is logged and its images are counted as
    `failed`; the MOST_FAILURES-th failure in a row is raised, and the first one where the device
    is gone. Ids of tracks get `prefix` before they leave.
    """

    def __init__(self, cameras: Mapping[str, Camera], publishers: Mapping[str, Publishers],
                 pipeline: Frames, dropped: Callable[[str], int], clock: Clock,
                 logger: Any, prefix: str = ''):
        self.cameras, self.publishers, self.pipeline = cameras, publishers, pipeline
        self._dropped, self._clock, self._logger = dropped, clock, logger
        about = pipeline.description
        self.model_id = '+'.join(filter(None, map(about.get, ('detector', 'attributes'))))
        self._prefix = prefix
        self._engagement = {name: Engagement() for name in cameras}
        self._told = {name: dropped(name) for name in cameras}
        self._last: dict[str, tuple[Header, tuple[int, int]]] = {}
        self._settings: Settings | None = None
        self._failures = 0

    def process(self, batch: Mapping[str, Any], settings: Settings) -> None:
        """Reads, looks at and publishes messages by camera; does nothing for cameras that nobody
        listens to."""
        begun, broken = time.perf_counter(), dict[str, Exception]()
        frames = self._read(batch, settings, broken)
        if frames:
            self._look(frames, settings, begun, broken)
        if broken:
            self._note_failure(next(iter(broken.values())), broken)
        elif frames:
            self._failures = 0

    def attempt(self, task: Callable[[], object], names: Iterable[str]) -> None:
        """Does what these cameras need between two batches; a failure of it counts as one of an
        image."""
        try:
            task()
        except Exception as error:
            self._note_failure(error, names)

    def publish_nothing(self, names: Iterable[str]) -> None:
        """Says on every output of these cameras that no face is seen: what was seen is no longer
        so."""
        for name in names:
            header, size = self._last.get(name, (Header(), (0, 0)))
            self.publishers[name].publish_nothing(faces_array(
                header, name, size, [], latency_ms=math.nan,
                dropped_frames=self._newly_dropped(name), model_id=self.model_id))

    # What breaks for one camera costs neither the other cameras nor the next image: it is kept in
    # `broken` until the rest is done.

    def _read(self, batch: Mapping[str, Any], settings: Settings,
              broken: dict[str, Exception]) -> dict[str, Frame]:
        always, frames = settings.process_without_subscribers, {}
        for name, msg in batch.items():
            if not always and not self.publishers[name].wanted():
                continue
            try:
                frame = self.cameras[name].read(msg, settings)
            except Exception as error:
                broken[name] = error
            else:
                frames.update({} if frame is None else {name: frame})
        return frames

    def _look(self, frames: Mapping[str, Frame], settings: Settings, begun: float,
              broken: dict[str, Exception]) -> None:
        start = time.perf_counter()
        try:
            tracks = self._tracks(frames, settings)
        except Exception as error:
            broken.update(dict.fromkeys(frames, error))
            return
        looked = time.perf_counter()
        for name, frame in frames.items():
            try:
                self._publish(name, frame, tracks[name], settings, 1e3 * (looked - start))
            except Exception as error:
                broken[name] = error
        self.pipeline.stage_ms.update(decode=1e3 * (start - begun),
                                      publish=1e3 * (time.perf_counter() - looked))

    def _tracks(self, frames: Mapping[str, Frame],
                settings: Settings) -> dict[str, list[Track]]:
        if settings is not self._settings:
            self.pipeline.update(settings)
            self._settings = settings
        tracks = self.pipeline.process(
            {name: (frame.bgr, self._stamp_s(frame)) for name, frame in frames.items()})
        return {name: self._named(some) for name, some in tracks.items()}

    def _named(self, tracks: list[Track]) -> list[Track]:
        if not self._prefix:
            return tracks
        return [replace(track, track_id=self._prefix + track.track_id) for track in tracks]

    def _note_failure(self, error: Exception, names: Iterable[str]) -> None:
        self._failures += 1
        for name in names:
            self.cameras[name].counts['failed'] += 1
        if self._failures >= MOST_FAILURES or isinstance(error, DeviceLostError):
            raise error
        ours = isinstance(error, FaceAttributesError)
        words = str(error) if ours else ''.join(traceback.format_exception(error))
        self._logger.error(words, throttle_duration_sec=2.)

    def _stamp_s(self, frame: Frame) -> float:
        # Without a stamp, the time of processing has to do for the tracker.
        return seconds(frame.header.stamp) or self._clock.now().nanoseconds * 1e-9

    def _publish(self, name: str, frame: Frame, tracks: list[Track], settings: Settings,
                 inference_ms: float) -> None:
        camera = self.cameras[name]
        latency_ms = 1e3 * camera.age_s(frame.header)
        camera.counts['processed'] += 1
        if math.isfinite(latency_ms):
            camera.latencies_ms.append(latency_ms)
        self._last[name] = frame.header, frame.size
        dropped = self._newly_dropped(name)

        sight = Sight(tracks, frame.size, self._stamp_s(frame), settings, camera.calibration,
                      camera.depth, self._engagement[name])

        def message() -> FaceAttributesArray:
            return faces_array(frame.header, name, frame.size, tracks, positions=sight.positions,
                               attention=sight.attention, latency_ms=latency_ms,
                               inference_ms=inference_ms, dropped_frames=dropped,
                               model_id=self.model_id)

        self.publishers[name].publish(Look(frame, tracks, settings, sight, message))

    def _newly_dropped(self, name: str) -> int:
        total = self._dropped(name)
        new, self._told[name] = total - self._told[name], total
        return new
