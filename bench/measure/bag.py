# SPDX-License-Identifier: Apache-2.0
"""How much faster than real time a bag is annotated: raw images and JPEGs of 720p at 30 Hz with
four faces, with and without the drawn image.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m bench.measure.bag --out FILE
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from std_msgs.msg import Header

from bench.report.figures import Report
from bench.rig import machine
from bench.rig.frames import SIZES, frame
from face_attributes_ros.ros import compressed, images
from face_attributes_ros.ros.bags.annotate import Wish, annotate_bag
from face_attributes_ros.settings import Settings

HEIGHT, FACES, RATE_HZ = 720, 4, 30
KINDS: dict[str, tuple[str, str, Callable[..., Any]]] = {
    'raw': ('/camera/image_raw', 'sensor_msgs/msg/Image', images.from_array),
    'jpeg': ('/camera/image_raw/compressed', 'sensor_msgs/msg/CompressedImage',
             compressed.from_bgr)}


def written(path: Path, kind: str, seconds: float) -> Path:
    """A bag of frames whose faces move by a few pixels from one to the next."""
    topic, name, make = KINDS[kind]
    width, height = SIZES[HEIGHT]
    wide, _ = frame(width + 64, height, FACES)
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(topic, name,
                                           typestore=get_typestore(Stores.ROS2_JAZZY))
        for number in range(round(seconds * RATE_HZ)):
            time_ns = number * 10**9 // RATE_HZ
            header = Header(frame_id='camera')
            header.stamp.sec, header.stamp.nanosec = divmod(time_ns, 10**9)
            left = abs(number % 64 - 32)
            message = make(wide[:, left:left + width].copy(), header)
            writer.write(connection, time_ns, serialize_message(message))
    return path


def measure(seconds: float, threads: int) -> Report:
    """{kind and whether drawn: images, seconds of bag, seconds taken, their ratio}."""
    found: Report = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            bag = written(Path(folder) / kind, kind, seconds)
            for draw in (False, True):
                name = kind + ('_drawn' if draw else '_told')
                report = annotate_bag(bag, Path(folder) / name, Settings(threads=threads),
                                      Wish(draw=draw))
                found[name] = {'images': report.images, 'bag_s': round(report.bag_s, 2),
                               'took_s': round(report.took_s, 2),
                               'times_real_time': round(report.bag_s / report.took_s, 2)}
    return found


def main() -> None:
    """Measures and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--seconds', type=float, default=20., help='length of each bag')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    about = {'machine': machine.about(), 'threads': args.threads, 'faces': FACES,
             'size': SIZES[HEIGHT], 'rate_hz': RATE_HZ}
    args.out.write_text(json.dumps(about | {'bags': measure(args.seconds, args.threads)},
                                   indent=1) + '\n')


if __name__ == '__main__':
    main()
