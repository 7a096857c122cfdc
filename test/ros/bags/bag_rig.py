# SPDX-License-Identifier: Apache-2.0
"""Small bags with a moving bright square, written by rosbags and read back by it."""

import film_rig
import numpy as np
from face_attributes_ros.msg import FaceAttributesArray
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String

from face_attributes_ros.ros import compressed, images

KINDS = {'Image': Image, 'CompressedImage': CompressedImage, 'CameraInfo': CameraInfo}
START_NS = 1_700_000_000 * 10**9
STEP_NS = 10**8
FACES = '/face_attributes/faces'


def _header(time_ns):
    header = Header(frame_id='camera')
    header.stamp.sec, header.stamp.nanosec = divmod(time_ns, 10**9)
    return header


def _info(header):
    info = CameraInfo(header=header, width=160, height=120)
    info.k = np.array([150., 0., 79.5, 0., 150., 59.5, 0., 0., 1.])
    return info


def write(path, frames=12, storage='mcap', topics=('/camera/image_raw',), broken=()):
    """A bag with images on each topic (JPEG where it ends in /compressed), camera_info beside the
    first, and words on /chatter. Images of the numbers in `broken` have no data."""
    store = get_typestore(Stores.ROS2_JAZZY)
    plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
    with Writer(path, version=8, storage_plugin=plugin) as writer:
        def connection(topic, kind):
            return writer.add_connection(topic, kind, typestore=store)

        pictures = {topic: connection(topic, 'sensor_msgs/msg/CompressedImage' if
                                      topic.endswith('/compressed') else 'sensor_msgs/msg/Image')
                    for topic in topics}
        info = connection(f'{topics[0].rpartition("/")[0]}/camera_info',
                          'sensor_msgs/msg/CameraInfo')
        chatter = connection('/chatter', 'std_msgs/msg/String')
        for number in range(frames):
            time_ns = START_NS + number * STEP_NS
            header = _header(time_ns)
            writer.write(info, time_ns, serialize_message(_info(header)))
            bgr = film_rig.picture(number)
            for topic, picture in pictures.items():
                message = compressed.from_bgr(bgr, header) if topic.endswith('/compressed') \
                    else images.from_array(bgr, header)
                if number in broken:
                    message.data = message.data[:5]
                writer.write(picture, time_ns, serialize_message(message))
            writer.write(chatter, time_ns, serialize_message(String(data=f'word {number}')))
    return path


def read(path):
    """Topic -> [(time, bytes)]."""
    found = {}
    with Reader(path) as reader:
        for connection, time_ns, data in reader.messages():
            found.setdefault(connection.topic, []).append((time_ns, bytes(data)))
    return found


def faces(path, topic=FACES):
    """Our messages of a bag."""
    return [deserialize_message(data, FaceAttributesArray) for _, data in read(path)[topic]]
