# SPDX-License-Identifier: Apache-2.0
"""What the node makes of images that are odd, old, several or timed by a clock of their own, over
real DDS."""

import math
from array import array

import numpy as np
import pytest
from fake_node import FakePipeline
from harness import FACES, matched, picture
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from face_attributes_ros.errors import ImageError
from face_attributes_ros.ros import compressed, images
from face_attributes_ros.ros.companions.image_source import camera_info
from face_attributes_ros.ros.node import FaceAttributesNode
from face_attributes_ros.ros.outputs.publishers import Publishers


def test_size_and_encoding_may_change_from_image_to_image_and_bad_ones_are_counted(
        bench, listener, camera, exchange):
    node, (pipeline,) = listener()
    bad = picture()
    bad.encoding = 'bgr7'
    assert exchange(picture(64, 48, stamp=bench.now())).image_width == 64
    assert exchange(picture(32, 16, encoding='mono8', stamp=bench.now())).image_width == 32
    for number in (1, 2):
        camera(bad)
        bench.spin_until(lambda: node.work.cameras[''].counts['unreadable'] == number)
    message = exchange(picture(128, 64, encoding='rgba8', stamp=bench.now()))
    assert (message.image_width, message.dropped_frames) == (128, 2)
    assert exchange(picture(1, 1, stamp=bench.now())).image_width == 1


def test_compressed_images_are_read(bench, listener):
    node, _ = listener(image_transport='compressed')
    publisher = bench.robot.create_publisher(CompressedImage, 'image/compressed', 1)
    bench.spin_until(matched(publisher))
    whole = compressed.from_bgr(np.full((30, 40, 3), 128, np.uint8),
                                picture(stamp=bench.now(), frame_id='eye').header)
    cut = CompressedImage(format='jpeg', data=whole.data[:-40])
    publisher.publish(cut)
    bench.spin_until(lambda: node.work.cameras[''].counts['unreadable'] == 1)
    publisher.publish(whole)
    bench.spin_until(lambda: bench.heard[FACES])
    assert bench.heard[FACES][0].header == whole.header and bench.heard[FACES][0].image_width == 40


def test_old_images_are_dropped_and_unstamped_ones_are_not(bench, listener, camera, exchange):
    node, _ = listener(max_frame_age=5.)
    old = bench.now()
    old.sec -= 60
    camera(picture(stamp=old))
    bench.spin_until(lambda: node.work.cameras[''].counts['too_old'] == 1)
    message = exchange(picture())
    assert message.dropped_frames == 1 and math.isnan(message.latency_ms)


def test_an_image_that_the_pipeline_refuses_costs_that_image_only(bench, listener, camera,
                                                                  exchange):
    node, (pipeline,) = listener()
    process, pipeline.process = pipeline.process, _raise(ImageError('image is odd'))
    camera(picture(stamp=bench.now()))
    bench.spin_until(lambda: node.work.cameras[''].counts['failed'] == 1)
    pipeline.process = process
    assert exchange(picture(stamp=bench.now())).dropped_frames == 1


def test_an_output_that_cannot_be_made_costs_that_image_only(bench, listener, camera, exchange,
                                                             monkeypatch):
    node, _ = listener()
    publish = Publishers.publish
    monkeypatch.setattr(Publishers, 'publish', lambda self, look: 1 / 0)
    camera(picture(stamp=bench.now()))
    bench.spin_until(lambda: node.work.cameras[''].counts['failed'] == 1)
    monkeypatch.setattr(Publishers, 'publish', publish)
    assert exchange(picture(stamp=bench.now())).dropped_frames == 1
    assert node.state == 'active' and node.work.worker.fault is None


def test_a_message_that_breaks_the_reader_costs_that_image_only(bench, listener, camera, exchange,
                                                                 monkeypatch):
    node, _ = listener()
    to_bgr = images.to_bgr
    monkeypatch.setattr(images, 'to_bgr', _raise(MemoryError('no room')))
    camera(picture(stamp=bench.now()))
    bench.spin_until(lambda: node.work.cameras[''].counts['failed'] == 1)
    monkeypatch.setattr(images, 'to_bgr', to_bgr)
    assert exchange(picture(stamp=bench.now())).dropped_frames == 1
    assert node.state == 'active' and node.work.worker.fault is None


