# SPDX-License-Identifier: Apache-2.0
"""What an output is made of, and what an output is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

from std_msgs.msg import Header

from face_attributes_ros.faces import Track
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros.camera import Frame
from face_attributes_ros.ros.packages import message_type
from face_attributes_ros.ros.sight import Sight
from face_attributes_ros.settings import Settings


@dataclass
class Look:
    """One image that was looked at, with the tracks in it and where they are in space. The frame
    may be drawn into, by the last output."""

    frame: Frame
    tracks: list[Track]
    settings: Settings
    sight: Sight
    make_faces: Callable[[], FaceAttributesArray]

    @property
    def header(self) -> Header:
        """That of the image."""
        return self.frame.header

    @cached_property
    def faces(self) -> FaceAttributesArray:
        """The faces as a message, made when the first output asks for it."""
        return self.make_faces()


@dataclass(frozen=True)
class Topic:
    """Message type, queue depth and meaning of a topic. All are reliable.

    A type of a package that not everybody has is given by its name. A topic with `standing` is
    latched: its one message follows from the settings alone.
    """

    kind: type[Any] | str
    depth: int
    meaning: str
    standing: Callable[[Settings], Any] | None = None

    @property
    def type_name(self) -> str:
        """As `sensor_msgs/Image`."""
        if isinstance(self.kind, str):
            return self.kind
        return f'{self.kind.__module__.split(".")[0]}/{self.kind.__name__}'

    def message_class(self, asked_by: str) -> type[Any]:
        """The class of its messages; ParameterError where its package is missing."""
        return message_type(self.kind, asked_by) if isinstance(self.kind, str) else self.kind


Messages = Iterable[tuple[str, Any]]
"""Topic and message. A topic whose name in TOPICS has an `{id}` comes to be with its first message
and goes where None takes the message's place."""


class Output(Protocol):
    """A kind of output: its topics, and the messages for those of them that are wanted. One object
    serves one camera.

    Topics lie below the node's name and the camera's, unless they begin with a slash. SWITCH is
    the field of Settings that asks for this kind; kinds without one are always there.
    """

    SWITCH: ClassVar[str]
    TOPICS: ClassVar[dict[str, Topic]]

    def messages(self, look: Look, wanted: Collection[str]) -> Messages:
        """Topic and message, for a look at an image."""
        ...

    def nothing(self, faces: FaceAttributesArray) -> Messages:
        """Topic and message when nothing is seen any more: `faces` has none."""
        ...
