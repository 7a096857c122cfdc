# SPDX-License-Identifier: Apache-2.0
"""/diagnostics: how the node is doing, and why when it is not doing well."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible

from face_attributes_ros.ros.camera import Camera
from face_attributes_ros.settings import Settings
from face_attributes_ros.share import share_file

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
COUNTED = ('processed', 'replaced', 'too_old', 'unreadable', 'failed')
AHEAD_S = .1
"""Stamps that lie further in the future are wrong, whatever the network's clocks do."""

Verdict = tuple[bytes, str]


class CameraReport:
    """Turns the growing counts of one camera into a status, once a period."""

    def __init__(self, camera: Camera, work: Any):
        self.camera, self._work = camera, work
        self._before, self._before_s = self._counts(), time.monotonic()
        self._depth_before: Counter[str] = Counter()

    def _counts(self) -> Counter[str]:
        replaced = self._work.worker.replaced[self.camera.name]
        return Counter(self.camera.counts) + Counter(replaced=replaced)

    def status(self, name: str, working: bool, settings: Settings) -> DiagnosticStatus:
        """The camera's DiagnosticStatus over the time since the last one."""
        now, counts = time.monotonic(), self._counts()
        period, self._before_s = max(1e-3, now - self._before_s), now
        new, self._before = counts - self._before, counts
        latencies, ages = (_emptied(self.camera.latencies_ms), _emptied(self.camera.ages_s))
        level, message = self._judge(new, ages, now, settings) if working else (OK, 'not active')
        values = {'topic': self.camera.topic, 'camera_info': _info(self.camera),
                  'input rate (Hz)': f'{new["received"] / period:.1f}',
                  'frame rate (Hz)': f'{new["processed"] / period:.1f}', **_latency(latencies)}
        if self.camera.depth is not None:
            values['depth'] = self._depth()
        values |= {kind: str(counts[kind]) for kind in COUNTED}
        return make_status(name, level, message, values, hardware_id=self.camera.topic)

    def _judge(self, new: Counter[str], ages_s: Sequence[float], now: float,
               settings: Settings) -> Verdict:
        camera = self.camera
        if camera.subscription is None:
            return _idle(camera)
        silent_s = now - (camera.arrived_s or camera.subscribed_s or now)
        if silent_s >= settings.diagnostics_no_image_after:
            return WARN, why_no_image(camera, silent_s)
        return (_troubles(camera, new) or _clocks(camera, new, ages_s) or _rivals(camera)
                or self._guesses() or _progress(new, self._work.worker.busy_s))

    def _depth(self) -> str:
        depth = self.camera.depth
        if depth is None:
            return 'off'
        measured, guessed = depth.counts['measured'], depth.counts['guessed']
        return f'{measured} faces measured, {guessed} guessed from their size'

    def _guesses(self) -> Verdict | None:
        # Asked for and never there is worth a warning; a face at which the sensor sees nothing is
        # not.
        depth = self.camera.depth
        if depth is None:
            return None
        new = depth.counts - self._depth_before
        self._depth_before = Counter(depth.counts)
        if new['measured'] or not new['guessed']:
            return None
        return WARN, f'distances are guessed from the size of faces: {depth.why}'


def _idle(camera: Camera) -> Verdict:
    # Nobody listens, so neither do we; what the graph tells is worth saying all the same.
    publishers = camera.publishers()
    if not publishers:
        return WARN, f'{_no_publisher(camera)}; nobody subscribes to what is found'
    wrong = _wrong_type(camera, publishers)
    if wrong:
        return WARN, f'{camera.topic} from {", ".join(map(_publisher, publishers))}: {wrong}'
    return OK, f'nobody subscribes to what is found: {camera.topic} is not listened to'


def _troubles(camera: Camera, new: Counter[str]) -> Verdict | None:
    if new['failed']:
        return ERROR, (f'{new["failed"]} images on {camera.topic} made the pipeline fail: '
                       'see the log')
    if new['unreadable']:
        return WARN, f'{new["unreadable"]} images on {camera.topic} could not be read: see the log'
    return None


def _clocks(camera: Camera, new: Counter[str], ages_s: Sequence[float]) -> Verdict | None:
    if ages_s and max(ages_s) < -AHEAD_S:
        return WARN, (f'the stamps of {camera.topic} are {-max(ages_s):.1f} s in the future: '
                      'the clocks of camera and node do not agree')
    if new['too_old'] and not new['processed']:
        ahead = f' (by {min(ages_s):.1f} s)' if ages_s else ''
        return WARN, (f'all images on {camera.topic} are older than max_frame_age{ahead}: do the '
                      'clocks of camera and node agree? For a bag, set use_sim_time or '
                      'max_frame_age 0')
    return None


