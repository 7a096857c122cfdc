# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says when all is well, and whether it names the cause when it is not."""

from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fake_node import FakePipeline
from harness import BEST_EFFORT, Bench, make_context, picture
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from face_attributes_ros.ros.node import FaceAttributesNode

RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


@pytest.fixture
def status(bench, start):
    """status(condition, **parameters) -> the first status of the camera that meets the
    condition."""
    def status_(condition, name='/face_attributes: image', each=lambda: None,
                listens=True, **parameters):
        heard, _ = bench.listen('/diagnostics', DiagnosticArray)
        if listens:
            bench.listen('/face_attributes/faces')
        if not any(node.get_name() == 'face_attributes' for node in bench.nodes):
            start(diagnostics__no_image_after=.2, **parameters)
        found = []

        def met():
            each()
            found[:] = [
                s for message in heard for s in message.status if s.name == name and condition(s)
            ]
            return found

        bench.spin_until(met)
        return found[0]

    return status_


def warns(text):
    return lambda status: status.level == DiagnosticStatus.WARN and text in status.message


def values(status):
    return {value.key: value.value for value in status.values}


def test_says_how_it_goes_once_a_second(bench, start, status):
    bench.listen('/face_attributes/faces')
    start(max_frame_age=0.)
    publisher = bench.robot.create_publisher(Image, 'image', BEST_EFFORT)
    found = status(lambda s: s.message == 'running',
                   each=lambda: publisher.publish(picture(stamp=bench.now())))
    assert float(values(found)['frame rate (Hz)']) > 0 and float(
        values(found)['latency mean (ms)']) > 0
    assert values(found)['topic'] == '/image' and int(values(found)['processed']) > 0
    node = status(lambda s: s.message == 'active', name='/face_attributes')
    assert (values(node)['detector'], values(node)['detector_engine']) == ('fake', 'a test')


def test_no_publisher_is_named(bench, status):
    assert status(warns('/image has no publisher')).message.startswith('no image for ')


@pytest.mark.parametrize('transport, there, hint', [('raw', 'image/compressed', 'compressed'),
                                                    ('compressed', 'image', 'raw')])
def test_a_publisher_of_the_other_transport_is_named(bench, status, transport, there, hint):
    bench.robot.create_publisher(CompressedImage if hint == 'compressed' else Image, there, 1)
    found = status(warns(f'there is one on /{there}: set image_transport to {hint}'),
                   image_transport=transport)
    assert 'has no publisher' in found.message


@pytest.fixture
def stranger():
    """A node of another participant: within one, DDS itself refuses two types on a topic."""
    other = Bench(make_context())
    yield other.robot
    other.close()
    other.context.try_shutdown()


def test_another_type_on_the_topic_is_named(stranger, status):
    stranger.create_publisher(CompressedImage, 'image', 1)
    status(
        warns(
            'from /robot (RELIABLE, VOLATILE): it is sensor_msgs/msg/CompressedImage, '
            'needs sensor_msgs/msg/Image'))


def test_quality_of_service_that_does_not_match_is_named(bench, status):
    bench.robot.create_publisher(Image, 'image', BEST_EFFORT)
    found = status(warns('its QoS does not match ours (RELIABLE, VOLATILE)'),
                   **{'qos_overrides./image.subscription.reliability': 'reliable'})
    assert 'from /robot (BEST_EFFORT, VOLATILE)' in found.message


def test_a_matched_publisher_of_whom_nothing_arrives_brings_the_dds_profile_up(bench, status):
    bench.robot.create_publisher(Image, 'image', BEST_EFFORT)
    found = status(warns('too large for the default shared memory of Fast DDS'))
    assert 'from /robot (BEST_EFFORT, VOLATILE): it is matched' in found.message
    path = Path(found.message.partition('FASTDDS_DEFAULT_PROFILES_FILE=')[2])
    assert '<segment_size>67108864</segment_size>' in path.read_text()


def test_a_camera_that_stops_is_told_from_one_that_never_came(bench, start, status):
    bench.listen('/face_attributes/faces')
    node, _ = start(diagnostics__no_image_after=.2)
    publisher = bench.robot.create_publisher(Image, 'image', RELIABLE)
    bench.spin_until(lambda: publisher.get_subscription_count() > 0)
    publisher.publish(picture(stamp=bench.now()))
    bench.spin_until(lambda: node.work.cameras[''].counts['received'] == 1)
    status(warns('it stopped sending'))


def test_images_that_are_all_too_old_are_named(bench, start, status):
    bench.listen('/face_attributes/faces')
    start(max_frame_age=1.)
    publisher = bench.robot.create_publisher(Image, 'image', RELIABLE)
    old = bench.now()
    old.sec -= 1000
    status(warns('are older than max_frame_age'),
           each=lambda: publisher.publish(picture(stamp=old)))


def test_a_namesake_is_named(bench, start, status):
    start()
    bench.add(Node('face_attributes', context=bench.context))
    assert '1 other nodes are named /face_attributes' in status(warns('named'),
                                                                name='/face_attributes').message


