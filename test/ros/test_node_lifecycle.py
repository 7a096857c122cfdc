# SPDX-License-Identifier: Apache-2.0
"""The node's life: transitions, services and parameters, with a fake pipeline, over real DDS."""

import math
from itertools import count

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fake_node import FakePipeline
from harness import FACES, picture
from rcl_interfaces.srv import SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import Marker, MarkerArray

from face_attributes_ros.errors import DeviceLostError, ModelError, ParameterError
from face_attributes_ros.ros.companions.image_source import camera_info
from face_attributes_ros.ros.node import FaceAttributesNode
from face_attributes_ros.ros.run import Finished

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


def state(node):
    return node.state


def test_fifty_deactivations_with_faces_in_view(bench, listener, exchange):
    node, pipelines = listener()
    heard = bench.heard[FACES]
    for _ in range(50):
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
        assert len(pipelines) == number and pipelines[-1].closed and node.work is None
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS
    assert node.trigger_shutdown() == SUCCESS and pipelines[-1].closed and state(
        node) == 'finalized'


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
    assert heard[-1].faces == [] and node.work.cameras[''].subscription is None
    assert node.trigger_deactivate() == node.trigger_activate() == SUCCESS
    assert node.work.cameras[''].subscription is None  # still disabled
    assert bench.call(SetBool, '/face_attributes/enable', SetBool.Request(data=True)).success
    assert len(exchange(picture(stamp=bench.now())).faces) == 1


@pytest.mark.parametrize('end', ['deactivate', 'shutdown', 'disable', 'silent', 'uncalibrated'])
def test_markers_are_taken_away_with_what_they_show(bench, listener, exchange, end):
    node, _ = listener(diagnostics__no_image_after=.3 if end == 'silent' else 60.)
    arrays, _ = bench.listen('/face_attributes/markers', MarkerArray)
    info = bench.robot.create_publisher(CameraInfo, 'camera_info', 1)
    bench.spin_until(lambda: info.get_subscription_count() > 0
                     and node.work.publishers[''].wanted('markers'))
    info.publish(camera_info(64, 48))
    bench.spin_until(lambda: node.work.cameras[''].calibration)
    exchange(picture(stamp=bench.now()))
    bench.spin_until(lambda: arrays and len(arrays[-1].markers) > 1)
    shown = arrays[-1].markers
    assert shown[0].action == Marker.DELETEALL
    assert all(marker.lifetime.sec == 2 for marker in shown[1:])
    if end == 'disable':
        bench.call(SetBool, '/face_attributes/enable', SetBool.Request(data=False))
    elif end == 'uncalibrated':
        info.publish(CameraInfo(width=64, height=48))
        bench.spin_until(lambda: not node.work.cameras[''].calibration)
        exchange(picture(stamp=bench.now()))
    elif end != 'silent':
        getattr(node, f'trigger_{end}')()
    bench.spin_until(lambda: [marker.action for marker in arrays[-1].markers] == [
        Marker.DELETEALL])
    assert arrays[-1].markers[0].header.frame_id == 'camera'


def test_each_enable_and_disable_is_one_line(bench, start, capfd):
    start()
    for data in (False, False, True, True, False):
        bench.call(SetBool, '/face_attributes/enable', SetBool.Request(data=data))
    said = [line.rpartition(' ')[2] for line in capfd.readouterr().err.splitlines()
            if line.endswith(('enabled', 'disabled'))]
    assert said == ['disabled', 'enabled', 'disabled']


def test_reset_tracks_reaches_the_pipeline(bench, listener):
    _, (pipeline,) = listener()
    assert bench.call(Trigger, '/face_attributes/reset_tracks', Trigger.Request()).success
    bench.spin_until(lambda: pipeline.resets == 1)


