# SPDX-License-Identifier: Apache-2.0
"""A pipeline whose networks are asked once a frame and never again: what they said is taken down,
and played back to the trackers when a run goes on. Ids, averages and messages come out as if it
had never been broken off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from face_attributes_ros.faces import Attributes, Face
from face_attributes_ros.pipeline import Detector, Estimator, Images, Pipeline
from face_attributes_ros.settings import Settings
from face_attributes_ros.stopwatch import Stopwatch


class Tape:
    """What the networks say of the frame at hand; `playing` where it has been told before."""

    def __init__(self) -> None:
        self.playing = False
        self.found: list[list[Face]] = []
        self.looks: list[list[Attributes]] = []

    def begin(self, entry: Mapping[str, Any] | None) -> None:
        """A new frame: one that is played back, or None for one that is looked at."""
        self.playing = entry is not None
        said = entry or {'found': [], 'looks': []}
        self.found = [[Face((x0, y0, x1, y1), score) for x0, y0, x1, y1, score in faces]
                      for faces in said['found']]
        self.looks = [[_attributes(each) for each in looks] for looks in said['looks']]

    def entry(self) -> dict[str, Any]:
        """The frame as plain numbers, exactly."""
        return {'found': [[[*face.box_xyxy, face.score] for face in faces]
                          for faces in self.found],
                'looks': [[{name: value for name, value in asdict(look).items()
                            if value is not None} for look in looks] for looks in self.looks]}


def _attributes(fields: Mapping[str, Any]) -> Attributes:
    return Attributes(**{name: _tuples(value) for name, value in fields.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


class RememberedDetector:
    """A detector that is asked only what the tape does not have."""

    def __init__(self, detector: Detector, tape: Tape) -> None:
        self._detector, self._tape = detector, tape
        self.watch: Stopwatch = detector.watch

    @property
    def own(self) -> Mapping[str, float]:
        """The model's values for settings that are 0."""
        return self._detector.own

    def detect(self, images_bgr: Images, settings: Settings, *,
               looks_follow: bool = True) -> list[list[Face]]:
        """The faces of each image."""
        if not self._tape.playing:
            self._tape.found = self._detector.detect(images_bgr, settings,
                                                     looks_follow=looks_follow)
        return self._tape.found


class RememberedEstimator:
    """An estimator that is asked only what the tape does not have."""

    def __init__(self, estimator: Estimator, tape: Tape) -> None:
        self._estimator, self._tape = estimator, tape
        self.watch: Stopwatch = estimator.watch
        self.size_px = estimator.size_px

    @property
    def own(self) -> Mapping[str, float]:
        """The model's values for settings that are 0."""
        return self._estimator.own

    def estimate(self, images_bgr: Images, faces: Sequence[Sequence[Face]],
                 settings: Settings) -> list[list[Attributes]]:
        """Attributes of each face of each image."""
        if not self._tape.playing:
            self._tape.looks = self._estimator.estimate(images_bgr, faces, settings)
        return self._tape.looks

    def crops(self, images_bgr: Images, settings: Settings) -> list[Attributes]:
        """Attributes of pictures that are one face crop each; never taken down."""
        return self._estimator.crops(images_bgr, settings)


def remembered(pipeline: Pipeline, settings: Settings, tape: Tape) -> Pipeline:
    """A pipeline with the networks of another, behind a tape."""
    estimator = pipeline.estimator
    return Pipeline(RememberedDetector(pipeline.detector, tape),
                    None if estimator is None else RememberedEstimator(estimator, tape), settings,
                    pipeline.description)


def unseen(size: tuple[int, int]) -> np.ndarray:
    """An image of (width, height) that nobody looks at; it takes no memory."""
    return np.broadcast_to(np.uint8(0), (size[1], size[0], 3))