def test_an_inactive_node_does_not_complain(bench, status):
    found = status(lambda s: True, name='/face_attributes', autostart=False)
    assert found.level == DiagnosticStatus.OK and found.message == 'unconfigured'


def test_paused_simulated_time_does_not_stop_diagnostics(bench, status):
    status(warns('/image has no publisher'), use_sim_time=True)


def test_parameter_of_the_warning_is_live(bench, start, status):
    node, _ = start()
    result, = node.set_parameters([Parameter('diagnostics.no_image_after', value=.1)])
    assert result.successful
    status(warns('has no publisher'))


def test_stamps_in_the_future_are_named_with_the_difference(bench, start, status):
    publisher = bench.robot.create_publisher(Image, 'image', RELIABLE)
    ahead = bench.now()
    ahead.sec += 3600
    found = status(warns('s in the future'), each=lambda: publisher.publish(picture(stamp=ahead)))
    assert 'the stamps of /image are 3' in found.message


def test_two_publishers_of_one_image_topic_are_named(bench, status, stranger):
    ours = bench.robot.create_publisher(Image, 'image', RELIABLE)
    stranger.create_publisher(Image, 'image', RELIABLE)
    found = status(warns('2 nodes publish /image'),
                   each=lambda: ours.publish(picture(stamp=bench.now())))
    assert '/robot' in found.message


def test_who_remaps_the_jpeg_topic_by_itself_is_told_how(bench, stranger):
    stranger.create_publisher(CompressedImage, '/cam/image_raw/compressed', 1)
    node = bench.add(FaceAttributesNode(
        FakePipeline, context=bench.context, cli_args=[
            '--ros-args', '-r', 'image:=/cam/image_raw/compressed', '-p',
            'diagnostics.no_image_after:=0.2']))
    heard, _ = bench.listen('/diagnostics', DiagnosticArray)
    bench.listen('/face_attributes/faces')
    node.begin()
    told = 'remap image to /cam/image_raw and set image_transport compressed'
    bench.spin_until(lambda: any(told in s.message for message in heard for s in message.status))


def test_who_remaps_to_the_jpeg_topic_with_that_transport_is_told_how(bench, stranger):
    stranger.create_publisher(CompressedImage, '/cam/image_raw/compressed', 1)
    node = bench.add(FaceAttributesNode(
        FakePipeline, context=bench.context, cli_args=[
            '--ros-args', '-r', 'image:=/cam/image_raw/compressed', '-p',
            'image_transport:=compressed', '-p', 'diagnostics.no_image_after:=0.2']))
    heard, _ = bench.listen('/diagnostics', DiagnosticArray)
    node.begin()
    told = 'there is one on /cam/image_raw/compressed: remap image to /cam/image_raw'
    bench.spin_until(lambda: any(told in s.message for message in heard for s in message.status))


def test_an_idle_node_says_so_and_does_not_listen(bench, status):
    bench.robot.create_publisher(Image, 'image', RELIABLE)
    found = status(lambda s: 'nobody subscribes' in s.message and s.level == DiagnosticStatus.OK,
                   listens=False)
    assert '/image is not listened to' in found.message
    assert values(found)['camera_info'] == '/camera_info is not listened to'


@pytest.mark.parametrize('width, k, lacks', [
    (64, [0.] * 9, 'K is zero'),
    (0, [60., 0., 31.5, 0., 60., 23.5, 0., 0., 1.], 'width is zero'),
    (64, [-60., 0., 31.5, 0., 60., 23.5, 0., 0., 1.], 'K is none: fx -60, fy 60'),
    (64, [float('nan'), 0., 31.5, 0., 60., 23.5, 0., 0., 1.], 'K is none: fx nan, fy 60'),
])
def test_a_camera_without_calibration_is_called_so(bench, status, width, k, lacks):
    info = bench.robot.create_publisher(CameraInfo, 'camera_info', 1)
    found = status(lambda s: 'uncalibrated' in values(s)['camera_info'],
                   each=lambda: info.publish(CameraInfo(width=width, height=48, k=k)))
    assert f'uncalibrated: {lacks} on /camera_info' in values(found)['camera_info']


def test_an_engine_that_is_stuck_is_an_error(bench, start, status):
    node, (pipeline, ) = start(diagnostics__stalled_after=.2)
    pipeline.delay_s = 2.
    publisher = bench.robot.create_publisher(Image, 'image', RELIABLE)
    found = status(lambda s: s.level == DiagnosticStatus.ERROR, name='/face_attributes',
                   each=lambda: publisher.publish(picture(stamp=bench.now())))
    assert 'the engine hangs or is far too slow' in found.message


def test_a_gpu_that_ran_out_of_memory_is_a_warning_with_its_words(start, status):
    node, (pipeline, ) = start()
    words = 'out of memory on cuda:0 with a batch of 16: goes on with 8 at a time'
    pipeline.description = {**pipeline.description, 'memory': words}
    found = status(warns('goes on with 8 at a time'), name='/face_attributes')
    assert found.message == words and values(found)['memory'] == words