def test_live_parameters_reach_the_pipeline_and_others_are_refused(bench, listener, exchange):
    node, (pipeline,) = listener()

    def set_(name, value):
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()])
        return bench.call(SetParameters, '/face_attributes/set_parameters', request).results[0]

    assert set_('detector.iou', .6).successful
    exchange(picture(stamp=bench.now()))
    assert pipeline.settings.detector_iou == .6
    for name, value in [('attributes.gender_threshold', .9), ('image_rotation', [180]),
                        ('attributes.expression_threshold', .7)]:
        assert set_(name, value).successful, name
    exchange(picture(stamp=bench.now()))
    found = pipeline.settings
    assert (found.attributes_gender_threshold, found.attributes_expression_threshold,
            found.image_rotation) == (.9, .7, (180,))
    assert set_('max_rate_hz', 4.).successful and node.work.worker._interval_s() == .25
    for name, value in [('detector.iou', 1.5), ('detector.iou', 'high'),
                        ('detector.model', 'other'), ('detector.iuo', .5),
                        ('image_rotation', [45]), ('image_rotation', [0, 90]),
                        ('attributes.gender_threshold', 1.1), ('tracking.confirm_hits', 0)]:
        result = set_(name, value)
        assert not result.successful and result.reason, name
    assert pipeline.settings.detector_iou == .6
    assert node.settings.detector_model == 'detector_tiny'


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
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    with pytest.raises(ParameterError) as caught:
        FaceAttributesNode(FakePipeline, context=bench.context, parameter_overrides=overrides)
    assert text in str(caught.value)


def test_whole_numbers_do_for_numbers(start):
    node, _ = start(max_rate_hz=10)
    assert node.settings.max_rate_hz == 10. and node.get_parameter('max_rate_hz').value == 10.


def test_fixed_parameters_can_be_set_while_unconfigured(bench, start):
    node, pipelines = start()
    assert not node.set_parameters([Parameter('cameras', value=['left'])])[0].successful
    assert node.trigger_deactivate() == node.trigger_cleanup() == SUCCESS
    assert not [p for p in node.publishers if 'faces' in p.topic_name]
    changes = [Parameter('cameras', value=['left']), Parameter('detector.model', value='other')]
    assert all(result.successful for result in node.set_parameters(changes))
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS
    assert pipelines[-1].settings.detector_model == 'other'
    assert '/face_attributes/left/faces' in {p.topic_name for p in node.publishers}


def test_a_refused_parameter_changes_nothing(start):
    node, _ = start()
    both = [Parameter('detector.iou', value=.7), Parameter('detector.max_faces', value=0)]
    assert not node.set_parameters_atomically(both).successful
    assert node.settings.detector_iou == .45 and node.get_parameter('detector.iou').value == .45


@pytest.mark.parametrize('live', [False, True])
def test_privacy_can_be_switched_live_only_where_the_start_allows_it(start, live):
    node, _ = start(privacy__blur_annotated=True, privacy__live=live)
    result, = node.set_parameters([Parameter('privacy.blur_annotated', value=False)])
    assert result.successful == live and node.settings.privacy_blur_annotated != live
    assert not node.set_parameters([Parameter('privacy.live', value=not live)])[0].successful


def test_pickles_are_allowed_at_the_start_or_never(start):
    node, _ = start(autostart=False)
    assert node.state == 'unconfigured'  # where all that is fixed while it works may be set
    result, = node.set_parameters([Parameter('detector.allow_pickle', value=True)])
    assert not result.successful and not node.settings.detector_allow_pickle


@pytest.mark.parametrize('name, strict, text', [
    ('detector.confidense', False, "did you mean 'detector.confidence'?"),
    ('detector_confidence', False, "did you mean 'detector.confidence'?"),
    ('position.face_width_m', False, "did you mean 'position.face_width'?"),
    ('auto_start', False, "did you mean 'autostart'?"),
    ('max_frame_ages', False, "did you mean 'max_frame_age'?"),
    ('device_id', True, "unknown parameter 'device_id', did you mean 'device'?"),
    ('camera_driver.exposure', True, "unknown parameter 'camera_driver.exposure'"),
])
def test_what_is_nearly_ours_is_refused_and_all_unknown_ones_if_strict(bench, name, strict, text):
    overrides = [Parameter(name, value=1.), Parameter('strict_parameters', value=strict)]
    with pytest.raises(ParameterError) as caught:
        FaceAttributesNode(FakePipeline, context=bench.context, parameter_overrides=overrides)
    assert text in str(caught.value)


