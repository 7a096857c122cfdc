# SPDX-License-Identifier: Apache-2.0
"""What an output is made of, and what an output is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

from face_attributes_ros.faces import Track
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros.camera import Frame
from face_attributes_ros.settings import Settings


@dataclass
class Look:
    """One image that was looked at, with the tracks in it. The frame may be drawn into."""

    frame: Frame
    tracks: list[Track]
    settings: Settings
    make_faces: Callable[[], FaceAttributesArray]

    @cached_property
    def faces(self) -> FaceAttributesArray:
        """The faces as a message, made when the first output asks for it."""
        return self.make_faces()


@dataclass(frozen=True)
class Topic:
    """Message type, queue depth and meaning of a topic. All are reliable and volatile."""

    kind: type[Any]
    depth: int
    meaning: str


Messages = Iterable[tuple[str, Any]]


class Output(Protocol):
    """A kind of output: its topics, and the messages for those of them that are wanted. One object
    serves one camera."""

    TOPICS: ClassVar[dict[str, Topic]]

    def messages(self, look: Look, wanted: Collection[str]) -> Messages:
        """Topic and message, for a look at an image."""
        ...

    def nothing(self, faces: FaceAttributesArray) -> Messages:
        """Topic and message when nothing is seen any more: `faces` has none."""
        ...
