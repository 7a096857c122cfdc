# SPDX-License-Identifier: Apache-2.0
"""What the ROS tests share: a bench with real rclpy in this process, and child processes that talk
to it over DDS."""

import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import rclpy
from face_attributes_ros.msg import FaceAttributesArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Header

from face_attributes_ros.ros import images
from face_attributes_ros.ros.environment import prepare_environment

HERE = Path(__file__).parent
FAKE_NODE = HERE / 'fake_node.py'
RUN_NODE = ('-m', 'face_attributes_ros.ros.run', 'face_attributes_node', '--ros-args')
PATIENCE_S = 30.
"""How long a condition may take on a machine that has other things to do."""

FACES = '/face_attributes/faces'
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def make_context():
    """A context, which is a DDS participant: one serves all tests, since participants are slow to
    find and to forget."""
    prepare_environment()
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    return context


class Bench:
    """An executor, a node that plays the rest of the robot, and what it heard, by topic."""

    def __init__(self, context):
        gc.collect(
        )  # a lifecycle node is gone from the graph only when Python has really let go of it
        self.context = context
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = []
        self.robot = self.add(Node('robot', context=self.context))
        self.heard = {}

    def add(self, node):
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def listen(self, topic, kind=FaceAttributesArray, qos=10):
        messages = self.heard.setdefault(topic, [])
        return messages, self.robot.create_subscription(kind, topic, messages.append, qos)

    def spin_until(self, condition, patience_s=PATIENCE_S):
        end = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < end, f'waited {patience_s} s in vain'
            self.executor.spin_once(timeout_sec=.02)

    def spin_for(self, duration_s):
        end = time.monotonic() + duration_s
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=.02)

    def call(self, kind, service, request):
        client = self.robot.create_client(kind, service)
        self.spin_until(client.service_is_ready)
        future = client.call_async(request)
        self.spin_until(future.done)
        self.robot.destroy_client(client)
        return future.result()

    def now(self):
        return self.robot.get_clock().now().to_msg()

    def close(self):
        for node in self.nodes:
            node.end() if hasattr(node, 'end') else node.destroy_node()
        self.executor.shutdown(timeout_sec=1.)


def picture(width=64, height=48, value=100, encoding='bgr8', stamp=None, frame_id='camera'):
    """An Image of one grey value."""
    channels = images.ENCODINGS[encoding].channels
    shape = (height, width, channels) if channels > 1 else (height, width)
    header = Header(frame_id=frame_id)
    if stamp is not None:
        header.stamp = stamp
    return images.from_array(np.full(shape, value, np.uint8), header, encoding)


def end_with_parent():
    """Asks Linux to end this process when the test run ends, however that ends: a node left behind
    disturbs later runs."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG


class Child:
    """A process, of Python unless `program` says otherwise, whose lines of output are read as they
    come."""

    def __init__(self, *command, program=(sys.executable, '-u'), env=None, **options):
        self.process = subprocess.Popen([*program, *map(str, command)], stdout=subprocess.PIPE,
                                        text=True, stderr=subprocess.STDOUT,
                                        env={**os.environ,
                                             **(env or {})}, preexec_fn=end_with_parent, **options)
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip('\n'))

    @property
    def output(self):
        return '\n'.join(self.lines)

    def wait_for(self, text, patience_s=PATIENCE_S):
        self.wait_until(lambda: text in self.output, patience_s, text)

    def wait_until(self, condition, patience_s=PATIENCE_S, what='a condition'):
        end = time.monotonic() + patience_s
        while not condition():
            assert self.process.poll(
            ) is None, f'ended with {self.process.returncode} before {what}:\n{self.output}'
            assert time.monotonic(
            ) < end, f'waited {patience_s} s in vain for {what}:\n{self.output}'
            time.sleep(.01)

    def end(self, number):
        """Sends a signal; (exit code, seconds it took)."""
        start = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        took_s = time.monotonic() - start
        self._reader.join(5)
        return code, took_s

    def kill(self):
        """Ends it; by force only where it does not end by itself, since that leaks DDS's shared
        memory."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        self.process.stdout.close()


def matched(publisher):
    """A condition: somebody subscribes to what is published."""
    return lambda: publisher.get_subscription_count() > 0
