# SPDX-License-Identifier: Apache-2.0
"""The node's life: transitions, services and parameters, with a fake pipeline, over real DDS."""

import math
from itertools import count

import pytest
from fake_node import FakePipeline
from harness import FACES, picture
from rcl_interfaces.srv import SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from face_attributes_ros.errors import ModelError, ParameterError
from face_attributes_ros.ros.node import FaceAttributesNode

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


def state(node):
    return node._state_machine.current_state[1]


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
        assert len(pipelines) == number and pipelines[-1].closed and node._pipeline is None
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
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()])
        return bench.call(SetParameters, '/face_attributes/set_parameters', request).results[0]

    assert set_('detector.iou', .6).successful
    bench.spin_until(lambda: pipeline.settings.detector_iou == .6)
    assert set_('max_rate_hz', 4.).successful and node.worker.interval_s == .25
    for name, value in [('detector.iou', 1.5), ('detector.iou', 'high'),
                        ('detector.model', 'other'), ('detector.iuo', .5),
                        ('tracking.confirm_hits', 0)]:
        result = set_(name, value)
        assert not result.successful and result.reason, name
    assert pipeline.settings.detector_iou == .6
    assert node.values['detector.model'] == 'detector_tiny'


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
    assert node.values['max_rate_hz'] == 10. and node.get_parameter('max_rate_hz').value == 10.
