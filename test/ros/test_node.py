# SPDX-License-Identifier: Apache-2.0
"""The node with a fake pipeline, in this process, over real DDS."""

import math
from itertools import count

import pytest
from harness import BEST_EFFORT, picture
from rcl_interfaces.srv import SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import MarkerArray

from face_attributes_ros.errors import ImageError, ModelError, ParameterError
from face_attributes_ros.msg import FaceAttributes
from face_attributes_ros.ros import compressed
from face_attributes_ros.ros.image_source import camera_info

from fake_node import FakePipeline

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
FACES = '/face_attributes/faces'


def matched(publisher):
    return lambda: publisher.get_subscription_count() > 0


def state(node):
    return node._state_machine.current_state[1]


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
        for outputs in node.outputs.values():
            if outputs.publishers['faces'].topic_name == FACES:
                bench.spin_until(lambda: outputs.wanted('faces'))
        return node, pipelines

    return listener_


def test_every_output_carries_the_header_of_the_image(bench, start, camera):
    topics = {'faces': None, 'image_annotated': Image, 'image_annotated/compressed': CompressedImage, 'markers': MarkerArray}
    heard = {name: bench.listen(f'/face_attributes/{name}', *filter(None, [kind]))[0] for name, kind in topics.items()}
    info = bench.robot.create_publisher(CameraInfo, 'camera_info', 1)
    node, _ = start()
    bench.spin_until(lambda: all(node.outputs[''].wanted(name) for name in topics) and matched(info)())
    info.publish(camera_info(64, 48))
    bench.spin_until(lambda: node.cameras[''].focal is not None)
    sent = picture(stamp=bench.now(), frame_id='left_eye')
    camera(sent)
    bench.spin_until(lambda: all(heard.values()))
    headers = [heard[name][0].header for name in list(topics)[:3]] + [marker.header for marker in heard['markers'][0].markers]
    assert headers == [sent.header] * len(headers)
    assert len(heard['markers'][0].markers) == 3  # delete all, head, caption: the fake gives no pose
    assert heard['image_annotated'][0].data != sent.data
    assert compressed.to_bgr(heard['image_annotated/compressed'][0]).shape == (48, 64, 3)


def test_message_says_what_the_pipeline_found(bench, listener, exchange):
    listener()
    message = exchange(picture(stamp=bench.now()))
    face, = message.faces
    assert (message.camera, message.image_width, message.image_height) == ('', 64, 48)
    assert (face.track_id, face.roi.x_offset, face.roi.y_offset, face.roi.width, face.roi.height) == ('f1', 16, 12, 32, 24)
    assert face.valid == FaceAttributes.HAS_AGE | FaceAttributes.HAS_GENDER
    assert (face.age, face.gender, message.model_id) == (30, FaceAttributes.FEMALE, 'fake+none')
    assert 0 < message.latency_ms < 10_000 and message.inference_ms > 0 and message.dropped_frames == 0


def test_image_without_faces_brings_an_empty_array(bench, listener, exchange):
    listener(faces=0)
    assert exchange(picture(stamp=bench.now())).faces == []


def test_nothing_is_computed_while_nobody_subscribes(bench, start, camera):
    node, (pipeline,) = start()
    for _ in range(5):
        camera(picture(stamp=bench.now()))
        seen = node.cameras[''].counts['received']
        bench.spin_until(lambda: node.cameras[''].counts['received'] > seen)
    bench.spin_until(lambda: not node.worker._newest)
    assert pipeline.calls == []
    node.set_parameters([Parameter('process_without_subscribers', value=True)])
    camera(picture(stamp=bench.now()))
    bench.spin_until(lambda: len(pipeline.calls) == 1)


def test_annotated_image_is_not_drawn_faster_than_asked(bench, start, camera):
    heard, _ = bench.listen('/face_attributes/image_annotated', Image)
    faces, _ = bench.listen(FACES)
    node, _ = start(annotated__max_rate_hz=.01)
    bench.spin_until(lambda: node.outputs[''].wanted('image_annotated') and node.outputs[''].wanted('faces'))
    for number in range(1, 5):
        camera(picture(stamp=bench.now()))
        bench.spin_until(lambda: len(faces) == number)
    assert len(heard) == 1


def test_fifty_deactivations_with_faces_in_view(bench, listener, exchange):
    node, pipelines = listener()
    heard = bench.heard[FACES]
    for cycle in range(50):
        assert len(exchange(picture(stamp=bench.now())).faces) == 1
        before = len(heard)
        assert node.trigger_deactivate() == SUCCESS
        bench.spin_until(lambda: len(heard) == before + 1)
        assert heard[-1].faces == [] and heard[-1].image_width == 64
        assert node.trigger_activate() == SUCCESS
    assert len(pipelines) == 1 and pipelines[0].resets == 50 and not pipelines[0].closed
    assert len([s for s in node.subscriptions if s.topic_name == '/image']) == 1


