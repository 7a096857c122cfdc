# SPDX-License-Identifier: Apache-2.0
"""The node dashboard: a small web page that shows live what the node sees, and moves its
parameters.

    face-attributes-dashboard --ros-args -p port:=8090

It needs aiohttp (the extra `dashboard`). It subscribes while a page is open and to nothing else;
of pictures it holds the newest alone, and writes none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterEvent
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_parameter_events
from sensor_msgs.msg import CompressedImage

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.options import check, once, to_values
from face_attributes_ros.ros import parameters
from face_attributes_ros.ros.companions import guard, live
from face_attributes_ros.ros.run import start

TURN_S = .1
"""How often it looks whether pages came or went, and what they order."""


@dataclass(frozen=True)
class DashboardSettings:
    """The parameters of dashboard."""

    node: str = once('face_attributes', 'The node that is shown.')
    camera: str = once('', 'Which of its cameras; empty where it has one without a name.')
    host: str = once(
        '127.0.0.1', 'The address to serve at. There is no password: at any other than this one, '
        'whoever reaches the machine sees the pictures.')
    port: int = once(8090, 'The TCP port; 0 takes one that is free.', low=0, high=65535)
    max_rate_hz: float = once(15., 'Most pictures and updates a second and page.', unit='Hz',
                              low=.1, high=100.)
    max_viewers: int = once(4, 'Most pages at a time.', low=1, high=100)
    set_parameters: bool = once(True, 'Whether the page may set parameters of the node.')

    def __post_init__(self) -> None:
        check(self)


class Dashboard(Node):
    """Serves the page; subscribes to `NODE/faces`, `NODE/image_annotated/compressed`,
    `/diagnostics` and `/parameter_events` while somebody looks."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('dashboard', **parameters.GIVEN, **kwargs)
        self.values = to_values(parameters.declare(self, DashboardSettings))
        self.watched = self.resolve_topic_name(self.values['node'])
        try:
            self.site = self._site()
        except ParameterError:
            self.destroy_node()
            raise
        self._client = AsyncParameterClient(self, self.watched)
        self._heard: list[Any] = []
        self._rate, self._known = live.Rate(), dict[str, Any]()
        self._asked = False

    def _site(self) -> Any:
        try:
            from face_attributes_ros.ros.companions.web import Site
        except ModuleNotFoundError as error:
            raise ParameterError(f'needs {error.name}: pip install '
                                 '"face_attributes_ros[dashboard]"') from error
        values = self.values
        return Site(values['host'], values['port'], title=self.watched,
                    described=live.described(), may_set=values['set_parameters'],
                    max_rate_hz=values['max_rate_hz'], max_viewers=values['max_viewers'])

    def begin(self) -> None:
        """Starts to serve, and says where."""
        self.site.start()
        self.get_logger().info(f'serves {self.watched} at {self.site.address}')
        if not guard.is_loopback(self.values['host']):
            self.get_logger().warning(
                'whoever reaches this address sees the pictures'
                + (' and can set parameters' if self.values['set_parameters'] else ''))
        self.create_timer(TURN_S, self._turn, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def end(self) -> None:
        """Stops to serve."""
        self.site.stop()
        self.destroy_node()

    def _turn(self) -> None:
        if self.site.viewers and not self._heard:
            self._listen()
        elif self._heard and not self.site.viewers:
            self._fall_silent()
        if self._heard and not self._asked and self._client.services_are_ready():
            self._ask()
        while not self.site.orders.empty():
            self._carry_out(self.site.orders.get())

    def _listen(self) -> None:
        prefix = '/'.join(filter(None, (self.watched, self.values['camera'])))
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        image = f'{self.resolve_topic_name(f"{prefix}/image_annotated")}/compressed'
        self._heard = [
            self.create_subscription(FaceAttributesArray, f'{prefix}/faces', self._on_faces,
                                     newest),
            self.create_subscription(CompressedImage, image, self._on_picture, newest),
            self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10),
            self.create_subscription(ParameterEvent, '/parameter_events', self._on_event,
                                     qos_profile_parameter_events)]

    def _fall_silent(self) -> None:
        for subscription in self._heard:
            self.destroy_subscription(subscription)
        self._heard, self._asked = [], False

    def _on_faces(self, msg: FaceAttributesArray) -> None:
        self._tell(live.faces(msg, self._rate.tick()))

    def _on_picture(self, msg: CompressedImage) -> None:
        self.site.publish('picture', bytes(msg.data))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        found = live.diagnostics(msg, self.watched)
        if found:
            self._tell(found)

    def _on_event(self, msg: ParameterEvent) -> None:
        if msg.node == self.watched:
            self._take(live.values((one.name, one.value)
                                   for one in (*msg.new_parameters, *msg.changed_parameters)))

    def _ask(self) -> None:
        self._asked = True
        names = [option.name for option in live.LIVE]

        def answered(done: Any) -> None:
            self._take(live.values(zip(names, done.result().values)))

        self._client.get_parameters(names).add_done_callback(answered)

    def _take(self, said: dict[str, Any]) -> None:
        self._known.update(said['values'])
        self._tell({**said, 'values': self._known})

    def _tell(self, said: dict[str, Any]) -> None:
        self.site.publish(said['kind'], json.dumps(said))

    def _carry_out(self, order: Any) -> None:
        try:
            option, value = live.checked(order.body)
        except ParameterError as error:
            _answer(order, str(error))
        except (KeyError, TypeError):
            _answer(order, f'no parameter {order.body["name"]!r} can be set here')
        else:
            if not self._client.services_are_ready():
                _answer(order, f'{self.watched} is not there')
                return
            value = list(value) if isinstance(value, tuple) else value
            future = self._client.set_parameters([Parameter(option.name, value=value)])
            future.add_done_callback(_answering(order))


def _answering(order: Any) -> Callable[[Any], None]:
    def done(future: Any) -> None:
        result, = future.result().results
        _answer(order, '' if result.successful else result.reason or 'refused')

    return done


def _answer(order: Any, reason: str) -> None:
    # The page may have gone, or lost its patience.
    if order.answer.set_running_or_notify_cancel():
        order.answer.set_result(reason)


def make_node(**kwargs: Any) -> Dashboard:
    """The node that the executable `dashboard` runs."""
    return Dashboard(**kwargs)


def main() -> NoReturn:
    """The command `face-attributes-dashboard`."""
    start('dashboard')


if __name__ == '__main__':
    main()
