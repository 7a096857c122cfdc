# SPDX-License-Identifier: Apache-2.0
"""/diagnostics: how the node is doing, and why when it is not doing well."""

from __future__ import annotations

import time
from collections import Counter

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import QoSCompatibility, qos_check_compatible

from face_attributes_ros.share import share_file

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class CameraReport:
    """Turns the growing counts of one camera into a status, once a period."""

    def __init__(self, camera, replaced):
        self.camera, self._replaced = camera, replaced
        self._before, self._before_s = self._counts(), time.monotonic()

    def _counts(self):
        return Counter(self.camera.counts) + Counter(replaced=self._replaced[self.camera.name])

    def status(self, name, active, no_image_after_s):
        """The camera's DiagnosticStatus over the time since the last one."""
        now, counts = time.monotonic(), self._counts()
        period, self._before_s = max(1e-3, now - self._before_s), now
        new, self._before = counts - self._before, counts
        level, message = self._judge(new, active, now, no_image_after_s)
        latencies = [
            self.camera.latencies_ms.popleft() for _ in range(len(self.camera.latencies_ms))
        ]
        values = {
            'topic': self.camera.topic, 'camera_info': self._info(),
            'input rate (Hz)': f'{new["received"] / period:.1f}',
            'frame rate (Hz)': f'{new["processed"] / period:.1f}', **_latency(latencies)
        }
        for kind in ('processed', 'replaced', 'too_old', 'unreadable'):
            values[kind] = str(counts[kind])
        return make_status(name, level, message, values)

    def _info(self):
        return 'received' if self.camera.focal else f'none on {self.camera.info_topic}: no positions, no markers'

    def _judge(self, new, active, now, no_image_after_s):
        if not active:
            return OK, 'not active'
        camera = self.camera
        silent_s = now - (camera.arrived_s or camera.subscribed_s)
        if silent_s >= no_image_after_s:
            return WARN, why_no_image(camera, silent_s)
        if new['unreadable']:
            return WARN, f'{new["unreadable"]} images on {camera.topic} could not be read: see the log'
        if new['too_old'] and not new['processed']:
            return WARN, (
                f'all images on {camera.topic} are older than max_frame_age: do the clocks of camera and node agree? '
                'For a bag, set use_sim_time or max_frame_age 0')
        return OK, 'running' if new[
            'processed'] else 'images come, nobody subscribes to what is found in them'


def _latency(latencies):
    if not latencies:
        return {}
    return {
        'latency mean (ms)': f'{sum(latencies) / len(latencies):.1f}',
        'latency max (ms)': f'{max(latencies):.1f}'
    }


def why_no_image(camera, silent_s):
    """One sentence that says why no image comes, as far as the graph tells: topic, publishers,
    their QoS."""
    node, topic = camera.node, camera.topic
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        other = topic.removesuffix('/compressed') if camera.compressed else f'{topic}/compressed'
        hint = ''
        if node.get_publishers_info_by_topic(other):
            hint = f'; there is one on {other}: set image_transport to {"raw" if camera.compressed else "compressed"}'
        return f'no image for {silent_s:.0f} s: {topic} has no publisher{hint}'
    found = ', '.join(map(_publisher, publishers))
    return f'no image for {silent_s:.0f} s on {topic} from {found}: {_cause(camera, publishers)}'


def _publisher(info):
    qos = info.qos_profile
    return f'{info.node_namespace.rstrip("/")}/{info.node_name} ({qos.reliability.name}, {qos.durability.name})'


def _cause(camera, publishers):
    wanted = f'sensor_msgs/msg/{camera.message_type.__name__}'
    types = {info.topic_type for info in publishers}
    if wanted not in types:
        return f'it is {", ".join(sorted(types))}, needs {wanted}'
    if camera.subscription is None:
        return 'not subscribed'
    ours = camera.subscription.qos_profile
    bad = [
        reason for info in publishers
        for fits, reason in [qos_check_compatible(info.qos_profile, ours)]
        if fits == QoSCompatibility.ERROR
    ]
    if len(bad) == len(publishers):
        return f'its QoS does not match ours ({ours.reliability.name}, {ours.durability.name}): {bad[0]}'
    if camera.arrived_s is not None:
        return 'it stopped sending'
    return (
        'it is matched, but nothing arrives. Either it sends nothing, or its images are too large for the default shared '
        'memory of Fast DDS: start it with FASTDDS_DEFAULT_PROFILES_FILE=' +
        str(share_file('config/fastdds_large_images.xml')))


def make_status(name, level, message, values):
    """A DiagnosticStatus; `values` become text."""
    return DiagnosticStatus(
        level=level, name=name, message=message, hardware_id='face_attributes',
        values=[KeyValue(key=str(key), value=str(value)) for key, value in values.items()])


def make_array(statuses, stamp):
    """A DiagnosticArray of statuses."""
    array = DiagnosticArray(status=statuses)
    array.header.stamp = stamp
    return array


def namesakes(node):
    """How many other nodes have this node's full name."""
    own = (node.get_name(), node.get_namespace())
    return max(0, node.get_node_names_and_namespaces().count(own) - 1)