def test_every_transition_works_twice_in_a_row(bench, listener, exchange):
    node, pipelines = listener(autostart=False)
    for number in (1, 2):
        assert state(node) == 'unconfigured'
        assert node.trigger_configure() == SUCCESS and pipelines[-1].warmed
        for _ in range(2):
            assert node.trigger_activate() == SUCCESS
            assert len(exchange(picture(stamp=bench.now())).faces) == 1
            assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
        assert len(pipelines) == number and pipelines[-1].closed and node._pipeline is None
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS
    assert node.trigger_shutdown() == SUCCESS and pipelines[-1].closed and state(node) == 'finalized'


def test_wrong_weights_leave_the_node_unconfigured_and_able_to_try_again(bench, start):
    tries = count(1)

    def second_time_lucky(settings, *args):
        if next(tries) == 1:
            raise ModelError('model tiny: the file is damaged or was changed')
        return FakePipeline(settings, *args)

    node, _ = start(factory=second_time_lucky, autostart=False)
    assert node.trigger_configure() == FAILURE and state(node) == 'unconfigured'
    assert node.trigger_configure() == SUCCESS and state(node) == 'inactive'


def test_enable_stops_and_takes_up_work(bench, listener, exchange):
    node, (pipeline,) = listener()
    exchange(picture(stamp=bench.now()))
    heard = bench.heard[FACES]
    assert bench.call(SetBool, '/face_attributes/enable', SetBool.Request(data=False)).success
    bench.spin_until(lambda: len(heard) == 2)
    assert heard[-1].faces == [] and node.cameras[''].subscription is None
    assert node.trigger_deactivate() == node.trigger_activate() == SUCCESS
    assert node.cameras[''].subscription is None  # still disabled
    assert bench.call(SetBool, '/face_attributes/enable', SetBool.Request(data=True)).success
    assert len(exchange(picture(stamp=bench.now())).faces) == 1


def test_reset_tracks_reaches_the_pipeline(bench, listener):
    _, (pipeline,) = listener()
    assert bench.call(Trigger, '/face_attributes/reset_tracks', Trigger.Request()).success
    bench.spin_until(lambda: pipeline.resets == 1)


def test_live_parameters_reach_the_pipeline_and_others_are_refused(bench, listener):
    node, (pipeline,) = listener()

    def set_(name, value):
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        return bench.call(SetParameters, '/face_attributes/set_parameters', request).results[0]

    assert set_('detector.iou', .6).successful
    bench.spin_until(lambda: pipeline.settings.detector_iou == .6)
    assert set_('max_rate_hz', 4.).successful and node.worker.interval_s == .25
    for name, value in [('detector.iou', 1.5), ('detector.iou', 'high'), ('detector.model', 'other'), ('detector.iuo', .5),
                        ('tracking.confirm_hits', 0)]:
        result = set_(name, value)
        assert not result.successful and result.reason, name
    assert pipeline.settings.detector_iou == .6 and node.values['detector.model'] == 'detector_tiny'


@pytest.mark.parametrize('parameters, text', [
    ({'detector.iuo': .5}, "unknown parameter 'detector.iuo', did you mean 'detector.iou'?"),
    ({'detector.iou': 2.}, 'parameter detector.iou is 2.0, needs 0 to 1'),
    ({'detector.iou': 'high'}, "parameter detector.iou is 'high', needs a number"),
    ({'detector.imgsz': 450}, 'multiple of 32'),
    ({'device': 'gpu'}, "parameter device is 'gpu', needs auto, cpu or cuda:N"),
    ({'image_transport': 'theora'}, 'needs one of raw, compressed'),
    ({'cameras': ['front', 'front']}, 'parameter cameras'),
    ({'max_frame_age': math.nan}, 'parameter max_frame_age is nan'),
])
def test_wrong_parameters_are_named(bench, parameters, text):
    from face_attributes_ros.ros.node import FaceAttributesNode

    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    with pytest.raises(ParameterError) as caught:
        FaceAttributesNode(FakePipeline, context=bench.context, parameter_overrides=overrides)
    assert text in str(caught.value)


def test_whole_numbers_do_for_numbers(start):
    node, _ = start(max_rate_hz=10)
    assert node.values['max_rate_hz'] == 10. and node.get_parameter('max_rate_hz').value == 10.


