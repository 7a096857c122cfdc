# SPDX-License-Identifier: Apache-2.0
"""Hears ~/faces twice, best effort and reliable, and prints a JSON line a message: python
listener.py TOPIC"""

import json
import sys

import rclpy
from face_attributes_ros.msg import FaceAttributesArray
from rclpy.qos import QoSProfile, ReliabilityPolicy

from face_attributes_ros.ros.environment import prepare_environment
from face_attributes_ros.ros.messages import to_dict


def main():
    prepare_environment()
    rclpy.init()
    node = rclpy.create_node('listener')
    for reliability in ('BEST_EFFORT', 'RELIABLE'):
        def say(message, reliability=reliability):
            print(json.dumps({'reliability': reliability, **to_dict(message)}), flush=True)

        node.create_subscription(FaceAttributesArray, sys.argv[1], say,
                                 QoSProfile(depth=10, reliability=ReliabilityPolicy[reliability]))
    rclpy.spin(node)


if __name__ == '__main__':
    main()
