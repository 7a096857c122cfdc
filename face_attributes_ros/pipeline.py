# SPDX-License-Identifier: Apache-2.0
"""Detector, estimator and trackers as one object: frames in, tracks out. It is all that the node
holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.errors import ModelError, ParameterError
from face_attributes_ros.estimator import AttributeEstimator
from face_attributes_ros.faces import Attributes, Track
from face_attributes_ros.paper.models import PAPER_MODELS, AttributeModel, open_paper_model
from face_attributes_ros.smoothing import AttributeSmoother, quality_weight
from face_attributes_ros.stopwatch import Stopwatch
from face_attributes_ros.tracker import Tracker


@dataclass(frozen=True)
class Settings:
    """Everything a pipeline can be told. `settings.py` gives units, ranges and meanings; the names
    are those of the ROS parameters with dots as underscores. `detector_confidence` and
    `detector_imgsz` 0 take what the model's manifest says."""

    device: str = 'auto'
    precision: str = 'auto'
    threads: int = 0
    detector_model: str = 'detector_tiny'
    detector_backend: str = 'auto'
    detector_imgsz: int = 0
    detector_square: bool = False
    detector_confidence: float = 0.
    detector_iou: float = .45
    detector_max_faces: int = 100
    detector_min_face_px: int = 12
    attributes_enable: bool = True
    attributes_model: str = 'attributes_m'
    attributes_backend: str = 'auto'
    attributes_batch_max: int = 16
    attributes_every_n_frames: int = 1
    attributes_min_quality: float = 0.
    attributes_aligned: bool = False
    attributes_enable_age: bool = True
    attributes_enable_gender: bool = True
    attributes_enable_expression: bool = True
    attributes_enable_pose: bool = True
    attributes_enable_landmarks: bool = True
    tracking_max_coast: float = .5
    tracking_confirm_hits: int = 3
    tracking_iou: float = .3
    smoothing_enable: bool = True
    smoothing_time_constant: float = .4
    smoothing_expression_hysteresis: float = .1


FIXED = frozenset(field.name
                  for field in fields(Settings)
                  if field.name in ('device', 'precision', 'threads') or field.name.endswith((
                      '_model', '_backend', '_batch_max', '_aligned', '_imgsz', '_square')))
"""Settings that only a new pipeline can change."""

_SWITCHES = {
    'attributes_enable_age': ('age_years', 'age_std_years', 'age_low', 'age_high'),
    'attributes_enable_gender': ('p_female', 'gender'),
    'attributes_enable_expression': ('expression_probs', 'expression', 'smile'),
    'attributes_enable_pose': ('yaw_rad', 'pitch_rad', 'roll_rad'),
    'attributes_enable_landmarks': ('landmarks_xy',),
}

CAMERA_SIZES = (640, 480), (1280, 720), (1280, 800), (1280, 1024)
"""Width and height of one camera of each usual aspect: every other size of that aspect has the
same canvas."""


