# SPDX-License-Identifier: Apache-2.0
"""The faces as our own message."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros.outputs.look import Look, Messages, Topic


class Faces:
    """`faces`: one message for each image."""

    SWITCH: ClassVar = ''
    TOPICS: ClassVar[dict[str, Topic]] = {'faces': Topic(FaceAttributesArray, 5,
                             'One message for each image processed, also without faces.')}

    def messages(self, look: Look, wanted: Collection[str]) -> Messages:
        """The faces of the image."""
        del wanted
        return [('faces', look.faces)]

    def nothing(self, faces: FaceAttributesArray) -> Messages:
        """An array without faces."""
        return [('faces', faces)]
