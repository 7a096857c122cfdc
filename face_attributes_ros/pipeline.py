# SPDX-License-Identifier: Apache-2.0
"""Detector, estimator and trackers as one object: frames in, tracks out. It is all that the node
holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.faces import Attributes, Face, Track
from face_attributes_ros.heads import HEADS
from face_attributes_ros.settings import FIXED_FIELDS, Settings
from face_attributes_ros.smoothing import quality_weight
from face_attributes_ros.stopwatch import Stopwatch
from face_attributes_ros.tracker import FaceTrack, Tracker
from face_attributes_ros.turning import as_it_came, upright

CAMERA_SIZES = (640, 480), (1280, 720), (1280, 800), (1280, 1024)
"""Width and height of one camera of each usual aspect: every other size of that aspect has the
same canvas."""

Images = Sequence[np.ndarray]


class Detector(Protocol):
    """What finds faces."""

    watch: Stopwatch

    @property
    def own(self) -> Mapping[str, float]:
        """The model's values for settings that are 0."""
        ...

    def detect(self, images_bgr: Images, settings: Settings, *,
               looks_follow: bool = True) -> list[list[Face]]:
        """The faces of each image."""
        ...


class Estimator(Protocol):
    """What reads attributes off faces."""

    watch: Stopwatch
    size_px: int

    @property
    def own(self) -> Mapping[str, float]:
        """The model's values for settings that are 0."""
        ...

    def estimate(self, images_bgr: Images, faces: Sequence[Sequence[Face]],
                 settings: Settings) -> list[list[Attributes]]:
        """Attributes of each face of each image."""
        ...

    def crops(self, images_bgr: Images, settings: Settings) -> list[Attributes]:
        """Attributes of pictures that are one face crop each."""
        ...