def test_size_and_encoding_may_change_from_image_to_image_and_bad_ones_are_counted(bench, listener, camera, exchange):
    node, (pipeline,) = listener()
    bad = picture()
    bad.encoding = 'bgr7'
    assert exchange(picture(64, 48, stamp=bench.now())).image_width == 64
    assert exchange(picture(32, 16, encoding='mono8', stamp=bench.now())).image_width == 32
    for number in (1, 2):
        camera(bad)
        bench.spin_until(lambda: node.cameras[''].counts['unreadable'] == number)
    message = exchange(picture(128, 64, encoding='rgba8', stamp=bench.now()))
    assert (message.image_width, message.dropped_frames) == (128, 2)
    assert exchange(picture(1, 1, stamp=bench.now())).image_width == 1


def test_compressed_images_are_read(bench, listener):
    node, _ = listener(image_transport='compressed')
    publisher = bench.robot.create_publisher(CompressedImage, 'image/compressed', 1)
    bench.spin_until(matched(publisher))
    whole = compressed.from_bgr(bench_pixels(), picture(stamp=bench.now(), frame_id='eye').header)
    cut = CompressedImage(format='jpeg', data=whole.data[:-40])
    publisher.publish(cut)
    bench.spin_until(lambda: node.cameras[''].counts['unreadable'] == 1)
    publisher.publish(whole)
    bench.spin_until(lambda: bench.heard[FACES])
    assert bench.heard[FACES][0].header == whole.header and bench.heard[FACES][0].image_width == 40


def bench_pixels():
    import numpy as np

    return np.full((30, 40, 3), 128, np.uint8)


def test_old_images_are_dropped_and_unstamped_ones_are_not(bench, listener, camera, exchange):
    node, _ = listener(max_frame_age=5.)
    old = bench.now()
    old.sec -= 60
    camera(picture(stamp=old))
    bench.spin_until(lambda: node.cameras[''].counts['too_old'] == 1)
    message = exchange(picture())
    assert message.dropped_frames == 1 and math.isnan(message.latency_ms)


def test_an_image_that_the_pipeline_refuses_costs_that_image_only(bench, listener, camera, exchange):
    node, (pipeline,) = listener()
    process, pipeline.process = pipeline.process, _raise(ImageError('image is odd'))
    camera(picture(stamp=bench.now()))
    bench.spin_until(lambda: node.cameras[''].counts['unreadable'] == 1)
    pipeline.process = process
    assert exchange(picture(stamp=bench.now())).dropped_frames == 1


def test_a_bug_in_the_pipeline_is_not_swallowed(bench, listener, camera):
    node, (pipeline,) = listener()
    pipeline.process = _raise(ZeroDivisionError('a bug'))
    camera(picture(stamp=bench.now()))
    with pytest.raises(ZeroDivisionError, match='a bug'):
        bench.spin_until(lambda: False)


def _raise(error):
    def process(frames):
        raise error

    return process


def test_two_cameras_share_a_batch_and_have_topics_of_their_own(bench, start):
    heard = {name: bench.listen(f'/face_attributes/{name}/faces')[0] for name in ('front', 'rear')}
    node, (pipeline,) = start(cameras=['front', 'rear'], delay_s=.3)
    publishers = [bench.robot.create_publisher(Image, f'{name}/image', 1) for name in heard]
    bench.spin_until(lambda: all(outputs.wanted() for outputs in node.outputs.values())
                     and all(matched(publisher)() for publisher in publishers))
    # The first image keeps the worker busy; those that come meanwhile go together.
    publishers[0].publish(picture(stamp=bench.now()))
    bench.spin_until(lambda: node.cameras['front'].counts['received'] == 1 and not node.worker._newest)
    for publisher, width in zip(publishers, (64, 32)):
        publisher.publish(picture(width, stamp=bench.now()))
    bench.spin_until(lambda: len(heard['front']) == 2 and len(heard['rear']) == 1)
    assert [sorted(call) for call in pipeline.calls] == [['front'], ['front', 'rear']]
    assert [heard[name][-1].faces[0].track_id for name in heard] == ['front_f1', 'rear_f1']
    assert [(heard[name][-1].camera, heard[name][-1].image_width) for name in heard] == [('front', 64), ('rear', 32)]


def test_simulated_time_may_stand_still_and_jump_back(bench, listener, exchange):
    node, (pipeline,) = listener(use_sim_time=True)
    clock = bench.robot.create_publisher(Clock, '/clock', 1)
    before = exchange(picture(stamp=bench.now()))  # /clock has not spoken yet: there is no age to go by
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
