# SPDX-License-Identifier: Apache-2.0
"""Starts the node with the shipped networks and ends it: python starts.py; 0 where it was ready
within a minute and ended within two seconds. Needs nothing but the package, so that it runs on any
release of ROS 2."""

import os
import signal
import subprocess
import sys
import time

WORDS = 'takes images from'


def main() -> int:
    """The exit code, after saying what the node said."""
    environment = {**os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    node = subprocess.Popen(
        [sys.executable, '-m', 'face_attributes_ros.ros.run', 'face_attributes_node'], text=True,
        stderr=subprocess.STDOUT, stdout=subprocess.PIPE, env=environment)
    signal.alarm(60)
    ready = False
    while not ready and (line := node.stdout.readline()):
        print(line, end='')
        ready = WORDS in line
    node.send_signal(signal.SIGTERM)
    began = time.monotonic()
    code = node.wait()
    print(f'ended with {code} after {time.monotonic() - began:.2f} s')
    return 0 if ready and code == 0 and time.monotonic() - began < 2 else 1


if __name__ == '__main__':
    sys.exit(main())