class Pipeline:
    """Frames of any number of cameras to tracks; one detector and one estimator serve them all.

    `stage_ms` holds the last call's milliseconds by stage (`detect` and `attributes` are the
    networks alone); `description` says which models run where. Not thread-safe: one worker calls
    it.
    """

    def __init__(self, detector: Detector, estimator: Estimator | None = None,
                 settings: Settings | None = None,
                 description: Mapping[str, Any] | None = None):
        self.detector, self.estimator = detector, estimator
        self.description = dict(description or {})
        self.stage_ms: dict[str, float] = {}
        self.watch = Stopwatch()
        self._own = {**detector.own, **(estimator.own if estimator else {})}
        self._trackers: dict[str, Tracker] = {}
        self._given = settings or Settings()
        self.settings = self._given.filled(self._own)

    def update(self, settings: Settings) -> None:
        """Takes new settings; ParameterError if one differs that only a new pipeline can take."""
        changed = [name for name in FIXED_FIELDS
                   if getattr(settings, name) != getattr(self._given, name)]
        if changed:
            raise ParameterError(f'{", ".join(changed)} can only be set before the start')
        for camera, tracker in self._trackers.items():
            if settings.turn_deg(camera) != self.settings.turn_deg(camera):
                tracker.reset()
        self._given, self.settings = settings, settings.filled(self._own)

    def process(self, frames: Mapping[str, tuple[np.ndarray, float]]) -> dict[str, list[Track]]:
        """Tracks by camera, for one newest frame (H, W, 3) uint8 BGR and its stamp in seconds by
        camera."""
        settings = self.settings
        self._restart()
        turns = {camera: settings.turn_deg(camera) for camera in frames}
        images = [upright(image, turns[camera]) for camera, (image, _) in frames.items()]
        faces = self.detector.detect(images, settings, looks_follow=self._looks_follow(settings))
        with self.watch('track'):
            live = [
                self._tracker(camera).update(some, stamp_s, settings, image.shape[1::-1])
                for (camera, (_, stamp_s)), some, image in zip(frames.items(), faces, images)
            ]
        self._look(images, live, settings)
        with self.watch('track'):
            tracks = {camera: _found(some, settings, turns[camera], frames[camera][0].shape[1::-1])
                      for camera, some in zip(frames, live)}
        self._add_up()
        return tracks

    def crop(self, image_bgr: np.ndarray) -> Attributes:
        """Attributes of a picture that is one face crop; ParameterError without a network for
        them."""
        if self.estimator is None:
            raise ParameterError('crops need an attribute model, attributes.model is empty')
        found, = self.estimator.crops([image_bgr], self.settings)
        return found

    def warm_up(self, image_sizes: Sequence[tuple[int, int]] = CAMERA_SIZES,
                face_counts: Sequence[int] = (1, 2, 3, 4)) -> None:
        """Runs the networks once for each width and height and number of faces, so that no early
        frame is a slow one."""
        for width, height in image_sizes:
            self.detector.detect([np.zeros((height, width, 3), np.uint8)], self.settings)
        if self.estimator is not None:
            empty = np.zeros((self.estimator.size_px, self.estimator.size_px, 3), np.uint8)
            for count in face_counts:
                self.estimator.crops([empty] * count, self.settings)

    def reset(self, camera: str | None = None) -> None:
        """Forgets the tracks of one camera, or of all."""
        for name, tracker in self._trackers.items():
            if camera in (None, name):
                tracker.reset()

    def note(self, key: str, words: str) -> None:
        """Puts what was found out while it works into the description."""
        self.description = {**self.description, key: words}

    def close(self) -> None:
        """Lets go of networks and tracks; nothing else may be asked of it afterwards."""
        del self.detector, self.estimator
        self._trackers.clear()

    def _tracker(self, camera: str) -> Tracker:
        if camera not in self._trackers:
            self._trackers[camera] = Tracker(prefix=f'{camera}_f' if camera else 'f')
        return self._trackers[camera]

    def _restart(self) -> None:
        for watch in self._watches():
            watch.restart()

    def _add_up(self) -> None:
        self.stage_ms = {}
        for watch in self._watches():
            for stage, ms in watch.ms.items():
                self.stage_ms[stage] = self.stage_ms.get(stage, 0.) + ms

    def _watches(self) -> list[Stopwatch]:
        looks = [self.estimator.watch] if self.estimator is not None else []
        return [self.watch, self.detector.watch, *looks]

    def _look(self, images: Images, live: Sequence[Sequence[FaceTrack]],
              settings: Settings) -> None:
        if self.estimator is None or not settings.attributes_enable:
            return
        due = [[track for track in tracks if track.seen and _due(track, settings)]
               for tracks in live]
        faces = [[track.face for track in tracks] for tracks in due]
        found = self.estimator.estimate(images, faces, settings)
        with self.watch('records'):
            for tracks, looks in zip(due, found):
                for track, attributes in zip(tracks, looks):
                    quality = 1. if attributes.quality is None else attributes.quality
                    if quality >= settings.attributes_min_quality:
                        track.look(attributes, quality_weight(track.face, attributes), settings)

    def _looks_follow(self, settings: Settings) -> bool:
        # Whether the next frame's faces will be looked at, as far as the tracks tell; a new face
        # always is.
        if self.estimator is None or not settings.attributes_enable:
            return False
        tracks = [track for tracker in self._trackers.values() for track in tracker.tracks]
        return not tracks or any(_due(track, settings, frames_on=1) for track in tracks)


def _found(live: Sequence[FaceTrack], settings: Settings, turn_deg: int,
           size: tuple[int, int]) -> list[Track]:
    found = (as_it_came(track.snapshot(), turn_deg, size) for track in live)
    return list(shown(found, settings))


def _due(track: FaceTrack, settings: Settings, frames_on: int = 0) -> bool:
    every = settings.attributes_every_n_frames
    return track.looks == 0 or (track.observations + frames_on) % every == 0


def shown(tracks: Iterable[Track], settings: Settings) -> Iterable[Track]:
    """The tracks without what the settings switch off."""
    hidden: dict[str, Any] = {name: None for head in HEADS.values()
                              if head.switch and not getattr(settings, head.switch)
                              for name in head.fields}
    return [_without(track, hidden) for track in tracks] if hidden else tracks


def _without(track: Track, hidden: dict[str, Any]) -> Track:
    return replace(track, attributes=track.attributes and replace(track.attributes, **hidden),
                   raw=track.raw and replace(track.raw, **hidden))
