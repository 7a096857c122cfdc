# SPDX-License-Identifier: Apache-2.0
"""One camera of a bag: its recorded messages to messages of ours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from face_attributes_ros.drawing import annotate
from face_attributes_ros.engagement import Engagement
from face_attributes_ros.errors import ImageError
from face_attributes_ros.pictures.depth import Depth
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.ros import compressed, images
from face_attributes_ros.ros.bags.bag import ARRAY, IMAGES
from face_attributes_ros.ros.bags.journal import Entry
from face_attributes_ros.ros.bags.memory import Tape, unseen
from face_attributes_ros.ros.calibration import Calibration, calibration
from face_attributes_ros.ros.messages import faces_array, seconds
from face_attributes_ros.ros.sight import Sight

Written = tuple[str, bytes]
"""Topic and message."""


@dataclass(frozen=True)
class Names:
    """A camera's topics: the images, what tells of their lens, and ours."""

    camera: str
    image: str
    faces: str
    annotated: str

    @property
    def info(self) -> str:
        """camera_info beside the image, as drivers have it."""
        base = self.image.removesuffix('/compressed')
        return f'{base.rpartition("/")[0]}/camera_info'

    def ours(self, draw: bool) -> dict[str, str]:
        """Topic to type of what is written."""
        drawn = {self.annotated: IMAGES[1]} if draw else {}
        return {self.faces: ARRAY, **drawn}


class BagCamera:
    """Looks at the images of one topic, one by one, with a pipeline behind a tape."""

    def __init__(self, names: Names, kind: str, pipeline: Pipeline, tape: Tape,
                 draw: bool) -> None:
        self.names, self._pipeline, self._tape, self._draw = names, pipeline, tape, draw
        self._compressed = kind == IMAGES[1]
        self._bits = Depth()
        self._calibration: Calibration | None = None
        self._engagement = Engagement()
        about = pipeline.description
        self._model_id = '+'.join(filter(None, map(about.get, ('detector', 'attributes'))))

    def learn(self, data: bytes) -> None:
        """Takes a camera_info."""
        self._calibration = calibration(deserialize_message(data, CameraInfo),
                                        self._pipeline.settings.position_rectified)

    def look(self, data: bytes, time_ns: int, told: Entry | None) -> tuple[Entry, list[Written]]:
        """What is to be remembered of an image, and what to be written; `told` is what is
        remembered of an earlier run. ImageError for one that cannot be read."""
        if told and 'unreadable' in told:
            raise ImageError(told['unreadable'])
        header = deserialize_message(data, Header)  # an image begins with it
        stamp_s = seconds(header.stamp) or time_ns * 1e-9
        bgr = self._pixels(data) if told is None or self._draw else unseen(told['size'])
        self._tape.begin(told)
        start = perf_counter()
        tracks = self._pipeline.process({self.names.camera: (bgr, stamp_s)})[self.names.camera]
        ms = told['ms'] if told else round(1e3 * (perf_counter() - start), 3)
        size = bgr.shape[1], bgr.shape[0]
        entry = told or {'size': size, 'ms': ms, **self._tape.entry()}
        sight = Sight(tracks, size, stamp_s, self._pipeline.settings, self._calibration,
                      engagement=self._engagement)
        return entry, list(self._written(header, bgr, sight, ms))

    def _pixels(self, data: bytes) -> np.ndarray:
        most = self._pipeline.settings.max_image_megapixels
        if self._compressed:
            return compressed.to_bgr(deserialize_message(data, CompressedImage), most, self._bits)
        return images.to_bgr(deserialize_message(data, Image), self._bits)

    def _written(self, header: Header, bgr: np.ndarray, sight: Sight,
                 ms: float) -> Iterator[Written]:
        settings = sight.settings
        message: Any = faces_array(
            header, self.names.camera, sight.size, sight.tracks, positions=sight.positions,
            attention=sight.attention, latency_ms=math.nan, inference_ms=ms, dropped_frames=0,
            model_id=self._model_id)
        yield self.names.faces, serialize_message(message)
        if self._draw:
            drawn = annotate(bgr, sight.tracks, landmarks=settings.annotated_show_landmarks,
                             pose=settings.annotated_show_pose,
                             labels=settings.annotated_show_labels,
                             blur=settings.privacy_blur_annotated)
            yield self.names.annotated, serialize_message(
                compressed.from_bgr(drawn, header, settings.annotated_jpeg_quality))
