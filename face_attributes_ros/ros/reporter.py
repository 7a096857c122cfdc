# SPDX-License-Identifier: Apache-2.0
"""Once a second: the node's and its cameras' diagnostics, and in the log what became bad."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from face_attributes_ros.ros import diagnostics


class Reporter:
    """Publishes `/diagnostics` for a FaceAttributesNode."""

    def __init__(self, node: Any):
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 1)
        self._reports: dict[str, diagnostics.CameraReport] = {}
        self._of: Any = None
        self._complaints: dict[str, str] = {}

    def publish(self) -> None:
        """Says how it goes now."""
        node, work = self._node, self._node.work
        if work is not self._of:
            self._of, cameras = work, work.cameras if work else {}
            self._reports = {name: diagnostics.CameraReport(camera, work)
                             for name, camera in cameras.items()}
        statuses = [self._node_status()]
        for camera, report in self._reports.items():
            name = f'{node.get_fully_qualified_name()}: {camera or "image"}'
            statuses.append(report.status(name, node.working, node.settings))
        self._log_new(statuses)
        self._publisher.publish(
            diagnostics.make_array(statuses, node.get_clock().now().to_msg()))

    def _node_status(self) -> DiagnosticStatus:
        node, work = self._node, self._node.work
        name = node.get_fully_qualified_name()
        values = {'state': node.state, 'enabled': node.enabled}
        if work is not None:
            values |= work.pipeline.description
            values |= {f'{stage} (ms)': f'{ms:.1f}'
                       for stage, ms in list(work.pipeline.stage_ms.items())}
        level, message = self._judge()
        return diagnostics.make_status(name, level, message, values, hardware_id=name)

    def _judge(self) -> tuple[bytes, str]:
        node, work = self._node, self._node.work
        if node.fault:
            return diagnostics.ERROR, node.fault
        busy_s = work.worker.busy_s if work is not None else 0.
        if busy_s > node.settings.diagnostics_stalled_after:
            return diagnostics.ERROR, (f'an image has been worked on for {busy_s:.0f} s: '
                                       'the engine hangs or is far too slow')
        if work is not None and (words := work.pipeline.description.get('memory', '')):
            return diagnostics.WARN, words
        if others := diagnostics.namesakes(node):
            name = node.get_fully_qualified_name()
            return diagnostics.WARN, f'{others} other nodes are named {name}'
        return diagnostics.OK, node.state

    def _log_new(self, statuses: list[DiagnosticStatus]) -> None:
        # What a complaint is about stands behind its last colon; figures before it change.
        for status in statuses:
            good = status.level == diagnostics.OK
            complaint = '' if good else status.message.split(':')[-1]
            if complaint and complaint != self._complaints.get(status.name, ''):
                self._node.get_logger().warning(f'{status.name}: {status.message}')
            self._complaints[status.name] = complaint
