# SPDX-License-Identifier: Apache-2.0
"""The other processes on the wire: `traffic.py camera` publishes images, `traffic.py listener`
notes what arrives when.

The listener takes face messages as bytes and reads them only afterwards, so that latency ends
where a subscriber gets a message, whatever language it is written in. Images it takes as the node
does.
"""

from __future__ import annotations

import argparse
import json
import select
import statistics
import struct
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.report.figures import Report
from bench.rig.processes import ENCODINGS, FACES, IMAGE
from face_attributes_ros.ros.environment import prepare_environment

if TYPE_CHECKING:
    import numpy as np
    from rclpy.node import Node
    from rclpy.publisher import Publisher
    from rclpy.qos import QoSProfile


def best_effort() -> QoSProfile:
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def camera(args: argparse.Namespace) -> None:
    """Publishes; says `measuring` and `done` around the part that counts."""
    import rclpy

    from bench.rig import frames

    rclpy.init()
    node = rclpy.create_node('bench_camera')
    message = _message(frames.frame(*frames.SIZES[args.height], args.faces)[0], args.encoding)
    topic = f'{IMAGE}/compressed' if args.encoding == 'jpeg' else IMAGE
    publisher = node.create_publisher(type(message), topic, 1 if args.reliable else best_effort())
    end = time.monotonic() + 30
    while publisher.get_subscription_count() < args.wait and time.monotonic() < end:
        time.sleep(.02)
    send = partial(_publish, publisher, message)
    _send(send, args.rate, args.warm_up)
    print('measuring', flush=True)
    rows = _send(send, args.rate, args.seconds)
    print('done', flush=True)
    stamps, took_ms = zip(*rows)
    Path(args.out).write_text(
        json.dumps({'stamps_s': stamps, 'publish_ms': statistics.median(took_ms)}))


def _message(pixels: np.ndarray, encoding: str) -> Any:
    import cv2
    from std_msgs.msg import Header

    from face_attributes_ros.ros import compressed, images

    header = Header(frame_id='camera')
    if encoding == 'jpeg':
        return compressed.from_bgr(pixels, header)
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    made = {'bgr8': lambda: pixels, 'rgb8': lambda: pixels[..., ::-1], 'mono8': lambda: grey,
            'mono16': lambda: grey.astype('<u2') * 4, 'bayer_rggb8': lambda: grey,
            'bgra8': lambda: cv2.cvtColor(pixels, cv2.COLOR_BGR2BGRA)}
    return images.from_array(made[encoding](), header, encoding)


def _send(send: Callable[[], tuple[float, float]], rate: float,
          seconds: float) -> list[tuple[float, float]]:
    # Like a camera, it does not make up for a frame that came too late: the next ones come when
    # they are due.
    rows, start, number = [], time.monotonic(), 0
    while (due := start + number / rate) < start + seconds:
        now = time.monotonic()
        if now < due:
            time.sleep(due - now)
        rows.append(send())
        number = max(number + 1, int((time.monotonic() - start) * rate))
    return rows


def _publish(publisher: Publisher[Any], message: Any) -> tuple[float, float]:
    now = time.time_ns()
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10**9)
    start = time.perf_counter()
    publisher.publish(message)
    return now * 1e-9, 1e3 * (time.perf_counter() - start)


class Ears:
    """What arrives: (stamp, time, bytes of the message or None)."""

    def __init__(self, node: Node, kind: str) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from face_attributes_ros.msg import FaceAttributesArray
        from sensor_msgs.msg import Image

        self.rows: list[tuple[float, float, bytes | None]] = []
        self.diagnostics: list[dict[str, str]] = []
        self._kind = FaceAttributesArray
        if kind == 'faces':
            node.create_subscription(FaceAttributesArray, FACES, self._on_faces, 50, raw=True)
            node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        else:
            node.create_subscription(Image, IMAGE, self._on_image, best_effort())

    def _on_faces(self, data: bytes) -> None:
        now = time.time_ns() * 1e-9
        if not self.rows:
            print(f'first at {now:.6f}', flush=True)
        sec, nanosec = struct.unpack_from('<iI', data,
                                          4)  # after the encapsulation, header.stamp comes first
        self.rows.append((sec + nanosec * 1e-9, now, data))

    def _on_image(self, message: Any) -> None:
        stamp = message.header.stamp
        self.rows.append((stamp.sec + stamp.nanosec * 1e-9, time.time_ns() * 1e-9, None))

    def _on_diagnostics(self, message: Any) -> None:
        self.diagnostics.append({pair.key: pair.value for pair in message.status[0].values})

    def take(self) -> Report:
        """Everything since the last time, ready for JSON."""
        rows, diagnostics, self.rows, self.diagnostics = self.rows, self.diagnostics, [], []
        return {'rows': [self._read(*row) for row in rows], 'diagnostics': diagnostics}

    def _read(self, stamp_s: float, received_s: float, data: bytes | None) -> Report:
        row: Report = {'stamp_s': stamp_s, 'received_s': received_s}
        if data is not None:
            from rclpy.serialization import deserialize_message

            message = deserialize_message(data, self._kind)
            row |= {
                'faces': len(message.faces), 'inference_ms': message.inference_ms,
                'latency_ms': message.latency_ms, 'dropped': message.dropped_frames,
                'bytes': len(data), 'ids': [face.track_id for face in message.faces]
            }
        return row


def listener(args: argparse.Namespace) -> None:
    """Listens until it is ended; on a line `dump FILE` it writes what it heard."""
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    rclpy.init()
    node, executor, dumps = rclpy.create_node('bench_listener'), SingleThreadedExecutor(), 0
    ears = Ears(node, args.kind)
    executor.add_node(node)
    print('listening', flush=True)
    try:
        while rclpy.ok():
            executor.spin_once(timeout_sec=.05)
            if select.select([sys.stdin], [], [], 0)[0]:
                line = sys.stdin.readline()
                if not line:
                    return
                Path(line.split(maxsplit=1)[1].strip()).write_text(json.dumps(ears.take()))
                dumps += 1
                print(f'dumped {dumps}', flush=True)
    except (ExternalShutdownException, KeyboardInterrupt):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    roles = parser.add_subparsers(dest='role', required=True)
    one = roles.add_parser('camera')
    kinds = {
        'height': int, 'faces': int, 'rate': float, 'seconds': float, 'warm-up': float,
        'wait': int, 'out': str
    }
    for name, kind in kinds.items():
        one.add_argument(f'--{name}', type=kind, required=True)
    one.add_argument('--encoding', choices=ENCODINGS, default='bgr8')
    one.add_argument('--reliable', action='store_true')
    roles.add_parser('listener').add_argument('--kind', choices=('faces', 'image'),
                                              default='faces')
    args = parser.parse_args()
    prepare_environment()
    {'camera': camera, 'listener': listener}[args.role](args)


if __name__ == '__main__':
    main()