def test_publishers_that_are_gone_are_heard_by_nobody(bench, listener):
    node, _ = listener()
    outputs = node.work.publishers['']
    assert outputs.wanted('faces')
    for publisher in outputs.by_name.values():
        publisher.destroy()
    assert not outputs.wanted()


def test_the_depth_of_a_camera_of_16_bits_does_not_change_from_image_to_image(bench, listener,
                                                                             exchange):
    node, (pipeline,) = listener()
    seen, process = [], pipeline.process
    pipeline.process = lambda frames: (seen.append(int(frames[''][0].max())), process(frames))[1]
    for value in (900, 200):  # of 10 bits; the second one alone would be one of 8
        message = picture(encoding='mono16', stamp=bench.now())
        message.data = array('B', np.full((48, 64), value, '<u2').tobytes())
        message.step = 128
        exchange(message)
    assert seen == [round(900 * 255 / 1023), round(200 * 255 / 1023)]


def _raise(error):
    def process(*_):
        raise error

    return process


def test_two_cameras_share_a_batch_and_have_topics_of_their_own(bench, start):
    heard = {name: bench.listen(f'/face_attributes/{name}/faces')[0] for name in ('front', 'rear')}
    node, (pipeline,) = start(cameras=['front', 'rear'], delay_s=.3)
    publishers = [bench.robot.create_publisher(Image, f'{name}/image', 1) for name in heard]
    bench.spin_until(lambda: all(outputs.wanted() for outputs in node.work.publishers.values())
                     and all(matched(publisher)() for publisher in publishers))
    # The first image keeps the worker busy; those that come meanwhile go together.
    publishers[0].publish(picture(stamp=bench.now()))
    bench.spin_until(
        lambda: node.work.cameras['front'].counts['received'] == 1
        and not node.work.worker._newest)
    for publisher, width in zip(publishers, (64, 32)):
        publisher.publish(picture(width, stamp=bench.now()))
    bench.spin_until(lambda: len(heard['front']) == 2 and len(heard['rear']) == 1)
    assert [sorted(call) for call in pipeline.calls] == [['front'], ['front', 'rear']]
    assert [heard[name][-1].faces[0].track_id for name in heard] == ['front_f1', 'rear_f1']
    assert [(heard[name][-1].camera, heard[name][-1].image_width)
            for name in heard] == [('front', 64), ('rear', 32)]


def test_simulated_time_may_stand_still_and_jump_back(bench, listener, exchange):
    node, (pipeline,) = listener(use_sim_time=True)
    clock = bench.robot.create_publisher(Clock, '/clock', 1)
    before = exchange(
        picture(stamp=bench.now()))  # /clock has not spoken yet: there is no age to go by
    assert math.isnan(before.latency_ms) and len(before.faces) == 1
    bench.spin_until(matched(clock))
    for now_s, stamp_s in ((100, 99.75), (100, 99.9), (40, 39.75)):
        message = Clock()
        message.clock.sec = now_s
        clock.publish(message)
        bench.spin_until(lambda: node.get_clock().now().nanoseconds == now_s * 10**9)
        image = picture()
        image.header.stamp.sec, image.header.stamp.nanosec = int(stamp_s), round(stamp_s % 1 * 1e9)
        assert exchange(image).latency_ms == pytest.approx(1e3 * (now_s - stamp_s), abs=.1)
        assert pipeline.calls[-1][''][1] == pytest.approx(stamp_s)


