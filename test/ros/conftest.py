# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the ROS tests."""

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from fake_node import FakePipeline
from harness import BEST_EFFORT, FACES, Bench, Child, make_context, matched
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from face_attributes_ros.ros.node import FaceAttributesNode


@pytest.fixture(scope='session')
def context():
    context = make_context()
    yield context
    context.try_shutdown()


@pytest.fixture
def bench(context):
    bench = Bench(context)
    yield bench
    bench.close()


@pytest.fixture
def start(bench):
    """start(faces=1, delay_s=0, **parameters) -> (node, pipelines): the node around fake
    pipelines, active by default.

    Dots in parameter names are double underscores; `pipelines` lists every pipeline that the node
    has made.
    """
    def start_(faces=1, delay_s=0., factory=None, **parameters):
        pipelines = []

        def make(settings):
            pipelines.append((factory or FakePipeline)(settings, delay_s, faces))
            return pipelines[-1]

        overrides = [
            Parameter(name.replace('__', '.'), value=value) for name, value in parameters.items()
        ]
        node = bench.add(
            FaceAttributesNode(make, context=bench.context, parameter_overrides=overrides))
        node.begin()
        return node, pipelines

    return start_


@pytest.fixture
def child():
    """child(*command) -> Child: a Python process that is gone at the end of the test."""
    children = []

    def start_child(*command, **options):
        children.append(Child(*command, **options))
        return children[-1]

    yield start_child
    for each in children:
        each.kill()


@pytest.fixture
def camera(bench):
    """camera(message) publishes on `image` once somebody listens."""
    publisher = bench.robot.create_publisher(Image, 'image', BEST_EFFORT)

    def send(message):
        bench.spin_until(matched(publisher))
        publisher.publish(message)

    return send


@pytest.fixture
def exchange(bench, camera):
    """exchange(image) -> the message about it."""
    def exchange_(image):
        heard = bench.heard[FACES]
        before = len(heard)
        camera(image)
        bench.spin_until(lambda: any(message.header == image.header for message in heard[before:]))
        return heard[-1]

    return exchange_


@pytest.fixture
def listener(bench, start):
    """listener(**start's) -> (node, pipelines), with someone who listens to ~/faces matched."""
    def listener_(**arguments):
        _, subscription = bench.listen(FACES)
        node, pipelines = start(**arguments)
        if node.work is not None and '' in node.work.publishers:
            bench.spin_until(lambda: node.work.publishers[''].wanted('faces'))
        return node, pipelines

    return listener_
