# SPDX-License-Identifier: Apache-2.0
"""The node face_attributes: camera images in, what their faces look like out."""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]  # Humble's only place
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from face_attributes_ros.build import build_pipeline
from face_attributes_ros.errors import FaceAttributesError
from face_attributes_ros.options import Option
from face_attributes_ros.ros.outputs.publishers import check as check_outputs
from face_attributes_ros.ros.parameters import GIVEN, Declared
from face_attributes_ros.ros.reporter import Reporter
from face_attributes_ros.ros.run import Finished
from face_attributes_ros.ros.work import Work
from face_attributes_ros.settings import Settings

SUCCESS, FAILURE, ERROR = (TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE,
                           TransitionCallbackReturn.ERROR)
Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def _transition(callback: Transition) -> Transition:
    """rclpy turns whatever a transition raises into ERROR without a word: says it first. Our own
    errors are one line, and the transition did not happen; anything else is a bug."""
    @functools.wraps(callback)
    def wrapped(self: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return callback(self, state)
        except FaceAttributesError as error:
            self.get_logger().error(str(error))
            return FAILURE
        except Exception:
            if self.context.ok():  # what breaks while we are told to end is of no interest
                self.get_logger().fatal(traceback.format_exc())
            raise

    return wrapped


class FaceAttributesNode(LifecycleNode):
    """Lifecycle: configure loads and warms up the networks, activate subscribes, deactivate stops
    and keeps the networks, cleanup lets go of them. An engine that hangs or fails over and over
    goes through error processing. `pipeline_factory(settings)` makes the pipeline."""

    def __init__(self, pipeline_factory: Callable[[Settings], Any] = build_pipeline,
                 name: str = 'face_attributes', **kwargs: Any):
        super().__init__(name, **GIVEN, **kwargs)
        self._factory = pipeline_factory
        self.work: Work | None = None
        self.state, self.enabled, self.fault = 'unconfigured', True, ''
        self._declared = Declared(self, Settings, may_change=self._may_change,
                                  changed=self._adjust)
        self._reporter = Reporter(self)
        self.create_service(SetBool, '~/enable', self._on_enable)
        self.create_service(Trigger, '~/reset_tracks', self._on_reset_tracks)
        # By the steady clock: with simulated time paused, it is all the more of interest why
        # nothing happens.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1., self._look_after, clock=steady)
        # Every wake-up costs rclpy as much as half an image: nobody looks for a fault, it calls.
        self._broken = self.create_guard_condition(self._watch)

    @property
    def settings(self) -> Settings:
        """The settings that hold now, as one checked snapshot."""
        return self._declared.settings

    @property
    def working(self) -> bool:
        """Whether images are taken."""
        return self.state == 'active' and self.enabled

    def begin(self) -> None:
        """Configures and activates if the parameter autostart says so; ends the process where that
        fails."""
        if not self.settings.autostart:
            return
        if self.trigger_configure() != SUCCESS or self.trigger_activate() != SUCCESS:
            raise Finished(1)

    def end(self) -> None:
        """Stops the worker and lets go of everything; the process ends after this."""
        if self.work is not None:
            self.work.worker.stop(timeout_s=.3)
        self.destroy_node()

    # --- transitions

    @_transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the networks and runs each once; FAILURE with one line in the log where they
        cannot be had."""
        start = time.monotonic()
        check_outputs(self.settings)
        pipeline = self._factory(self.settings)
        pipeline.warm_up()
        self.work, self.fault = Work(self, pipeline, lambda: self.settings,
                                     self._broken.trigger), ''
        long = {key: value for key, value in pipeline.description.items()
                if key.endswith(('_choice', '_check', 'memory'))}
        about = ', '.join(f'{key} {value}' for key, value in pipeline.description.items()
                          if key not in long)
        self.get_logger().info(f'ready in {time.monotonic() - start:.1f} s: {about}')
        for key, value in long.items():
            self.get_logger().info(f'{key.replace("_", " ")}: {value}')
        self.state = 'inactive'
        return super().on_configure(state)

    @_transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes and starts to work; nothing of it remains where that fails."""
        result = super().on_activate(state)
        try:
            if self.enabled:
                self._work.start()
        except Exception:
            self._work.stop()
            super().on_deactivate(state)
            raise
        self.state = 'active'
        for name, camera in self._work.cameras.items():
            faces = self._work.publishers[name].by_name['faces'].topic_name
            self.get_logger().info(f'takes images from {camera.topic}, publishes {faces}')
        return result

    @_transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops working, after one last array without faces; keeps the networks. ERROR where the
        batch at hand does not end, or after a fault."""
        stopped = self._work.stop()
        self.state = 'inactive'
        super().on_deactivate(state)
        if not stopped:
            self.fault = (f'an image has been worked on for {self._work.worker.busy_s:.0f} s: '
                          'the engine hangs')
        return ERROR if self.fault else SUCCESS

    @_transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lets go of the networks and the topics."""
        self._close()
        return super().on_cleanup(state)

    @_transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops, from any state, and lets go of the networks."""
        if self.work is not None and self.work.stop():
            self._close()
        self.state = 'finalized'
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lets go of everything after a transition that broke: back to unconfigured, or to the end
        where an engine still hangs."""
        self.get_logger().error(f'error processing: {self.fault or "see above"}')
        self._reporter.publish()
        hangs = self.work is not None and not self.work.worker.stop(timeout_s=0.)
        if hangs:
            self.work, self.state = None, 'finalized'
            return FAILURE
        if self.work is not None:
            self._close()
        self.state = 'unconfigured'
        super().on_error(state)
        return SUCCESS

    @property
    def _work(self) -> Work:
        if self.work is None:
            raise RuntimeError('not configured')  # rclpy's state machine does not let this happen
        return self.work

    def _close(self) -> None:
        self._work.close()
        self.work, self.state = None, 'unconfigured'

    # --- while it runs

    def _look_after(self) -> None:
        self._watch()
        self._adjust()
        if self.work is not None:
            self.work.forget_silent()
        self._reporter.publish()

    def _adjust(self) -> None:
        if self.work is not None:
            self.work.adjust()

    def _watch(self) -> None:
        broken = None if self.work is None else self.work.worker.fault
        if broken is not None and self.state == 'active':
            self._give_up(broken)

    def _give_up(self, broken: BaseException) -> None:
        # What is broken ends in the lifecycle's error processing; without somebody who manages
        # the lifecycle, the process ends, for whoever started it to start it again.
        ours = isinstance(broken, FaceAttributesError)
        self.get_logger().fatal(
            str(broken) if ours else ''.join(traceback.format_exception(broken)))
        words = str(broken) if ours else f'{type(broken).__name__}: {broken}'
        self.fault = words.splitlines()[0]
        self.trigger_deactivate()
        if self.settings.autostart:
            raise Finished(1)

    def _may_change(self, changed: Sequence[Option]) -> str:
        private = [one.name for one in changed if one.field.startswith('privacy_')]
        if private and not self.settings.privacy_live:
            return f'{", ".join(private)} can be set at the start only (privacy.live)'
        fixed = [one.name for one in changed if not one.live]
        if fixed and self.state != 'unconfigured':
            return (f'{", ".join(fixed)} can be set while the node is unconfigured only: '
                    'cleanup, set, configure')
        return ''

    # --- services

    def _on_enable(self, request: Any, response: Any) -> Any:
        changed, self.enabled = request.data != self.enabled, request.data
        if changed:
            self.get_logger().info('enabled' if self.enabled else 'disabled')
        ended = True
        if changed and self.work is not None and self.state == 'active':
            if self.enabled:
                self.work.start()
            else:
                ended = self._stopped(self.work)
        if not ended:
            self.trigger_deactivate()  # an engine that hangs ends in error processing here, too
        done = 'enabled' if self.enabled else 'disabled'
        response.success, response.message = ended, done if ended else self.fault
        return response

    def _stopped(self, work: Work) -> bool:
        try:
            return work.stop()
        except Exception as error:  # the last of several failures in a row
            self._give_up(error)
            return False

    def _on_reset_tracks(self, request: Any, response: Any) -> Any:
        del request
        if self.work is not None:
            self.work.forget()
        response.success, response.message = True, 'tracks forgotten'
        return response


def make_node(**kwargs: Any) -> FaceAttributesNode:
    """The node that the executable `node` runs."""
    return FaceAttributesNode(**kwargs)