def _rivals(camera: Camera) -> Verdict | None:
    publishers = camera.publishers()
    if len(publishers) < 2:
        return None
    return WARN, (f'{len(publishers)} nodes publish {camera.topic}, whose faces get mixed up: '
                  + ', '.join(map(_name, publishers)))


def _progress(new: Counter[str], busy_s: float) -> Verdict:
    if new['processed']:
        return OK, 'running'
    if busy_s > 1:
        return WARN, f'an image has been worked on for {busy_s:.0f} s: the engine is slow or hangs'
    return OK, 'no image has been looked at just now'


def _info(camera: Camera) -> str:
    if camera.calibration is not None:
        return 'received'
    if camera.lacks is not None:
        return f'uncalibrated: {camera.lacks} on {camera.info_topic}: no positions, no markers'
    if camera.subscription is None:
        return f'{camera.info_topic} is not listened to'
    return f'none on {camera.info_topic}: no positions, no markers'


def _emptied(values: deque[float]) -> list[float]:
    return [values.popleft() for _ in range(len(values))]


def _latency(latencies_ms: Sequence[float]) -> dict[str, str]:
    latencies = [latency for latency in latencies_ms if math.isfinite(latency)]
    if not latencies:
        return {}
    return {'latency mean (ms)': f'{sum(latencies) / len(latencies):.1f}',
            'latency max (ms)': f'{max(latencies):.1f}'}


def why_no_image(camera: Camera, silent_s: float) -> str:
    """One sentence that says why no image comes, as far as the graph tells: topic, publishers,
    their QoS."""
    publishers = camera.publishers()
    if not publishers:
        return f'no image for {silent_s:.0f} s: {_no_publisher(camera)}'
    found = ', '.join(map(_publisher, publishers))
    return (f'no image for {silent_s:.0f} s on {camera.topic} from {found}: '
            f'{_cause(camera, publishers)}')


def _no_publisher(camera: Camera) -> str:
    topic = camera.topic
    other = topic.removesuffix('/compressed') if camera.compressed else f'{topic}/compressed'
    types = {info.topic_type for info in camera.node.get_publishers_info_by_topic(other)}
    if not types:
        return f'{topic} has no publisher'
    if camera.compressed and _type(camera) in types:  # somebody has remapped image to the JPEGs
        advice = f'remap image to {other.removesuffix("/compressed")}'
    else:
        advice = f'set image_transport to {"raw" if camera.compressed else "compressed"}'
    return f'{topic} has no publisher; there is one on {other}: {advice}'


def _name(info: Any) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'


def _publisher(info: Any) -> str:
    qos = info.qos_profile
    return f'{_name(info)} ({qos.reliability.name}, {qos.durability.name})'


def _type(camera: Camera) -> str:
    return f'sensor_msgs/msg/{camera.message_type.__name__}'


def _wrong_type(camera: Camera, publishers: Sequence[Any]) -> str:
    wanted = _type(camera)
    types = {info.topic_type for info in publishers}
    if wanted in types:
        return ''
    wrong = f'it is {", ".join(sorted(types))}, needs {wanted}'
    base = camera.topic.removesuffix('/compressed')
    if not camera.compressed and types == {'sensor_msgs/msg/CompressedImage'}:
        return f'{wrong}; remap image to {base} and set image_transport compressed'
    return wrong


def _cause(camera: Camera, publishers: Sequence[Any]) -> str:
    if wrong := _wrong_type(camera, publishers):
        return wrong
    if camera.subscription is None:
        return 'not subscribed'
    ours = camera.subscription.qos_profile
    reasons = (qos_check_compatible(info.qos_profile, ours) for info in publishers)
    bad = [reason for fits, reason in reasons if fits == QoSCompatibility.ERROR]
    if len(bad) == len(publishers):
        return (f'its QoS does not match ours ({ours.reliability.name}, {ours.durability.name}): '
                f'{bad[0]}')
    if camera.arrived_s is not None:
        return 'it stopped sending'
    return ('it is matched, but nothing arrives. Either it sends nothing, or its images are too '
            'large for the default shared memory of Fast DDS: start it with '
            f'FASTDDS_DEFAULT_PROFILES_FILE={share_file("config/fastdds_large_images.xml")}')


def make_status(name: str, level: bytes, message: str, values: Mapping[str, object],
                hardware_id: str) -> DiagnosticStatus:
    """A DiagnosticStatus; `values` become text."""
    pairs = [KeyValue(key=str(key), value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware_id,
                            values=pairs)


def make_array(statuses: list[DiagnosticStatus], stamp: Time) -> DiagnosticArray:
    """A DiagnosticArray of statuses."""
    array = DiagnosticArray(status=statuses)
    array.header.stamp = stamp
    return array


def namesakes(node: Node) -> int:
    """How many other nodes have this node's full name."""
    own = (node.get_name(), node.get_namespace())
    return max(0, node.get_node_names_and_namespaces().count(own) - 1)