@pytest.mark.parametrize('name', [
    'camera_driver.exposure', 'device_id', 'video_device', 'num_threads', 'depth_module.enable',
    'image_transport_hints', 'frame_id', 'camera_info_url', 'publish_rate'])
def test_parameters_of_other_nodes_in_a_shared_file_do_not_matter(start, name, capfd):
    node, _ = start(max_rate_hz=7., **{name: 3})
    assert node.state == 'active' and node.settings.max_rate_hz == 7.
    assert f"unknown parameter '{name}' is not used here" in capfd.readouterr().err


def test_an_activation_that_fails_leaves_nothing_behind(start, monkeypatch):
    node, _ = start(autostart=False)
    assert node.trigger_configure() == SUCCESS
    monkeypatch.setattr(node.work.worker, 'start', _raise(OSError('no thread')))
    assert node.trigger_activate() == TransitionCallbackReturn.ERROR
    assert node.state == 'unconfigured' and node.work is None
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS


def _raise(error):
    def raise_(*_):
        raise error

    return raise_


def test_an_engine_that_hangs_ends_in_the_error_state(bench, listener, camera):
    node, (pipeline,) = listener(diagnostics__stalled_after=.2)
    pipeline.delay_s = 3.
    camera(picture(stamp=bench.now()))
    bench.spin_until(lambda: node.work.worker.busy_s > 0)
    assert node.trigger_deactivate() == TransitionCallbackReturn.ERROR
    assert node.state == 'finalized' and 'the engine hangs' in node.fault


def test_a_pipeline_that_fails_three_times_in_a_row_goes_through_error_processing(
        bench, listener, camera):
    node, (pipeline,) = listener()
    pipeline.process = _raise(ZeroDivisionError('a bug'))
    heard, _ = bench.listen('/diagnostics', DiagnosticArray)
    failed = node.work.cameras[''].counts
    for number in (1, 2):
        camera(picture(stamp=bench.now()))
        bench.spin_until(lambda: failed['failed'] == number)
    assert node.state == 'active'
    camera(picture(stamp=bench.now()))
    with pytest.raises(Finished) as end:
        bench.spin_until(lambda: False)
    assert end.value.code == 1 and node.state == 'unconfigured'
    bench.spin_until(lambda: any(status.level == DiagnosticStatus.ERROR and 'a bug' in
                                 status.message for message in heard for status in message.status))


def test_a_device_that_is_gone_goes_through_error_processing_at_once_with_one_line(
        bench, listener, camera, capfd):
    node, (pipeline,) = listener()
    words = 'the GPU cuda:0 is gone (CUDA error: unspecified launch failure): and more'
    pipeline.process = _raise(DeviceLostError(words))
    heard, _ = bench.listen('/diagnostics', DiagnosticArray)
    camera(picture(stamp=bench.now()))
    with pytest.raises(Finished) as end:
        bench.spin_until(lambda: False)
    assert end.value.code == 1 and node.state == 'unconfigured' and node.fault == words
    bench.spin_until(lambda: any(status.level == DiagnosticStatus.ERROR and
                                 status.message == words
                                 for message in heard for status in message.status))
    said = ''.join(capfd.readouterr())
    assert f': {words}\n' in said and 'Traceback' not in said


def test_without_autostart_a_device_that_is_gone_leaves_the_node_unconfigured(
        bench, listener, camera):
    node, _ = listener(autostart=False)
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS
    pipeline = node.work.pipeline
    pipeline.process = _raise(DeviceLostError('the GPU cuda:0 is gone'))
    bench.spin_until(lambda: node.work.publishers[''].wanted('faces'))
    node.work.adjust()
    camera(picture(stamp=bench.now()))
    bench.spin_until(lambda: node.state == 'unconfigured')
    assert node.work is None and node.fault == 'the GPU cuda:0 is gone'
    assert node.trigger_configure() == SUCCESS and node.fault == ''


