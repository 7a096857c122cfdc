# SPDX-License-Identifier: Apache-2.0
"""The publishers of one camera. What nobody subscribes to is not made."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.exceptions import InvalidHandle
from rclpy.impl.implementation_singleton import rclpy_implementation  # RCLError's only home
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from face_attributes_ros.errors import ImageError
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.options import options
from face_attributes_ros.ros import topics
from face_attributes_ros.ros.outputs.annotated import Annotated
from face_attributes_ros.ros.outputs.detections import Detections
from face_attributes_ros.ros.outputs.faces import Faces
from face_attributes_ros.ros.outputs.humans import Humans, InSight
from face_attributes_ros.ros.outputs.look import Look, Output, Topic
from face_attributes_ros.ros.outputs.markers import Markers
from face_attributes_ros.ros.outputs.nearest import Nearest
from face_attributes_ros.ros.outputs.poses import Poses
from face_attributes_ros.ros.outputs.transforms import Transforms
from face_attributes_ros.settings import Settings

KINDS: tuple[type[Output], ...] = (Faces, Markers, Poses, Nearest, Detections, Transforms, Humans,
                                   Annotated)
"""One row a kind of output. Annotated draws into the image and is therefore last."""

TOPICS: dict[str, Topic] = {name: topic for kind in KINDS for name, topic in kind.TOPICS.items()}

GONE = (rclpy_implementation.RCLError, InvalidHandle)


def check(settings: Settings) -> None:
    """ParameterError where an output is asked for whose messages are not installed."""
    for kind in asked_for(settings):
        for topic in kind.TOPICS.values():
            topic.message_class(_parameter(kind))


def asked_for(settings: Settings) -> list[type[Output]]:
    """The kinds of output that the settings ask for."""
    return [kind for kind in KINDS if not kind.SWITCH or getattr(settings, kind.SWITCH)]


def _parameter(kind: type[Output]) -> str:
    return next((one.name for one in options(Settings) if one.field == kind.SWITCH), '')


class Publishers:
    """The outputs of one camera, under `~/` or `~/<camera>/`. `matched` is called when a
    subscriber comes or goes, where this release of rclpy can tell; `in_sight` is what the cameras
    of one node have in common: the ids of all of them."""

    def __init__(self, node: LifecycleNode, camera: str, matched: Callable[[], None],
                 settings: Settings, in_sight: InSight):
        self._node, self._prefix = node, f'~/{camera}/' if camera else '~/'
        kinds = asked_for(settings)
        self._outputs = [(Humans(camera, in_sight) if kind is Humans else kind(), _roots(kind))
                         for kind in kinds]
        self._topics = {name: (topic, topic.message_class(_parameter(kind))) for kind in kinds
                        for name, topic in kind.TOPICS.items()}
        self._told: dict[str, Any] = {}
        self.by_name = {name: self._publisher(name, topic, kind, matched)
                        for name, (topic, kind) in self._topics.items() if '{id}' not in name}

    def _publisher(self, name: str, topic: Topic, kind: type[Any],
                   matched: Callable[[], None]) -> Any:
        name = name if name.startswith('/') else self._prefix + name
        if name.endswith('/compressed'):
            name = topics.compressed(self._node, name.removesuffix('/compressed'))
        qos = QoSProfile(depth=topic.depth)
        if topic.standing:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        return self._node.create_lifecycle_publisher(
            kind, name, qos, event_callbacks=_on_match(matched),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())

    def announce(self, settings: Settings) -> None:
        """Publishes what is latched, where it is not what was said last."""
        for name, (topic, _) in self._topics.items():
            message = topic.standing(settings) if topic.standing else None
            if message is not None and message != self._told.get(name):
                self._told[name] = message
                self._send(name, message)

    def wanted(self, name: str | None = None) -> bool:
        """Whether anybody subscribes to an output, or to any; whoever listens to what is latched
        has it already."""
        if name is not None:
            return self._is_heard(name)
        return any(self._is_heard(each) for each in list(self.by_name) if not self._latched(each))

    def _latched(self, name: str) -> bool:
        return name in self._topics and self._topics[name][0].standing is not None

    def _is_heard(self, name: str) -> bool:
        publisher = self.by_name.get(name)  # a face's topics come and go in the worker's thread
        try:
            count: int = publisher.get_subscription_count() if publisher is not None else 0
        except GONE:  # gone since we are ending
            return False
        return count > 0

    def publish(self, look: Look) -> None:
        """Publishes what is wanted of a look, and can be made of it."""
        heard = {name for name in self.by_name if self._is_heard(name)}
        for output, roots in self._outputs:
            wanted = heard & output.TOPICS.keys()
            if roots:
                wanted |= {name for name in heard if name.startswith(roots)}
            # Topics of single faces are taken back when nobody listens any more.
            if wanted or (roots and self.by_name.keys() - self._topics.keys()):
                self._publish_one(output, look, wanted)

    def _publish_one(self, output: Output, look: Look, wanted: Collection[str]) -> None:
        try:
            for name, message in output.messages(look, wanted):
                self._send(name, message)
        except ImageError as error:
            self._node.get_logger().error(str(error), throttle_duration_sec=2.)

    def publish_nothing(self, faces: FaceAttributesArray) -> None:
        """Publishes that nothing is seen; `faces` is an array without any."""
        for output, _ in self._outputs:
            for name, message in output.nothing(faces):
                self._send(name, message)

    def destroy(self) -> None:
        """Takes the topics back."""
        for name in list(self.by_name):
            self._take_back(name)

    def _take_back(self, name: str) -> None:
        publisher = self.by_name.pop(name, None)
        if publisher is not None and name in self._topics:
            self._node.destroy_lifecycle_publisher(publisher)
        elif publisher is not None:
            self._node.destroy_publisher(publisher)

    def _send(self, name: str, message: Any) -> None:
        if message is None:
            self._take_back(name)
            return
        # A middleware that is choked, or gone since we are ending, costs this message and no more.
        try:
            publisher = self.by_name.get(name) or self._new(name, type(message))
            publisher.publish(message)
        except GONE as error:
            if self._node.context.ok():
                self._node.get_logger().warning(f'{name}: {error}', throttle_duration_sec=2.)

    def _new(self, name: str, kind: type[Any]) -> Any:
        # Made while the executor spins: without events, there is nothing for it to wait for.
        quiet = PublisherEventCallbacks(use_default_callbacks=False)
        self.by_name[name] = publisher = self._node.create_publisher(kind, name, 1,
                                                                     event_callbacks=quiet)
        return publisher


def _roots(kind: type[Output]) -> tuple[str, ...]:
    # What the topics of single faces begin with.
    return tuple({name.partition('{id}')[0] for name in kind.TOPICS if '{id}' in name})


def _on_match(matched: Callable[[], None]) -> PublisherEventCallbacks:
    callbacks = PublisherEventCallbacks()
    if hasattr(callbacks, 'matched'):  # from Jazzy on
        callbacks.matched = lambda info: matched()
    return callbacks
