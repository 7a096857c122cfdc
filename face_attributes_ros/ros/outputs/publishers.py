# SPDX-License-Identifier: Apache-2.0
"""The publishers of one camera. What nobody subscribes to is not made."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.exceptions import InvalidHandle
from rclpy.impl.implementation_singleton import rclpy_implementation  # RCLError's only home
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros.outputs.annotated import Annotated
from face_attributes_ros.ros.outputs.faces import Faces
from face_attributes_ros.ros.outputs.look import Look, Output, Topic
from face_attributes_ros.ros.outputs.markers import Markers

KINDS: tuple[type[Output], ...] = (Faces, Annotated, Markers)
"""One row a kind of output."""

TOPICS: dict[str, Topic] = {name: topic for kind in KINDS for name, topic in kind.TOPICS.items()}


class Publishers:
    """The outputs of one camera, under `~/` or `~/<camera>/`. `matched` is called when a
    subscriber comes or goes, where this release of rclpy can tell."""

    def __init__(self, node: LifecycleNode, camera: str, matched: Callable[[], None]):
        self._node, prefix = node, f'~/{camera}/' if camera else '~/'
        self._outputs: list[Output] = [kind() for kind in KINDS]
        self.by_name = {name: self._publisher(prefix + name, topic, matched)
                        for name, topic in TOPICS.items()}

    def _publisher(self, name: str, topic: Topic, matched: Callable[[], None]) -> Any:
        if name.endswith('/compressed'):
            # As image_transport does: who remaps the image moves its JPEG, too.
            name = f'{self._node.resolve_topic_name(name.removesuffix("/compressed"))}/compressed'
        return self._node.create_lifecycle_publisher(
            topic.kind, name, QoSProfile(depth=topic.depth), event_callbacks=_on_match(matched),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())

    def wanted(self, name: str | None = None) -> bool:
        """Whether anybody subscribes to an output, or to any."""
        some = self.by_name if name is None else [name]
        return any(self._is_heard(each) for each in some)

    def _is_heard(self, name: str) -> bool:
        try:
            count: int = self.by_name[name].get_subscription_count()
        except (rclpy_implementation.RCLError, InvalidHandle):  # gone since we are ending
            return False
        return count > 0

    def publish(self, look: Look) -> None:
        """Publishes what is wanted of a look."""
        for output in self._outputs:
            wanted = self._wanted_of(output)
            for name, message in output.messages(look, wanted) if wanted else ():
                self._send(name, message)

    def publish_nothing(self, faces: FaceAttributesArray) -> None:
        """Publishes that nothing is seen; `faces` is an array without any."""
        for output in self._outputs:
            for name, message in output.nothing(faces):
                self._send(name, message)

    def destroy(self) -> None:
        """Takes the topics back."""
        for publisher in self.by_name.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self.by_name = {}

    def _wanted_of(self, output: Output) -> Collection[str]:
        return {name for name in output.TOPICS if self.wanted(name)}

    def _send(self, name: str, message: Any) -> None:
        # A middleware that is choked, or gone since we are ending, costs this message and no more.
        publisher = self.by_name[name]
        try:
            publisher.publish(message)
        except (rclpy_implementation.RCLError, InvalidHandle) as error:
            if self._node.context.ok():
                self._node.get_logger().warning(f'{publisher.topic_name}: {error}',
                                                throttle_duration_sec=2.)


def _on_match(matched: Callable[[], None]) -> PublisherEventCallbacks:
    callbacks = PublisherEventCallbacks()
    if hasattr(callbacks, 'matched'):  # from Jazzy on
        callbacks.matched = lambda info: matched()
    return callbacks
