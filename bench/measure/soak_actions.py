# SPDX-License-Identifier: Apache-2.0
"""What happens to the node during a soak: each action says whether it may cost a face its id."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from bench.rig.processes import Camera
from face_attributes_ros.ros.environment import prepare_environment

NODE = '/face_attributes'
ANSWER_S = 20.
GOOD: tuple[tuple[str, Any], ...] = (
    ('tracking.max_coast', 1.), ('detector.max_faces', 20), ('attributes.every_n_frames', 2),
    ('annotated.jpeg_quality', 60), ('smoothing.enable', False), ('smoothing.enable', True),
    ('attributes.every_n_frames', 1), ('max_rate_hz', 0.), ('detector.confidence', 0.))
BAD: tuple[tuple[str, Any], ...] = (
    ('tracking.max_coast', -1.), ('detector.max_faces', 0), ('attributes.every_n_frames', 'x'),
    ('annotated.jpeg_quality', 1000), ('detector.model', 'other'), ('device', 'cuda:0'),
    ('privacy.blur_annotated', True), ('detector.confidence', float('nan')))
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4  # lifecycle_msgs/Transition


class Robot:
    """The rest of the robot, in a thread: subscribes, sets, calls. `counts` of what it did;
    `compressed` says what the node takes now."""

    def __init__(self) -> None:
        prepare_environment()
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        rclpy.init()
        self.node = rclpy.create_node('soak_robot')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._clients: dict[str, Any] = {}
        self.compressed, self.heard = False, Counter[str]()
        self.counts: dict[str, Any] = {'parameters_set': 0, 'parameters_refused': 0,
                                       'transitions': 0, 'wrong_answers': []}

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException

        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def __enter__(self) -> Robot:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        import rclpy

        rclpy.try_shutdown()
        self._thread.join(5)

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """The node's answer to a service call; RuntimeError where there is none in ANSWER_S."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, f'{NODE}/{name}')
        client = self._clients[name]
        if not client.wait_for_service(ANSWER_S):
            raise RuntimeError(f'no service {NODE}/{name}')
        future, done = client.call_async(request), threading.Event()
        future.add_done_callback(lambda _: done.set())
        if not done.wait(ANSWER_S):
            raise RuntimeError(f'no answer of {NODE}/{name} within {ANSWER_S} s')
        return future.result()

    def set(self, name: str, value: Any) -> bool:
        """Sets a parameter; whether the node took it."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        message = Parameter(name, value=value).to_parameter_msg()
        answer = self.call(SetParameters, 'set_parameters',
                           SetParameters.Request(parameters=[message]))
        taken: bool = answer.results[0].successful
        self.counts['parameters_set' if taken else 'parameters_refused'] += 1
        return taken

    def expect(self, name: str, value: Any, taken: bool) -> None:
        """Sets a parameter and notes where the node's answer is not the right one."""
        if self.set(name, value) != taken:
            self.counts['wrong_answers'].append(f'{name}:={value}')

    def change(self, *transitions: int) -> None:
        """Has the node change its lifecycle state."""
        from lifecycle_msgs.srv import ChangeState

        for number in transitions:
            request = ChangeState.Request()
            request.transition.id = number
            if not self.call(ChangeState, 'change_state', request).success:
                self.counts['wrong_answers'].append(f'transition {number}')
            self.counts['transitions'] += 1


def nothing(robot: Robot, camera: Camera, chance: random.Random) -> bool:
    return False


def parameters(robot: Robot, camera: Camera, chance: random.Random) -> bool:
    for name, value in GOOD:
        robot.expect(name, value, taken=True)
    for name, value in BAD:
        robot.expect(name, value, taken=False)
    return False


def subscribers(robot: Robot, camera: Camera, chance: random.Random) -> bool:
    from sensor_msgs.msg import CompressedImage, Image
    from visualization_msgs.msg import MarkerArray

    kinds = {'image_annotated': Image, 'image_annotated/compressed': CompressedImage,
             'markers': MarkerArray}
    for _ in range(2):
        some = [robot.node.create_subscription(kind, f'{NODE}/{name}',
                                               lambda _, name=name: robot.heard.update([name]), 1)
                for name, kind in kinds.items()]
        time.sleep(1.)
        for each in some:
            robot.node.destroy_subscription(each)
    return False


def pause(robot: Robot, camera: Camera, chance: random.Random) -> bool:
    """The camera hangs for longer than faces are remembered."""
    camera.process.send_signal(signal.SIGSTOP)
    time.sleep(2.5)
    camera.process.send_signal(signal.SIGCONT)
    return True


def enable(robot: Robot, camera: Camera, chance: random.Random) -> bool:
    from std_srvs.srv import SetBool, Trigger

    for on in (False, True):
        robot.call(SetBool, 'enable', SetBool.Request(data=on))
        time.sleep(.5)
    robot.call(Trigger, 'reset_tracks', Trigger.Request())
    return True


def lifecycle(robot: Robot, camera: Camera, chance: random.Random) -> bool:
    robot.change(DEACTIVATE, ACTIVATE, DEACTIVATE, ACTIVATE)
    return True


def other_transport(robot: Robot, camera: Camera, chance: random.Random) -> bool:
    """From raw to compressed images, or back: the networks are loaded anew."""
    robot.change(DEACTIVATE, CLEANUP)
    robot.compressed = not robot.compressed
    robot.expect('image_transport', 'compressed' if robot.compressed else 'raw', taken=True)
    robot.change(CONFIGURE, ACTIVATE)
    return True


ACTIONS: dict[str, Callable[[Robot, Camera, random.Random], bool]] = {
    action.__name__: action for action in (nothing, parameters, subscribers, pause, enable,
                                           lifecycle, nothing, subscribers, other_transport)}