class Pipeline:
    """Frames of any number of cameras to tracks; one detector and one estimator serve them all.

    `stage_ms` holds the last call's milliseconds by stage (`detect` and `attributes` are the
    networks alone); `description` says which models run where. Not thread-safe: one worker calls
    it.
    """

    def __init__(self, detector, estimator=None, settings=None, description=None):
        self.detector, self.estimator = detector, estimator
        self.settings = settings or Settings()
        self.description = dict(description or {})
        self.stage_ms: dict[str, float] = {}
        self.watch = Stopwatch()
        for part in filter(None, (detector, estimator)):
            part.watch = self.watch
        self._trackers: dict[str, Tracker] = {}
        if hasattr(detector, 'expects_looks'
                   ):  # the device path computes attributes before anybody asks for them
            detector.expects_looks = self._expects_looks

    def process(self, frames: Mapping[str, tuple[np.ndarray, float]]) -> dict[str, list[Track]]:
        """Tracks by camera, for one newest frame (H, W, 3) uint8 BGR and its stamp in seconds by
        camera."""
        self.watch.restart()
        images = [image for image, _ in frames.values()]
        faces = self.detector.detect(images)
        with self.watch('track'):
            live = [
                self._tracker(camera).update(some, stamp_s)
                for (camera, (_, stamp_s)), some in zip(frames.items(), faces)
            ]
        self._look(images, live)
        with self.watch('track'):
            hidden = self._hidden()
            tracks = {
                camera: [_shown(track.snapshot(), hidden)
                         for track in some]
                for camera, some in zip(frames, live)
            }
        self.stage_ms = self.watch.ms
        return tracks

    def warm_up(self, image_sizes=CAMERA_SIZES, face_counts=(1, 2, 3, 4)):
        """Runs the networks once for each width and height and number of faces, so that no early
        frame is a slow one."""
        for width, height in image_sizes:
            self.detector.detect([np.zeros((height, width, 3), np.uint8)])
        for count in face_counts if self.estimator else ():
            self.estimator.crops([np.zeros(
                (self.estimator.size_px, ) * 2 + (3, ), np.uint8)] * count)

    def reset(self, camera=None):
        """Forgets the tracks of one camera, or of all."""
        for name, tracker in self._trackers.items():
            if camera in (None, name):
                tracker.reset()

    def update(self, settings: Settings):
        """Takes new settings while running; ParameterError if one of FIXED differs."""
        changed = sorted(name for name in FIXED
                         if getattr(settings, name) != getattr(self.settings, name))
        if changed:
            raise ParameterError(f'{", ".join(changed)} can only be set before the start')
        self.settings = settings
        self._configure_detector()
        for tracker in self._trackers.values():
            self._configure_tracker(tracker)

    def close(self):
        """Lets go of networks and tracks."""
        self.detector = self.estimator = None
        self._trackers.clear()

    def _tracker(self, camera):
        if camera not in self._trackers:
            prefix = f'{camera}_f' if camera else 'f'
            self._trackers[camera] = self._configure_tracker(
                Tracker(prefix=prefix, smoother=self._smoother))
        return self._trackers[camera]

    def _configure_tracker(self, tracker):
        settings = self.settings
        tracker.max_coast_s, tracker.iou = settings.tracking_max_coast, settings.tracking_iou
        tracker.confirm_hits = settings.tracking_confirm_hits
        return tracker

    def _configure_detector(self):
        settings = self.settings
        self.detector.iou, self.detector.max_faces = settings.detector_iou, settings.detector_max_faces
        self.detector.min_face_px = settings.detector_min_face_px
        self.detector.confidence = settings.detector_confidence or self.description.get(
            'detector_confidence', .5)

    def _smoother(self):
        if not self.settings.smoothing_enable:
            return None
        return AttributeSmoother(
            time_constant_s=self.settings.smoothing_time_constant,
            hysteresis=self.settings.smoothing_expression_hysteresis,
            gender_threshold=self.estimator.gender_threshold if self.estimator else 0.,
            expression_threshold=self.estimator.expression_threshold if self.estimator else 0.)

    def _look(self, images, live):
        if self.estimator is None or not self.settings.attributes_enable:
            return
        due = [[track for track in tracks if track.seen and self._due(track)] for tracks in live]
        found = self.estimator.estimate(images,
                                        [[track.face for track in tracks] for tracks in due])
        with self.watch('records'):
            for tracks, looks in zip(due, found):
                for track, attributes in zip(tracks, looks):
                    if (attributes.quality if attributes.quality is not None else
                            1.) >= self.settings.attributes_min_quality:
                        track.look(attributes, quality_weight(track.face, attributes))

    def _due(self, track, frames_on=0):
        every = self.settings.attributes_every_n_frames
        return track.looks == 0 or (track.observations + frames_on) % every == 0

    def _expects_looks(self):
        # Whether the next frame's faces will be looked at, as far as the tracks tell; a new face
        # always is.
        if self.estimator is None or not self.settings.attributes_enable:
            return False
        tracks = [track for tracker in self._trackers.values() for track in tracker.tracks]
        return not tracks or any(self._due(track, frames_on=1) for track in tracks)

    def _hidden(self):
        return {
            name: None for switch, names in _SWITCHES.items()
            if not getattr(self.settings, switch) for name in names
        }