def test_position_goes_by_camera_info_of_whatever_size(bench, listener, exchange):
    """A camera calibrated at 640 pixels that sends 64: half an image's width of face is 0.3 m away
    at f = width."""
    node, _ = listener()
    publisher = bench.robot.create_publisher(CameraInfo, 'camera_info', 1)
    bench.spin_until(matched(publisher))
    publisher.publish(camera_info(640, 480))
    bench.spin_until(lambda: node.work.cameras[''].calibration)
    position = exchange(picture(64, 48, stamp=bench.now())).faces[0].position
    assert (position.x, position.y, position.z) == pytest.approx((0, 0, .3), abs=.001)
    publisher.publish(CameraInfo(width=640, height=480))  # uncalibrated
    bench.spin_until(lambda: not node.work.cameras[''].calibration)
    assert exchange(picture(64, 48, stamp=bench.now())).faces[0].position_source == 0


@pytest.mark.parametrize('remap, image_topic, info_topic', [
    ((), '/image', '/camera_info'),
    (('image:=/cam/image_raw',), '/cam/image_raw', '/cam/camera_info'),
    (('image:=/cam/image_raw', 'camera_info:=/calibration'), '/cam/image_raw', '/calibration'),
])
def test_camera_info_is_beside_the_image_unless_remapped(bench, remap, image_topic, info_topic):
    arguments = [word for rule in remap for word in ('-r', rule)]
    node = bench.add(
        FaceAttributesNode(FakePipeline, context=bench.context,
                           cli_args=['--ros-args', *arguments]))
    node.begin()
    node.work.cameras[''].subscribe()
    assert {s.topic_name for s in node.subscriptions} >= {image_topic, info_topic}


def test_the_jpeg_topics_follow_a_remap_of_their_base_or_of_themselves(bench):
    rules = ['-r', 'image:=/cam/image_raw', '-r', '~/image_annotated:=/seen', '-p',
             'image_transport:=compressed']
    node = bench.add(FaceAttributesNode(FakePipeline, context=bench.context,
                                        cli_args=['--ros-args', *rules]))
    node.begin()
    assert node.work.cameras[''].topic == '/cam/image_raw/compressed'
    assert {'/seen', '/seen/compressed'} <= {p.topic_name for p in node.publishers}


@pytest.mark.parametrize('rules, topic, seen', [
    (['image/compressed:=/jpeg'], '/jpeg', '/face_attributes/image_annotated/compressed'),
    (['image:=/cam/image_raw', 'image/compressed:=/jpeg'], '/jpeg',
     '/face_attributes/image_annotated/compressed'),
    (['~/image_annotated:=/seen', '~/image_annotated/compressed:=/jpegs'], '/image/compressed',
     '/jpegs'),
])
def test_who_remaps_a_jpeg_topic_by_itself_wins(bench, rules, topic, seen):
    arguments = [word for rule in rules for word in ('-r', rule)]
    node = bench.add(FaceAttributesNode(FakePipeline, context=bench.context, cli_args=[
        '--ros-args', *arguments, '-p', 'image_transport:=compressed']))
    node.begin()
    node.work.cameras[''].subscribe()
    assert node.work.cameras[''].topic == topic
    assert topic in {s.topic_name for s in node.subscriptions}
    assert seen in {p.topic_name for p in node.publishers}


def test_cameras_can_be_swapped_by_remapping(bench):
    node = bench.add(FaceAttributesNode(FakePipeline, context=bench.context, cli_args=[
        '--ros-args', '-r', 'left/image:=/right/image', '-r', 'right/image:=/left/image', '-p',
        'cameras:=[left, right]']))
    node.begin()
    bench.robot.create_publisher(Image, '/right/image', 1)
    cameras = node.work.cameras
    for camera in cameras.values():
        camera.subscribe()
    assert {name: (camera.topic, camera.subscription.topic_name, camera.info_topic)
            for name, camera in cameras.items()} == {
        'left': ('/right/image', '/right/image', '/right/camera_info'),
        'right': ('/left/image', '/left/image', '/left/camera_info')}
    bench.spin_until(lambda: cameras['left'].publishers())
    assert cameras['right'].publishers() == []


def test_a_camera_that_falls_silent_shows_nobody(bench, listener, exchange):
    listener(diagnostics__no_image_after=.2)
    assert len(exchange(picture(stamp=bench.now())).faces) == 1
    bench.spin_until(lambda: bench.heard[FACES][-1].faces == [])
    assert bench.heard[FACES][-1].image_width == 64