def test_what_auto_chose_is_in_the_log_a_line_each(start, capfd):
    class Chosen(FakePipeline):
        def __init__(self, *given):
            super().__init__(*given)
            self.description |= {'device_choice': 'cpu: there is no NVIDIA GPU here',
                                 'detector_choice': 'a fp32 (measured now: a fp32 8.0 ms)',
                                 'detector_check': 'fp16 beside fp32: near'}

    start(factory=Chosen)
    lines = ''.join(capfd.readouterr()).splitlines()
    for words in ('device choice: cpu: there is no NVIDIA GPU here',
                  'detector choice: a fp32 (measured now: a fp32 8.0 ms)',
                  'detector check: fp16 beside fp32: near'):
        assert [line for line in lines if line.endswith(words)]
    ready, = (line for line in lines if 'ready in' in line)
    assert 'detector_engine a test' in ready and 'measured' not in ready


def test_a_failure_now_and_then_goes_on(bench, listener, exchange, camera):
    node, (pipeline,) = listener()
    process = pipeline.process
    for _ in range(4):
        pipeline.process = _raise(ModelError('odd'))
        before = node.work.cameras[''].counts['failed']
        camera(picture(stamp=bench.now()))
        bench.spin_until(lambda: node.work.cameras[''].counts['failed'] > before)
        pipeline.process = process
        assert exchange(picture(stamp=bench.now())).dropped_frames == 1
    assert node.state == 'active'


def test_disabling_while_an_engine_hangs_says_so_and_ends_in_the_error_state(
        bench, listener, camera):
    node, (pipeline, ) = listener(diagnostics__stalled_after=.2)
    pipeline.delay_s = 3.
    camera(picture(stamp=bench.now()))
    bench.spin_until(lambda: node.work.worker.busy_s > 0)
    answer = bench.call(SetBool, '/face_attributes/enable', SetBool.Request(data=False))
    assert not answer.success and 'the engine hangs' in answer.message
    assert node.state == 'finalized'


@pytest.mark.parametrize('order', ['the end of a view', 'a reset', 'a camera nobody wants'])
def test_an_order_that_breaks_counts_as_a_failure_and_the_worker_lives_on(
        bench, listener, exchange, order):
    node, (pipeline, ) = listener(diagnostics__no_image_after=.2)
    exchange(picture(stamp=bench.now()))
    reset, pipeline.reset = pipeline.reset, _raise(ZeroDivisionError('a bug'))
    work, failed = node.work, node.work.cameras[''].counts
    if order == 'a reset':
        assert bench.call(Trigger, '/face_attributes/reset_tracks', Trigger.Request()).success
    elif order == 'a camera nobody wants':
        work.publishers[''].wanted = lambda name=None: False
        work.adjust()
    bench.spin_until(lambda: failed['failed'] > 0)
    pipeline.reset = reset
    work.publishers[''].__dict__.pop('wanted', None)
    work.adjust()
    assert len(exchange(picture(stamp=bench.now())).faces) == 1
    assert node.state == 'active' and work.worker.fault is None


def test_three_orders_in_a_row_that_break_go_through_error_processing(bench, listener, exchange):
    node, (pipeline, ) = listener()
    exchange(picture(stamp=bench.now()))
    pipeline.reset = _raise(ZeroDivisionError('a bug'))
    for _ in range(2):
        node.work.forget()
    bench.spin_until(lambda: node.work.cameras[''].counts['failed'] == 2)
    assert node.state == 'active'
    node.work.forget()
    with pytest.raises(Finished) as end:
        bench.spin_until(lambda: False)
    assert end.value.code == 1 and node.state == 'unconfigured' and 'a bug' in node.fault


def test_disabling_with_a_broken_pipeline_goes_through_error_processing(bench, listener, camera):
    node, (pipeline, ) = listener()
    pipeline.process = pipeline.reset = _raise(ZeroDivisionError('a bug'))
    failed = node.work.cameras[''].counts
    for number in (1, 2):
        camera(picture(stamp=bench.now()))
        bench.spin_until(lambda: failed['failed'] == number)
    with pytest.raises(Finished):
        bench.call(SetBool, '/face_attributes/enable', SetBool.Request(data=False))
    assert node.state == 'unconfigured' and 'a bug' in node.fault
