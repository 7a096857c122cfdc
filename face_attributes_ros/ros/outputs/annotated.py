# SPDX-License-Identifier: Apache-2.0
"""The image with what was seen drawn into it, raw and as JPEG."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from sensor_msgs.msg import CompressedImage, Image

from face_attributes_ros.drawing import draw
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros import compressed, images
from face_attributes_ros.ros.outputs.look import Look, Messages, Topic


class Annotated:
    """`image_annotated` and its JPEG, at most `annotated.max_rate_hz`."""

    SWITCH: ClassVar = ''
    TOPICS: ClassVar[dict[str, Topic]] = {
        'image_annotated': Topic(
            Image, 1,
            'The image with boxes and attributes drawn in, at most `annotated.max_rate_hz`.'),
        'image_annotated/compressed': Topic(CompressedImage, 1, 'The same as JPEG.'),
    }

    def __init__(self) -> None:
        self._sent_s: float | None = None

    def messages(self, look: Look, wanted: Collection[str]) -> Messages:
        """What is wanted of the two; nothing while the last one is too recent."""
        return self._drawn(look, wanted) if self._due(look.settings.annotated_max_rate_hz) else ()

    def nothing(self, faces: FaceAttributesArray) -> Messages:
        """Nothing: the last image stays."""
        del faces
        return ()

    def _drawn(self, look: Look, wanted: Collection[str]) -> Iterator[tuple[str, Any]]:
        # Drawn into the message that came, which nobody else will look at: no copy of the picture
        # is made.
        frame, settings = look.frame, look.settings
        draw(frame.bgr, look.tracks, landmarks=settings.annotated_show_landmarks,
             pose=settings.annotated_show_pose, labels=settings.annotated_show_labels,
             blur=settings.privacy_blur_annotated)
        if 'image_annotated' in wanted:
            yield 'image_annotated', frame.message or images.from_array(frame.bgr, frame.header)
        if 'image_annotated/compressed' in wanted:
            yield 'image_annotated/compressed', compressed.from_bgr(
                frame.bgr, frame.header, settings.annotated_jpeg_quality)

    def _due(self, max_rate_hz: float) -> bool:
        now = time.monotonic()
        # A little early is on time: at half the camera's rate, every second image has to pass.
        if max_rate_hz > 0 and self._sent_s is not None and now - self._sent_s < .9 / max_rate_hz:
            return False
        self._sent_s = now
        return True
