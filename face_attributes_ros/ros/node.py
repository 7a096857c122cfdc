# SPDX-License-Identifier: Apache-2.0
"""The node face_attributes: camera images in, what their faces look like out."""

from __future__ import annotations

import functools
import time
import traceback

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from face_attributes_ros import settings as params
from face_attributes_ros.errors import FaceAttributesError
from face_attributes_ros.pipeline import Settings, build_pipeline
from face_attributes_ros.ros import diagnostics, parameters
from face_attributes_ros.ros.camera import Camera
from face_attributes_ros.ros.outputs.publishers import Outputs
from face_attributes_ros.ros.processor import Processor
from face_attributes_ros.ros.run import Finished
from face_attributes_ros.ros.worker import Worker

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


def _transition(callback):
    """rclpy turns whatever a transition raises into ERROR without a word: says it first. Our own
    errors are one line, and the transition did not happen; anything else is a bug."""
    @functools.wraps(callback)
    def wrapped(self, state):
        try:
            return callback(self, state)
        except FaceAttributesError as error:
            self.get_logger().error(str(error))
            return FAILURE
        except Exception:
            self.get_logger().fatal(traceback.format_exc())
            raise

    return wrapped


class FaceAttributesNode(LifecycleNode):
    """Lifecycle: configure loads and warms up the networks, activate subscribes, deactivate stops
    and keeps the networks, cleanup lets go of them. `pipeline_factory(settings)` makes the
    pipeline."""

    def __init__(self, pipeline_factory=build_pipeline, name='face_attributes', **kwargs):
        super().__init__(name, **kwargs)
        self.values = parameters.declare(self)
        self._factory, self._pipeline, self._processor = pipeline_factory, None, None
        self._enabled, self._active, self._warnings = True, False, {}
        self.worker = Worker(self._work, self._interval_s())
        names, transport = self.values['cameras'], self.values['image_transport']
        self.cameras = {
            camera: Camera(self, camera, transport, self.worker.put) for camera in names
        }
        self.outputs = {camera: Outputs(self, camera) for camera in names}
        self.add_on_set_parameters_callback(parameters.live_callback(self.values, self._on_values))
        self._make_diagnostics()
        self.create_service(SetBool, '~/enable', self._on_enable)
        self.create_service(Trigger, '~/reset_tracks', self._on_reset_tracks)

    def begin(self):
        """Configures and activates if the parameter autostart says so; ends the process where that
        fails."""
        if self.values['autostart'] and not (self.trigger_configure() == SUCCESS ==
                                             self.trigger_activate()):
            raise Finished(1)

    def end(self):
        """Stops the worker and lets go of everything; the process ends after this."""
        self._active = False
        self.worker.stop(timeout_s=1.)
        self.destroy_node()

    # --- transitions

    @_transition
    def on_configure(self, state):
        """Loads the networks and runs each once; FAILURE with one line in the log where they
        cannot be had."""
        start = time.monotonic()
        self._pipeline = self._factory(self._settings())
        self._pipeline.warm_up()
        self._processor = Processor(self, self._pipeline)
        about = ', '.join(f'{key} {value}' for key, value in self._pipeline.description.items())
        self.get_logger().info(f'ready in {time.monotonic() - start:.1f} s: {about}')
        return super().on_configure(state)

    @_transition
    def on_activate(self, state):
        """Subscribes and starts to work."""
        result = super().on_activate(state)
        self._active = True
        if self._enabled:
            self._start()
        for camera in self.cameras.values():
            outputs = self.outputs[camera.name].publishers['faces'].topic_name
            self.get_logger().info(f'listens to {camera.topic}, publishes {outputs}')
        return result

    @_transition
    def on_deactivate(self, state):
        """Stops working, after one last array without faces; keeps the networks."""
        if self._enabled:
            self._stop()
        self._active = False
        return super().on_deactivate(state)

    @_transition
    def on_cleanup(self, state):
        """Lets go of the networks."""
        self._close()
        return super().on_cleanup(state)

    @_transition
    def on_shutdown(self, state):
        """Stops, from any state, and lets go of the networks."""
        if self._active and self._enabled:
            self._stop()
        self._active = False
        self._close()
        return super().on_shutdown(state)

    def _start(self):
        self.worker.start()
        for camera in self.cameras.values():
            camera.subscribe()

    def _stop(self):
        for camera in self.cameras.values():
            camera.unsubscribe()
        self.worker.stop()
        self._processor.publish_nothing()
        self._pipeline.reset()

    def _close(self):
        if self._pipeline is not None:
            self._pipeline.close()
        self._pipeline = self._processor = None

    # --- work

    def _work(self, batch):
        self._processor.process(batch)

    def _settings(self):
        return Settings(**params.to_settings_fields(self.values))

    def _interval_s(self):
        return 1 / self.values['max_rate_hz'] if self.values['max_rate_hz'] > 0 else 0.

    def _on_values(self, values):
        self.worker.interval_s = self._interval_s()
        if self._pipeline is not None:
            settings = self._settings()
            self.worker.order(lambda: self._pipeline.update(settings))

    # --- services

    def _on_enable(self, request, response):
        changed, self._enabled = request.data != self._enabled, request.data
        if changed and self._active:
            self._start() if request.data else self._stop()
        response.success, response.message = True, 'enabled' if request.data else 'disabled'
        return response

    def _on_reset_tracks(self, request, response):
        if self._pipeline is not None:
            self.worker.order(self._pipeline.reset)
        response.success, response.message = True, 'tracks forgotten'
        return response

    # --- diagnostics

    def _make_diagnostics(self):
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        self._reports = {
            name: diagnostics.CameraReport(camera, self.worker.replaced)
            for name, camera in self.cameras.items()
        }
        # By the steady clock: with simulated time paused, it is all the more of interest why
        # nothing happens.
        self._timer = self.create_timer(1., self._report,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._watch = self.create_timer(.1, self._raise_fault,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _raise_fault(self):
        if self.worker.fault is not None:
            raise self.worker.fault

    def _report(self):
        working = self._active and self._enabled
        statuses = [self._node_status()]
        for camera, report in self._reports.items():
            name = f'{self.get_name()}: {camera or "image"}'
            statuses.append(report.status(name, working,
                                          self.values['diagnostics.no_image_after']))
        self._log_new(statuses)
        self._diagnostics.publish(diagnostics.make_array(statuses,
                                                         self.get_clock().now().to_msg()))

    def _node_status(self):
        name, state = self.get_fully_qualified_name(), self._state_machine.current_state[1]
        values = {
            'state': state, 'enabled': self._enabled,
            **(self._pipeline.description if self._pipeline else {})
        }
        if self._pipeline:
            values |= {
                f'{stage} (ms)': f'{ms:.1f}' for stage, ms in list(self._pipeline.stage_ms.items())
            }
        if others := diagnostics.namesakes(self):
            return diagnostics.make_status(self.get_name(), diagnostics.WARN,
                                           f'{others} other nodes are named {name}', values)
        return diagnostics.make_status(self.get_name(), diagnostics.OK, state, values)

    def _log_new(self, statuses):
        for status in statuses:
            topic_of_complaint = status.message.split(
                ':')[-1] if status.level != diagnostics.OK else ''
            if topic_of_complaint != self._warnings.get(status.name, '') and topic_of_complaint:
                self.get_logger().warning(f'{status.name}: {status.message}')
            self._warnings[status.name] = topic_of_complaint


def make_node(**kwargs):
    """The node that the executable `node` runs."""
    return FaceAttributesNode(**kwargs)
