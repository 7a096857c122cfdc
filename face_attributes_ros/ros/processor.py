# SPDX-License-Identifier: Apache-2.0
"""One batch of newest images through the pipeline and out to the topics."""

from __future__ import annotations

import math
import time

from std_msgs.msg import Header

from face_attributes_ros.errors import FaceAttributesError
from face_attributes_ros.ros.messages import faces_array, seconds


class Processor:
    """Works on behalf of a node: reads its cameras' messages, runs the pipeline once for all,
    publishes by camera."""

    def __init__(self, node, pipeline):
        self.node, self.pipeline = node, pipeline
        self.model_id = '+'.join(
            filter(None, (pipeline.description.get(task) for task in ('detector', 'attributes'))))
        self._told = {name: self._dropped(name) for name in node.cameras}
        self._header = {}

    def process(self, batch):
        """Reads, looks at and publishes messages by camera; does nothing for cameras that nobody
        listens to."""
        begun = time.perf_counter()
        frames = self._read(batch)
        if not frames:
            return
        start = time.perf_counter()
        try:
            tracks = self.pipeline.process(
                {name: (frame.bgr, self._stamp_s(frame)) for name, frame in frames.items()})
        except FaceAttributesError as error:
            for name in frames:
                self.node.cameras[name].counts['unreadable'] += 1
            self.node.get_logger().error(str(error), throttle_duration_sec=2.)
            return
        looked = time.perf_counter()
        for name, frame in frames.items():
            self._publish(name, frame, tracks[name], 1e3 * (looked - start))
        self.pipeline.stage_ms.update(decode=1e3 * (start - begun),
                                      publish=1e3 * (time.perf_counter() - looked))

    def publish_nothing(self):
        """Publishes one array without faces for each camera that had an image: what was seen is no
        longer so."""
        for name, (header, size) in self._header.items():
            dropped = self._newly_dropped(name)
            self.node.outputs[name].send(
                'faces',
                faces_array(header, name, size, [], latency_ms=math.nan, dropped_frames=dropped,
                            model_id=self.model_id))
        for name in self.node.cameras.keys() - self._header.keys():
            self.node.outputs[name].send(
                'faces',
                faces_array(Header(), name, (0, 0), [], latency_ms=math.nan,
                            model_id=self.model_id))

    def _read(self, batch):
        values = self.node.values
        always, max_age_s = values['process_without_subscribers'], values['max_frame_age']
        wanted = {
            name: msg for name, msg in batch.items() if always or self.node.outputs[name].wanted()
        }
        frames = {
            name: self.node.cameras[name].read(msg, max_age_s) for name, msg in wanted.items()
        }
        return {name: frame for name, frame in frames.items() if frame is not None}

    def _stamp_s(self, frame):
        # Without a stamp, the time of processing has to do for the tracker.
        return seconds(frame.header.stamp) or self.node.get_clock().now().nanoseconds * 1e-9

    def _publish(self, name, frame, tracks, inference_ms):
        camera, values = self.node.cameras[name], self.node.values
        latency_ms = 1e3 * camera.age_s(frame.header)
        camera.counts['processed'] += 1
        if math.isfinite(latency_ms):
            camera.latencies_ms.append(latency_ms)
        faces = faces_array(frame.header, name, frame.size, tracks,
                            smoothed=values['smoothing.enable'],
                            focal=camera.focal_px(frame.size[0]),
                            face_width_m=values['position.face_width'], latency_ms=latency_ms,
                            inference_ms=inference_ms, dropped_frames=self._newly_dropped(name),
                            model_id=self.model_id)
        self._header[name] = frame.header, frame.size
        self.node.outputs[name].publish(faces, frame, tracks, values)

    def _dropped(self, name):
        counts = self.node.cameras[name].counts
        return self.node.worker.replaced[name] + counts['too_old'] + counts['unreadable']

    def _newly_dropped(self, name):
        total = self._dropped(name)
        new, self._told[name] = total - self._told[name], total
        return new