def _shown(record, hidden):
    if not hidden:
        return record
    return replace(record, attributes=_without(record.attributes, hidden),
                   raw=_without(record.raw, hidden))


def _without(attributes: Attributes | None, hidden):
    return attributes and replace(attributes, **hidden)


def build_pipeline(settings=None):
    """A pipeline with the networks that the settings name, their checksums verified; ModelError or
    DeviceError otherwise."""
    settings = settings or Settings()
    engine = {
        'device': settings.device, 'precision': settings.precision, 'threads': settings.threads
    }
    detector, description = _build_detector(settings, engine)
    estimator = None
    if settings.attributes_model:
        estimator, about = _build_estimator(settings, engine)
        description.update(about)
    if _fits_one_device(detector, estimator, settings):
        from face_attributes_ros.device.views import device_views

        detector, estimator = device_views(detector, estimator)
        description['detector_engine'] += ', frames stay on the device'
    pipeline = Pipeline(detector, estimator, settings, description)
    pipeline._configure_detector()
    return pipeline


def _fits_one_device(detector, estimator, settings):
    # The device path is for a GPU; on the CPU its letterbox and crops would only be slower than
    # OpenCV's.
    looks_fit = estimator is None or (settings.attributes_backend == 'torch'
                                      and not settings.attributes_aligned
                                      and settings.attributes_model not in PAPER_MODELS)
    return settings.detector_backend == 'torch' and detector.network.device.type == 'cuda' and looks_fit


def _build_detector(settings, engine):
    name = settings.detector_model
    users_file = Path(name).suffix in ('.pt', '.safetensors')
    model = None if users_file else find_model(name, 'detector')
    if settings.detector_backend == 'ultralytics' or users_file:
        from face_attributes_ros.engines.torch import open_ultralytics

        network = open_ultralytics(name, device=settings.device, precision=settings.precision)
    else:
        network = open_network(model.weights(settings.detector_backend), int8_path=model.int8_path,
                               backend=settings.detector_backend, **engine)
    threshold, input_px = (model.thresholds.get('score', .5), model.input_px) if model else (.5,
                                                                                             448)
    detector = FaceDetector(network, imgsz_px=settings.detector_imgsz or input_px,
                            square=settings.detector_square)
    return detector, {
        'detector': name, 'detector_engine': network.description, 'detector_confidence': threshold
    }


def _build_estimator(settings, engine):
    name = settings.attributes_model
    open_model = open_paper_model if name in PAPER_MODELS else _open_attributes
    model = open_model(name, backend=settings.attributes_backend, **engine)
    estimator = AttributeEstimator(model.network, model.outputs, size_px=model.size_px,
                                   crop_scale=model.crop_scale,
                                   aligned=settings.attributes_aligned,
                                   batch_max=settings.attributes_batch_max,
                                   gender_threshold=model.thresholds.get('gender', 0.),
                                   expression_threshold=model.thresholds.get('expression', 0.))
    return estimator, {'attributes': name, 'attributes_engine': model.network.description}


def _open_attributes(name, **engine):
    model = find_model(name, 'attributes')
    network = open_network(model.weights(engine['backend']), int8_path=model.int8_path, **engine)
    missing = {'gender', 'expression'} & set(network.outputs) - set(model.thresholds)
    if missing:
        raise ModelError(
            f'model {model.name}: the manifest has no thresholds for {", ".join(sorted(missing))}')
    return AttributeModel(network, network.outputs, model.input_px, model.crop_scale,
                          model.thresholds)
